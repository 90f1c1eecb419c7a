//! Implicit GEMM of few input channels, channels before rows: first layers above all.
//!
//! With three input channels a gathered row of [`super::igemm_nchw`] serves too few multiply-adds. Here the input rows of some
//! output rows are copied once, with their padding and parted by phase of the stride, and what a tap reads is an address
//! in them:
//!
//! ```text
//! for each block of output rows                                    (driver)
//!     staged[row][phase][channel][..] = the input rows under it
//!     for each output row, for each tile of NV vectors of it       (micro-kernel)
//!         for each panel of MR output channels
//!             acc[MR][NV] = bias
//!             for each k
//!                 acc[m][v] += weight[m][k] * staged[offset[k] + v]
//!             clamp, store
//! ```
//!
//! Registers: `MR * NV` accumulators, `NV` inputs. Loads per multiply-add: `1 / MR + 1 / NV` and one offset per k; inputs are
//! unaligned, 1.5 cycles each where they cross a line: with 8 channels x 48 pixels 8.5 cycles of loads beside 24 of
//! multiply-adds. So the bound is the FMA ports, and beside it staging: an element is copied `1 + KH / (S * rows)` times.
//!
//! Scratch: the staged rows of a block, of at most [`MOST_CHANNELS`] input channels, and a word for each k.
//!
//! Measured 2026-11-24, one Zen 4 core (59.1 GMAC/s), AVX-512: 3x3 stride 2 from 3 channels to 32 on 224 x 224 85 % of peak,
//! to 16 77 %, 3x3 stride 1 89 %, 5x5 stride 2 93 %, 7x7 stride 2 to 64 97 %. AVX2, 2026-11-30, one Zen 3 core (51.7 GMAC/s): 79, 72, 82, 88, 92 %.

use super::igemm_micro_nchw::finish_tile;
use super::igemm_nchw::{Gather, IgemmNchw, Run};
use super::tile_end::{Each, STEPS, finish_tile_by_rows, spreads_stores};
use super::{Algorithm, Job, Part, Problem, Shares, in_order};
use crate::pack::{Aligned, Source};
use crate::tensor::Layout;
use crate::vector::Vector;

/// One tile for the micro-kernel, of one or several panels of as many channels.
pub(crate) struct Tile {
    pub k: usize,
    /// The first panel, `[1 + K][MR rounded up to 4]`; how many there are, one after the other.
    pub panel: *const f32,
    pub panels: usize,
    /// The staged element under the tile's first output and no tap, and the distance to each tap's.
    pub x: *const f32,
    pub offsets: *const usize,
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
    let pitch = MR.next_multiple_of(4);
    // SAFETY: panels of `k` rows of weights; staged rows are whole vectors; rows of outputs, `last` lanes of the last vector.
    unsafe {
        for panel in 0..t.panels {
            let mut w = t.panel.add(panel * pitch * (t.k + 1));
            let mut acc = [[V::zero(); NV]; MR];
            for m in 0..MR {
                acc[m] = [V::splat(*w.add(m)); NV];
            }
            let by_rows = spreads_stores::<V>(NV) && t.k >= STEPS;
            let end = t.k - if by_rows { STEPS } else { 0 };
            for k in 0..end {
                w = w.add(pitch);
                let x = t.x.add(*t.offsets.add(k));
                let mut b = [V::zero(); NV];
                for v in 0..NV {
                    b[v] = V::load(x.add(v * V::LANES));
                }
                unroll!(i < MR.div_ceil(4) => {
                    let q = V::quad(w.add(4 * i));
                    row::<V, MR, NV, 0>(&mut acc, 4 * i, &b, q);
                    row::<V, MR, NV, 1>(&mut acc, 4 * i, &b, q);
                    row::<V, MR, NV, 2>(&mut acc, 4 * i, &b, q);
                    row::<V, MR, NV, 3>(&mut acc, 4 * i, &b, q);
                });
            }
            let out = t.out.add(panel * MR * t.out_channel);
            if by_rows {
                let mut vectors = [t.x; STEPS];
                for (s, x) in vectors.iter_mut().enumerate() {
                    *x = t.x.add(*t.offsets.add(end + s));
                }
                finish_tile_by_rows(acc, w.add(pitch), Each(vectors), out, t.out_channel, t.last, t.clamp);
            } else {
                finish_tile(acc, out, t.out_channel, t.last, t.clamp);
            }
        }
    }
}

