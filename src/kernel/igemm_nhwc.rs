//! Implicit GEMM, channels last: standard, grouped, pointwise convolution and fully connected layers in NHWC.
//!
//! A convolution is a matrix product: rows are output pixels, columns output channels, and the inner dimension runs over
//! taps and input channels. In NHWC the input channels of a pixel lie next to each other, so a row of the left matrix is
//! a list of runs, one per tap, each of which needs no more than a pointer:
//!
//! ```text
//! for each tile of MR output pixels                     (driver)
//!     find, per tap, the MR input pixels; those in the padding are rows of zeros, but left out where they are a tile's
//!     first or last ones; a tap that only sees padding is left out
//!     for each panel of NV vectors of output channels   (driver)
//!         acc[MR][NV] = bias                            (micro-kernel)
//!         for each tap, for each input channel k
//!             b[NV] = next NV vectors of the panel
//!             acc[m][v] += input[m][k] * b[v]
//!         clamp, store MR rows of NV vectors
//! ```
//!
//! No im2col matrix exists: the table of pointers is `MR` words per tap. Weights and bias are one packed stream per
//! panel, `[bias NR][K][NR]`, which only moves forward. Where a pixel has few channels (first layers: three) and pixels
//! lie side by side, a whole kernel row is one run of `kw * c_in` elements; runs that stick out at the left or right
//! edge are copied with their zeros into scratch.
//!
//! Registers: `MR * NV` accumulators, `NV` panel vectors, one broadcast (x86) or `MR` quads (NEON). Loads per
//! multiply-add: `1 / MR + 1 / NV`, the latter broadcasts. Bound by the FMA ports while the panel comes from the second
//! cache, so the driver walks panels in blocks of half of it.
//!
//! Measured 2026-11-24, one Zen 4 core (59.1 GMAC/s with either vector length), AVX-512: pointwise 512 to 512 channels on
//! 14 x 14 pixels 98 % of peak, 32 to 64 on 112 x 112 97 %, 24 to 144 on 56 x 56 96 %, 1024 to 1024 on 7 x 7 98 %; 3x3 with 64
//! channels on 56 x 56 99 %, with 256 on 14 x 14 108 % (taps in the padding count and cost little). AVX2: 97 %, 94 %, 93 %, 95 %, 97 %.

use super::igemm_taps::Table;
use super::igemm_tiling::{Panels, Piece, Tiling, most_pixels, pieces};
use super::{Algorithm, Job, NO_CLAMP, Part, Problem, opaque};
use crate::pack::{Aligned, Source};
use crate::tensor::{Layout, Strides};
use crate::vector::Vector;
use core::ops::Range;

/// A tile for the micro-kernel, or several whose pixels follow each other.
pub(crate) struct Tile {
    /// Tiles; one if there are pointers.
    pub tiles: usize,
    /// Per segment, the element of K at which its weights start.
    pub offsets: *const usize,
    /// Per segment, `MR` pointers to runs of `run` inputs; null if there is one run per pixel, `input_step` apart from
    /// `input` on, and the outputs likewise.
    pub pointers: *const *const f32,
    /// Floats from where the pointers point to the runs: the channels of groups before this one.
    pub shift: usize,
    /// Where the pointers of pixels in the padding point: as many zeros as the input has channels, and as a run is long.
    pub zeros: *const f32,
    pub input: *const f32,
    pub input_step: usize,
    pub output: *mut f32,
    pub output_step: usize,
    pub segments: usize,
    pub run: usize,
    /// Bias and weights of the first panel; how many there are, one after the other; their length.
    pub panel: *const f32,
    pub panels: usize,
    pub panel_len: usize,
    /// `MR` pointers to the first channel of the output pixels.
    pub out: *const *mut f32,
    /// The first panel's first output channel.
    pub channel: usize,
    /// Lanes to store of the last vector of each panel.
    pub last: usize,
    pub clamp: (f32, f32),
}

/// Rows that a tile leaves out at most, at one end.
const MOST_SKIPPED: usize = 3;

/// How many first or last rows in the padding a tile leaves out: as many as leave it eight accumulators, which hide the
/// latency of the multiply-add.
const fn skips(mr: usize, nv: usize) -> usize {
    let spare = mr.saturating_sub(8usize.div_ceil(nv));
    if spare < MOST_SKIPPED { spare } else { MOST_SKIPPED }
}

