//! Where the pixels of a short tile of [`super::igemm_nhwc`] are, tap by tap.
//!
//! A pixel's window is known by the address of its first element and by the kernel's rows and columns inside the image, a
//! bit each. So a tap costs a pixel a few instructions, and one addition where all windows are inside. Where a tile
//! meets few output channels, as in grouped layers, that is what its time goes to beside multiplying.

use super::Problem;
use crate::tensor::Strides;

/// Most pixels of a tile. A longer one lies in one or two rows, whose pixels it takes less time to find together.
const MOST_PIXELS: usize = 5;

/// Most kernel rows and columns.
const MOST_TAPS: usize = 63;

/// Whether [`fill`] can fill the table for these pixels.
pub(super) fn fits(p: &Problem, pixels: usize) -> bool {
    pixels <= MOST_PIXELS && p.shape.kh.max(p.shape.kw) <= MOST_TAPS
}

/// The taps inside an axis of `size`, a bit each, of a window that starts at `start`.
fn inside(start: isize, taps: usize, dilation: usize, size: usize) -> u64 {
    let end = (size as isize - start).max(0).unsigned_abs().div_ceil(dilation).min(taps);
    let first = start.min(0).unsigned_abs().div_ceil(dilation).min(end);
    (1 << end) - (1 << first)
}

/// Writes the pointers of the taps that see a pixel inside the image, and for each of them the element of K at which its
/// weights start; gives the number of taps.
///
/// # Safety
/// `base` is the group's first channel of the image; the pixels are inside the output, and [`fits`] them. There is room for
/// all taps.
#[allow(clippy::too_many_arguments)]
pub(super) unsafe fn fill(
    p: &Problem,
    base: *const f32,
    strides: Strides,
    zeros: *const f32,
    pixels: core::ops::Range<usize>,
    pointers: *mut *const f32,
    offsets: *mut usize,
) -> usize {
    let s = &p.shape;
    let count = pixels.len();
    let mut windows = [base; MOST_PIXELS];
    let mut seen = [(0, 0); MOST_PIXELS];
    let mut all = (u64::MAX, u64::MAX);
    let (mut y, mut x) = (pixels.start / p.ow, pixels.start % p.ow);
    for (window, seen) in windows.iter_mut().zip(&mut seen).take(count) {
        let (y0, x0) = p.origin(y, x);
        let start = y0.wrapping_mul(strides.row as isize).wrapping_add(x0.wrapping_mul(strides.pixel as isize));
        *window = base.wrapping_offset(start);
        *seen = (inside(y0, s.kh, s.dilation[0], s.h), inside(x0, s.kw, s.dilation[1], s.w));
        all = (all.0 & seen.0, all.1 & seen.1);
        x += 1;
        if x == p.ow {
            (y, x) = (y + 1, 0);
        }
    }
    let whole = all == ((1 << s.kh) - 1, (1 << s.kw) - 1);
    let mut segments = 0;
    for ky in 0..s.kh {
        for kx in 0..s.kw {
            let offset = (ky * s.dilation[0]).wrapping_mul(strides.row);
            let offset = offset.wrapping_add((kx * s.dilation[1]).wrapping_mul(strides.pixel));
            // SAFETY: a segment per tap at most, `count` pointers each.
            let to = unsafe { core::slice::from_raw_parts_mut(pointers.add(segments * count), count) };
            if whole {
                for (pointer, window) in to.iter_mut().zip(&windows) {
                    *pointer = window.wrapping_add(offset);
                }
            } else {
                let mut any = 0;
                for ((pointer, window), seen) in to.iter_mut().zip(&windows).zip(&seen) {
                    let sees = (seen.0 >> ky) & (seen.1 >> kx) & 1;
                    *pointer = if sees == 1 { window.wrapping_add(offset) } else { zeros };
                    any |= sees;
                }
                if any == 0 {
                    continue;
                }
            }
            // SAFETY: as above.
            unsafe { *offsets.add(segments) = (ky * s.kw + kx) * p.cg_in };
            segments += 1;
        }
    }
    segments
}
