//! Depthwise 3x3, channels before rows, multiplier 1: strips of the image itself, of one vector, with unfinished sums carried down.
//!
//! Vectors run along a row. The nine weights of a plane stay in registers, each input row is read once, and nothing is copied:
//!
//! ```text
//! for each plane                                                     (micro-kernel)
//!     w[3][3] = the weights, one lane to all
//!     for each strip, for each input row       (down: narrow maps; sums are carried in registers)
//!     or for each input row, for each strip    (along: wide maps; sums are carried in a buffer)
//!         left, middle, right = the vectors of the row under the three kernel columns
//!         sum[ky] = left * w[ky][0] + middle * w[ky][1] + right * w[ky][2]
//!         the output row that ends here:    clamp and store what was carried + sum[2]
//!         the one that goes on (stride 1):  carry what was carried + sum[1]
//!         the one that begins here:         carry bias + sum[0]
//! ```
//!
//! With stride 2 an output row begins and ends with every other row and takes `sum[1]` of those between. Both orders give the same bits.
//!
//! What an input row adds is summed by itself: three multiply-adds follow each other, where nine for one output would keep more
//! of them waiting than a core can have under way. Additions have units of their own beside those that multiply.
//!
//! Down strips, a map of up to 28 columns stays in the first cache from one strip to the next, and weights in registers. Of a wide one from a
//! further cache, rows are what prefetchers follow: 3x3 on 112 x 112 x 32 takes 82 us along rows, 100 down strips, with stride 2 on
//! 56 x 56 x 128 46 and 52; but 28 x 28 x 192 45 and 38, since each row begins and ends for few strips.
//!
//! Rows above and below the image are left out or zeros. Columns before and after a row are masked. The last strip is
//! moved back to where it ends with the row, over outputs that are computed twice; a row of less than a vector is stored whole where the
//! next ones are written after it. Planes of one strip follow each other without a new beginning. Down strips, what is left of a row behind
//! whole vectors, if it is half a vector at most, is taken of two planes at once, half a vector each: the same instructions and a store
//! more, with weights of both planes in turn. With stride 1 each column takes a second load, or a shift where none follows.
//!
//! With stride 2, even and odd columns of two vectors are parted by one shuffle each, which leaves quarters out of place; all sums
//! are in that order, and it is mended once per output. The left column is the even ones of the same two vectors a column earlier.
//!
//! Registers with AVX2: 9 weights, 3 columns, a sum, two that are carried, a mask: 16. Per vector of outputs, stride 1: 3 loads (5 along a
//! row), 19 instructions for 9 multiply-adds; stride 2: 8 loads (9), 30 instructions. Bound by the FMA ports in the first cache with stride 1,
//! 4.5 cycles per vector, of which 4.7 are reached; with stride 2, in 8.2 cycles, by shuffles, which share a port with multiply-adds.
//!
//! AVX-512 has [`super::depthwise_nchw`], which takes a row's columns from registers, NEON `depthwise_planes_nchw`, which takes them from
//! lanes and reads each row once.
//!
//! Tried without gain (us on Zen 3): blocks of two to seven output rows, sums in registers (3x3 on 112 x 112 x 32 93, 56 x 56 x 128 95, 14 x 14 x 512
//! 34, 7 x 7 x 1024 24; down or along 82, 88, 27, 15.5); strips of bands of 8 to 56 rows (96 to 100 on 112 x 112 x 32); software prefetch of the next
//! strip; with stride 2 columns parted once per output, by twelve multiply-adds on columns in turn in place of nine (no change);
//! the middle column as an operand in memory (a fifth slower on 14 x 14: askew loads).
//!
//! Measured 2026-11-30, one Zen 3 core (51.7 GMAC/s), AVX2, percent of peak: 3x3 stride 1 on maps 112, 56, 28, 20, 14, 12, 10, 8 and 7 wide 85, 79,
//! 70, 70, 67, 62, 51, 68 and 56; stride 2 from 112, 56, 28, 24, 20, 16 and 14 wide 41, 38, 36, 40, 32, 42 and 36.

use super::{Algorithm, Job, LINE, Part, Problem};
use crate::pack::{Aligned, Source};
use crate::tensor::Layout;
use core::ops::Range;