/// A micro-kernel for one `MR` and `NV`.
pub(crate) type Micro = unsafe fn(&Tile);

/// The micro-kernel.
///
/// # Safety
/// The CPU has the tier of `V`. All pointers of the tile are valid for what their documentation says, and the outputs of
/// the rows do not overlap.
#[inline(always)]
pub(crate) unsafe fn micro<V: Vector, const MR: usize, const NV: usize>(t: &Tile) {
    if !t.pointers.is_null() {
        for j in 0..t.panels {
            // SAFETY: as the caller promises, for each panel.
            unsafe { scattered::<V, MR, NV>(t, t.panel.add(j * t.panel_len), t.channel + j * NV * V::LANES) };
        }
        return;
    }
    for i in 0..t.tiles {
        for j in 0..t.panels {
            // SAFETY: as the caller promises, for each tile and panel.
            unsafe {
                let input = t.input.add(i * MR * t.input_step);
                let output = t.output.add(i * MR * t.output_step + t.channel + j * NV * V::LANES);
                in_line::<V, MR, NV>(t, input, t.panel.add(j * t.panel_len), output);
            }
        }
    }
}

/// A tile of one panel whose pixels are one run each, a step apart. Of few channels it takes some fifty cycles: what it does
/// beside multiplying is kept short.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn in_line<V: Vector, const MR: usize, const NV: usize>(
    t: &Tile,
    input: *const f32,
    panel: *const f32,
    output: *mut f32,
) {
    // SAFETY: by the contract of `Tile`.
    unsafe {
        let mut acc = bias::<V, MR, NV>(panel);
        let mut a = [input; MR];
        for m in 1..MR {
            a[m] = opaque(a[m - 1].add(t.input_step));
        }
        run::<V, MR, NV, 0, 0>(&mut acc, &a, panel.add(NV * V::LANES), t.shift..t.shift + t.run);
        let mut out = [output; MR];
        for m in 1..MR {
            out[m] = out[m - 1].add(t.output_step);
        }
        finish(acc, t.clamp, &out, t.last);
    }
}

/// A tile of one panel that finds its pixels by pointers.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn scattered<V: Vector, const MR: usize, const NV: usize>(t: &Tile, panel: *const f32, channel: usize) {
    let nr = NV * V::LANES;
    // SAFETY: by the contract of `Tile`: runs have `run` elements, the panel `nr * (K + 1)`, outputs `nr` but for the
    // last vector, of which `last` lanes are written.
    unsafe {
        let mut acc = bias::<V, MR, NV>(panel);
        for s in 0..t.segments {
            let w = panel.add(nr + *t.offsets.add(s) * nr);
            let mut a = [core::ptr::null::<f32>(); MR];
            for (m, a) in a.iter_mut().enumerate() {
                *a = *t.pointers.add(s * MR + m);
            }
            let k = t.shift..t.shift + t.run;
            // Where tiles lie in one row of the output, taps at its sides see padding in their first or last pixels.
            let skips = if V::TAKES_LANES { 0 } else { skips(MR, NV) };
            let first = |n: usize| n <= skips && (0..n).all(|m| a[m] == t.zeros);
            let last = |n: usize| n <= skips && (0..n).all(|m| a[MR - 1 - m] == t.zeros);
            if first(3) {
                run::<V, MR, NV, 3, 0>(&mut acc, &a, w, k);
            } else if first(2) {
                run::<V, MR, NV, 2, 0>(&mut acc, &a, w, k);
            } else if first(1) {
                run::<V, MR, NV, 1, 0>(&mut acc, &a, w, k);
            } else if last(3) {
                run::<V, MR, NV, 0, 3>(&mut acc, &a, w, k);
            } else if last(2) {
                run::<V, MR, NV, 0, 2>(&mut acc, &a, w, k);
            } else if last(1) {
                run::<V, MR, NV, 0, 1>(&mut acc, &a, w, k);
            } else {
                run::<V, MR, NV, 0, 0>(&mut acc, &a, w, k);
            }
        }
        let mut out = [core::ptr::null_mut::<f32>(); MR];
        for (m, out) in out.iter_mut().enumerate() {
            *out = (*t.out.add(m)).add(channel);
        }
        finish(acc, t.clamp, &out, t.last);
    }
}

