//! One operation of a block, on some rows or on all of them.

use crate::kernel::elementwise::{LinesFn, Walk};
use crate::kernel::pool::{Pool, PoolJob};
use crate::kernel::shuffle::{Pairs, PairsFn, Shuffle, ShuffleFn};
use crate::kernel::{Part, Problem, Ring};
use crate::plan::Conv2dPlan;
use crate::plan::conv2d::Tensors;
use crate::shape::Conv2dShape;
use crate::tensor::{Dims, Layout, Strides};
use alloc::boxed::Box;
use core::ops::Range;

/// Channels of a tensor of a program: `count` of them from `first` on, `step` apart (1 if channels are last).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Port {
    pub tensor: usize,
    pub first: usize,
    pub count: usize,
    pub step: usize,
}

impl Port {
    /// Channels `first..first + count` of these.
    pub(super) fn channels(self, first: usize, count: usize) -> Port {
        Port { first: self.first + first * self.step, count, ..self }
    }

    /// Every `step`th channel from `first` on.
    pub(super) fn every(self, step: usize, first: usize) -> Port {
        Port { first: self.first + first * self.step, count: self.count / step, step: self.step * step, ..self }
    }

    /// Whether they share a channel. Of channels that are not next to each other, it is enough that they may.
    pub(super) fn meets(&self, other: &Port) -> bool {
        let end = |p: &Port| p.first + (p.count - 1) * p.step + 1;
        self.tensor == other.tensor && self.first < end(other) && other.first < end(self)
    }
}

/// What is done.
pub(super) enum Op {
    Conv(Box<Conv2dPlan>),
    Pool(Pool),
    /// Sum of two tensors.
    Add(LinesFn),
    /// Product with one factor per channel, by two functions as in an element-wise plan.
    Scale([LinesFn; 2]),
    /// Channels of two tensors in turn; channels last.
    Pairs(PairsFn),
    /// Channel shuffle.
    Shuffle(ShuffleFn, usize),
    Copy,
}

/// An operation and its tensors.
pub(super) struct Step {
    pub op: Op,
    pub from: Port,
    /// The residual, the other input.
    pub second: Option<Port>,
    pub to: Port,
    /// Rows of the output.
    pub h: usize,
    /// Earlier steps of the phase that write what this one reads through `from`, and through `second`: a bit each.
    pub reads: u32,
    pub reads_second: u32,
    /// Multiplies of an output row.
    pub work: u64,
}

/// First element of some channels of a row, and strides.
pub(super) type Place = (*mut f32, Strides);

