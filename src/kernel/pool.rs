//! Max and average pooling, and the average of a whole map.
//!
//! One micro-kernel does nearly all: a reduction over a window of taps for outputs that lie next to each other.
//!
//! - Channels last, those are the channels of a pixel, and the window is rows by columns of pixels. One load per tap:
//!   bound by the load ports. Four vectors of channels run side by side, so that latency is hidden.
//! - Channels first, those are the columns of a row, where windows are one element apart: taps of a vector of windows are
//!   next to each other too. Windows two elements apart ([`line`]) separate even and odd elements in registers; other
//!   strides, and windows that reach into the padding, are scalar.
//!
//! Taps in the padding do not take part, and the average is over those that do. The order in which the taps of one output
//! are reduced depends on its window only, not on the cut into parts.

use super::Part;
use crate::axis;
use crate::shape::{Conv2dShape, Padding};
use crate::tensor::{Layout, Strides};
use crate::vector::Vector;

/// Pixels (or lines) of outputs next to each other, whose windows have the same extent.
pub(crate) struct Windows {
    /// First tap of the first output.
    pub input: *const f32,
    /// Taps and the distances between them.
    pub rows: usize,
    pub row_step: usize,
    pub columns: usize,
    pub column_step: usize,
    /// Outputs next to each other.
    pub count: usize,
    pub output: *mut f32,
    /// Pixels and the distances between them.
    pub pixels: usize,
    pub input_pixel: usize,
    pub output_pixel: usize,
    /// What a sum is divided by; 1 leaves it.
    pub divisor: f32,
}

/// A micro-kernel over [`Windows`].
pub(crate) type WindowsFn = unsafe fn(&Windows);

/// Windows along lines.
pub(crate) struct Line {
    /// First tap of the first output.
    pub input: *const f32,
    /// Elements from one window to the next.
    pub step: usize,
    pub rows: usize,
    pub row_step: usize,
    /// Taps of a row, next to each other.
    pub taps: usize,
    /// Outputs of a line.
    pub count: usize,
    pub output: *mut f32,
    /// Lines and the distances between them.
    pub lines: usize,
    pub input_line: usize,
    pub output_line: usize,
    /// What a sum is divided by; 1 leaves it.
    pub divisor: f32,
}

/// A micro-kernel over a [`Line`].
pub(crate) type LineFn = unsafe fn(&Line);

/// Whole planes, channels first.
pub(crate) struct Planes {
    pub input: *const f32,
    pub channels: usize,
    pub channel_step: usize,
    pub rows: usize,
    pub row_step: usize,
    pub columns: usize,
    pub output: *mut f32,
    pub output_step: usize,
    /// Elements of a plane.
    pub divisor: f32,
}

/// A micro-kernel over [`Planes`].
pub(crate) type PlanesFn = unsafe fn(&Planes);

/// What becomes of the taps of a window.
pub(crate) trait Reduce {
    /// The result of no tap.
    const START: f32;

    /// # Safety
    /// The CPU has the tier.
    unsafe fn vector<V: Vector>(all: V, x: V) -> V;

    fn one(all: f32, x: f32) -> f32;
}

/// The greatest, NaN if there is one.
pub(crate) struct Maximum;

impl Reduce for Maximum {
    const START: f32 = f32::NEG_INFINITY;

    #[inline(always)]
    unsafe fn vector<V: Vector>(all: V, x: V) -> V {
        // SAFETY: as the caller promises.
        unsafe { all.maximum(x) }
    }

    #[inline(always)]
    fn one(all: f32, x: f32) -> f32 {
        if x > all || x.is_nan() { x } else { all }
    }
}

/// The sum.
pub(crate) struct Sum;

impl Reduce for Sum {
    const START: f32 = 0.0;

    #[inline(always)]
    unsafe fn vector<V: Vector>(all: V, x: V) -> V {
        // SAFETY: as the caller promises.
        unsafe { all.add(x) }
    }

