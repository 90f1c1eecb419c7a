//! Depthwise convolution, channels before rows, multiplier 1: down a plane, a strip of columns at a time.
//!
//! Vectors run along a row and weights are scalars, as in [`super::direct_nchw`]. The micro-kernel keeps the sums of all output
//! rows that an input row contributes to, so that each input row is read once per plane:
//!
//! ```text
//! for each image, channel, strip of up to NV vectors of the row         (driver; the micro-kernel where one strip is a row)
//!     for each input row                                                (micro-kernel)
//!         sums of the output row that begins here = bias
//!         sums += x * w[ky][kx]   of the output rows that see it, for all its kernel columns
//!         if an output row ends here: clamp, store
//! ```
//!
//! The last vector of a strip that ends a row is moved back to where the row ends, over columns that the one before it has
//! computed too. So no load or store needs a mask, and zeros beyond the row are shifted in, in registers.
//!
//! Shapes with other padding than half a kernel, and rows of a vector or less, are computed by [`super::direct_nchw`].

use super::direct_nchw::DirectNchw;
use super::{Algorithm, Job, Part, Problem};
use crate::pack::{Aligned, Source};

/// A strip of a plane, or the same strip of the planes of several channels.
pub(crate) struct Strip {
    /// Vectors of the strip: two at least.
    pub vectors: usize,
    /// Input of the first row that is inside, at the column of the middle tap of the strip's first output.
    pub input: *const f32,
    /// The same at the first tap of the first output of the strip's last vector.
    pub last: *const f32,
    pub in_row: usize,
    pub in_channel: usize,
    /// The strip's first output, and the first one of its last vector.
    pub out: *mut f32,
    pub out_last: *mut f32,
    pub out_row: usize,
    pub out_channel: usize,
    /// Output rows, one at least, and rows of their windows that are outside above and below.
    pub rows: usize,
    pub top: usize,
    pub bottom: usize,
    /// Columns that the last vector's windows reach beyond the row; whether the row begins and ends with this strip.
    pub beyond: usize,
    pub begins: bool,
    pub ends: bool,
    pub channels: usize,
    /// Per channel the bias and the taps.
    pub weights: *const f32,
    pub clamp: (f32, f32),
}

/// A micro-kernel for one kernel size and stride.
pub(crate) type Micro = unsafe fn(&Strip);

/// The algorithm with a tier's micro-kernel for one kernel size and stride.
pub(crate) struct DepthwisePlanes {
    /// For shapes that the micro-kernel does not take.
    pub general: DirectNchw,
    /// Most vectors of a strip.
    pub vectors: usize,
    pub micro: Micro,
}

/// Output rows of a unit of work where there are too few channels to share out.
const BAND: usize = 8;

/// Channels from which on parts are channels.
const MANY_CHANNELS: usize = 16;

impl DepthwisePlanes {
    /// Whether the micro-kernel takes it: half a kernel of padding, and taps of a row's last vector, and of all whole vectors
    /// before it, inside the row but for that padding.
    fn fits(&self, p: &Problem) -> bool {
        let s = &p.shape;
        let (k, stride, lanes) = (self.general.k, self.general.stride, self.general.lanes);
        // Rows and columns that the last windows reach beyond the image.
        let [below, beyond] = [(p.oh, s.padding.top, s.h), (p.ow, s.padding.left, s.w)]
            .map(|(outputs, before, size)| ((outputs - 1) * stride + k) as isize - (before + size) as isize);
        let nearly = if stride == 1 { beyond == (k / 2) as isize } else { beyond >= (k / 2) as isize - 1 };
        s.padding.left == k / 2
            && s.padding.top <= k / 2
            && below <= (k / 2) as isize
            && nearly
            && beyond <= (k / 2) as isize
            && (p.ow.saturating_sub(lanes)) * stride >= k / 2
            && (stride == 2 || (p.ow.div_ceil(lanes) - 1) * lanes + k / 2 <= s.w)
    }

    fn bands(&self, p: &Problem) -> usize {
        p.oh.div_ceil(BAND)
    }

