//! Depthwise, NCHW, 3x3 and 5x5 with half a kernel of padding on the left: the driver of [`crate::kernel::direct_nchw`],
//! micro-kernels of this tier alone.
//!
//! Vectors of a row are loaded once, where they lie; taps beside them are extracted from two neighbours, in registers. So
//! nothing is loaded beyond the row but the vector that holds its end, which is loaded so that it ends there and moved by a
//! table lookup, whose result outside the row is zero:
//!
//! ```text
//! for each tile of NV vectors of the row, for each channel
//!     acc[R][NV] = bias
//!     for each input row of the window that is inside the image
//!         x[NV + 2] = its vectors and a neighbour on each side, zero outside the row (by phase of the stride)
//!         for each kernel column kx
//!             y = extract(x[v], x[v + 1], ..)
//!             acc[r][v] += y * w[ky][kx]   for all (r, ky) that meet there
//!     clamp, store
//! ```
//!
//! Registers: `R * NV` accumulators, `NV + 2` vectors of inputs (twice with stride 2), three quads of weights for 3x3 or seven
//! for 5x5. Of a depthwise 3x3, R = 4, NV = 4: `6 * (6 + 8)` loads and extractions for 144 multiply-adds.

use super::vector::F32x4;
use crate::kernel::NO_CLAMP;
use crate::kernel::direct_nchw::{self, DirectNchw, MANY_CHANNELS, Tile};
use crate::kernel::staged_nchw;
use crate::kernel::unroll;
use crate::vector::Vector;
use core::arch::aarch64::*;

/// Lanes of a vector.
const LANES: usize = 4;

/// A load of the last columns of a row, and the lookups that move them down to where a vector starts, with zeros after them.
#[derive(Clone, Copy)]
struct End {
    /// Column of the load.
    column: usize,
    /// Per phase of the stride.
    tables: [uint8x16_t; 2],
    /// Whether the phases change places.
    swaps: bool,
}

impl End {
    /// For the vector that starts at column `start` of a row of `w`, with stride `S`.
    ///
    /// # Safety
    /// The CPU has NEON. The row has `LANES * S` columns at least.
    #[target_feature(enable = "neon")]
    unsafe fn new<const S: usize>(start: usize, w: usize) -> Self {
        // A whole vector stays where it is.
        let column = start.min(w - LANES * S);
        let moved = start - column;
        let mut bytes = [[u8::MAX; 16]; 2];
        for (phase, bytes) in bytes.iter_mut().enumerate().take(S) {
            for (lane, bytes) in bytes.chunks_exact_mut(4).enumerate() {
                let from = (moved + phase) / S + lane;
                if from < LANES {
                    for (b, byte) in bytes.iter_mut().enumerate() {
                        *byte = (4 * from + b) as u8;
                    }
                }
            }
        }
        // SAFETY: sixteen bytes each.
        let tables = unsafe { [vld1q_u8(bytes[0].as_ptr()), vld1q_u8(bytes[1].as_ptr())] };
        End { column, tables, swaps: moved % S == 1 }
    }
}

/// The vector at a column, or the two phases of it.
///
/// # Safety
/// The CPU has NEON; the row has `LANES * S` columns from there on.
#[inline(always)]
unsafe fn load<const S: usize>(row: *const f32, column: usize) -> [F32x4; 2] {
    // SAFETY: as the caller promises.
    unsafe {
        let p = row.add(column);
        if S == 1 {
            return [F32x4::load(p), F32x4::zero()];
        }
        let x = vld2q_f32(p);
        [F32x4::from_raw(x.0), F32x4::from_raw(x.1)]
    }
}

/// The vector at the end of a row.
///
/// # Safety
/// The CPU has NEON; the row is the one that `end` was made for.
#[inline(always)]
unsafe fn load_end<const S: usize>(row: *const f32, end: &End) -> [F32x4; 2] {
    // SAFETY: as the caller promises.
    unsafe {
        let mut x = load::<S>(row, end.column);
        if S == 2 && end.swaps {
            x = [x[1], x[0]];
        }
        let look =
            |x: F32x4, table| F32x4::from_raw(vreinterpretq_f32_u8(vqtbl1q_u8(vreinterpretq_u8_f32(x.raw()), table)));
        [look(x[0], end.tables[0]), if S == 2 { look(x[1], end.tables[1]) } else { x[1] }]
    }
}

