//! Where the pixels of a tile of [`super::igemm_nhwc`] are, tap by tap.
//!
//! Of a tile in one row of the output the first pixel's address is enough, tap by tap, and how many pixels at both ends are in the
//! padding. Tiles that span rows, and those of tiers that find no pixels by addition, have a table of pointers. It is filled row
//! by row and tap by tap: those outside, then some that lie a step apart. In a short tile, a pixel's window is known by the address of its first element and by the kernel's rows and columns
//! inside the image, a bit each; so a tap costs a pixel a few instructions, and one addition where all windows are inside.
//! Where a tile meets few output channels, as in grouped layers, that is what its time goes to beside multiplying.

use super::direct_nhwc::copy_window;
use super::igemm_tiling::Pixels;
use super::{Job, Problem};
use crate::tensor::Strides;

/// A tap of a tile whose pixels lie in one row of the output.
pub(crate) struct RowTap {
    /// The element of K at which its weights start.
    pub offset: usize,
    /// The first pixel's first channel; of use for pixels inside the image only.
    pub input: *const f32,
    /// How many of the first and of the last pixels are in the padding.
    pub first: usize,
    pub last: usize,
}

/// Words of a [`RowTap`].
pub(super) const ROW_TAP_WORDS: usize = size_of::<RowTap>() / size_of::<usize>();

/// Where a tile's pixels are, built once per tile and used by all of its panels.
pub(super) struct Table {
    /// Per segment, the element of K at which its weights start, and as many pointers to inputs as the tile has pixels.
    pub offsets: *mut usize,
    pub pointers: *mut *const f32,
    /// Per segment of a tile in one row; in place of the former.
    pub row: *mut RowTap,
    /// The first channel of each output pixel.
    pub out: *mut *mut f32,
    /// Copies of runs that stick out of the image.
    patches: *mut f32,
    /// Most pixels of a tile.
    mr: usize,
}

impl Table {
    /// Lays the table out in the part's scratch, for tiles of at most `mr` pixels.
    pub(super) fn new(job: &Job<'_>, mr: usize) -> Table {
        let p = job.problem;
        let taps = p.shape.kh * p.shape.kw;
        let words = job.scratch.wrapping_add(job.scratch.align_offset(align_of::<usize>())).cast::<usize>();
        Table {
            offsets: words,
            row: words.cast(),
            pointers: words.wrapping_add(taps).cast(),
            out: words.wrapping_add(taps * (mr + 1)).cast(),
            patches: words.wrapping_add(taps * (mr + 1) + mr).cast(),
            mr,
        }
    }

    /// Fills in the pointers to the first channel of each output pixel.
    ///
    /// # Safety
    /// The pixels are inside the image, as many as a tile has at most.
    pub(super) unsafe fn fill_out(&self, job: &Job<'_>, image: usize, pixels: Pixels) {
        let o = job.output_strides;
        for (m, (y, x)) in pixels.places(job.problem).enumerate() {
            // SAFETY: inside the output by contract.
            unsafe { *self.out.add(m) = job.output.add(image * o.image + y * o.row + x * o.pixel) };
        }
    }

    /// Fills the table for some pixels in one row; gives the number of taps that see one inside the image.
    ///
    /// # Safety
    /// The table lies in scratch of [`super::Algorithm::scratch_len`]; there are pixels, and they are in one row.
    pub(super) unsafe fn fill_row(&self, job: &Job<'_>, image: usize, pixels: Pixels) -> usize {
        let p = job.problem;
        let (s, i) = (&p.shape, job.input_strides);
        let (y0, x0) = p.origin(pixels.y, pixels.x);
        let base = job.input.wrapping_add(image * i.image).wrapping_offset(x0.wrapping_mul(i.pixel as isize));
        let (stride, count) = (s.stride[1], pixels.count);
        let mut segments = 0;
        for ky in 0..s.kh {
            let y = y0 + (ky * s.dilation[0]) as isize;
            if y < 0 || y >= s.h as isize {
                continue;
            }
            let row = base.wrapping_add((y as usize).wrapping_mul(i.row));
            for kx in 0..s.kw {
                let tap = kx * s.dilation[1];
                let x = x0 + tap as isize;
                let end = x + ((count - 1) * stride) as isize;
                // Divided for pixels at the sides only.
                let first = if x < 0 { x.unsigned_abs().div_ceil(stride) } else { 0 };
                let last = if end >= s.w as isize { (end - s.w as isize) as usize / stride + 1 } else { 0 };
                if first + last < count {
                    // SAFETY: a segment per tap at most.
                    unsafe {
                        *self.row.add(segments) = RowTap {
                            offset: (ky * s.kw + kx) * p.cg_in,
                            input: row.wrapping_add(tap.wrapping_mul(i.pixel)),
                            first,
                            last,
                        };
                    }
                    segments += 1;
                }
            }
        }
        segments
    }

