//! Implicit GEMM, channels last: standard, grouped, pointwise convolution and fully connected layers in NHWC.
//!
//! A convolution is a matrix product: rows are output pixels, columns output channels, and the inner dimension runs over
//! taps and input channels. In NHWC the input channels of a pixel lie next to each other, so a row of the left matrix is
//! a list of runs, one per tap, each of which needs no more than a pointer:
//!
//! ```text
//! for each tile of MR output pixels                     (driver)
//!     find, per tap, the MR input pixels; those in the padding are rows of zeros, but left out where they are the first or
//!     last ones of a tile in one row; a tap that only sees padding is left out
//!     for each panel of NV vectors of output channels   (driver)
//!         acc[MR][NV] = bias                            (micro-kernel)
//!         for each tap, for each input channel k
//!             b[NV] = next NV vectors of the panel
//!             acc[m][v] += input[m][k] * b[v]
//!         clamp, store MR rows of NV vectors
//! ```
//!
//! No im2col matrix exists. Pixels of one row are found by the first one's address, tap by tap, which holds for all tiles below
//! each other that see every kernel row; a tile that spans rows has a table of `MR` pointers per tap. Where rows do not divide into full
//! tiles, the columns left at their ends are cut into tiles down the columns: short tiles have too few accumulators to hide that
//! panels come from the second cache, and pixels of a column see the same padding at the sides. Weights and bias are one packed stream per
//! panel, `[bias NR][K][NR]`, which only moves forward. Where a pixel has few channels (first layers: three) and pixels
//! lie side by side, a whole kernel row is one run of `kw * c_in` elements; runs that stick out at the left or right
//! edge are copied with their zeros into scratch.
//!
//! Registers: `MR * NV` accumulators, `NV` panel vectors, one broadcast (x86; with AVX2 and `NV > MR` one panel vector and `MR`
//! broadcasts) or `MR` quads (NEON). Loads per
//! multiply-add: `1 / MR + 1 / NV`, the latter broadcasts. Bound by the FMA ports while the panel comes from the second
//! cache, so the driver walks panels in blocks of half of it.
//!
//! Measured 2026-11-28, one Zen 4 core (59.1 GMAC/s with either vector length), AVX-512: pointwise 512 to 512 channels on
//! 14 x 14 pixels 99 % of peak, 32 to 64 on 112 x 112 98 %, 24 to 144 on 56 x 56 97 %, 1024 to 1024 on 7 x 7 99 %; 3x3 with 64
//! channels on 56 x 56 102 %, with 256 on 14 x 14 109 % (taps in the padding count and cost little). AVX2: 98 %, 95 %, 93 %, 96 %, 99 %, 102 %;
//! 2026-11-29, one Zen 3 core (51.7 GMAC/s) 97 %, 93 %, 93 %, 97 %, 99 %, 98 %; 2026-11-30, 3x3 with 256 channels on 7 x 7, 13 x 13,
//! 14 x 14 and 19 x 19 pixels 114, 106, 105 and 101 % (with each row by itself 105, 98, 98 and 95 %). AVX-512, 2026-11-30, one Zen 5 core (143
//! GMAC/s): 256 to 256 channels on 28 x 28 98 %, 64 to 128 on 56 x 56 95 %, 3x3 with 128 on 28 x 28 101 %; 2026-12-01, 8 pixels x 48
//! channels: 160 to 240 on 20 x 20 98 %, 64 to 48 on 56 x 56 91 %, 3x3 with 80 on 14 x 14 105 %.

pub(crate) use super::igemm_micro_nhwc::{Micro, Tile, micro};
use super::igemm_micro_nhwc::{enough, skips};
#[cfg(all(target_arch = "x86_64", feature = "avx512"))]
pub(crate) use super::igemm_taps::RowTap;
use super::igemm_taps::{ROW_TAP_WORDS, Table, may_go_down};
use super::igemm_tiling::{Panels, Piece, Tiling, most_pixels, pieces};
use super::{Algorithm, Job, Part, Problem};
use crate::pack::{Aligned, Source};
use crate::tensor::Layout;
use core::ops::{Range, RangeInclusive};