/// Adds to row `first + I` of a tile, if there is one, a vector times one of four weights.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn row<V: Vector, const MR: usize, const NV: usize, const I: i32>(
    acc: &mut [[V; NV]; MR],
    first: usize,
    b: &[V; NV],
    q: V::Quad,
) {
    if first + (I as usize) < MR {
        // SAFETY: as the caller promises.
        unsafe { V::mul_add_row::<I, NV>(&mut acc[first + I as usize], b, q) };
        in_order::<V>();
    }
}

/// A row to part into even and odd columns.
pub(crate) struct Split {
    pub from: *const f32,
    pub w: usize,
    /// Columns of padding before it.
    pub left: usize,
    /// Two phases of `len` floats each, whole vectors, and the distance between them.
    pub to: *mut f32,
    pub step: usize,
    pub len: usize,
}

/// A tier's splitting function.
pub(crate) type SplitFn = unsafe fn(&Split);

/// Writes column `x` to element `(x + left) / 2` of phase `(x + left) % 2`, and zeros where there is none.
///
/// # Safety
/// The CPU has the tier of `V`; the pointers are valid for what their documentation says.
#[inline(always)]
pub(crate) unsafe fn split<V: Vector>(t: &Split) {
    let phase = |column: usize| ((column + t.left) % 2 * t.step, (column + t.left) / 2);
    let ((even, even_first), (odd, odd_first)) = (phase(0), phase(1));
    // SAFETY: no column outside the row is read, and no element outside its phase written.
    unsafe {
        // Zeros in whole vectors, over which the columns at the row's ends are written.
        for (phase, first, columns) in [(even, even_first, t.w.div_ceil(2)), (odd, odd_first, t.w / 2)] {
            let end = (first + columns).min(t.len) / V::LANES * V::LANES;
            for i in (0..first.min(t.len)).step_by(V::LANES).chain((end..t.len).step_by(V::LANES)) {
                V::zero().store(t.to.add(phase + i));
            }
        }
        // Whole vectors of both phases, for which nothing is to be asked.
        let room = t.len - even_first.max(odd_first).min(t.len);
        let whole = (t.w / 2).min(room) / V::LANES * V::LANES;
        let (mut from, mut to) = (t.from, [t.to.wrapping_add(even + even_first), t.to.wrapping_add(odd + odd_first)]);
        for _ in 0..whole / V::LANES {
            let (x, y) = V::load(from).deinterleave(V::load(from.add(V::LANES)));
            x.store(to[0]);
            y.store(to[1]);
            from = from.add(2 * V::LANES);
            to = to.map(|to| to.wrapping_add(V::LANES));
        }
        let mut j = whole;
        while 2 * j < t.w && (even_first + j < t.len || odd_first + j < t.len) {
            let (low, high) = (columns::<V>(t, 2 * j), columns::<V>(t, 2 * j + V::LANES));
            let (x, y) = low.deinterleave(high);
            put(x, t, even, even_first + j);
            put(y, t, odd, odd_first + j);
            j += V::LANES;
        }
    }
}

/// Columns from one on, zeros beyond the row.
///
/// # Safety
/// As [`split`].
#[inline(always)]
unsafe fn columns<V: Vector>(t: &Split, first: usize) -> V {
    let from = t.from.wrapping_add(first);
    // SAFETY: as the caller promises.
    unsafe { if first + V::LANES <= t.w { V::load(from) } else { V::load_range(from, 0, t.w.saturating_sub(first)) } }
}

/// Stores to a phase from an element on, as far as it goes.
///
/// # Safety
/// As [`split`].
#[inline(always)]
unsafe fn put<V: Vector>(x: V, t: &Split, phase: usize, first: usize) {
    // SAFETY: as the caller promises.
    unsafe {
        if first + V::LANES <= t.len {
            x.store(t.to.add(phase + first));
        } else if first < t.len {
            x.store_first(t.to.add(phase + first), t.len - first);
        }
    }
}

/// Most input channels of a group: above, gathering or transposing is a small part of the whole.
const MOST_CHANNELS: usize = 8;

/// Most rows of a block.
const MOST_ROWS: usize = 8;

/// The algorithm, with the panels and the gathering of [`IgemmNchw`].
pub(crate) struct IgemmRowsNchw {
    pub inner: &'static IgemmNchw,
    /// `micros[nv - 1][mr - 1]`, as those of `inner`.
    pub micros: &'static [&'static [Micro]],
    pub split: SplitFn,
}

