//! Direct convolution of any kernel size, stride and dilation, channels before rows: the general case of
//! [`super::direct_nchw`], whose driver this shares.
//!
//! The input rows of a block of output rows are first copied into scratch, with their padding, one run per phase of the
//! stride: element `e` of phase `f` is column `e * stride + f - left`. Then every tap of every output is a plain load:
//!
//! ```text
//! for each group, for each block of R output rows                       (driver)
//!     copy the input rows from the block's first to its last, zeros around them
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

    /// Copies the input rows of a group that the block from output row `y` on reads into scratch, zeros around them.
    ///
    /// # Safety
    /// `input` points to the group's first element; scratch has [`Stage::len`] floats.
    pub(crate) unsafe fn fill(&self, job: &Job<'_>, input: *const f32, y: usize) {
        let p = job.problem;
        let (s, i) = (&p.shape, job.input_strides);
        let (rows, row_len, phase_len) = (self.rows, self.row, self.phase);
        let (y0, _) = p.origin(y, 0);
        let (left, stride) = (s.padding.left, s.stride[1]);
        for (c, r) in (0..p.cg_in).flat_map(|c| (0..rows).map(move |r| (c, r))) {
            // SAFETY: a row of scratch, and of the image if `y` is inside.
            unsafe {
                let to = core::slice::from_raw_parts_mut(job.scratch.add((c * rows + r) * row_len), row_len);
                let y = y0 + r as isize;
                if y < 0 || y >= s.h as isize {
                    to.fill(0.0);
                    continue;
                }
                let from = core::slice::from_raw_parts(input.add(c * i.channel + y as usize * i.row), s.w);
                // Element `e` of phase `f` is column `e * stride + f - left`.
                for (f, phase) in to.chunks_exact_mut(phase_len).enumerate() {
                    let first = left.saturating_sub(f).div_ceil(stride).min(phase_len);
                    let column = first * stride + f - left.min(first * stride + f);
                    let count = s.w.saturating_sub(column).div_ceil(stride).min(phase_len - first);
                    phase[..first].fill(0.0);
                    if stride == 1 {
                        phase[first..first + count].copy_from_slice(&from[column..column + count]);
                    } else {
                        for (e, x) in phase[first..first + count].iter_mut().enumerate() {
                            *x = from[column + e * stride];
                        }
                    }
                    phase[first + count..].fill(0.0);
                }
            }
        }
    }
}

/// The micro-kernel for any kernel size, stride and dilation, on staged rows, of one group.
///
/// # Safety
/// As [`super::direct_nchw::micro`].
#[inline(always)]
pub(crate) unsafe fn any<V: Vector, const MR: usize, const R: usize, const NV: usize>(t: &Tile) {
    let [kh, kw] = t.kernel;
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
                for ky in 0..kh {
                    let first = t.staged.add(c * t.stage_channel + ky * t.dilation[0] * t.stage_row + x);
                    for kx in 0..kw {
                        let column = kx * t.dilation[1];
                        let from = first.add(column % t.stride[1] * t.stage_phase + column / t.stride[1]);
                        for r in 0..R {
                            for v in 0..NV {
                                let x = V::load(from.add(r * t.stride[0] * t.stage_row + v * V::LANES));
                                for m in 0..MR {
                                    acc[m][r][v] = acc[m][r][v].mul_add(x, V::splat(*w.add(m)));
                                }
                            }
                        }
                        w = w.add(MR);
                    }
                }
            }
            store(t, acc, 0, x);
        }
    }
}