/// Accumulators that hold the bias of a panel.
///
/// # Safety
/// The CPU has the tier of `V`; the panel starts with `NV` vectors.
#[inline(always)]
pub(super) unsafe fn bias<V: Vector, const MR: usize, const NV: usize>(panel: *const f32) -> [[V; NV]; MR] {
    // SAFETY: as the caller promises; a panel starts with its bias.
    unsafe {
        let mut acc = [[V::zero(); NV]; MR];
        for v in 0..NV {
            let bias = V::load(panel.add(v * V::LANES));
            for row in &mut acc {
                row[v] = bias;
            }
        }
        acc
    }
}

/// Adds elements `k` of the rows' runs times the weights from `w` on; leaves out `FIRST` rows and the `LAST` ones.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn run<V: Vector, const MR: usize, const NV: usize, const FIRST: usize, const LAST: usize>(
    acc: &mut [[V; NV]; MR],
    a: &[*const f32; MR],
    mut w: *const f32,
    elements: Range<usize>,
) {
    let nr = NV * V::LANES;
    let rows = FIRST..MR.saturating_sub(LAST);
    // SAFETY: as the caller promises.
    unsafe {
        // One step of K: `$lane` is the element of the quad in use.
        macro_rules! step {
            ($lane:literal, $q:expr) => {
                let mut b = [V::zero(); NV];
                for v in 0..NV {
                    b[v] = V::load(w.add($lane * nr + v * V::LANES));
                }
                for m in rows.clone() {
                    for v in 0..NV {
                        acc[m][v] = acc[m][v].mul_add_lane::<$lane>(b[v], $q[m]);
                    }
                }
            };
        }
        let Range { start: mut k, end } = elements;
        while k + 4 <= end {
            let mut q = [V::quad(a[0].add(k)); MR];
            for m in 1..MR {
                q[m] = V::quad(a[m].add(k));
            }
            step!(0, q);
            step!(1, q);
            step!(2, q);
            step!(3, q);
            w = w.add(4 * nr);
            k += 4;
        }
        while k < end {
            let mut b = [V::zero(); NV];
            for v in 0..NV {
                b[v] = V::load(w.add(v * V::LANES));
            }
            for m in rows.clone() {
                let x = V::splat(*a[m].add(k));
                for v in 0..NV {
                    acc[m][v] = acc[m][v].mul_add(x, b[v]);
                }
            }
            w = w.add(nr);
            k += 1;
        }
    }
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

/// The algorithm with a tier's micro-kernels.
pub(crate) struct IgemmNhwc {
    pub lanes: usize,
    /// `micros[nv - 1][mr - 1]`; all inner slices have the same length, the largest `MR`.
    pub micros: &'static [&'static [Micro]],
    /// Cost of one vector multiply-add beside that of the tier's widest vector.
    pub width: f64,
    /// Whether micro-kernels leave out rows in the padding.
    pub skips: bool,
}

/// Runs of fewer input channels than this are joined along the kernel row where the tensor allows it.
const FEW_CHANNELS: usize = 8;

impl IgemmNhwc {
    /// Rows of a tile. Many rows spare loads of the panel from the second cache. A panel that stays in the first one
    /// needs no more rows than hide the latency of the multiply-add, and small tiles store their sums in smaller bursts,
    /// which the multiply-adds of the next tile cover; where they are one vector wide, the pointers of several taps weigh more.
    /// More rows than a set has ways would come from the second cache at every step where all of them are of one set.
    pub(super) fn mr(&self, p: &Problem) -> usize {
        let most = self.micros[0].len();
        let few = if p.cg_out <= self.lanes && !p.shape.is_pointwise() { 14 } else { 8 };
        let most = most.min(most_pixels(p));
        if self.stays(p) { most.min(few) } else { most }
    }

    /// Whether a panel stays in the first cache.
    fn stays(&self, p: &Problem) -> bool {
        let channels = p.cg_out.next_multiple_of(self.lanes).min(self.nr());
        channels * (p.k() + 1) * size_of::<f32>() <= p.caches.l1 / 2
    }

    pub(super) fn nr(&self) -> usize {
        self.micros.len() * self.lanes
    }

