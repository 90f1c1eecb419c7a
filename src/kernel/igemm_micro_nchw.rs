//! The micro-kernel of [`super::igemm_nchw`]: a tile of `MR` output channels by `NV` vectors of pixels, whose prose is there.

use super::tile_end::{Even, STEPS, finish_tile_by_rows, spreads_stores};
use super::{NO_CLAMP, in_order};
use crate::vector::Vector;

/// A tile for the micro-kernel, of one or several panels, or several tiles side by side if [`IgemmNchw::together`](super::igemm_nchw::IgemmNchw::together).
pub(crate) struct Tile {
    pub tiles: usize,
    pub k: usize,
    /// The first panel: bias and weights, `[1 + all of K][MR rounded up to 4]`; how many there are, one after the other; their
    /// length.
    pub panel: *const f32,
    pub panels: usize,
    pub panel_len: usize,
    /// The first element of K; sums go on from the output if it is not 0.
    pub k0: usize,
    /// Rows of `NV` vectors of inputs, and the distance from one to the next.
    pub x: *const f32,
    pub x_step: usize,
    /// From those of one tile to those of the next.
    pub x_tile: usize,
    pub out: *mut f32,
    pub out_channel: usize,
    /// Lanes to store of the last vector.
    pub last: usize,
    pub clamp: (f32, f32),
}

/// A micro-kernel for one `MR` and `NV`.
pub(crate) type Micro = unsafe fn(&Tile);

/// The micro-kernel.
///
/// # Safety
/// The CPU has the tier of `V`; the tile's pointers are valid for what their documentation says.
#[inline(always)]
pub(crate) unsafe fn micro<V: Vector, const MR: usize, const NV: usize>(t: &Tile) {
    for j in 0..t.panels {
        for i in 0..t.tiles {
            // SAFETY: as the caller promises, for each panel and tile.
            unsafe {
                let out = t.out.add(j * MR * t.out_channel + i * NV * V::LANES);
                one_panel::<V, MR, NV>(t, t.panel.add(j * t.panel_len), t.x.wrapping_add(i * t.x_tile), out);
            }
        }
    }
}

/// A tile of one panel, whose inputs begin at `x`.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn one_panel<V: Vector, const MR: usize, const NV: usize>(
    t: &Tile,
    panel: *const f32,
    mut x: *const f32,
    out: *mut f32,
) {
    let pitch = MR.next_multiple_of(4);
    // SAFETY: `k` rows of weights and of inputs, `MR` rows of outputs of which the last vector has `last` lanes.
    unsafe {
        let mut acc = [[V::zero(); NV]; MR];
        for m in 0..MR {
            for v in 0..NV {
                acc[m][v] = if t.k0 == 0 {
                    V::splat(*panel.add(m))
                } else {
                    let from = out.add(m * t.out_channel + v * V::LANES);
                    if v + 1 == NV { V::load_range(from, 0, t.last) } else { V::load(from) }
                };
            }
        }
        let mut w = panel.add((t.k0 + 1) * pitch);
        macro_rules! step {
            () => {
                let mut b = [V::zero(); NV];
                for v in 0..NV {
                    b[v] = V::load(x.add(v * V::LANES));
                }
                for i in 0..pitch / 4 {
                    let q = V::quad(w.add(4 * i));
                    step!(i, q, b, 0);
                    step!(i, q, b, 1);
                    step!(i, q, b, 2);
                    step!(i, q, b, 3);
                }
                w = w.add(pitch);
                x = x.wrapping_add(t.x_step);
            };
            ($i:ident, $q:ident, $b:ident, $lane:literal) => {
                if 4 * $i + $lane < MR {
                    V::mul_add_row::<$lane, NV>(&mut acc[4 * $i + $lane], &$b, $q);
                    in_order::<V>();
                }
            };
        }
        let by_rows = spreads_stores::<V>(NV) && t.k >= STEPS;
        let end = t.k - if by_rows { STEPS } else { 0 };
        let mut k = 0;
        while k + 2 <= end {
            step!();
            step!();
            k += 2;
        }
        if k < end {
            step!();
        }
        if by_rows {
            finish_tile_by_rows(acc, w, Even(x, t.x_step), out, t.out_channel, t.last, t.clamp);
        } else {
            let _ = (w, x);
            finish_tile(acc, out, t.out_channel, t.last, t.clamp);
        }
    }
}

/// Clamps and stores a tile: rows of outputs, `last` lanes of the last vector.
///
/// # Safety
/// The CPU has the tier of `V`; the outputs are writable.
#[inline(always)]
pub(super) unsafe fn finish_tile<V: Vector, const MR: usize, const NV: usize>(
    mut acc: [[V; NV]; MR],
    out: *mut f32,
    out_channel: usize,
    last: usize,
    clamp: (f32, f32),
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
        for m in 0..MR {
            for v in 0..NV {
                let out = out.add(m * out_channel + v * V::LANES);
                if v + 1 == NV && last < V::LANES {
                    acc[m][v].store_first(out, last);
                } else {
                    acc[m][v].store(out);
                }
            }
        }
    }
}
