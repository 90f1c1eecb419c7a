//! Depthwise convolution, channels last, multiplier 1, kernels of a number of columns that is known when it is compiled, and
//! of any number of rows.
//!
//! What the tiles of [`super::depthwise_nhwc`] share between output rows is little where kernels are low (1x7) or move by their own
//! height (3x3 with stride 3), and much code where they are high (11x11). A line of `P` pixels of one output row shares the
//! inputs of a row between its pixels and the weights of a kernel row between them all, and goes over kernel rows in a loop:
//!
//! ```text
//! for each vector of channels
//!     acc[P] = bias
//!     for each input row of the window that is inside the image
//!         w[K] = the kernel row's weights
//!         for each input column j of the window that is inside the image
//!             x = input[row][j]
//!             acc[p] += x * w[kx]   for all (p, kx) that meet there
//!     clamp, store P vectors
//! ```
//!
//! Registers: `P` accumulators, `K` weights, one input. Loads per multiply-add: `((P - 1) * S + 2 * K) / (P * K)`; with stride 1 and
//! `P = 8`, 0.54 for three columns, 0.38 for seven, 0.33 for eleven. AVX2 has registers for `P = 4` with nine columns and more. Bound
//! by the FMA ports in the first cache; low kernels by the bandwidth of the next: a 1x7 does seven multiply-adds for an input and an
//! output, a 3x3 with stride 3 one for an input.
//!
//! Measured 2026-11-28, one Zen 4 core (59.1 GMAC/s), percent of peak, taps in the padding counted. AVX-512: 1x7 on 56 x 56 x 64 and
//! 28 x 28 x 128 88 and 94, 3x5 on 56 97, 7x7 with stride 2 from 56 89, 9x9 and 11x11 on 56 105 and 108, 3x3 with stride 3 from 28 41.
//! AVX2: 1x7 on 56 76, 7x7 with stride 2 63, 9x9 56. A loop over columns that are known when it runs ([`super::depthwise_any_nhwc`])
//! takes 1.1 to 2.5 times as long, and on ARM twice as many instructions.

use super::depthwise_nhwc::{Tile, Vectors};
use super::window::{AS_THEY_ARE, finish_tile, window_row};
use crate::vector::Vector;

/// The micro-kernel for kernels of `K` columns with stride `S` of columns.
///
/// `EDGE`: some columns of the window may be outside.
///
/// # Safety
/// As [`super::depthwise_nhwc::micro`], with a row pointer for each of the kernel's rows.
#[inline(always)]
pub(crate) unsafe fn line<V: Vector, const K: usize, const S: usize, const P: usize, const EDGE: bool>(t: &Tile) {
    // SAFETY: blocks begin and end inside the channels.
    unsafe {
        if t.channels < V::LANES {
            for c in (0..t.channels).step_by(V::Rest::LANES) {
                let lanes = (t.channels - c).min(V::Rest::LANES);
                block::<V::Rest, K, S, P, EDGE, true>(t, c, lanes, t.weights.add(c), V::LANES);
            }
            return;
        }
        let Vectors { count, half } = Vectors::new::<V>(t.channels);
        let mut weights = t.weights;
        for vector in 0..count {
            // The last one begins where it ends with the last channel, and computes some again.
            let c = (vector * V::LANES).min(t.channels - V::LANES);
            block::<V, K, S, P, EDGE, false>(t, c, V::LANES, weights, V::LANES);
            weights = weights.wrapping_add((t.kernel[0] * K + 1) * V::LANES);
        }
        if half {
            let c = t.channels - V::Rest::LANES;
            let weights = weights.add(V::LANES - V::Rest::LANES);
            block::<V::Rest, K, S, P, EDGE, false>(t, c, V::Rest::LANES, weights, V::LANES);
        }
    }
}

/// The vector of channels of a line from channel `c` on, which has `lanes`, fewer than a vector if `TAIL`. Its `weights` are
/// bias and taps, `pitch` floats apart.
///
/// # Safety
/// As [`line()`].
#[inline(always)]
unsafe fn block<V: Vector, const K: usize, const S: usize, const P: usize, const EDGE: bool, const TAIL: bool>(
    t: &Tile,
    c: usize,
    lanes: usize,
    weights: *const f32,
    pitch: usize,
) {
    // SAFETY: as the caller promises.
    unsafe {
        let mut acc = [[V::load(weights); P]; 1];
        let mut weights = weights.add(pitch);
        for y in 0..t.kernel[0] {
            let row = *t.rows.add(y);
            if !row.is_null() {
                let row = row.wrapping_add(c);
                acc = window_row::<V, K, S, 1, P, EDGE, TAIL, AS_THEY_ARE>(
                    t,
                    acc,
                    0,
                    row,
                    lanes,
                    weights,
                    [0, pitch],
                    V::zero(),
                );
            }
            weights = weights.wrapping_add(K * pitch);
        }
        finish_tile::<V, 1, P>(t, acc, t.out.add(c), lanes);
    }
}