    #[inline(always)]
    fn one(all: f32, x: f32) -> f32 {
        all + x
    }
}

/// Reduces every window.
///
/// # Safety
/// The CPU has the tier of `V`; all taps are readable and all outputs writable.
#[inline(always)]
pub(crate) unsafe fn windows<V: Vector, R: Reduce>(w: &Windows) {
    for pixel in 0..w.pixels {
        let (input, output) =
            (w.input.wrapping_add(pixel * w.input_pixel), w.output.wrapping_add(pixel * w.output_pixel));
        // SAFETY: the vectors lie below `count`. The last one is moved back over outputs already done, or partial if there
        // is no whole one.
        unsafe {
            let mut i = 0;
            while i + 4 * V::LANES <= w.count {
                block::<V, R, 4>(w, input.add(i), output.add(i), V::LANES);
                i += 4 * V::LANES;
            }
            while i + V::LANES <= w.count {
                block::<V, R, 1>(w, input.add(i), output.add(i), V::LANES);
                i += V::LANES;
            }
            if i < w.count {
                let lanes = w.count.min(V::LANES);
                let at = w.count - lanes;
                block::<V, R, 1>(w, input.add(at), output.add(at), lanes);
            }
        }
    }
}

/// `B` vectors of outputs; `lanes` of them all, where fewer than `LANES` only with `B = 1`.
///
/// # Safety
/// As [`windows`].
#[inline(always)]
unsafe fn block<V: Vector, R: Reduce, const B: usize>(w: &Windows, input: *const f32, output: *mut f32, lanes: usize) {
    // SAFETY: as the caller promises.
    unsafe {
        let whole = lanes == V::LANES;
        let mut all = [V::splat(R::START); B];
        for row in 0..w.rows {
            for column in 0..w.columns {
                let tap = input.add(row * w.row_step + column * w.column_step);
                for (b, all) in all.iter_mut().enumerate() {
                    let from = tap.add(b * V::LANES);
                    let x = if whole { V::load(from) } else { V::load_range(from, 0, lanes) };
                    *all = R::vector(*all, x);
                }
            }
        }
        for (b, mut all) in all.into_iter().enumerate() {
            if w.divisor != 1.0 {
                all = all.div(V::splat(w.divisor));
            }
            let to = output.add(b * V::LANES);
            if whole { all.store(to) } else { all.store_first(to, lanes) }
        }
    }
}

/// Reduces every window of every line, any step; vectors where the step is 2.
///
/// # Safety
/// The CPU has the tier of `V`; of every row `(count - 1) * step + taps` floats are readable, and `count` writable.
#[inline(always)]
pub(crate) unsafe fn line<V: Vector, R: Reduce>(l: &Line) {
    for line in 0..l.lines {
        let input = l.input.wrapping_add(line * l.input_line);
        let output = l.output.wrapping_add(line * l.output_line);
        // SAFETY: output `i` reads the floats from `i * step` to `i * step + taps` of every row. The last vector of
        // outputs is moved back over those already done, or partial if there is no whole one.
        unsafe {
            if l.step == 2 && l.count > 1 {
                let mut i = 0;
                while i + V::LANES <= l.count {
                    pairs::<V, R, false>(l, input.add(2 * i), output.add(i), V::LANES);
                    i += V::LANES;
                }
                if i < l.count && i > 0 {
                    let last = l.count - V::LANES;
                    pairs::<V, R, false>(l, input.add(2 * last), output.add(last), V::LANES);
                } else if i < l.count {
                    pairs::<V, R, true>(l, input, output, l.count);
                }
                continue;
            }
            for i in 0..l.count {
                let mut all = R::START;
                for row in 0..l.rows {
                    for tap in 0..l.taps {
                        all = R::one(all, *input.add(row * l.row_step + i * l.step + tap));
                    }
                }
                *output.add(i) = if l.divisor == 1.0 { all } else { all / l.divisor };
            }
        }
    }
}

