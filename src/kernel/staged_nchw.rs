//! Direct convolution of any kernel size, stride and dilation, channels before rows: the general case of
//! [`super::direct_nchw`], whose driver this shares.
//!
//! The input rows of a block of output rows are first copied into scratch, with their padding, one run per phase of the
//! stride: element `e` of phase `f` is column `e * stride + f - left`. Then every tap of every output is a plain load:
//!
//! ```text
//! for each group, for each block of R output rows                       (driver)
//!     copy the input rows from the block's first to its last; the zeros around them are there
//!     for each MR output channels, for each tile of NV vectors          (micro-kernel)
//!         acc[MR][R][NV] = bias
//!         for each input channel, kernel row, kernel column
//!             acc[m][r][v] += staged[r * stride + ky * dilation][kx][v] * w[m]
//! ```
//!
//! Registers: `MR * R * NV` accumulators, one input, one broadcast. Loads per multiply-add: `1 / MR`, unaligned, which is
//! the bound: half of the FMA peak for depthwise. Scratch: the rows of one block of one group.

use super::direct_nchw::{Tile, store};
use super::{Job, Problem};
use crate::vector::Vector;

/// Most vectors side by side in the instantiations.
const MOST_VECTORS: usize = 2;

/// Most floats that are staged: 64 MiB. Strides and dilations far beyond the image would ask for any amount, nearly all of
/// it zeros; [`super::igemm_nchw`] computes those.
const MOST_FLOATS: usize = 1 << 24;

/// Sizes of the staged rows of a problem.
#[derive(Clone, Copy)]
pub(crate) struct Stage {
    /// Input channels of a group.
    channels: usize,
    /// Input rows of a block of output rows, from the first to the last.
    pub rows: usize,
    /// Floats of a row: its phases one after the other.
    pub row: usize,
    /// Floats of a phase: the taps of whole tiles of the widest micro-kernel.
    pub phase: usize,
}

impl Stage {
    /// For blocks of `rows` output rows and vectors of `lanes`; nothing if it would take more than [`MOST_FLOATS`].
    pub(crate) fn new(p: &Problem, rows: usize, lanes: usize) -> Option<Self> {
        let s = &p.shape;
        // Reaches of a checked shape do not overflow; what is made of them may.
        let (down, across) = ((s.kh - 1) * s.dilation[0], (s.kw - 1) * s.dilation[1]);
        let phase = p.ow.next_multiple_of(MOST_VECTORS * lanes).checked_add(across / s.stride[1] + 1)?;
        let rows = (rows - 1).checked_mul(s.stride[0])?.checked_add(down + 1)?;
        let row = s.stride[1].min(across + 1).checked_mul(phase)?;
        let len = p.cg_in.checked_mul(rows)?.checked_mul(row)?;
        (len <= MOST_FLOATS).then_some(Stage { channels: p.cg_in, rows, row, phase })
    }

    /// Floats in all.
    pub(crate) fn len(&self) -> usize {
        self.channels * self.rows * self.row
    }

    /// Writes what all blocks have in common: zeros around the rows.
    ///
    /// # Safety
    /// Scratch has [`Stage::len`] floats.
    pub(crate) unsafe fn clear(&self, scratch: *mut f32) {
        // SAFETY: by contract.
        unsafe { scratch.write_bytes(0, self.len()) }
    }