/// Rows of some planes for the micro-kernel.
pub(crate) struct Planes {
    pub planes: usize,
    /// The image's first row, from the middle column of the first window on; the number of that column, of rows and of columns; the
    /// distances between rows and planes.
    pub input: *const f32,
    pub column: usize,
    pub h: usize,
    pub w: usize,
    pub in_row: usize,
    pub in_plane: usize,
    /// The first row of the first output's window; negative in the padding.
    pub first: isize,
    /// The first output, the distances between rows and planes, rows and columns.
    pub out: *mut f32,
    pub out_row: usize,
    pub out_plane: usize,
    pub rows: usize,
    pub ow: usize,
    /// Outputs from the first one on that are this call's own, without a gap: a vector may be written there before the next row is.
    pub own: usize,
    /// Whether the last output's window reaches a column beyond the image.
    pub beyond: bool,
    /// Whether rows and planes follow each other without gaps, two vectors and more, and whether the last plane is the input's last one.
    pub dense: bool,
    pub ends: bool,
    /// Place for the sums carried along a row, `(3 - S) * LANES` for each of its strips, and a row outside of the image; null if strips are
    /// computed one by one.
    pub carried: *mut f32,
    pub zeros: *const f32,
    /// `[bias][3][3]` of each plane.
    pub weights: *const f32,
    pub clamp: (f32, f32),
}

/// A micro-kernel for one stride.
pub(crate) type Micro = unsafe fn(&Planes);

/// What holds for the rows of all strips of a plane.
pub(crate) struct Rows {
    /// Input rows from the image's first row on that come before those that the first output row ends with, or pairs of them.
    pub begin: isize,
    /// With stride 1, the place of the first one if all are inside the image.
    pub begin_x: Option<usize>,
    /// Output rows that end with rows inside the image and may be stored whole, the first one and the place of the input rows it ends with.
    pub inside: usize,
    pub first: usize,
    pub inside_x: usize,
    /// Output rows that may be stored whole.
    pub whole: usize,
}

impl Planes {
    /// What holds for the rows of a plane of which the first `whole` may be stored whole.
    pub(crate) fn rows_of(&self, stride: usize, whole: usize) -> Rows {
        let (end, h) = (self.end(0, stride), self.h as isize);
        let begin = (end - self.first.max(0)).max(0);
        let first = ((-end).max(0) as usize).div_ceil(stride);
        let last = (h - end).max(0) as usize / stride;
        Rows {
            begin,
            begin_x: (stride == 1 && begin > 0 && end <= h).then(|| self.first.max(0) as usize * self.in_row),
            inside: last.min(whole).saturating_sub(first),
            first,
            inside_x: self.end(first as isize, stride) as usize * self.in_row,
            whole,
        }
    }

    /// The rows of a plane of which `lanes` outputs, more than there are, may be stored, since others are to come.
    pub(crate) fn whole(&self, plane: usize, lanes: usize) -> usize {
        match self.own.checked_sub(plane * self.out_plane + lanes) {
            None => 0,
            Some(more) if more >= (self.rows - 1) * self.out_row => self.rows,
            Some(more) => more / self.out_row + 1,
        }
    }

    /// Whether two vectors after the last row of a plane may be read.
    pub(crate) fn followed(&self, plane: usize) -> bool {
        self.dense && !(self.ends && plane + 1 == self.planes)
    }

    /// The first of the `stride` input rows that output row `y` ends with; those before row 0 are not wanted.
    pub(crate) fn end(&self, y: isize, stride: usize) -> isize {
        let stride = stride as isize;
        self.first + y * stride + 3 - stride
    }

    /// An input row of a plane or a strip that has its first row at `x`, if it is inside the image.
    pub(crate) fn row(&self, x: *const f32, y: isize) -> Option<*const f32> {
        (y >= 0 && (y as usize) < self.h).then(|| x.wrapping_add(y as usize * self.in_row))
    }
}

/// The algorithm with a tier's micro-kernel for one stride.
pub(crate) struct DepthwiseStripNchw {
    pub lanes: usize,
    pub stride: usize,
    /// Columns from which on it is better than what copies planes or goes by way of channels last.
    pub least_columns: usize,
    /// Columns from which on a row is computed after the other, not a strip.
    pub along: usize,
    pub micro: Micro,
}

impl DepthwiseStripNchw {
    /// Columns that the last output's window reaches beyond the image.
    fn beyond(&self, p: &Problem) -> isize {
        ((p.ow - 1) * self.stride + 3) as isize - (p.shape.padding.left + p.shape.w) as isize
    }

    /// Floats of the sums that are carried along a row.
    fn carried(&self, p: &Problem) -> usize {
        (3 - self.stride) * p.ow.next_multiple_of(self.lanes)
    }

    /// Floats of a row of zeros, of which the last strip reads whole vectors.
    fn zeros(&self, p: &Problem) -> usize {
        p.shape.w + 3 * self.lanes
    }
}

