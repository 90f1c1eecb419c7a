//! Grouped convolution with few channels per group, channels last: ResNeXt's 4 per group, depthwise multipliers.
//!
//! A group's handful of output channels would fill a quarter of a vector, so a vector holds several groups side by side,
//! as they lie in memory. Lane `l` then needs, for each input channel `i` of *its* group, that channel's value: one
//! permutation of the loaded pixel per `i`, the same for every pixel. The rest is [`super::depthwise_nhwc`], whose driver
//! this shares; depthwise is the case of one channel per group, where the permutation is the identity.
//!
//! ```text
//! for each vector of groups
//!     acc[R][P] = bias
//!     for each input row of the window that is inside the image, for each input channel i of a group
//!         w[..] = the weights of channel i in the kernel rows that use the row
//!         for each input column j of the window that is inside the image
//!             x = permute(input[row][j], i)
//!             acc[r][p] += x * w[ky][kx]   for all (r, ky), (p, kx) that meet there
//! ```
//!
//! Registers: `R * P` accumulators, `R * K` weights, one input, one permutation. For 3x3, R = 2, P = 8 and stride 1, a
//! permuted load serves 4 multiply-adds on average; permutations run beside them on a port of their own on most cores.
//! Bound by the FMA ports; lanes are lost where groups do not divide a vector.
//!
//! Groups whose outputs fill more than half of a vector, or all outputs if there are so few, have one by themselves ([`whole`]), with loads of
//! one scalar into all lanes instead of permutations. Each serves all columns of the kernel: with AVX2 12 of them and 3 of weights for the 30
//! multiply-adds of ten pixels, a kernel row and a channel, where implicit GEMM with one vector of channels has one for every multiply-add. A
//! sum waits for itself four cycles each time, so eight sums are just enough for two multiply-adds per cycle, if none is ever late; ten have
//! room. At the sides of the map the columns outside are known to the compiler: tests in the loop over channels took the registers that ten sums
//! need. Eleven and twelve pixels spill. With AVX-512, 14 pixels (14 sums, 3 weights, a scalar), on narrow maps and with stride 2 two rows of
//! ten (20 sums, 6 weights).
//!
//! Where a permutation across the whole vector is dear (AVX2), groups of 1, 2 and 4 are permuted within four lanes.
//!
//! Measured 2026-11-27, one Zen 3 core (49.8 GMAC/s), AVX2: 3x3 with 4 channels per group on 56 x 56 pixels 60 % of peak,
//! with 8 on 28 x 28 75 %; 2026-11-30 (51.7 GMAC/s) with 8 on maps 56, 28, 20, 14 and 10 wide 87, 89, 98, 84 and 89 % (with eight pixels
//! 86, 80, 78, 80 and 62), stride 2 from 56 and 28 wide 66 and 63 %. 2026-11-24, one Zen 4 core (59.1 GMAC/s), AVX-512: 3x3 with 4 channels per group on 56 x 56 pixels 93 % of
//! peak, with 8 on 28 x 28 99 %, 4 with stride 2 78 %; depthwise with multiplier 2 75 %, with 3 51 % (15 of 16 lanes). 2026-12-01, one Zen 5 core (143 GMAC/s), AVX-512, of what is left without
//! the padding: 16 channels per group on maps 56, 28, 14 and 7 wide 99, 99, 100 and 91 %, stride 2 from 56 and 28 wide 84, 88 %; 64 to 16 channels on
//! 28 x 28 98 %.

use super::depthwise_nhwc::Tile;
use super::window::{FIRST_IN_ALL, PERMUTED, PERMUTED_IN_QUADS, finish_tile, window_row};
use crate::vector::Vector;

/// The micro-kernel for a `K` x `K` kernel with stride `S` and no dilation.
///
/// # Safety
/// As [`super::depthwise_nhwc::micro`].
#[inline(always)]
pub(crate) unsafe fn micro<
    V: Vector,
    const K: usize,
    const S: usize,
    const R: usize,
    const P: usize,
    const EDGE: bool,
>(
    t: &Tile,
) {
    let (mut from, mut to) = (0, 0);
    let mut weights = t.weights;
    while to < t.channels {
        let stored = (t.channels - to).min(t.block_out);
        let loaded = stored / t.group_out * t.group_in;
        // SAFETY: groups from `to` on have `loaded` inputs and `stored` outputs; whole vectors only where these are.
        unsafe {
            let whole = loaded == V::LANES && stored == V::LANES;
            if V::PERMUTES_DEARLY && whole && t.group_in == t.group_out && 4 % t.group_in == 0 {
                block::<V, K, S, R, P, EDGE, false, PERMUTED_IN_QUADS>(t, from, loaded, to, stored, weights);
            } else if whole {
                block::<V, K, S, R, P, EDGE, false, PERMUTED>(t, from, loaded, to, stored, weights);
            } else {
                block::<V, K, S, R, P, EDGE, true, PERMUTED>(t, from, loaded, to, stored, weights);
            }
            weights = weights.add((K * K * t.group_in + 1) * V::LANES);
        }
        (from, to) = (from + loaded, to + stored);
    }
}