/// `acc + x * w[i]`, `w` in quads that overlap at the end.
///
/// # Safety
/// The CPU has NEON. `i` is below `len` and a constant where this is inlined.
#[inline(always)]
unsafe fn add_product(acc: F32x4, x: F32x4, w: &[float32x4_t; 7], len: usize, i: usize) -> F32x4 {
    let (quad, lane) = if i < len / 4 * 4 { (i / 4, i % 4) } else { (len / 4, i + 4 - len) };
    // SAFETY: as the caller promises.
    unsafe {
        match lane {
            0 => acc.mul_add_lane::<0>(x, w[quad]),
            1 => acc.mul_add_lane::<1>(x, w[quad]),
            2 => acc.mul_add_lane::<2>(x, w[quad]),
            _ => acc.mul_add_lane::<3>(x, w[quad]),
        }
    }
}

/// A tile of all channels: `NV` vectors from vector `first` on. `LAST`: they end the row, and `end` is for the last one; else
/// it is for the one after them.
///
/// # Safety
/// As [`direct_nchw::micro`], for tiles whose rows and vectors are as [`micro`] says.
#[target_feature(enable = "neon")]
unsafe fn tile<const K: usize, const S: usize, const R: usize, const NV: usize, const LAST: bool>(
    t: &Tile,
    first: usize,
    end: &End,
) {
    let (end, len) = (*end, 1 + K * K);
    let columns = first * LANES * S;
    for g in 0..t.groups {
        // SAFETY: vectors but the last are whole; `len` weights.
        unsafe {
            let weights = t.weights.add(g * t.weights_group);
            let mut w = [vdupq_n_f32(0.0); 7];
            for i in 0..len / 4 {
                w[i] = vld1q_f32(weights.add(4 * i));
            }
            w[len / 4] = vld1q_f32(weights.add(len - 4));
            let mut acc = [[F32x4::from_raw(vdupq_laneq_f32::<0>(w[0])); NV]; R];
            unroll!(y < (R - 1) * S + K => {
                let row = *t.rows.add(y);
                if !row.is_null() {
                    let row = row.add(g * t.in_channel);
                    // A neighbour on each side.
                    let mut x = [[F32x4::zero(); 2]; 6];
                    if first > 0 {
                        x[0] = load::<S>(row, columns - LANES * S);
                    }
                    for v in 0..NV {
                        x[v + 1] = if LAST && v + 1 == NV {
                            load_end::<S>(row, &end)
                        } else {
                            load::<S>(row, columns + v * LANES * S)
                        };
                    }
                    if !LAST {
                        x[NV + 1] = load_end::<S>(row, &end);
                    }
                    for kx in 0..K {
                        let d = kx as isize - (K / 2) as isize;
                        let (phase, by) = (d.rem_euclid(S as isize) as usize, d.div_euclid(S as isize));
                        for v in 0..NV {
                            let (a, b, c) = (x[v][phase], x[v + 1][phase], x[v + 2][phase]);
                            let y_kx = match by {
                                -2 => a.shift_in::<2>(b),
                                -1 => a.shift_in::<3>(b),
                                0 => b,
                                1 => b.shift_in::<1>(c),
                                _ => b.shift_in::<2>(c),
                            };
                            for r in 0..R {
                                if y >= r * S && y - r * S < K {
                                    let i = 1 + (y - r * S) * K + kx;
                                    acc[r][v] = add_product(acc[r][v], y_kx, &w, len, i);
                                }
                            }
                        }
                    }
                }
            });
            if t.clamp != NO_CLAMP {
                let (lo, hi) = (F32x4::splat(t.clamp.0), F32x4::splat(t.clamp.1));
                for row in &mut acc {
                    for y in row {
                        *y = y.at_least(lo).at_most(hi);
                    }
                }
            }
            let out = t.out.add(g * t.out_group + first * LANES);
            let last = if LAST { t.ow - (first + NV - 1) * LANES } else { LANES };
            for r in 0..R {
                if r < t.count {
                    let out = out.add(r * t.out_row);
                    for v in 0..NV {
                        if LAST && v + 1 == NV && last < LANES {
                            acc[r][v].store_first(out.add(v * LANES), last);
                        } else {
                            acc[r][v].store(out.add(v * LANES));
                        }
                    }
                }
            }
        }
    }
}