impl Algorithm for DepthwiseStripNchw {
    fn refuses(&self, p: &Problem) -> Option<&'static str> {
        if p.layout != Layout::Nchw {
            Some("computes NCHW")
        } else if p.cg_in != 1 || p.cg_out != 1 {
            Some("computes depthwise convolution with multiplier 1")
        } else if p.ow < self.lanes / 2 {
            Some("computes rows of half a vector or more")
        } else if p.shape.padding.left > 1 || self.beyond(p) > 1 {
            Some("computes windows that reach no more than a column beyond the image")
        } else {
            p.differs_from(3, self.stride)
        }
    }

    fn estimate(&self, p: &Problem) -> f64 {
        // The least of all that can compute a shape, or the most, however many rows of it: as `depthwise_padded_nchw` says.
        // With stride 2, a vector of the image may be wider than a row of less than one of outputs.
        let narrow = self.stride == 2 && p.shape.w + p.shape.padding.left <= self.lanes;
        let cost = if p.ow < self.least_columns || narrow { 60.0 } else { 0.04 };
        cost * (p.shape.n * p.shape.c_out * p.oh * p.ow.div_ceil(self.lanes)) as f64 * p.k() as f64
    }

    fn pack(&self, p: &Problem, source: &Source<'_>) -> Aligned {
        source.depthwise(p.shape.groups, |tap| (tap / 3, tap % 3))
    }

    fn scratch_len(&self, p: &Problem) -> usize {
        if p.ow < self.along { 0 } else { LINE + self.carried(p) + self.zeros(p) }
    }

    fn units(&self, p: &Problem) -> usize {
        p.shape.n * p.shape.groups * p.oh
    }

    unsafe fn run(&self, job: &Job<'_>, part: Part) {
        let p = job.problem;
        let s = &p.shape;
        if p.ow >= self.along {
            let zeros = self.sums(job).wrapping_add(self.carried(p));
            // SAFETY: scratch has so many floats.
            unsafe { zeros.write_bytes(0, self.zeros(p)) };
        }
        let mut own = part.range(s.n * s.groups * p.oh);
        while !own.is_empty() {
            let (plane, y) = (own.start / p.oh, own.start % p.oh);
            let (image, channel) = (plane / s.groups, plane % s.groups);
            // Whole planes by one call; but outputs are finished while they are in the first cache.
            let most = if job.finish.is_some() { p.caches.l1 / 4 / size_of::<f32>() / p.ow } else { usize::MAX };
            let (planes, rows) = if y == 0 && own.len() >= p.oh && most >= p.oh {
                ((own.len() / p.oh).min(s.groups - channel).min(most / p.oh), p.oh)
            } else {
                (1, own.len().min(p.oh - y).min(most.max(LEAST_ROWS)))
            };
            // SAFETY: all units are inside the output; those of this part are its own.
            unsafe { self.rows(job, image, channel..channel + planes, y..y + rows) };
            own.start += planes * rows;
        }
    }
}

/// Rows that are computed before they are finished, at least: each time, two input rows are read again.
const LEAST_ROWS: usize = 8;

impl DepthwiseStripNchw {
    /// Place for the sums that are carried along a row, at the start of a line.
    fn sums(&self, job: &Job<'_>) -> *mut f32 {
        job.scratch.wrapping_add(job.scratch.align_offset(LINE * size_of::<f32>()))
    }

    /// Computes rows of some planes of an image: all of them, if there are several.
    ///
    /// # Safety
    /// As [`Algorithm::run`]; the rows belong to the part.
    unsafe fn rows(&self, job: &Job<'_>, image: usize, planes: Range<usize>, rows: Range<usize>) {
        let p = job.problem;
        let (s, i, o) = (&p.shape, job.input_strides, job.output_strides);
        let dense_inputs = i.row == s.w && i.channel == s.h * s.w && (s.n == 1 || i.image == s.groups * i.channel);
        let dense_outputs = o.row == p.ow && (planes.len() == 1 || o.channel == p.oh * p.ow);
        // Columns of strips are counted from the middle of a window, which is inside the image.
        let column = 1 - s.padding.left;
        // SAFETY: as the caller promises.
        unsafe {
            (self.micro)(&Planes {
                planes: planes.len(),
                input: job.input.add(image * i.image + planes.start * i.channel + column),
                column,
                h: s.h,
                w: s.w,
                in_row: i.row,
                in_plane: i.channel,
                first: p.origin(rows.start, 0).0,
                out: job.output.add(image * o.image + planes.start * o.channel + rows.start * o.row),
                out_row: o.row,
                out_plane: o.channel,
                rows: rows.len(),
                ow: p.ow,
                own: if dense_outputs { planes.len() * rows.len() * p.ow } else { 0 },
                beyond: self.beyond(p) > 0,
                dense: dense_inputs && s.h * s.w >= 2 * self.lanes,
                ends: planes.end == s.groups && image + 1 == s.n,
                carried: if p.ow < self.along { core::ptr::null_mut() } else { self.sums(job) },
                // It begins with a column before the first.
                zeros: self.sums(job).wrapping_add(self.carried(p) + 1),
                weights: job.weights.add(planes.start * (p.k() + 1)),
                clamp: job.clamp,
            });
            job.finish_rows(image, planes, rows);
        }
    }
}