/// The algorithm with a tier's micro-kernels.
pub(crate) struct IgemmNhwc {
    pub lanes: usize,
    /// `micros[nv - 1][mr - 1]`; all inner slices have the same length, the largest `MR`.
    pub micros: &'static [&'static [Micro]],
    /// For a last panel that would leave lanes empty.
    pub narrow: &'static [Narrow],
    /// Whether it takes only what ends in such a panel, whose pixels share vectors.
    pub shares: bool,
    /// Cost of one vector multiply-add beside that of the tier's widest vector, where the core splits that one.
    pub width: f64,
    /// Whether micro-kernels find the pixels of a row by addition, and leave out those in the padding.
    pub skips: bool,
}

/// Micro-kernels for a last panel that would leave lanes empty.
pub(crate) struct Narrow {
    /// How many channels it has; the most are packed.
    pub channels: RangeInclusive<usize>,
    /// Cost of a pixel's multiply-add beside that of a vector of the tier.
    pub cost: f64,
    /// `micros[mr - 1]`; as many as tiles may have rows.
    pub micros: &'static [Micro],
}

/// Accumulators of a tile that hides its loads.
const LARGE_TILE: usize = 16;

/// Runs of fewer input channels than this are joined along the kernel row where the tensor allows it.
const FEW_CHANNELS: usize = 8;

impl IgemmNhwc {
    /// Most rows of a tile. Some eight hide the latency of the multiply-add and that a panel comes from the second cache. More
    /// store their sums in larger bursts, which the multiply-adds of the next tile cover less: with 14 rows a 1x1 layer of 128
    /// channels takes a hundredth longer than with 8; on cores that do not split long vectors ten take 1 % less than eight. So tiles have eight
    /// rows or more only as far as lines of pixels divide into
    /// them; where they are one vector wide, or have a table of pointers for runs of some elements, what is done per tap weighs more.
    pub(super) fn mr(&self, p: &Problem) -> usize {
        let last = self.narrow(p.cg_out % self.nr()).map_or(usize::MAX, |narrow| narrow.micros.len());
        let most = self.micros[0].len().min(last).min(most_pixels(p));
        if p.shape.is_pointwise() {
            most.min(if p.long_datapath { 10 } else { 8 })
        } else if p.cg_out <= self.lanes || self.merges(p) {
            most
        } else {
            most.min(p.ow.div_ceil((p.ow / 8).max(1)))
        }
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
        Tiling::new(1, pixels, self.mr(p), pixels as f64 * (p.shape.kh * p.shape.kw) as f64)
    }

