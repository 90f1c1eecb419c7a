//! The way of [`super::winograd`] in and out of tensors whose channels lie before their rows.
//!
//! The transforms work on vectors of channels. In NCHW these are copied from and to scratch, a row of tiles and a vector
//! of channels at a time, transposed in registers: `log2(LANES)` rounds in which registers `2 i` and `2 i + 1` give their
//! even lanes to register `i` and their odd lanes to register `i + LANES / 2`. Each round moves the lowest bit of the lane
//! to the top of the register's number and the lowest of those to the top of the lane's, so that at the end both have
//! changed places. Cost: `log2(LANES)` shuffles per vector, beside some seven operations of the transform.

use crate::vector::Vector;

/// Most lanes of the instantiations.
const MOST_LANES: usize = 16;

/// Transposes the first `LANES` registers.
///
/// # Safety
/// The CPU has the tier.
#[inline(always)]
unsafe fn transpose<V: Vector>(mut v: [V; MOST_LANES]) -> [V; MOST_LANES] {
    for _ in 0..V::LANES.ilog2() {
        let from = v;
        for i in 0..V::LANES / 2 {
            // SAFETY: as the caller promises.
            (v[i], v[i + V::LANES / 2]) = unsafe { from[2 * i].deinterleave(from[2 * i + 1]) };
        }
    }
    v
}

/// Copies a part of an image with channels before rows into one with channels last, with zeros for what is outside.
pub(crate) struct StageIn {
    /// The first channel's first element.
    pub from: *const f32,
    pub channel: usize,
    pub row: usize,
    /// Channels that exist, at most `LANES`; the others are zero.
    pub channels: usize,
    /// First row and column, and the sizes of the image.
    pub y: isize,
    pub x: isize,
    pub h: usize,
    pub w: usize,
    pub rows: usize,
    /// Columns, a multiple of `LANES`.
    pub columns: usize,
    /// `rows x columns x LANES` floats.
    pub to: *mut f32,
}

/// A function for [`StageIn`].
pub(crate) type StageInFn = unsafe fn(&StageIn);

/// # Safety
/// The CPU has the tier of `V`; the pointers are valid for what their documentation says.
#[inline(always)]
pub(crate) unsafe fn stage_in<V: Vector>(s: &StageIn) {
    for r in 0..s.rows {
        let y = s.y + r as isize;
        let inside = y >= 0 && (y as usize) < s.h;
        let row = s.from.wrapping_offset(y.wrapping_mul(s.row as isize));
        for column in (0..s.columns).step_by(V::LANES) {
            let x = s.x + column as isize;
            // Lanes `lo..hi` are columns of the image.
            let lo = (-x).clamp(0, V::LANES as isize) as usize;
            let hi = if inside { (s.w as isize - x).clamp(0, V::LANES as isize) as usize } else { 0 };
            // SAFETY: only columns and channels of the image are read; scratch has room for `columns` pixels a row.
            unsafe {
                let mut v = [V::zero(); MOST_LANES];
                if lo < hi {
                    let p = row.wrapping_offset(x);
                    if hi - lo == V::LANES && s.channels == V::LANES {
                        for c in 0..V::LANES {
                            v[c] = V::load(p.wrapping_add(c * s.channel));
                        }
                    } else {
                        for c in 0..V::LANES {
                            if c < s.channels {
                                v[c] = V::load_range(p.wrapping_add(c * s.channel), lo, hi);
                            }
                        }
                    }
                    v = transpose(v);
                }
                let to = s.to.add((r * s.columns + column) * V::LANES);
                for c in 0..V::LANES {
                    v[c].store(to.add(c * V::LANES));
                }
            }
        }
    }
}

/// Copies rows with channels last into an image with channels before rows.
pub(crate) struct StageOut {
    /// Rows of `pitch x LANES` floats, `pitch` a multiple of `LANES`.
    pub from: *const f32,
    pub pitch: usize,
    pub rows: usize,
    pub columns: usize,
    /// The first channel's first element.
    pub to: *mut f32,
    pub channel: usize,
    pub row: usize,
    /// Channels that exist, at most `LANES`.
    pub channels: usize,
}

/// A function for [`StageOut`].
pub(crate) type StageOutFn = unsafe fn(&StageOut);

/// # Safety
/// The CPU has the tier of `V`; the pointers are valid for what their documentation says.
#[inline(always)]
pub(crate) unsafe fn stage_out<V: Vector>(s: &StageOut) {
    for r in 0..s.rows {
        for column in (0..s.columns).step_by(V::LANES) {
            let n = (s.columns - column).min(V::LANES);
            // SAFETY: rows of scratch are whole vectors; only `n` columns and `channels` channels are written.
            unsafe {
                let from = s.from.add((r * s.pitch + column) * V::LANES);
                let mut v = [V::zero(); MOST_LANES];
                for c in 0..V::LANES {
                    v[c] = V::load(from.add(c * V::LANES));
                }
                v = transpose(v);
                let to = s.to.add(r * s.row + column);
                if n == V::LANES && s.channels == V::LANES {
                    for c in 0..V::LANES {
                        v[c].store(to.wrapping_add(c * s.channel));
                    }
                } else {
                    for c in 0..V::LANES {
                        if c < s.channels {
                            v[c].store_first(to.wrapping_add(c * s.channel), n);
                        }
                    }
                }
            }
        }
    }
}