/// The micro-kernel for groups whose outputs fill more than half of a vector each, and a `K` x `K` kernel with stride `S` and no dilation.
///
/// # Safety
/// As [`super::depthwise_nhwc::micro`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) unsafe fn whole<
    V: Vector,
    const K: usize,
    const S: usize,
    const R: usize,
    const P: usize,
    const EDGE: bool,
>(
    t: &Tile,
) {
    let span = (P - 1) * S + K;
    // A column outside is one that the compiler knows: no tests in the loop over channels.
    // SAFETY: as the caller promises.
    unsafe {
        match t.columns {
            (1, end) if EDGE && end == span => groups::<V, K, S, R, P, EDGE>(&Tile { columns: (1, span), ..*t }),
            (0, end) if EDGE && end == span - 1 => {
                groups::<V, K, S, R, P, EDGE>(&Tile { columns: (0, span - 1), ..*t })
            }
            _ => groups::<V, K, S, R, P, EDGE>(t),
        }
    }
}

/// All groups of a tile.
///
/// # Safety
/// As [`whole`].
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn groups<V: Vector, const K: usize, const S: usize, const R: usize, const P: usize, const EDGE: bool>(
    t: &Tile,
) {
    let (mut from, mut weights) = (0, t.weights);
    for to in (0..t.channels).step_by(t.group_out) {
        // SAFETY: as the caller promises.
        unsafe {
            // Whole vectors by themselves: what the compiler makes of both together is up to a tenth slower.
            if t.group_out == V::LANES {
                block::<V, K, S, R, P, EDGE, false, FIRST_IN_ALL>(t, from, t.group_in, to, V::LANES, weights);
            } else {
                block::<V, K, S, R, P, EDGE, false, FIRST_IN_ALL>(t, from, t.group_in, to, t.group_out, weights);
            }
        }
        from += t.group_in;
        weights = weights.wrapping_add((K * K * t.group_in + 1) * V::LANES);
    }
}

/// One vector of groups of a tile: inputs from channel `from` on, outputs from channel `to` on.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
#[rustfmt::skip]
unsafe fn block<
    V: Vector, const K: usize, const S: usize, const R: usize, const P: usize, const EDGE: bool, const TAIL: bool,
    const TAKEN: u8,
>(
    t: &Tile,
    from: usize,
    loaded: usize,
    to: usize,
    stored: usize,
    weights: *const f32,
) {
    // SAFETY: as the caller promises.
    unsafe {
        let mut acc = [[V::load(weights); P]; R];
        let weights = weights.add(V::LANES);
        unroll!(y < (R - 1) * S + K => {
            let row = *t.rows.add(y);
            if !row.is_null() {
                let row = row.wrapping_add(from);
                for i in 0..t.group_in {
                    let index = if TAKEN == FIRST_IN_ALL { V::zero() } else { V::indices(t.permutations.add(i * V::LANES)) };
                    let row = if TAKEN == FIRST_IN_ALL { row.wrapping_add(i) } else { row };
                    let (weights, pitch) = (weights.add(i * K * V::LANES), [t.group_in * K * V::LANES, V::LANES]);
                    acc = window_row::<V, K, S, R, P, EDGE, TAIL, TAKEN>(t, acc, y, row, loaded, weights, pitch, index);
                }
            }
        });
        finish_tile::<V, R, P>(t, acc, t.out.add(to), stored);
    }
}

/// The micro-kernel for any kernel size, stride and dilation: one row of `P` pixels.
///
/// # Safety
/// As [`super::depthwise_any_nhwc::any`].
#[inline(always)]
pub(crate) unsafe fn any<V: Vector, const P: usize>(t: &Tile) {
    let (mut from, mut to) = (0, 0);
    let mut weights = t.weights;
    let [kh, kw] = t.kernel;
    let step = t.stride.wrapping_mul(t.pixel);
    while to < t.channels {
        let stored = (t.channels - to).min(t.block_out);
        let loaded = stored / t.group_out * t.group_in;
        // SAFETY: as in [`micro`]; pixels outside the row are left out.
        unsafe {
            let mut acc = [[V::load(weights); P]; 1];
            weights = weights.add(V::LANES);
            for ky in 0..kh {
                let row = *t.rows.add(ky);
                if row.is_null() {
                    weights = weights.add(kw * t.group_in * V::LANES);
                    continue;
                }
                for i in 0..t.group_in {
                    let index = V::indices(t.permutations.add(i * V::LANES));
                    for kx in 0..kw {
                        let w = V::load(weights);
                        weights = weights.add(V::LANES);
                        let pixel = row.wrapping_add((kx * t.dilation).wrapping_mul(t.pixel).wrapping_add(from));
                        let (first, end) = *t.valid.add(kx);
                        for p in 0..P {
                            if p >= first && p < end {
                                let x = V::load_range(pixel.wrapping_add(p * step), 0, loaded);
                                acc[0][p] = acc[0][p].mul_add(x.permute(index), w);
                            }
                        }
                    }
                }
            }
            finish_tile::<V, 1, P>(t, acc, t.out.add(to), stored);
        }
        (from, to) = (from + loaded, to + stored);
    }
}