/// `lanes` windows of a line with step 2; fewer than `LANES` only if `PARTIAL`.
///
/// # Safety
/// As [`line`].
#[inline(always)]
unsafe fn pairs<V: Vector, R: Reduce, const PARTIAL: bool>(
    l: &Line,
    first: *const f32,
    output: *mut f32,
    lanes: usize,
) {
    // SAFETY: taps `t` and `t + 1` of all windows are the `2 * LANES` floats from `t` on, even and odd, of which the last
    // is the last window's tap `t + 1`.
    unsafe {
        let mut all = V::splat(R::START);
        for row in 0..l.rows {
            let input = first.add(row * l.row_step);
            // Floats of the row that belong to these windows.
            let end = 2 * (lanes - 1) + l.taps;
            let load = |at: usize| -> V {
                if PARTIAL {
                    V::load_range(input.wrapping_add(at), 0, end.saturating_sub(at).min(V::LANES))
                } else {
                    V::load(input.add(at))
                }
            };
            let mut tap = 0;
            while tap + 2 <= l.taps {
                let (even, odd) = load(tap).deinterleave(load(tap + V::LANES));
                all = R::vector(R::vector(all, even), odd);
                tap += 2;
            }
            if tap < l.taps {
                let last = if tap > 0 {
                    // As the odd ones from the tap before: the floats end with the last window's last tap.
                    load(tap - 1).deinterleave(load(tap - 1 + V::LANES)).1
                } else {
                    let rest = (end - tap).saturating_sub(V::LANES).min(V::LANES);
                    let high = V::load_range(input.wrapping_add(V::LANES), 0, rest);
                    load(0).deinterleave(high).0
                };
                all = R::vector(all, last);
            }
        }
        if l.divisor != 1.0 {
            all = all.div(V::splat(l.divisor));
        }
        if PARTIAL {
            all.store_first(output, lanes);
        } else {
            all.store(output);
        }
    }
}

/// Most lanes of any tier.
const MOST_LANES: usize = 16;

/// Averages every plane.
///
/// # Safety
/// The CPU has the tier of `V`; the planes are readable and the outputs writable.
#[inline(always)]
pub(crate) unsafe fn average_planes<V: Vector>(p: &Planes) {
    const { assert!(V::LANES <= MOST_LANES && V::LANES.is_power_of_two()) };
    for channel in 0..p.channels {
        // SAFETY: all accesses are to the first `columns` elements of a row of the plane, or to its output.
        unsafe {
            let plane = p.input.add(channel * p.channel_step);
            // Four sums, so that latency is hidden.
            let mut sums = [V::zero(); 4];
            for row in 0..p.rows {
                let line = plane.add(row * p.row_step);
                let mut x = 0;
                while x + 4 * V::LANES <= p.columns {
                    for (b, sum) in sums.iter_mut().enumerate() {
                        *sum = sum.add(V::load(line.add(x + b * V::LANES)));
                    }
                    x += 4 * V::LANES;
                }
                while x + V::LANES <= p.columns {
                    sums[0] = sums[0].add(V::load(line.add(x)));
                    x += V::LANES;
                }
                if x < p.columns {
                    sums[1] = sums[1].add(V::load_range(line.add(x), 0, p.columns - x));
                }
            }
            let mut lanes = [0.0; MOST_LANES];
            sums[0].add(sums[1]).add(sums[2].add(sums[3])).store(lanes.as_mut_ptr());
            let mut width = V::LANES;
            while width > 1 {
                width /= 2;
                for i in 0..width {
                    lanes[i] += lanes[i + width];
                }
            }
            *p.output.add(channel * p.output_step) = lanes[0] / p.divisor;
        }
    }
}

/// Channels of a unit of work of the whole map's average, channels last: four vectors of the widest tier.
const CHANNELS: usize = 64;

/// A pooling with a tier's micro-kernels.
#[derive(Clone)]
pub(crate) struct Pool {
    pub shape: Conv2dShape,
    pub layout: Layout,
    pub oh: usize,
    pub ow: usize,
    /// Whether the sum is divided by the number of taps.
    pub average: bool,
    pub windows: WindowsFn,
    pub line: LineFn,
    pub planes: PlanesFn,
}