    /// How an image's output pixels are cut into tiles; never depends on the number of parts.
    ///
    /// In a tile that lies in one row, pixels at the row's ends leave out the taps that see padding, and in a row at the top
    /// or the bottom so do all of them; where that spares more than the fullest tiles do, tiles are rows or parts of rows, or
    /// full ones and what is left at the ends of rows down the columns.
    fn tiling(&self, p: &Problem) -> Tiling {
        let s = &p.shape;
        let pixels = p.oh * p.ow;
        let flat = self.fullest(p);
        if s.kh * s.kw == 1 {
            return flat;
        }
        let mr = self.mr(p);
        // Tiles that lie in rows whose kernel row is in the padding leave it out too.
        let whole = |rows: usize| rows * p.ow / mr * mr;
        // Floating point: counts of taps may be more than an address.
        let seen: f64 =
            (0..s.kh).map(|k| p.outside(0, k)).map(|(top, bottom)| (pixels - whole(top) - whole(bottom)) as f64).sum();
        let per_line = p.ow.div_ceil(mr);
        let rows: f64 = (0..s.kh).map(|k| p.outside(0, k)).map(|(top, bottom)| (p.oh - top - bottom) as f64).sum();
        let vectors = p.cg_out.div_ceil(self.lanes);
        let nv = vectors.min(self.micros.len());
        let most = if self.skips { skips(p.ow / per_line, nv, self.lanes) } else { 0 };
        let skips = |(left, right): (usize, usize)| match per_line {
            1 if left > 0 => left.min(most),
            _ => left.min(most) + right.min(most),
        };
        let columns: f64 = (0..s.kw).map(|k| (p.ow - skips(p.outside(1, k))) as f64).sum();
        let by_rows = Tiling::new(p.oh, p.ow, mr, rows * columns);
        // In multiply-adds. A tile's calls, stores and pointers take some hundred, and its accumulators count as enough.
        // Few rows do not hide that a panel comes from the second cache: at each step, that takes as long as a part of one
        // more, as measured, below five rows a growing one.
        let cost = |tiling: &Tiling, products: f64| {
            let tiles = tiling.tiles() as f64;
            let rows = pixels as f64 / tiles;
            let fill = (self.enough(p) / (rows * nv as f64)).max(1.0);
            let streamed = if self.stays(p) { 0.0 } else { 0.2 + 0.6 * (5.0 - rows).max(0.0) };
            let products = products * fill + streamed * tiles * (s.kh * s.kw) as f64;
            products * (p.cg_in * vectors) as f64 + 100.0 * tiles
        };
        // Where pixels of a row are found by addition, others have pointers, which are found tap by tap, and loaded for each panel.
        let pointers = |tiles: usize, find: usize| {
            let find = if self.adds(p) { find + 30 * self.panels(p) } else { 0 };
            tiles as f64 * (s.kh * s.kw * find) as f64
        };
        let mut best = (cost(&by_rows, by_rows.products), by_rows);
        let flat = (cost(&flat, seen * s.kw as f64) + pointers(flat.tiles(), 120), flat);
        let joined = self.joined(p, mr, nv).map(|t| (cost(&t, t.products) + pointers(t.down(), 60), t));
        for other in [Some(flat), joined].into_iter().flatten() {
            if other.0 < best.0 {
                best = other;
            }
        }
        best.1
    }

    /// Full tiles of rows, and the columns at their ends cut down, with panels of `nv` vectors.
    fn joined(&self, p: &Problem, mr: usize, nv: usize) -> Option<Tiling> {
        if !self.adds(p) || !may_go_down(p, mr) {
            return None;
        }
        let s = &p.shape;
        // What goes down a column leaves out what all of it sees in the padding; and the first column's rows above the image, the last
        // one's below.
        let most = skips(mr, nv, self.lanes);
        let columns: f64 =
            (0..s.kw).map(|k| p.outside(1, k)).map(|(left, right)| (p.ow - left.min(most) - right) as f64).sum();
        let outside: f64 = (0..s.kh).map(|k| p.outside(0, k)).map(|(top, bottom)| (top + bottom) as f64).sum();
        let zeros = (p.ow % mr).saturating_sub(1) as f64 * outside * s.kw as f64;
        Tiling::joined(p.oh, p.ow, mr, (s.kh as f64 * p.oh as f64 - outside) * columns + zeros)
    }

    /// Accumulators that hide the latency of the multiply-add: as many as with half vectors where these take as long.
    fn enough(&self, p: &Problem) -> f64 {
        enough(if p.long_datapath { self.lanes.min(8) } else { self.lanes }) as f64
    }