    /// Computes output rows of the planes of some channels.
    ///
    /// # Safety
    /// As [`Algorithm::run`].
    unsafe fn planes(
        &self,
        job: &Job<'_>,
        image: usize,
        channels: core::ops::Range<usize>,
        rows: core::ops::Range<usize>,
    ) {
        let p = job.problem;
        let (s, i, o) = (&p.shape, job.input_strides, job.output_strides);
        let (k, stride, lanes) = (self.general.k, self.general.stride, self.general.lanes);
        let (y, _) = p.origin(rows.start, 0);
        let end = y + ((rows.len() - 1) * stride + k) as isize;
        let (top, bottom) = (y.min(0).unsigned_abs(), (end - s.h as isize).max(0) as usize);
        let vectors = p.ow.div_ceil(lanes);
        let strips = vectors.div_ceil(self.vectors);
        // A row of several strips is computed while it is in the first cache, and so is what follows the kernel.
        let at_once = if strips == 1 && job.finish.is_none() { channels.len() } else { 1 };
        let mut c = channels.start;
        while c < channels.end {
            let count = at_once.min(channels.end - c);
            // The first input row that is inside.
            let row = (y + top as isize) as usize * i.row;
            let input = job.input.wrapping_add(image * i.image + c * i.channel + row);
            let out = job.output.wrapping_add(image * o.image + c * o.channel + rows.start * o.row);
            let mut first = 0;
            for strip in 0..strips {
                let share = (vectors - first).div_ceil(strips - strip);
                let ends = strip + 1 == strips;
                let (from, last) = (first * lanes, if ends { p.ow - lanes } else { (first + share - 1) * lanes });
                // SAFETY: as the caller promises; the strip is inside the output, its inputs inside the image but for what
                // `top`, `bottom`, `begins`, `ends` and `beyond` say.
                unsafe {
                    (self.micro)(&Strip {
                        vectors: share,
                        input: input.wrapping_add(from * stride),
                        last: input.wrapping_add(last * stride - k / 2),
                        in_row: i.row,
                        in_channel: i.channel,
                        out: out.wrapping_add(from),
                        out_last: out.wrapping_add(last),
                        out_row: o.row,
                        out_channel: o.channel,
                        rows: rows.len(),
                        top,
                        bottom,
                        beyond: ((last + lanes - 1) * stride + k).saturating_sub(k / 2 + s.w),
                        begins: strip == 0,
                        ends,
                        channels: count,
                        weights: job.weights.add(c * (k * k + 1)),
                        clamp: job.clamp,
                    });
                }
                first += share;
            }
            // SAFETY: the rows have just been written.
            unsafe { job.finish_rows(image, c..c + count, rows.clone()) };
            c += count;
        }
    }
}

impl Algorithm for DepthwisePlanes {
    fn refuses(&self, p: &Problem) -> Option<&'static str> {
        self.general.refuses(p)
    }

    fn estimate(&self, p: &Problem) -> f64 {
        self.general.estimate(p)
    }

    fn pack(&self, p: &Problem, source: &Source<'_>) -> Aligned {
        self.general.pack(p, source)
    }

    fn scratch_len(&self, p: &Problem) -> usize {
        self.general.scratch_len(p)
    }

    fn units(&self, p: &Problem) -> usize {
        if !self.fits(p) {
            self.general.units(p)
        } else if p.shape.groups >= MANY_CHANNELS {
            p.shape.groups
        } else {
            p.shape.n * self.bands(p)
        }
    }

    unsafe fn run(&self, job: &Job<'_>, part: Part) {
        let p = job.problem;
        let (n, channels) = (p.shape.n, p.shape.groups);
        // SAFETY: the caller's promise is the same; units are inside the output.
        unsafe {
            if !self.fits(p) {
                self.general.run(job, part);
            } else if channels >= MANY_CHANNELS {
                for image in 0..n {
                    self.planes(job, image, part.range(channels), 0..p.oh);
                }
            } else {
                let bands = self.bands(p);
                for unit in part.range(n * bands) {
                    let y = unit % bands * BAND;
                    self.planes(job, unit / bands, 0..channels, y..p.oh.min(y + BAND));
                }
            }
        }
    }
}
