//! The plan of a pooling.

use super::common::{self, At, INPUT, OUTPUT, PART_ELEMENTS, Shared, check_view, kernel_name, run_parts};
use super::conv2d::Options;
use crate::cost::Cost;
use crate::error::Error;
use crate::isa::Isa;
use crate::kernel::pool::{Pool, PoolJob};
use crate::parallel::{Parallel, Serial};
use crate::shape::Conv2dShape;
use crate::tensor::{Dims, Layout, View, ViewMut};

/// What a pooling makes of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pooling {
    /// The greatest element; NaN if one of them is NaN. Where zeros of both signs are the greatest, either may come out.
    Max,
    /// The average of the elements. Taps in the padding are neither summed nor counted (`count_include_pad = false`).
    Average,
}

/// A max or average pooling, ready to run any number of times. It needs no scratch.
///
/// It keeps the promises of [`Conv2dPlan`](crate::Conv2dPlan): runs allocate nothing, one plan may run on many threads
/// at once, and the bits do not depend on the executor.
///
/// ```
/// use lightconv::{Conv2dShape, Layout, Options, PoolPlan, Pooling, View, ViewMut};
///
/// // 3x3 windows, stride 2, over 1 image of 8 x 8 pixels and 4 channels: the shape of a depthwise convolution.
/// let shape = Conv2dShape::new(1, 8, 8, 4, 4, [3, 3]).groups(4).stride(2).pad(1);
/// let plan = PoolPlan::new(Pooling::Max, &shape, Layout::Nhwc, &Options::new())?;
/// let input: Vec<f32> = (0..8 * 8 * 4).map(|i| i as f32).collect();
/// let mut output = vec![0.0; plan.output_dims().elements()?];
/// plan.run(
///     &View::dense(Layout::Nhwc, plan.input_dims(), &input)?,
///     &mut ViewMut::dense(Layout::Nhwc, plan.output_dims(), &mut output)?,
/// )?;
/// assert_eq!(output[0], input[(8 + 1) * 4]);
/// # Ok::<(), lightconv::Error>(())
/// ```
pub struct PoolPlan {
    pooling: Pooling,
    pool: Pool,
    isa: Isa,
    parts: usize,
    cost: Cost,
}

impl PoolPlan {
    /// Makes a plan. The geometry is that of a depthwise convolution with one output channel per input channel:
    /// `Conv2dShape::new(n, h, w, c, c, [kh, kw]).groups(c)` with any stride and padding. `layout` is that of input and
    /// output.
    ///
    /// # Errors
    /// A shape that [`Conv2dShape::check_pool`] refuses, zero threads, a tier that cannot be had, or a kernel asked for
    /// by name (there is one per tier).
    pub fn new(pooling: Pooling, shape: &Conv2dShape, layout: Layout, options: &Options<'_>) -> Result<Self, Error> {
        let (oh, ow) = shape.check_pool()?;
        let (isa, ops) = common::tier(options)?;
        let (average, windows, line) = match pooling {
            Pooling::Max => (false, ops.maximum, ops.maximum_line),
            Pooling::Average => (true, ops.sum, ops.sum_line),
        };
        let pool = Pool { shape: *shape, layout, oh, ow, average, windows, line, planes: ops.average_planes };
        // Both kinds read what an average adds.
        let work = Cost::average_pool(shape)?;
        let cost = if average { work } else { Cost::max_pool(shape)? };
        let parts = common::parts(options, work.adds / PART_ELEMENTS, pool.units());
        Ok(PoolPlan { pooling, pool, isa, parts, cost })
    }

    /// Makes a plan of the average of every channel over all pixels of `input`; the output has one pixel.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn global_average(input: Dims, layout: Layout, options: &Options<'_>) -> Result<Self, Error> {
        let Dims { n, c, h, w } = input;
        // Before the shape, which would report zero channels as zero groups or zero rows as a zero kernel.
        input.elements()?;
        Self::new(Pooling::Average, &Conv2dShape::new(n, h, w, c, c, [h, w]).groups(c), layout, options)
    }

    /// Computes on the calling thread.
    ///
    /// # Errors
    /// Views whose layout or sizes are not the plan's. Nothing has been written then.
    pub fn run(&self, input: &View<'_>, output: &mut ViewMut<'_>) -> Result<(), Error> {
        self.run_with(&Serial, input, output)
    }

    /// Computes on the caller's threads.
    ///
    /// # Errors
    /// As [`run`](Self::run), and an executor that did not run every task.
    pub fn run_with(&self, pool: &dyn Parallel, input: &View<'_>, output: &mut ViewMut<'_>) -> Result<(), Error> {
        check_view(&INPUT, &input.extent, self.layout(), self.input_dims())?;
        check_view(&OUTPUT, &output.extent, self.layout(), self.output_dims())?;
        // SAFETY: views cover tensors of the plan's sizes, as checked above; the output's slice is borrowed mutably.
        unsafe { self.run_at(pool, At::view(input), At::view_mut(output)) }
    }

    /// Computes on tensors that are given by their addresses.
    ///
    /// # Errors
    /// An executor that did not run every task.
    ///
    /// # Safety
    /// The tensors have the plan's layout and sizes, with strides that a view would accept. What is read is initialised; no
    /// element of the output is an element of another tensor, or is used by anyone else.
    pub(crate) unsafe fn run_at(
        &self,
        pool: &dyn Parallel,
        input: At<*const f32>,
        output: At<*mut f32>,
    ) -> Result<(), Error> {
        let shared = Shared::new(PoolJob {
            input: input.data,
            input_strides: input.strides,
            output: output.data,
            output_strides: output.strides,
        });
        run_parts(pool, self.parts, &|part| {
            // SAFETY: the tier was found available when the plan was made; the tensors are of the shape's sizes, as the
            // caller promises.
            unsafe { self.pool.run(&shared.get(), part) };
        })
    }

    /// What is made of a window.
    pub fn pooling(&self) -> Pooling {
        self.pooling
    }

    /// Name of the kernel: operation, type, layout, tier.
    pub fn kernel_name(&self) -> &'static str {
        match (self.pooling, self.pool.is_global()) {
            (Pooling::Max, _) => kernel_name!("maxpool", self.layout(), self.isa),
            (Pooling::Average, false) => kernel_name!("avgpool", self.layout(), self.isa),
            (Pooling::Average, true) => kernel_name!("globalavgpool", self.layout(), self.isa),
        }
    }

    /// Tier of the kernel.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Multiplies, adds and bytes.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// The shape.
    pub fn shape(&self) -> &Conv2dShape {
        &self.pool.shape
    }

    /// The layout of input and output.
    pub fn layout(&self) -> Layout {
        self.pool.layout
    }

    /// Into how many parts a run is cut.
    pub fn threads(&self) -> usize {
        self.parts
    }

    /// Sizes of the input.
    pub fn input_dims(&self) -> Dims {
        let s = &self.pool.shape;
        Dims::new(s.n, s.h, s.w, s.c_in)
    }

    /// Sizes of the output.
    pub fn output_dims(&self) -> Dims {
        let s = &self.pool.shape;
        Dims::new(s.n, self.pool.oh, self.pool.ow, s.c_in)
    }
}

impl core::fmt::Debug for PoolPlan {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PoolPlan")
            .field("kernel", &self.kernel_name())
            .field("shape", &self.pool.shape)
            .finish_non_exhaustive()
    }
}