    /// [`Algorithm::estimate`] for these tiles.
    pub(super) fn estimate_of(&self, p: &Problem, tiling: &Tiling) -> f64 {
        let s = &p.shape;
        let (full, rest) = (p.cg_out / self.nr(), p.cg_out % self.nr());
        let narrow = if rest == 0 { None } else { self.narrow(rest) };
        let rest = rest.div_ceil(self.lanes);
        // Short tiles pay as if they had the accumulators that hide the latency of the multiply-add.
        let tiles = (s.n * tiling.tiles()) as f64;
        let rows = (p.oh * p.ow) as f64 / tiling.tiles() as f64;
        let panels = |nv: usize| if nv == 0 { 0.0 } else { (rows * nv as f64).max(self.enough(p)) };
        // A single pixel passes over several full panels at a time, and then over the last one.
        let alone = s.is_pointwise() && rows == 1.0;
        let full = if alone { panels(full * self.micros.len()) } else { full as f64 * panels(self.micros.len()) };
        // A narrower last panel has fewer multiply-adds per load: a tenth slower, as measured; hardly where its tiles are still large.
        let slower_panel = if rest * self.micros[0].len() < LARGE_TILE { 1.1 } else { 1.02 };
        // Two pixels do not hide that the pointers of every tap are loaded anew.
        let looks_up = self.mr(p) < 3 && !s.is_pointwise();
        let slower = if looks_up { 1.1 } else { 1.0 };
        // Per tap and pixel: finding the input pixel, about one multiply-add's time.
        let taps = tiling.products / (p.oh * p.ow) as f64;
        let narrow = match narrow {
            // Fewer multiply-adds hide less of what a tile does beside.
            Some(_) if alone => panels(1),
            Some(narrow) => narrow.cost * rows.max(enough(self.lanes / 2) as f64),
            None if rest == self.micros.len() => panels(rest),
            None => slower_panel * panels(rest),
        };
        let steps = tiles * (full + narrow) * taps * p.cg_in as f64;
        // Where pixels share vectors, more than that begins with each tap.
        let tap = if self.shares && !s.is_pointwise() { 4.0 } else { 1.0 };
        s.groups as f64 * (steps * p.vector_cost(self.width) * slower + tap * tiles * rows * (s.kh * s.kw) as f64)
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

    /// The micro-kernels of a panel of `width` channels, the lanes of its vectors, and its packed channels.
    pub(super) fn panel(&self, width: usize) -> (&'static [Micro], usize, usize) {
        match self.narrow(width) {
            Some(narrow) => (narrow.micros, *narrow.channels.end(), *narrow.channels.end()),
            None => {
                let vectors = width.div_ceil(self.lanes);
                (self.micros[vectors - 1], self.lanes, vectors * self.lanes)
            }
        }
    }

    /// The micro-kernels for a last panel of so many channels, if there are some of their own.
    fn narrow(&self, width: usize) -> Option<&'static Narrow> {
        self.narrow.iter().find(|n| n.channels.contains(&width))
    }

    /// Whether sharing vectors pays: it takes shuffles, for which cores that split long vectors have few units, and short runs of many
    /// taps do not outweigh what is done for each.
    fn sharing_pays(&self, p: &Problem) -> bool {
        p.long_datapath && p.cg_in >= if p.shape.is_pointwise() { FEW_CHANNELS } else { 12 }
    }

    /// Floats of a group's packed panels. Not a sum over panels: blocks ask this anew for every few rows.
    fn packed_len(&self, p: &Problem) -> usize {
        let rest = p.cg_out % self.nr();
        let packed = if rest == 0 { 0 } else { self.panel(rest).2 };
        (p.cg_out - rest + packed) * (p.k() + 1)
    }

    /// Floats from a group's packed panels to the next one's: whole vectors.
    pub(super) fn group_len(&self, p: &Problem) -> usize {
        self.packed_len(p).next_multiple_of(self.lanes)
    }

    /// Whether the work is cut by panels of output channels rather than by pixels: when the weights are the larger
    /// operand, so that each thread streams its own share of them.
    fn splits_panels(&self, p: &Problem, tiling: &Tiling) -> bool {
        let s = &p.shape;
        let weights = s.c_out * p.k();
        let panels = s.groups * self.panels(p);
        panels > 1 && (weights > s.n * s.c_in * s.h * s.w || s.n * tiling.tiles() < 4)
    }

    /// Whether the pixels of a tile in one row are found by addition.
    fn adds(&self, p: &Problem) -> bool {
        self.skips && !self.merges(p)
    }

    fn merges(&self, p: &Problem) -> bool {
        let s = &p.shape;
        s.groups == 1 && s.dilation[1] == 1 && s.kw > 1 && s.stride[1] <= s.kw && s.c_in < FEW_CHANNELS
    }
}

