//! What is under the taps of a row of the image: the row in registers, and shifts of it, for [`super::depthwise_nchw`].

use super::depthwise_nchw::{FIRST, LAST, Planes};
use crate::vector::Masked;

/// A row under a tile, by phase of the stride: the vector before it, those of the tile, the one after it.
pub(super) struct Vectors<V: Masked, const S: usize, const NV: usize> {
    before: [V; S],
    xs: [[V; NV]; S],
    after: [V; S],
}

/// Masks of a row's last vector: of the outputs, and of its inputs.
pub(super) struct Edge<V: Masked, const S: usize> {
    pub(super) out: V::Mask,
    last: [V::Mask; S],
}

impl<V: Masked, const S: usize> Edge<V, S> {
    /// For the vector at output column `x`.
    ///
    /// # Safety
    /// The CPU has the tier of `V`.
    #[inline(always)]
    pub(super) unsafe fn new(t: &Planes, x: usize) -> Self {
        let from = |column: usize| t.w.saturating_sub(column).min(V::LANES);
        // SAFETY: as the caller promises.
        unsafe {
            Edge {
                out: V::mask(0, (t.ow - x).min(V::LANES)),
                last: core::array::from_fn(|i| V::mask(0, from(x * S + i * V::LANES))),
            }
        }
    }
}

/// Loads the row from `p` on.
///
/// # Safety
/// As [`super::depthwise_nchw::micro`].
#[inline(always)]
pub(super) unsafe fn vectors<V: Masked, const K: usize, const S: usize, const NV: usize, const EDGE: u8>(
    p: *const f32,
    edge: &Edge<V, S>,
) -> Vectors<V, S, NV> {
    // SAFETY: columns outside are masked at the end, and not read before the start.
    unsafe {
        let load = |v: usize| {
            let p = p.wrapping_add(v * V::LANES);
            if EDGE & LAST != 0 && v >= (NV - 1) * S {
                V::load_masked(p, edge.last[v - (NV - 1) * S])
            } else {
                V::load(p)
            }
        };
        let zero = V::zero();
        let mut r = Vectors { before: [zero; S], xs: [[zero; NV]; S], after: [zero; S] };
        unroll!(v < NV => {
            r.xs[0][v] = load(v * S);
            if S == 2 {
                (r.xs[0][v], r.xs[S - 1][v]) = r.xs[0][v].deinterleave(load(v * S + 1));
            }
        });
        if EDGE & FIRST == 0 {
            r.before[S - 1] = V::load(p.wrapping_sub(V::LANES));
            if S == 2 {
                (r.before[0], r.before[S - 1]) = zero.deinterleave(r.before[S - 1]);
            }
        }
        // With stride 2 and a 3x3 kernel no tap is right of its pixel's pair of columns.
        if (K - 1) / 2 >= S && EDGE & LAST == 0 {
            r.after[0] = load(NV * S);
            if S == 2 {
                (r.after[0], r.after[S - 1]) = r.after[0].deinterleave(zero);
            }
        }
        r
    }
}

/// The inputs under kernel column `kx`, a constant where this is inlined.
///
/// # Safety
/// As [`super::depthwise_nchw::micro`].
#[inline(always)]
pub(super) unsafe fn taps<V: Masked, const K: usize, const S: usize, const NV: usize>(
    t: &Vectors<V, S, NV>,
    kx: usize,
) -> [V; NV] {
    // SAFETY: as the caller promises.
    unsafe {
        let mut x = [V::zero(); NV];
        unroll!(v < NV => { x[v] = tap::<V, K, S, NV>(t, v, kx); });
        x
    }
}

/// The inputs of vector `v` under kernel column `kx`, both constants where this is inlined.
///
/// # Safety
/// As [`super::depthwise_nchw::micro`].
#[inline(always)]
#[rustfmt::skip]
unsafe fn tap<V: Masked, const K: usize, const S: usize, const NV: usize>(
    t: &Vectors<V, S, NV>,
    v: usize,
    kx: usize,
) -> V {
    // Columns from the tile's first one on, counted from the phases of the vector before it.
    let column = kx + 4 * S - (K - 1) / 2;
    let (shift, phase) = (column / S, column % S);
    let xs = &t.xs[phase];
    // SAFETY: as the caller promises.
    unsafe {
        if shift < 4 {
            shifted(if v == 0 { t.before[phase] } else { xs[v - 1] }, xs[v], V::LANES - (4 - shift))
        } else {
            shifted(xs[v], if v + 1 < NV { xs[v + 1] } else { t.after[phase] }, shift - 4)
        }
    }
}

/// Lanes `n..` of `x`, then those of `next`; `n` is a constant where this is inlined.
///
/// # Safety
/// The CPU has the tier of `V`.
#[inline(always)]
unsafe fn shifted<V: Masked>(x: V, next: V, n: usize) -> V {
    // SAFETY: as the caller promises.
    unsafe {
        match n {
            0 => x,
            1 => x.shift_in::<1>(next),
            2 => x.shift_in::<2>(next),
            3 => x.shift_in::<3>(next),
            13 => x.shift_in::<13>(next),
            14 => x.shift_in::<14>(next),
            _ => x.shift_in::<15>(next),
        }
    }
}