/// Sizes of the staged rows.
#[derive(Clone, Copy)]
struct Stage {
    /// Blocks of output rows.
    blocks: usize,
    /// Input rows under it.
    inputs: usize,
    phases: usize,
    /// Floats of a phase of a row of a channel.
    phase: usize,
}

impl IgemmRowsNchw {
    /// Nothing if a block of one row would take more than half of the second cache.
    fn stage(&self, p: &Problem) -> Option<Stage> {
        let s = &p.shape;
        let (down, across) = ((s.kh - 1) * s.dilation[0], (s.kw - 1) * s.dilation[1]);
        let lanes = self.inner.lanes;
        let phases = s.stride[1].min(across + 1);
        let phase = p.ow.next_multiple_of(lanes).checked_add(across / s.stride[1])?.checked_next_multiple_of(lanes)?;
        let row = p.cg_in.checked_mul(phases)?.checked_mul(phase)?;
        let fits = |rows: usize, bytes: usize| {
            let inputs = (rows - 1).checked_mul(s.stride[0])?.checked_add(down + 1)?;
            let floats = inputs.checked_mul(row)?;
            (floats <= bytes / size_of::<f32>()).then_some(inputs)
        };
        let most = MOST_ROWS.min(p.oh);
        // Half of the first cache, or two rows of the second.
        let rows = (1..=most).rev().find(|&r| fits(r, p.caches.l1 / 2).is_some()).unwrap_or(1).max(4.min(most));
        let rows = if fits(rows, p.caches.l2 / 2).is_some() { rows } else { 1 };
        let blocks = p.oh.div_ceil(rows);
        let rows = p.oh.div_ceil(blocks);
        let inputs = fits(rows, p.caches.l2 / 2)?;
        Some(Stage { blocks, inputs, phases, phase })
    }

    /// Copies the input rows of an image from row `y` on, which may be outside the image.
    ///
    /// # Safety
    /// `to` has room for `inputs` rows.
    unsafe fn fill(&self, job: &Job<'_>, stage: &Stage, input: *const f32, y: isize, inputs: usize, to: *mut f32) {
        let p = job.problem;
        let (s, i) = (&p.shape, job.input_strides);
        let (left, stride) = (s.padding.left, s.stride[1]);
        for r in 0..inputs {
            let y = y + r as isize;
            if stride == 2 && stage.phases == 2 && (0..s.h as isize).contains(&y) {
                for c in 0..p.cg_in {
                    // SAFETY: a row of the image, and its two phases.
                    unsafe {
                        (self.split)(&Split {
                            from: input.add(c * i.channel + y as usize * i.row),
                            w: s.w,
                            left,
                            to: to.add((r * 2 * p.cg_in + c) * stage.phase),
                            step: p.cg_in * stage.phase,
                            len: stage.phase,
                        });
                    }
                }
                continue;
            }
            for f in 0..stage.phases {
                // SAFETY: columns of the run are inside the row, and its elements inside the phase.
                unsafe {
                    let to = to.add((r * stage.phases + f) * p.cg_in * stage.phase);
                    if y < 0 || y >= s.h as isize {
                        to.write_bytes(0, p.cg_in * stage.phase);
                        continue;
                    }
                    // Element `e` is column `e * stride + f - left`.
                    let first = left.saturating_sub(f).div_ceil(stride).min(stage.phase);
                    let column = (first * stride + f).saturating_sub(left);
                    let len = s.w.saturating_sub(column).div_ceil(stride).min(stage.phase - first);
                    let run = Run { to: first, from: y as usize * i.row + column, len };
                    (self.inner.gather)(&Gather {
                        runs: &run,
                        count: 1,
                        stride,
                        from: input,
                        plane: (s.h - 1) * i.row + s.w,
                        channel: i.channel,
                        channels: p.cg_in,
                        to,
                        width: stage.phase,
                        padded: len < stage.phase,
                    });
                }
            }
        }
    }
}