impl Algorithm for IgemmNhwc {
    fn refuses(&self, p: &Problem) -> Option<&'static str> {
        match p.layout {
            Layout::Nchw => Some("computes NHWC"),
            Layout::Nhwc if self.shares && self.narrow(p.cg_out % self.nr()).is_none() => {
                Some("computes channel counts that leave a last panel of up to 24")
            }
            Layout::Nhwc => None,
        }
    }

    fn estimate(&self, p: &Problem) -> f64 {
        let cost = self.estimate_of(p, &self.tiling(p));
        // Without, the same takes the row that shares nothing.
        if self.shares && !self.sharing_pays(p) { 10.0 * cost } else { cost }
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
                let (_, _, padded) = self.panel(width);
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
            (self.packed_len(p)..group_len).for_each(|_| out.put(0.0));
        }
        packed
    }

    fn scratch_len(&self, p: &Problem) -> usize {
        let s = &p.shape;
        let words = s.kh * s.kw * (self.mr(p) + 1).max(ROW_TAP_WORDS) + self.mr(p);
        let patches = if self.merges(p) { s.kh * self.mr(p) * s.kw * s.c_in } else { 0 };
        // Words are pointers, and scratch starts where any float may.
        (words + 1) * size_of::<usize>() / size_of::<f32>() + patches
    }

    fn units(&self, p: &Problem) -> usize {
        self.units_of(p, &self.tiling(p))
    }

    unsafe fn run(&self, job: &Job<'_>, part: Part) {
        let p = job.problem;
        let tiling = self.tiling(p);
        if part.of == 1 {
            // Blocks run a plan for every few rows: no time for finding a part's share.
            let all = (0..p.shape.groups * self.panels(p), 0..p.shape.n * tiling.tiles());
            // SAFETY: as the caller promises.
            return unsafe { self.piece(job, &tiling, all.0, all.1) };
        }
        for (panels, tiles) in self.pieces(p, &tiling, part) {
            // SAFETY: as the caller promises; these are this part's own.
            unsafe { self.piece(job, &tiling, panels, tiles) };
        }
    }
}