    /// Panels of one group.
    pub(super) fn panels(&self, p: &Problem) -> usize {
        p.cg_out.div_ceil(self.nr())
    }

    /// The fullest tiles: all pixels of an image in one line, and every tap.
    pub(super) fn fullest(&self, p: &Problem) -> Tiling {
        let pixels = p.oh * p.ow;
        Tiling::new(1, pixels, self.mr(p), (pixels * p.shape.kh) as f64 * p.shape.kw as f64)
    }

    /// How an image's output pixels are cut into tiles; never depends on the number of parts.
    ///
    /// In a tile that lies in one row, pixels at the row's ends leave out the taps that see padding, and in a row at the top
    /// or the bottom so do all of them; where that spares more than the fullest tiles do, tiles are rows or parts of rows.
    fn tiling(&self, p: &Problem) -> Tiling {
        let s = &p.shape;
        let pixels = p.oh * p.ow;
        let flat = self.fullest(p);
        if s.kh * s.kw == 1 {
            return flat;
        }
        let per_line = p.ow.div_ceil(self.mr(p));
        let rows: usize = (0..s.kh).map(|k| p.outside(0, k)).map(|(top, bottom)| p.oh - top - bottom).sum();
        let vectors = p.cg_out.div_ceil(self.lanes);
        let nv = vectors.min(self.micros.len());
        let most = if self.skips { skips(p.ow / per_line, nv) } else { 0 };
        let skips = |(left, right): (usize, usize)| match per_line {
            1 if left > 0 => left.min(most),
            _ => left.min(most) + right.min(most),
        };
        let columns: usize = (0..s.kw).map(|k| p.ow - skips(p.outside(1, k))).sum();
        let by_rows = Tiling::new(p.oh, p.ow, self.mr(p), rows as f64 * columns as f64);
        // In multiply-adds. A tile's calls, stores and pointers take some hundred, and its accumulators are at least eight.
        // Few rows do not hide that a panel comes from the second cache: that takes as long as three more, as measured.
        let cost = |tiling: &Tiling| {
            let tiles = tiling.tiles() as f64;
            let rows = pixels as f64 / tiles;
            let fill = (8.0 / (rows * nv as f64)).max(1.0);
            let streamed = if rows < 7.0 && !self.stays(p) { 3.0 * tiles * (s.kh * s.kw) as f64 } else { 0.0 };
            (tiling.products * fill + streamed) * (p.cg_in * vectors) as f64 + 100.0 * tiles
        };
        if cost(&by_rows) <= cost(&flat) { by_rows } else { flat }
    }

    /// [`Algorithm::estimate`] for these tiles.
    pub(super) fn estimate_of(&self, p: &Problem, tiling: &Tiling) -> f64 {
        let s = &p.shape;
        let vectors = p.cg_out.div_ceil(self.lanes);
        let full = vectors / self.micros.len();
        let rest = vectors % self.micros.len();
        // A tile needs eight accumulators to hide the latency of the multiply-add; short tiles pay as if they had them.
        let tiles = (s.n * tiling.tiles()) as f64;
        let rows = (p.oh * p.ow) as f64 / tiling.tiles() as f64;
        let panel = |nv: usize| if nv == 0 { 0.0 } else { (rows * nv as f64).max(8.0) };
        // A narrower last panel has fewer multiply-adds per load: a tenth slower, as measured.
        // Two pixels do not hide that the pointers of every tap are loaded anew.
        let looks_up = self.mr(p) < 3 && !s.is_pointwise();
        let slower = if looks_up { 1.1 } else { 1.0 };
        // Per tap and pixel: finding the input pixel, about one multiply-add's time.
        let taps = tiling.products / (p.oh * p.ow) as f64;
        let steps = tiles * (full as f64 * panel(self.micros.len()) + 1.1 * panel(rest)) * taps * p.cg_in as f64;
        s.groups as f64 * (steps * self.width * slower + tiles * rows * (s.kh * s.kw) as f64)
    }

    /// [`Algorithm::units`] for these tiles.
    pub(super) fn units_of(&self, p: &Problem, tiling: &Tiling) -> usize {
        p.shape.n * tiling.tiles() * p.shape.groups * self.panels(p)
    }