/// Where the tensors of a run are.
#[derive(Clone, Copy)]
pub(crate) struct PoolJob {
    pub input: *const f32,
    pub input_strides: Strides,
    pub output: *mut f32,
    pub output_strides: Strides,
}

impl Pool {
    /// Whether the one window is the whole map.
    pub(crate) fn is_global(&self) -> bool {
        let s = &self.shape;
        self.average && (s.kh, s.kw) == (s.h, s.w) && s.padding == Padding::default()
    }

    /// Into how many parts of equal work a run can be cut.
    pub(crate) fn units(&self) -> usize {
        let s = &self.shape;
        match (self.layout, self.is_global()) {
            (Layout::Nhwc, true) => s.n * s.c_in.div_ceil(CHANNELS),
            (Layout::Nhwc, false) => s.n * self.oh,
            (Layout::Nchw, true) => s.n * s.c_in,
            (Layout::Nchw, false) => s.n * s.c_in * self.oh,
        }
    }

    fn divisor(&self, taps: usize) -> f32 {
        if self.average { taps as f32 } else { 1.0 }
    }

    /// Computes a part.
    ///
    /// # Safety
    /// The CPU has the tier of the functions; the job's pointers and strides cover tensors of the shape.
    pub(crate) unsafe fn run(&self, job: &PoolJob, part: Part) {
        // SAFETY: as the caller promises.
        unsafe {
            match (self.layout, self.is_global()) {
                (Layout::Nhwc, true) => self.global_nhwc(job, part),
                (Layout::Nhwc, false) => self.nhwc(job, part),
                (Layout::Nchw, true) => self.global_nchw(job, part),
                (Layout::Nchw, false) => self.nchw(job, part),
            }
        }
    }

    /// # Safety
    /// As [`run`](Self::run).
    unsafe fn global_nhwc(&self, job: &PoolJob, part: Part) {
        let (s, i, o) = (&self.shape, job.input_strides, job.output_strides);
        let blocks = s.c_in.div_ceil(CHANNELS);
        let units = part.range(s.n * blocks);
        let mut unit = units.start;
        while unit < units.end {
            let (n, block) = (unit / blocks, unit % blocks);
            let count = (blocks - block).min(units.end - unit);
            let c = block * CHANNELS;
            // SAFETY: the channels are below `c_in`, the window is the whole map.
            unsafe {
                (self.windows)(&Windows {
                    input: job.input.add(n * i.image + c),
                    rows: s.h,
                    row_step: i.row,
                    columns: s.w,
                    column_step: i.pixel,
                    count: (count * CHANNELS).min(s.c_in - c),
                    output: job.output.add(n * o.image + c),
                    pixels: 1,
                    input_pixel: 0,
                    output_pixel: 0,
                    divisor: self.divisor(s.h * s.w),
                });
            }
            unit += count;
        }
    }

    /// # Safety
    /// As [`run`](Self::run).
    unsafe fn global_nchw(&self, job: &PoolJob, part: Part) {
        let (s, i, o) = (&self.shape, job.input_strides, job.output_strides);
        let (rows, columns) = if i.row == s.w { (1, s.h * s.w) } else { (s.h, s.w) };
        let units = part.range(s.n * s.c_in);
        let mut unit = units.start;
        while unit < units.end {
            let (n, c) = (unit / s.c_in, unit % s.c_in);
            let channels = (s.c_in - c).min(units.end - unit);
            // SAFETY: the channels are below `c_in`.
            unsafe {
                (self.planes)(&Planes {
                    input: job.input.add(n * i.image + c * i.channel),
                    channels,
                    channel_step: i.channel,
                    rows,
                    row_step: i.row,
                    columns,
                    output: job.output.add(n * o.image + c * o.channel),
                    output_step: o.channel,
                    divisor: self.divisor(s.h * s.w),
                });
            }
            unit += channels;
        }
    }