    /// Copies the input rows of a group that the block from output row `y` on reads into scratch, all but the last `less`.
    ///
    /// # Safety
    /// `input` points to the group's first element; scratch has [`Stage::len`] floats, cleared before the first block; `copy` is the
    /// tier's.
    pub(crate) unsafe fn fill(&self, job: &Job<'_>, input: *const f32, y: usize, less: usize, copy: CopyFn) {
        let p = job.problem;
        let (s, i) = (&p.shape, job.input_strides);
        let (rows, row_len, phase_len) = (self.rows, self.row, self.phase);
        let (y0, _) = p.origin(y, 0);
        let (left, stride) = (s.padding.left, s.stride[1]);
        // Element `e` of phase `f` is column `e * stride + f - left`.
        for f in 0..row_len / phase_len {
            let first = left.saturating_sub(f).div_ceil(stride).min(phase_len);
            let column = first * stride + f - left.min(first * stride + f);
            let count = s.w.saturating_sub(column).div_ceil(stride).min(phase_len - first);
            if count == 0 {
                continue;
            }
            for c in 0..p.cg_in {
                let to = job.scratch.wrapping_add(c * rows * row_len + f * phase_len + first);
                let from = input.wrapping_add(c * i.channel + column);
                for r in 0..rows - less {
                    let y = y0 + r as isize;
                    // SAFETY: `count` elements of a phase of a staged row, and of the image if `y` is inside.
                    unsafe {
                        if y < 0 || y >= s.h as isize {
                            to.add(r * row_len).write_bytes(0, count);
                        } else {
                            copy(to.add(r * row_len), from.add(y as usize * i.row), count, stride);
                        }
                    }
                }
            }
        }
    }

    /// Bytes from a staged row's start to where the taps of its first output lie, in the order of the weights.
    ///
    /// # Safety
    /// `taps` has room for all of them.
    pub(crate) unsafe fn taps(&self, p: &Problem, taps: *mut u32) {
        let s = &p.shape;
        for ky in 0..s.kh {
            for kx in 0..s.kw {
                let column = kx * s.dilation[1];
                let at = ky * s.dilation[0] * self.row + column % s.stride[1] * self.phase + column / s.stride[1];
                // SAFETY: by contract. No more than [`MOST_FLOATS`] are staged.
                unsafe { *taps.add(ky * s.kw + kx) = (at * size_of::<f32>()) as u32 };
            }
        }
    }
}

/// Copies `count` elements, `stride` apart, to neighbours.
///
/// # Safety
/// The CPU has the tier's instructions. The elements are readable and, side by side, writable; nothing after the last one is
/// touched.
pub(crate) type CopyFn = unsafe fn(to: *mut f32, from: *const f32, count: usize, stride: usize);

/// For any tier.
///
/// # Safety
/// As [`CopyFn`].
pub(crate) unsafe fn copy(to: *mut f32, from: *const f32, count: usize, stride: usize) {
    // SAFETY: by contract.
    unsafe {
        if stride == 1 {
            return to.copy_from_nonoverlapping(from, count);
        }
        for e in 0..count {
            *to.add(e) = *from.add(e * stride);
        }
    }
}

/// The micro-kernel for any kernel size, stride and dilation, on staged rows, of one group.
///
/// # Safety
/// As [`super::direct_nchw::micro`].
#[inline(always)]
pub(crate) unsafe fn any<V: Vector, const MR: usize, const R: usize, const NV: usize>(t: &Tile) {
    for x in (0..t.ow).step_by(NV * V::LANES) {
        // SAFETY: as the caller promises; staged rows are whole tiles long.
        unsafe {
            let mut w = t.weights;
            let mut acc = [[[V::zero(); NV]; R]; MR];
            for m in 0..MR {
                acc[m] = [[V::splat(*w.add(m)); NV]; R];
            }
            w = w.add(MR);
            for c in 0..t.channels {
                for tap in 0..t.taps_len {
                    let from = t.staged.add(c * t.stage_channel + *t.taps.add(tap) as usize / size_of::<f32>() + x);
                    for r in 0..R {
                        for v in 0..NV {
                            let x = V::load(from.add(r * t.stage_row + v * V::LANES));
                            for m in 0..MR {
                                acc[m][r][v] = acc[m][r][v].mul_add(x, V::splat(*w.add(m)));
                            }
                        }
                    }
                    w = w.add(MR);
                }
            }
            store(t, acc, 0, x);
        }
    }
}