    /// What a part computes, in this order.
    pub(super) fn pieces(&self, p: &Problem, tiling: &Tiling, part: Part) -> impl Iterator<Item = Piece> + use<> {
        let vectors = p.cg_out.div_ceil(self.lanes);
        let panels = Panels { groups: p.shape.groups, vectors, each: self.micros.len() };
        pieces(self.splits_panels(p, tiling), &panels, &tiling.of_images(p.shape.n), part)
    }

    /// Length of a group's packed panels in floats. Not a sum over panels: blocks ask this anew for every few rows.
    pub(super) fn group_len(&self, p: &Problem) -> usize {
        let full = p.cg_out / self.nr() * self.nr();
        (full + (p.cg_out - full).next_multiple_of(self.lanes)) * (p.k() + 1)
    }

    /// Whether the work is cut by panels of output channels rather than by pixels: when the weights are the larger
    /// operand, so that each thread streams its own share of them.
    fn splits_panels(&self, p: &Problem, tiling: &Tiling) -> bool {
        let s = &p.shape;
        let weights = s.c_out * p.k();
        let panels = s.groups * self.panels(p);
        panels > 1 && (weights > s.n * s.c_in * s.h * s.w || s.n * tiling.tiles() < 4)
    }

    fn merges(&self, p: &Problem) -> bool {
        let s = &p.shape;
        s.groups == 1 && s.dilation[1] == 1 && s.kw > 1 && s.stride[1] <= s.kw && s.c_in < FEW_CHANNELS
    }
}

impl Algorithm for IgemmNhwc {
    fn refuses(&self, p: &Problem) -> Option<&'static str> {
        match p.layout {
            Layout::Nhwc => None,
            Layout::Nchw => Some("computes NHWC"),
        }
    }

    fn estimate(&self, p: &Problem) -> f64 {
        self.estimate_of(p, &self.tiling(p))
    }

    fn pack(&self, p: &Problem, source: &Source<'_>) -> Aligned {
        let s = &p.shape;
        let group_len = self.group_len(p);
        let mut packed = Aligned::new(s.groups * group_len + s.c_in.max(s.kw * p.cg_in));
        // What is not written stays zero: the row that pixels in the padding point to.
        let mut out = packed.writer();
        for g in 0..s.groups {
            for j in 0..self.panels(p) {
                let first = j * self.nr();
                let width = (p.cg_out - first).min(self.nr());
                let padded = width.next_multiple_of(self.lanes);
                let channel = |i: usize| g * p.cg_out + first + i;
                (0..padded).for_each(|i| out.put(if i < width { source.bias(channel(i)) } else { 0.0 }));
                for ky in 0..s.kh {
                    for kx in 0..s.kw {
                        for c in 0..p.cg_in {
                            for i in 0..padded {
                                out.put(if i < width { source.weight(channel(i), c, ky, kx) } else { 0.0 });
                            }
                        }
                    }
                }
            }
        }
        packed
    }

    fn scratch_len(&self, p: &Problem) -> usize {
        let s = &p.shape;
        let words = s.kh * s.kw * (self.mr(p) + 1) + self.mr(p);
        let patches = if self.merges(p) { s.kh * self.mr(p) * s.kw * s.c_in } else { 0 };
        // Words are pointers, and scratch starts where any float may.
        (words + 1) * size_of::<usize>() / size_of::<f32>() + patches
    }

    fn units(&self, p: &Problem) -> usize {
        self.units_of(p, &self.tiling(p))
    }

    unsafe fn run(&self, job: &Job<'_>, part: Part) {
        let tiling = self.tiling(job.problem);
        for (panels, tiles) in self.pieces(job.problem, &tiling, part) {
            // SAFETY: as the caller promises; these are this part's own.
            unsafe { self.piece(job, &tiling, panels, tiles) };
        }
    }
}