    /// Fills the table for some pixels, with pointers to the first group's channels; gives the number of segments and their
    /// length. Where a kernel row `merges`, and pixels lie side by side, a segment is one.
    ///
    /// # Safety
    /// The table lies in scratch of [`super::Algorithm::scratch_len`]; of zeros there are as many as [`super::igemm_nhwc::Tile::zeros`] says.
    pub(super) unsafe fn fill(
        &self,
        job: &Job<'_>,
        merges: bool,
        zeros: *const f32,
        image: usize,
        pixels: Pixels,
    ) -> (usize, usize) {
        let p = job.problem;
        let (s, i) = (&p.shape, job.input_strides);
        let mr = pixels.count;
        let base = job.input.wrapping_add(image * i.image);
        // Pixels side by side, few channels: one run per kernel row.
        let merged = merges && i.pixel == s.c_in;
        if !merged && fits(p, pixels) {
            // SAFETY: as the caller promises; a table has room for all taps.
            let segments = unsafe { fill_short(p, base, i, zeros, pixels, self.pointers, self.offsets) };
            return (segments, p.cg_in);
        }
        let (columns, reach, run) = if merged { (1, s.kw - 1, s.kw * s.c_in) } else { (s.kw, 0, p.cg_in) };
        // Of use only where two of its pixels are inside; addresses of others wrap.
        let step = s.stride[1].wrapping_mul(i.pixel);
        debug_assert!(!pixels.down, "only short tiles go down columns");
        let mut segments = 0;
        for ky in 0..s.kh {
            for kx in 0..columns {
                let mut seen = false;
                let (mut m, mut oy, mut ox) = (0, pixels.y, pixels.x);
                // Row by row of the output: inside one, input pixels are `step` apart.
                while m < mr {
                    let count = (p.ow - ox).min(mr - m);
                    let (y0, x0) = p.origin(oy, ox);
                    let (y, x) = (y0 + (ky * s.dilation[0]) as isize, x0 + (kx * s.dilation[1]) as isize);
                    let row = base.wrapping_offset(y.wrapping_mul(i.row as isize));
                    let last = x + ((count - 1) * s.stride[1] + reach) as isize;
                    // SAFETY: a segment per tap at most, `mr` pointers each.
                    let pointers =
                        unsafe { core::slice::from_raw_parts_mut(self.pointers.add(segments * mr + m), count) };
                    if y < 0 || y >= s.h as isize {
                        pointers.fill(zeros);
                    } else if !merged || x >= 0 && last < s.w as isize {
                        // Those before `lead` and from `end` on are in the padding.
                        let (before, after) = p.outside(1, kx);
                        let lead = before.saturating_sub(ox).min(count);
                        let end = (p.ow - after).saturating_sub(ox).clamp(lead, count);
                        pointers[..lead].fill(zeros);
                        pointers[end..].fill(zeros);
                        let mut pointer =
                            row.wrapping_offset((x + (lead * s.stride[1]) as isize).wrapping_mul(i.pixel as isize));
                        for to in &mut pointers[lead..end] {
                            *to = pointer;
                            pointer = pointer.wrapping_add(step);
                        }
                        seen |= lead < end;
                    } else {
                        // The windows of these pixels, with their zeros.
                        let patch = self.patches.wrapping_add((ky * self.mr + m) * run);
                        let columns = (count - 1) * s.stride[1] + s.kw;
                        // SAFETY: the row is inside the image; there is room for a patch per pixel, and the windows of
                        // `count` pixels need no more than so many of them.
                        unsafe { copy_window(row, patch, x, columns, s.w, s.c_in, i.pixel) };
                        for (n, pointer) in pointers.iter_mut().enumerate() {
                            *pointer = patch.wrapping_add(n * s.stride[1] * s.c_in);
                        }
                        seen |= x < s.w as isize && x + columns as isize > 0;
                    }
                    (m, oy, ox) = (m + count, oy + 1, 0);
                }
                if seen {
                    // SAFETY: as above.
                    unsafe { *self.offsets.add(segments) = (ky * columns + kx) * run };
                    segments += 1;
                }
            }
        }
        (segments, run)
    }
}

/// Most pixels of a short tile that goes down columns.
const MOST_PIXELS: usize = 6;

/// Most pixels of another. A longer one lies in one or two rows, whose pixels it takes less time to find together.
const MOST_ACROSS: usize = 5;

/// Most kernel rows and columns.
const MOST_TAPS: usize = 63;

/// Whether [`fill_short`] can fill the table for these pixels.
fn fits(p: &Problem, pixels: Pixels) -> bool {
    pixels.down || pixels.count <= MOST_ACROSS && p.shape.kh.max(p.shape.kw) <= MOST_TAPS
}

/// Whether tiles of so many pixels may go down columns.
pub(super) fn may_go_down(p: &Problem, pixels: usize) -> bool {
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
unsafe fn fill_short(
    p: &Problem,
    base: *const f32,
    strides: Strides,
    zeros: *const f32,
    pixels: Pixels,
    pointers: *mut *const f32,
    offsets: *mut usize,
) -> usize {
    let s = &p.shape;
    let count = pixels.count;
    let mut windows = [base; MOST_PIXELS];
    let mut seen = [(0, 0); MOST_PIXELS];
    let mut all = (u64::MAX, u64::MAX);
    for ((y, x), (window, seen)) in pixels.places(p).zip(windows.iter_mut().zip(&mut seen)) {
        let (y0, x0) = p.origin(y, x);
        let start = y0.wrapping_mul(strides.row as isize).wrapping_add(x0.wrapping_mul(strides.pixel as isize));
        *window = base.wrapping_offset(start);
        *seen = (inside(y0, s.kh, s.dilation[0], s.h), inside(x0, s.kw, s.dilation[1], s.w));
        all = (all.0 & seen.0, all.1 & seen.1);
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