/// The micro-kernel: rows whose vectors of inputs are those of outputs, with half a kernel of padding on the left; others go to
/// the general one.
///
/// # Safety
/// As [`direct_nchw::micro`].
#[target_feature(enable = "neon")]
unsafe fn micro<const K: usize, const S: usize, const R: usize, const NV: usize>(t: &Tile) {
    let vectors = t.ow.div_ceil(LANES);
    if t.left != K / 2 || t.w < LANES * S || vectors != t.w.div_ceil(LANES * S) {
        // SAFETY: the caller's promise is the same.
        return unsafe { direct_nchw::micro::<F32x4, K, S, 1, R, 2>(t) };
    }
    let mut first = 0;
    while first < vectors {
        let left = vectors - first;
        let nv = left.div_ceil(left.div_ceil(NV));
        let is_last = nv == left;
        // SAFETY: the vector at the row's end or the one after the tile starts inside the row.
        unsafe {
            let end = End::new::<S>((first + nv - usize::from(is_last)) * LANES * S, t.w);
            match (nv, is_last) {
                (4, true) if NV >= 4 => tile::<K, S, R, 4, true>(t, first, &end),
                (4, false) if NV >= 4 => tile::<K, S, R, 4, false>(t, first, &end),
                (3, true) if NV >= 3 => tile::<K, S, R, 3, true>(t, first, &end),
                (3, false) if NV >= 3 => tile::<K, S, R, 3, false>(t, first, &end),
                (2, true) => tile::<K, S, R, 2, true>(t, first, &end),
                (2, false) => tile::<K, S, R, 2, false>(t, first, &end),
                (_, true) => tile::<K, S, R, 1, true>(t, first, &end),
                (_, false) => tile::<K, S, R, 1, false>(t, first, &end),
            }
        }
        first += nv;
    }
}

/// 3x3, stride 1: 4 rows x 16 pixels.
pub(super) static K3S1: DirectNchw = DirectNchw {
    lanes: 4,
    k: 3,
    stride: 1,
    rows: 4,
    micros: &[(1, micro::<3, 1, 4, 4>)],
    copy: staged_nchw::copy,
    cost: 0.7,
    rest: 0.7,
    many: MANY_CHANNELS,
};

/// 3x3, stride 2: 4 rows x 8 pixels.
pub(super) static K3S2: DirectNchw = DirectNchw {
    lanes: 4,
    k: 3,
    stride: 2,
    rows: 4,
    micros: &[(1, micro::<3, 2, 4, 2>)],
    copy: staged_nchw::copy,
    cost: 0.7,
    rest: 0.7,
    many: MANY_CHANNELS,
};

/// 5x5, stride 1: 4 rows x 8 pixels.
pub(super) static K5S1: DirectNchw = DirectNchw {
    lanes: 4,
    k: 5,
    stride: 1,
    rows: 4,
    micros: &[(1, micro::<5, 1, 4, 2>)],
    copy: staged_nchw::copy,
    cost: 0.7,
    rest: 0.7,
    many: MANY_CHANNELS,
};

/// 5x5, stride 2: 4 rows x 8 pixels.
pub(super) static K5S2: DirectNchw = DirectNchw {
    lanes: 4,
    k: 5,
    stride: 2,
    rows: 4,
    micros: &[(1, micro::<5, 2, 4, 2>)],
    copy: staged_nchw::copy,
    cost: 0.7,
    rest: 0.7,
    many: MANY_CHANNELS,
};