impl IgemmNhwc {
    /// Computes some panels of some tiles.
    ///
    /// # Safety
    /// As [`Algorithm::run`].
    unsafe fn piece(&self, job: &Job<'_>, tiling: &Tiling, panels: Range<usize>, tiles: Range<usize>) {
        let p = job.problem;
        let s = &p.shape;
        // Divisions once here and not once per tile: of few channels, a tile takes no more time than a few dozen of them.
        let (per_group, per_image, nr) = (self.panels(p), tiling.tiles(), self.nr());
        let group_len = self.group_len(p);
        let full_panels = p.cg_out / nr;
        // SAFETY: pack() put the zeros after the panels.
        let zeros = unsafe { job.weights.add(s.groups * group_len) };
        let table = Table::new(job, self.mr(p));
        // Pointwise on maps without gaps between rows: the pixels of an image are one line.
        let line = |strides: Strides, w: usize| strides.row == w * strides.pixel;
        let pointwise = s.is_pointwise() && s.stride == [1, 1];
        let regular = pointwise && line(job.input_strides, s.w) && line(job.output_strides, p.ow);
        let block = (p.caches.l2 / 2 / 4 / (nr * (p.k() + 1))).max(1);
        // Tiles whose inputs fill half of the first cache go to one call, since all panels pass over them.
        // So do tiles whose outputs fit, where they are passed over once more.
        let pixel = if job.finish.is_some() { p.k().max(s.c_out) } else { p.k() };
        let together = (p.caches.l1 / 2 / size_of::<f32>() / (self.mr(p) * pixel)).max(1);
        let mut first = panels.start;
        while first < panels.end {
            let end = (first + block).min(panels.end);
            let (first_group, first_panel) = (first / per_group, first % per_group);
            let (mut image, mut tile) = (tiles.start / per_image, tiles.start % per_image);
            let mut left = tiles.len();
            while left > 0 {
                let pixels = tiling.range(tile);
                let alike = if regular { tiling.alike(tile).min(together).min(left) } else { 1 };
                if !regular {
                    // SAFETY: these are pixels of the image, and of one tile.
                    unsafe { table.fill_out(job, image, pixels.clone()) };
                }
                let at = |strides: Strides| image * strides.image + pixels.start * strides.pixel;
                let (mut panel, mut g, mut j) = (first, first_group, first_panel);
                let mut filled = false;
                let (mut segments, mut run) = (1, p.cg_in);
                while panel < end {
                    // SAFETY: the table has room for a full tile; panels of a group lie one after the other, all but the
                    // last of full width; the output pixels hold `width` channels from channel `c` on.
                    unsafe {
                        if !regular && !filled {
                            filled = true;
                            (segments, run) = table.fill(job, self.merges(p), zeros, image, pixels.clone());
                        }
                        // As many panels of full vectors as there are go to one call, a narrower last one to its own.
                        let full = full_panels.saturating_sub(j).min(end - panel);
                        let count = full.max(1);
                        let width = if full > 0 { full * nr } else { p.cg_out - j * nr };
                        let nv = if full > 0 { self.micros.len() } else { width.div_ceil(self.lanes) };
                        let c = g * p.cg_out + j * nr;
                        let micro = self.micros[nv - 1][pixels.len() - 1];
                        micro(&Tile {
                            tiles: alike,
                            zeros,
                            shift: if regular { 0 } else { g * p.cg_in },
                            offsets: table.offsets,
                            pointers: if regular { core::ptr::null() } else { table.pointers },
                            input: job.input.wrapping_add(at(job.input_strides) + g * p.cg_in),
                            input_step: job.input_strides.pixel,
                            output: job.output.wrapping_add(at(job.output_strides)),
                            output_step: job.output_strides.pixel,
                            segments,
                            run,
                            panel: job.weights.add(g * group_len + j * nr * (p.k() + 1)),
                            panels: count,
                            panel_len: nv * self.lanes * (p.k() + 1),
                            out: table.out,
                            channel: c,
                            last: if full > 0 { self.lanes } else { width - (nv - 1) * self.lanes },
                            clamp: job.clamp,
                        });
                        (panel, j) = (panel + count, j + count);
                        if j == per_group {
                            (g, j) = (g + 1, 0);
                        }
                    }
                }
                if let Some(f) = &job.finish {
                    let channel = |panel: usize| panel / per_group * p.cg_out + panel % per_group * nr;
                    let pixels = pixels.start..pixels.start + alike * pixels.len();
                    // SAFETY: these channels of these pixels have just been written.
                    unsafe { f.apply_to(job, image, pixels, channel(first)..channel(end)) };
                }
                (tile, left) = (tile + alike, left - alike);
                if tile == per_image {
                    (image, tile) = (image + 1, 0);
                }
            }
            first = end;
        }
    }
}