    /// # Safety
    /// As [`run`](Self::run).
    unsafe fn nhwc(&self, job: &PoolJob, part: Part) {
        let (s, i, o) = (&self.shape, job.input_strides, job.output_strides);
        let (first, end) = axis::inner(self.ow, s.stride[1], s.kw, s.padding.left, s.w);
        for unit in part.range(s.n * self.oh) {
            let (n, oy) = (unit / self.oh, unit % self.oh);
            let (y, rows) = axis::taps(oy, s.stride[0], s.kh, s.padding.top, s.h);
            let mut ox = 0;
            while ox < self.ow {
                let pixels = if (first..end).contains(&ox) { end - ox } else { 1 };
                let (x, columns) = axis::taps(ox, s.stride[1], s.kw, s.padding.left, s.w);
                // SAFETY: the taps are in the image: of a run of pixels, all are.
                unsafe {
                    (self.windows)(&Windows {
                        input: job.input.add(n * i.image + y * i.row + x * i.pixel),
                        rows,
                        row_step: i.row,
                        columns,
                        column_step: i.pixel,
                        count: s.c_in,
                        output: job.output.add(n * o.image + oy * o.row + ox * o.pixel),
                        pixels,
                        // A lone pixel's step is not used, and its product could overflow.
                        input_pixel: if pixels > 1 { s.stride[1] * i.pixel } else { 0 },
                        output_pixel: o.pixel,
                        divisor: self.divisor(rows * columns),
                    });
                }
                ox += pixels;
            }
        }
    }

    /// # Safety
    /// As [`run`](Self::run).
    unsafe fn nchw(&self, job: &PoolJob, part: Part) {
        let (s, i, o) = (&self.shape, job.input_strides, job.output_strides);
        let (first_row, end_row) = axis::inner(self.oh, s.stride[0], s.kh, s.padding.top, s.h);
        let (first, end) = axis::inner(self.ow, s.stride[1], s.kw, s.padding.left, s.w);
        let units = part.range(s.n * s.c_in * self.oh);
        let mut unit = units.start;
        while unit < units.end {
            let (plane, oy) = (unit / self.oh, unit % self.oh);
            let (n, c) = (plane / s.c_in, plane % s.c_in);
            // Rows whose windows have the same extent go together, as far as the plane and the part reach.
            let alike = if (first_row..end_row).contains(&oy) { end_row - oy } else { 1 };
            let lines = alike.min(units.end - unit);
            let (y, rows) = axis::taps(oy, s.stride[0], s.kh, s.padding.top, s.h);
            // A lone line's step is not used, and its product could overflow.
            let input_line = if lines > 1 { s.stride[0] * i.row } else { 0 };
            let (row_step, output_line) = (i.row, o.row);
            // SAFETY: the taps of every output are in the image.
            unsafe {
                let input = job.input.add(n * i.image + c * i.channel + y * i.row);
                let output = job.output.add(n * o.image + c * o.channel + oy * o.row);
                let mut ox = 0;
                while ox < self.ow {
                    let count = if (first..end).contains(&ox) { end - ox } else { 1 };
                    let (x, columns) = axis::taps(ox, s.stride[1], s.kw, s.padding.left, s.w);
                    let (input, output, divisor) = (input.add(x), output.add(ox), self.divisor(rows * columns));
                    if count > 1 && s.stride[1] == 1 {
                        (self.windows)(&Windows {
                            input,
                            rows,
                            row_step,
                            columns,
                            column_step: 1,
                            count,
                            output,
                            pixels: lines,
                            input_pixel: input_line,
                            output_pixel: output_line,
                            divisor,
                        });
                    } else {
                        (self.line)(&Line {
                            input,
                            step: s.stride[1],
                            rows,
                            row_step,
                            taps: columns,
                            count,
                            output,
                            lines,
                            input_line,
                            output_line,
                            divisor,
                        });
                    }
                    ox += count;
                }
            }
            unit += lines;
        }
    }
}