impl Algorithm for IgemmRowsNchw {
    fn refuses(&self, p: &Problem) -> Option<&'static str> {
        if p.layout != Layout::Nchw {
            Some("computes NCHW")
        } else if p.shape.groups > 1 || p.cg_in > MOST_CHANNELS {
            Some("computes one group of few input channels")
        } else if self.stage(p).is_none() {
            Some("computes rows that fit in the second cache")
        } else {
            None
        }
    }

    fn estimate(&self, p: &Problem) -> f64 {
        let s = &p.shape;
        let Some(stage) = self.stage(p) else { return f64::INFINITY };
        let vectors = p.ow.div_ceil(self.inner.lanes);
        let tiles = vectors.div_ceil(self.micros.len());
        let panels = self.inner.panels(p);
        // A tile needs eight accumulators to hide the latency of the multiply-add; it takes the time of some 24 to start and end.
        let rows = p.cg_out as f64 / panels as f64;
        let tile = |nv: usize| (rows * nv as f64).max(8.0) * p.k() as f64 + 24.0;
        let (each, more) = (vectors / tiles, vectors % tiles);
        let row = more as f64 * tile(each + 1) + (tiles - more) as f64 * tile(each);
        let staged = stage.inputs * stage.phases * p.cg_in * stage.phase.div_ceil(self.inner.lanes);
        s.n as f64
            * ((p.oh * panels) as f64 * row + 4.0 * (stage.blocks * staged) as f64)
            * p.vector_cost(self.inner.width)
    }

    fn pack(&self, p: &Problem, source: &Source<'_>) -> Aligned {
        self.inner.pack(p, source)
    }

    fn scratch_len(&self, p: &Problem) -> usize {
        let words = (p.k() + 1) * size_of::<usize>() / size_of::<f32>();
        // The staged rows start on a cache line.
        words + 16 + self.stage(p).map_or(0, |t| t.inputs * t.phases * p.cg_in * t.phase)
    }

    fn units(&self, p: &Problem) -> usize {
        p.shape.n * self.stage(p).map_or(1, |t| t.blocks)
    }

    unsafe fn run(&self, job: &Job<'_>, part: Part) {
        let p = job.problem;
        let (s, i, o) = (&p.shape, job.input_strides, job.output_strides);
        let Some(stage) = self.stage(p) else { return };
        let offsets = job.scratch.wrapping_add(job.scratch.align_offset(align_of::<usize>())).cast::<usize>();
        let staged = offsets.wrapping_add(p.k()).cast::<f32>();
        let staged = staged.wrapping_add(staged.align_offset(64).min(16));
        let row = stage.phases * p.cg_in * stage.phase;
        for k in 0..p.k() {
            let (tap, c) = (k / p.cg_in, k % p.cg_in);
            let (down, across) = (tap / s.kw * s.dilation[0], tap % s.kw * s.dilation[1]);
            let phase = across % s.stride[1] * p.cg_in + c;
            // SAFETY: scratch has a word for each k.
            unsafe { *offsets.add(k) = down * row + phase * stage.phase + across / s.stride[1] };
        }
        let lanes = self.inner.lanes;
        let vectors = p.ow.div_ceil(lanes);
        let tiles_of_row = vectors.div_ceil(self.micros.len());
        let tiles = Shares::new(vectors, tiles_of_row);
        let sizes = Shares::new(p.oh, stage.blocks);
        // Panels with as many channels are one call: those of one more, and the others.
        let panels = self.inner.panels(p);
        let cut = self.inner.cut(p);
        let larger = cut.alike(0);
        let kinds = [(0, larger), (larger.min(panels - 1), panels - larger)].map(|(j, panels)| (cut.panel(j), panels));
        let kinds = &kinds[..if larger < panels { 2 } else { 1 }];
        for unit in part.range(s.n * stage.blocks) {
            let (image, rows) = (unit / stage.blocks, sizes.range(unit % stage.blocks));
            let inputs = (rows.len() - 1) * s.stride[0] + (s.kh - 1) * s.dilation[0] + 1;
            // SAFETY: the image is inside the input, the staged rows hold those of the block; its outputs are this part's own,
            // and panels are packed where `panel` says.
            unsafe {
                let input = job.input.add(image * i.image);
                self.fill(job, &stage, input, p.origin(rows.start, 0).0, inputs, staged);
                for (r, y) in rows.enumerate() {
                    let out = job.output.add(image * o.image + y * o.row);
                    for tile in 0..tiles_of_row {
                        let range = tiles.range(tile);
                        let x = range.start * lanes;
                        for &((channel, mr, at), panels) in kinds {
                            self.micros[range.len() - 1][mr - 1](&Tile {
                                k: p.k(),
                                panel: job.weights.add(at),
                                panels,
                                x: staged.add(r * s.stride[0] * row + x),
                                offsets,
                                out: out.add(channel * o.channel + x),
                                out_channel: o.channel,
                                last: (p.ow - (range.end - 1) * lanes).min(lanes),
                                clamp: job.clamp,
                            });
                        }
                    }
                    job.finish_rows(image, 0..s.c_out, y..y + 1);
                }
            }
        }
    }
}
