//! Depthwise convolution, channels last, multiplier 1, any kernel size, stride and dilation.
//!
//! Without a kernel size known when it is compiled, a register cannot be told which of a row's inputs it holds, so every tap
//! loads its own. What is shared is the input under the taps of `R` output rows:
//!
//! ```text
//! for each vector of channels
//!     acc[R][P] = bias
//!     for each input row of the window that is inside the image
//!         for each kernel column
//!             w[R] = the weights of the kernel rows that see this row
//!             x[P] = the column's inputs
//!             acc[r][p] += x[p] * w[r]
//!     clamp, store R rows of P vectors
//! ```
//!
//! Registers: `R * P` accumulators, `R` weights, one input. Loads per multiply-add: `1 / R + 1 / P`; with `R = 2`, `P = 8` 0.63,
//! with `P = 4`, as many as AVX2 has registers for beside the addresses, 0.75. A core that loads as many vectors as it multiplies (Zen
//! 4 with 512 bits) is bound by the FMA ports then, and by its loads with one row. At the first and last rows of a window one
//! output row sees an input row alone. Windows that share no rows, since kernels are dilated or no higher than their stride, are
//! computed one row at a time. The driver is that of [`super::depthwise_nhwc`].
//!
//! Kernels of 3, 5, 7, 9 and 11 columns go by [`super::depthwise_line_nhwc`] where the tier has some.
//!
//! Measured 2026-11-28, one Zen 4 core (59.1 GMAC/s), AVX-512: 11x1 on 56 x 56 x 64 and 28 x 28 x 128 60 and 61 % of peak, 3x3 on
//! 33 x 33 x 96 dilated by 12 56 %.

use super::depthwise_nhwc::{Tile, Vectors};
use super::window::finish_tile;
use crate::vector::Vector;

/// The micro-kernel: `R` rows of `P` pixels.
///
/// # Safety
/// As [`super::depthwise_nhwc::micro`], with a row pointer for each of `(R - 1) * stride + kh` input rows and `valid` per kernel
/// column.
#[inline(always)]
pub(crate) unsafe fn any<V: Vector, const R: usize, const P: usize>(t: &Tile) {
    // SAFETY: blocks begin and end inside the channels.
    unsafe {
        if t.channels < V::LANES {
            for c in (0..t.channels).step_by(V::Rest::LANES) {
                let lanes = (t.channels - c).min(V::Rest::LANES);
                block::<V::Rest, R, P, true>(t, c, lanes, t.weights.add(c), V::LANES);
            }
            return;
        }
        let Vectors { count, half } = Vectors::new::<V>(t.channels);
        let mut weights = t.weights;
        for vector in 0..count {
            let c = (vector * V::LANES).min(t.channels - V::LANES);
            block::<V, R, P, false>(t, c, V::LANES, weights, V::LANES);
            weights = weights.wrapping_add((t.kernel[0] * t.kernel[1] + 1) * V::LANES);
        }
        if half {
            let c = t.channels - V::Rest::LANES;
            block::<V::Rest, R, P, false>(t, c, V::Rest::LANES, weights.add(V::LANES - V::Rest::LANES), V::LANES);
        }
    }
}

/// The vector of channels from channel `c` on, of which there are `lanes`, fewer than a vector if `TAIL`; the packed weights of a tap have `pitch` floats.
///
/// # Safety
/// As [`any`].
#[inline(always)]
unsafe fn block<V: Vector, const R: usize, const P: usize, const TAIL: bool>(
    t: &Tile,
    c: usize,
    lanes: usize,
    weights: *const f32,
    pitch: usize,
) {
    let [kh, kw] = t.kernel;
    let down = t.down;
    // SAFETY: as the caller promises.
    unsafe {
        let mut acc = [[V::load(weights); P]; R];
        let weights = weights.add(pitch);
        for y in 0..(R - 1) * down + kh {
            let row = *t.rows.add(y);
            if row.is_null() {
                continue;
            }
            let row = row.wrapping_add(c);
            // The kernel row under which output row `r` sees it.
            let of = |r: usize| weights.wrapping_add(y.wrapping_sub(r * down).wrapping_mul(kw * pitch));
            if R == 1 || y < kh && y >= (R - 1) * down {
                let mut w = [weights; R];
                for r in 0..R {
                    w[r] = of(r);
                }
                acc = add_row::<V, R, P, TAIL>(t, acc, row, w, lanes, pitch);
            } else {
                for r in 0..R {
                    if y >= r * down && y - r * down < kh {
                        [acc[r]] = add_row::<V, 1, P, TAIL>(t, [acc[r]], row, [of(r)], lanes, pitch);
                    }
                }
            }
        }
        finish_tile::<V, R, P>(t, acc, t.out.add(c), lanes);
    }
}

/// Adds an input row to `R` output rows, each with the weights of a kernel row.
///
/// # Safety
/// As [`any`].
#[inline(always)]
unsafe fn add_row<V: Vector, const R: usize, const P: usize, const TAIL: bool>(
    t: &Tile,
    mut acc: [[V; P]; R],
    row: *const f32,
    mut weights: [*const f32; R],
    lanes: usize,
    pitch: usize,
) -> [[V; P]; R] {
    // Of use only where two of its pixels are inside; addresses of others wrap.
    let step = t.stride.wrapping_mul(t.pixel);
    let mut column = row;
    // SAFETY: as the caller promises.
    unsafe {
        for kx in 0..t.kernel[1] {
            let mut w = [V::zero(); R];
            for r in 0..R {
                w[r] = V::load(weights[r]);
                weights[r] = weights[r].wrapping_add(pitch);
            }
            let (first, end) = *t.valid.add(kx);
            if first == 0 && end >= P && !TAIL {
                for p in 0..P {
                    let x = V::load(column.wrapping_add(p * step));
                    for r in 0..R {
                        acc[r][p] = acc[r][p].mul_add(x, w[r]);
                    }
                }
            } else {
                for p in 0..P {
                    if p >= first && p < end {
                        let from = column.wrapping_add(p * step);
                        let x = if TAIL { V::load_range(from, 0, lanes) } else { V::load(from) };
                        for r in 0..R {
                            acc[r][p] = acc[r][p].mul_add(x, w[r]);
                        }
                    }
                }
            }
            column = column.wrapping_add(t.dilation.wrapping_mul(t.pixel));
        }
        acc
    }
}
