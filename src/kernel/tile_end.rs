//! How tiles of the implicit GEMMs end: clamped, and stored.
//!
//! Sums that are all stored together hold up the multiply-adds of the next tile. On Zen 3 a store of 256 bits takes the turn of
//! two or more of them, unless these get their sums straight from the ones before: the 12 stores of a tile cost some 25 cycles, a
//! fifth of the time of one of 16 input channels. So a tier that says so ([`Vector::SPREADS_STORES`]) takes the last [`STEPS`]
//! along K for two rows (four of one vector) at a time: short chains, beside which the rows before are stored. Weights are loaded
//! anew for each two rows, which a few steps hide and more do not.
//!
//! A tile of 6 x 16 by itself, outputs in the second cache, cycles beyond those of its multiply-adds, Zen 3, 2026-11-29:
//!
//! | K | multiply-adds | all rows at the end | two rows at a time, 4 steps | 8 steps |
//! | --- | --- | --- | --- | --- |
//! | 16 | 96 | 27 | 8 | 25 |
//! | 20 | 120 | 27 | 7 | 21 |
//! | 24 | 144 | 23 | 6 | 19 |
//! | 64 | 384 | 25 | 6 | 17 |
//!
//! Zen 5 with AVX-512, 2026-11-30, least of four: 24 to 144 channels on 56 x 56 93 to 86 us, 16 to 64 on 112 x 112 114 to 102.

use super::{NO_CLAMP, in_order, opaque};
use crate::vector::Vector;

/// Steps along K that are taken for some rows at a time.
pub(super) const STEPS: usize = 4;

/// The operands of the last [`STEPS`] along K: scalars per row, floats from one step's to the next; vectors.
pub(super) struct Steps<const MR: usize, W: Vectors> {
    pub scalars: [*const f32; MR],
    pub scalar_step: usize,
    pub vectors: W,
}

/// Where the vectors of the last steps are.
pub(super) trait Vectors: Copy {
    /// Those of a step.
    fn at(&self, step: usize) -> *const f32;

    /// The same, of which the compiler does not know that it has loaded them.
    fn anew(self) -> Self;
}

/// The first step's, and floats from one step's to the next.
#[derive(Clone, Copy)]
pub(super) struct Even(pub *const f32, pub usize);

impl Vectors for Even {
    #[inline(always)]
    fn at(&self, step: usize) -> *const f32 {
        self.0.wrapping_add(step * self.1)
    }

    #[inline(always)]
    fn anew(self) -> Self {
        Even(opaque(self.0), self.1)
    }
}

/// Those of each step.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct Each(pub [*const f32; STEPS]);

#[cfg(target_arch = "x86_64")]
impl Vectors for Each {
    #[inline(always)]
    fn at(&self, step: usize) -> *const f32 {
        self.0[step]
    }

    #[inline(always)]
    fn anew(self) -> Self {
        let Each([a, b, c, d]) = self;
        Each([opaque(a), opaque(b), opaque(c), opaque(d)])
    }
}

/// Multiplies the last steps for some rows at a time, clamps these and stores them, `last` lanes of their last vectors.
///
/// # Safety
/// The CPU has the tier of `V`; all operands are readable, and `out` has room for so much per row.
#[inline(always)]
pub(super) unsafe fn finish_by_rows<V: Vector, W: Vectors, const MR: usize, const NV: usize>(
    mut acc: [[V; NV]; MR],
    steps: &Steps<MR, W>,
    clamp: (f32, f32),
    out: &[*mut f32; MR],
    last: usize,
) {
    // SAFETY: as the caller promises.
    unsafe {
        let (lo, hi) = (V::splat(clamp.0), V::splat(clamp.1));
        let clamps = clamp != NO_CLAMP;
        let mut b = steps.vectors;
        unroll!(i < MR.div_ceil(together(NV)) => {
            let rows = i * together(NV)..MR.min((i + 1) * together(NV));
            for s in 0..STEPS {
                for v in 0..NV {
                    let b = V::load(b.at(s).add(v * V::LANES));
                    for m in rows.clone() {
                        let x = V::splat(*steps.scalars[m].add(s * steps.scalar_step));
                        acc[m][v] = acc[m][v].mul_add(x, b);
                    }
                    in_order::<V>();
                }
            }
            for m in rows {
                for v in 0..NV {
                    let y = if clamps { acc[m][v].at_least(lo).at_most(hi) } else { acc[m][v] };
                    let out = out[m].add(v * V::LANES);
                    if v + 1 < NV || last == V::LANES {
                        y.store(out);
                    } else {
                        y.store_first(out, last);
                    }
                }
            }
            // There are no registers to keep the vectors of all steps for the next row: the compiler shall load them anew.
            b = b.anew();
        });
        let _ = b;
    }
}

/// The same for a tile of [`super::igemm_nchw`]: its scalars are packed weights, from `w` on, its rows lie `out_channel` floats apart.
///
/// # Safety
/// The CPU has the tier of `V`; the operands are readable, the outputs writable.
#[inline(always)]
pub(super) unsafe fn finish_tile_by_rows<V: Vector, W: Vectors, const MR: usize, const NV: usize>(
    acc: [[V; NV]; MR],
    w: *const f32,
    vectors: W,
    out: *mut f32,
    out_channel: usize,
    last: usize,
    clamp: (f32, f32),
) {
    let (mut scalars, mut rows) = ([w; MR], [out; MR]);
    // SAFETY: as the caller promises.
    unsafe {
        for m in 1..MR {
            scalars[m] = w.add(m);
            rows[m] = out.add(m * out_channel);
        }
        let steps = Steps { scalars, scalar_step: MR.next_multiple_of(4), vectors };
        finish_by_rows(acc, &steps, clamp, &rows, last);
    }
}

/// Whether tiles of rows of `nv` vectors take their last steps for some rows at a time. Of sixteen lanes, one vector a row does not
/// have the multiply-adds that hide the loads.
pub(super) const fn spreads_stores<V: Vector>(nv: usize) -> bool {
    V::SPREADS_STORES && (V::LANES <= 8 || nv > 1)
}

/// Rows that are taken at a time: so many that there are some chains.
const fn together(nv: usize) -> usize {
    if nv > 2 { 2 } else { 4 / nv }
}

/// Clamps the rows of a tile and stores them, `last` lanes of the last vector of each.
///
/// # Safety
/// The CPU has the tier of `V`; there is room for so much where `out` points to, one pointer per row.
#[inline(always)]
pub(super) unsafe fn finish<V: Vector, const MR: usize, const NV: usize>(
    mut acc: [[V; NV]; MR],
    clamp: (f32, f32),
    out: &[*mut f32; MR],
    last: usize,
) {
    // SAFETY: as the caller promises.
    unsafe {
        if clamp != NO_CLAMP {
            let (lo, hi) = (V::splat(clamp.0), V::splat(clamp.1));
            for row in &mut acc {
                for y in row {
                    *y = y.at_least(lo).at_most(hi);
                }
            }
        }
        // Asked once, and not row by row.
        if last == V::LANES {
            for m in 0..MR {
                for v in 0..NV {
                    acc[m][v].store(out[m].add(v * V::LANES));
                }
            }
        } else {
            for m in 0..MR {
                for v in 0..NV - 1 {
                    acc[m][v].store(out[m].add(v * V::LANES));
                }
                acc[m][NV - 1].store_first(out[m].add((NV - 1) * V::LANES), last);
            }
        }
    }
}