/// How a tile's pixels lie.
#[derive(Clone, Copy, PartialEq)]
enum Lie {
    /// One after the other, as in a pointwise layer.
    InLine,
    /// A step apart in one row, tap by tap; as many as a column of the image has rows have the same taps.
    InRows,
    /// Where a pointer says, tap by tap.
    Anywhere,
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
        let mr = self.mr(p);
        let group_len = self.group_len(p);
        let (full_panels, widest) = (p.cg_out / nr, self.panel(nr));
        // SAFETY: pack() put the zeros after the panels.
        let zeros = unsafe { job.weights.add(s.groups * group_len) };
        let table = Table::new(job, mr);
        let (i, o) = (job.input_strides, job.output_strides);
        let without_gaps = i.row == s.w * i.pixel && o.row == p.ow * o.pixel;
        let pixels_lie = if s.is_pointwise() && s.stride == [1, 1] && without_gaps {
            Lie::InLine
        } else if self.adds(p) && tiling.in_rows(p.oh) {
            Lie::InRows
        } else {
            Lie::Anywhere
        };
        // Rows whose tiles see all kernel rows: in a column, all of them have the same taps.
        let inner = match pixels_lie {
            Lie::InRows => p.outside(0, 0).0..p.oh - p.outside(0, s.kh - 1).1,
            _ => 0..0,
        };
        let block = (p.caches.l2 / 2 / 4 / (nr * (p.k() + 1))).max(1);
        // Tiles whose inputs fill half of the first cache go to one call, since all panels pass over them.
        // So do tiles whose outputs fit, where they are passed over once more.
        let pixel = if job.finish.is_some() { p.k().max(s.c_out) } else { p.k() };
        let together = (p.caches.l1 / 2 / size_of::<f32>() / (mr * pixel)).max(1);
        let mut first = panels.start;
        while first < panels.end {
            let end = (first + block).min(panels.end);
            let (mut image, mut tile) = (tiles.start / per_image, tiles.start % per_image);
            let mut left = tiles.len();
            while left > 0 {
                let pixels = tiling.pixels(tile, p.ow);
                let (len, y, x) = (pixels.count, pixels.y, pixels.x);
                let pixels_lie = if pixels.down { Lie::Anywhere } else { pixels_lie };
                // SAFETY: the table has room for a full tile; these are pixels of the image and of one tile, in one row if
                // all tiles are.
                let (alike, next, (segments, run)) = unsafe {
                    match pixels_lie {
                        Lie::InLine => {
                            let alike = tiling.alike(tile).min(together).min(left);
                            (alike, [i.pixel * len, o.pixel * len], (1, p.cg_in))
                        }
                        Lie::InRows => {
                            let most = if job.finish.is_some() { together.min(left) } else { left };
                            let alike = if inner.contains(&y) { most.min(inner.end - y) } else { 1 };
                            let segments = table.fill_row(job, image, pixels);
                            (alike, [s.stride[0].wrapping_mul(i.row), o.row], (segments, p.cg_in))
                        }
                        Lie::Anywhere => {
                            table.fill_out(job, image, pixels);
                            (1, [0, 0], table.fill(job, self.merges(p), zeros, image, pixels))
                        }
                    }
                };
                let (mut panel, mut g, mut j) = (first, first / per_group, first % per_group);
                while panel < end {
                    // As many panels of full vectors as there are go to one call, a narrower last one to its own.
                    let full = full_panels.saturating_sub(j).min(end - panel);
                    let count = full.max(1);
                    let width = if full > 0 { nr } else { p.cg_out - j * nr };
                    let (micros, lanes, packed) = if full > 0 { widest } else { self.panel(width) };
                    let input = image * i.image + y * i.row + x * i.pixel + g * p.cg_in;
                    let tile = Tile {
                        tiles: alike,
                        next,
                        offsets: table.offsets,
                        pointers: if pixels_lie == Lie::Anywhere { table.pointers } else { core::ptr::null() },
                        row: if pixels_lie == Lie::InRows { table.row } else { core::ptr::null() },
                        shift: if pixels_lie == Lie::InLine { 0 } else { g * p.cg_in },
                        zeros,
                        input: job.input.wrapping_add(input),
                        input_step: i.pixel.wrapping_mul(s.stride[1]),
                        output: job.output.wrapping_add(image * o.image + y * o.row + x * o.pixel),
                        output_step: o.pixel,
                        segments,
                        run,
                        // SAFETY: panels of a group lie one after the other, all but the last of full width.
                        panel: unsafe { job.weights.add(g * group_len + j * nr * (p.k() + 1)) },
                        panels: count,
                        panel_len: packed * (p.k() + 1),
                        out: table.out,
                        channel: g * p.cg_out + j * nr,
                        last: lanes - (packed - width),
                        clamp: job.clamp,
                    };
                    // SAFETY: the output pixels hold `width` channels from `channel` on; the rest as above.
                    unsafe { micros[len - 1](&tile) };
                    (panel, j) = (panel + count, j + count);
                    if j == per_group {
                        (g, j) = (g + 1, 0);
                    }
                }
                if let Some(f) = &job.finish {
                    let channel = |panel: usize| panel / per_group * p.cg_out + panel % per_group * nr;
                    let apply = |start: usize, len: usize| {
                        // SAFETY: these channels of these pixels have just been written.
                        unsafe { f.apply_to(job, image, start..start + len, channel(first)..channel(end)) };
                    };
                    // Tiles of a column are a row apart; others follow each other.
                    match pixels_lie {
                        Lie::InRows => (0..alike).for_each(|row| apply((y + row) * p.ow + x, len)),
                        _ if pixels.down => pixels.places(p).for_each(|(y, x)| apply(y * p.ow + x, 1)),
                        _ => apply(y * p.ow + x, alike * len),
                    }
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