impl Step {
    /// What it is: the kernel of a convolution, or the operation.
    pub(super) fn name(&self) -> &'static str {
        match &self.op {
            Op::Conv(plan) => plan.kernel_name(),
            Op::Pool(_) => "pool",
            Op::Add(_) => "add",
            Op::Scale(_) => "scale",
            Op::Pairs(_) => "pairs",
            Op::Shuffle(..) => "shuffle",
            Op::Copy => "copy",
        }
    }

    /// Whether it is a depthwise convolution.
    pub(super) fn is_depthwise(&self) -> bool {
        matches!(&self.op, Op::Conv(plan) if plan.shape().is_depthwise())
    }

    fn window(&self) -> Option<&Conv2dShape> {
        match &self.op {
            Op::Conv(plan) => Some(plan.shape()),
            Op::Pool(pool) => Some(&pool.shape),
            _ => None,
        }
    }

    /// Whether an output row reads no more than one row of `from`.
    pub(super) fn is_row_by_row(&self) -> bool {
        self.window().is_none_or(|s| s.kh == 1 && s.stride[0] == 1 && s.padding.top == 0)
    }

    /// Whether the rows of `from` may begin again in the middle.
    pub(super) fn reads_rings(&self) -> bool {
        matches!(&self.op, Op::Conv(plan) if plan.reads_rings())
    }

    /// Rows of `from` that output rows read.
    pub(super) fn input_rows(&self, rows: Range<usize>) -> Range<usize> {
        self.window().map_or(rows.clone(), |shape| shape.input_rows(rows))
    }

    /// The same as if the image had no border: for any rows, also negative ones.
    pub(super) fn unclipped_rows(&self, rows: Range<isize>) -> Range<isize> {
        self.window().map_or(rows.clone(), |s| {
            let (stride, top) = (s.stride[0] as isize, s.padding.top as isize);
            let reach = ((s.kh - 1) * s.dilation[0]) as isize;
            rows.start * stride - top..(rows.end - 1) * stride - top + reach + 1
        })
    }

    /// Row of `second` that output row `row` reads: that row, or the only one.
    pub(super) fn second_row(&self, row: usize) -> usize {
        if matches!(self.op, Op::Scale(_)) { 0 } else { row }
    }

    /// Floats of scratch beside the tensors.
    pub(super) fn scratch_len(&self) -> usize {
        match &self.op {
            Op::Conv(plan) => plan.part_scratch_len(),
            _ => 0,
        }
    }

    /// Computes some output rows of one image; of a convolution, `problem` is theirs if it is known. `from` is at the first of
    /// [`input_rows`](Self::input_rows), `second` at [`second_row`](Self::second_row), `to` at the first row.
    ///
    /// # Safety
    /// The places are those of tensors that have these rows, `scratch` has [`scratch_len`](Self::scratch_len) floats, and
    /// nothing else writes what is read or written. The tier is there, as when the step was made. Rows of `from` that begin
    /// again are such as [`reads_rings`](Self::reads_rings) tells.
    #[allow(clippy::too_many_arguments)]
    pub(super) unsafe fn run_rows(
        &self,
        layout: Layout,
        w: usize,
        rows: Range<usize>,
        problem: Option<&Problem>,
        from: Place,
        second: Option<Place>,
        to: Place,
        scratch: *mut f32,
        ring: Option<Ring>,
    ) {
        const ALL: Part = Part { index: 0, of: 1 };
        let (input, output) = (from.0.cast_const(), to.0);
        let dims = Dims::new(1, rows.len(), w, self.to.count);
        // A step with a second input always has its place; an element of the input stands for one that is not used.
        let (other, other_strides) = second.map_or((input, from.1), |s| (s.0.cast_const(), s.1));
        // SAFETY: as the caller promises; sizes are those of the places.
        unsafe {
            match &self.op {
                Op::Conv(plan) => {
                    let tensors = Tensors {
                        input,
                        input_strides: from.1,
                        residual: second.map(|s| (s.0.cast_const(), s.1)),
                        output,
                        output_strides: to.1,
                        scratch,
                        ring,
                    };
                    match problem {
                        Some(problem) => plan.run_part(problem, &tensors, ALL),
                        None => plan.run_part(&plan.rows(rows), &tensors, ALL),
                    }
                }
                Op::Pool(pool) => {
                    let mut part = pool.clone();
                    part.shape = pool.shape.rows(rows.clone());
                    part.oh = rows.len();
                    if part.is_global() && !pool.is_global() {
                        // Sums of a whole map may be added in another order; the same order for any rows, please.
                        part.shape.padding.bottom = 1;
                    }
                    let (input_strides, output_strides) = (from.1, to.1);
                    part.run(&PoolJob { input, input_strides, output, output_strides }, ALL);
                }
                Op::Add(function) => {
                    let walk = Walk::new(layout, dims, from.1, other_strides, false, to.1);
                    walk.run(*function, input, other, output, ALL);
                }
                Op::Scale(functions) => {
                    let walk = Walk::new(layout, dims, from.1, other_strides, true, to.1);
                    walk.run(functions[usize::from(walk.second_is_one())], input, other, output, ALL);
                }
                Op::Pairs(function) => {
                    for row in 0..rows.len() {
                        function(&Pairs {
                            pixels: w,
                            channels: self.from.count,
                            first: input.add(row * from.1.row),
                            first_step: from.1.pixel,
                            second: other.add(row * other_strides.row),
                            second_step: other_strides.pixel,
                            output: output.add(row * to.1.row),
                            output_step: to.1.pixel,
                        });
                    }
                }
                Op::Shuffle(function, groups) => {
                    let (function, groups) = (*function, *groups);
                    Shuffle { function, layout, dims, groups, input: from.1, output: to.1 }.run(input, output, ALL);
                }
                Op::Copy => copy(layout, dims, (input, from.1), to),
            }
        }
    }
}

/// Copies a tensor of one image.
///
/// # Safety
/// The places are those of tensors of these sizes that do not overlap.
unsafe fn copy(layout: Layout, d: Dims, from: (*const f32, Strides), to: Place) {
    let (lines, columns, len) = match layout {
        Layout::Nhwc => (d.h, d.w, d.c),
        Layout::Nchw => (d.c, d.h, d.w),
    };
    let steps = |s: Strides| match layout {
        Layout::Nhwc => (s.row, s.pixel),
        Layout::Nchw => (s.channel, s.row),
    };
    let ((from, i), (to, o)) = ((from.0, steps(from.1)), (to.0, steps(to.1)));
    for (line, column) in (0..lines).flat_map(|line| (0..columns).map(move |column| (line, column))) {
        // SAFETY: inside both tensors.
        unsafe {
            let to = to.add(line * o.0 + column * o.1);
            core::ptr::copy_nonoverlapping(from.add(line * i.0 + column * i.1), to, len);
        }
    }
}
