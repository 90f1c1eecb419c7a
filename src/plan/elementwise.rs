//! The plan of an element-wise operation on two tensors.

use super::common::{self, At, INPUT, OUTPUT, PART_ELEMENTS, SECOND, Shared, check_view, kernel_name, run_parts};
use super::conv2d::Options;
use crate::cost::Cost;
use crate::error::Error;
use crate::isa::Isa;
use crate::kernel::elementwise::{LinesFn, Walk};
use crate::parallel::{Parallel, Serial};
use crate::tensor::{Dims, Layout, View, ViewMut};

/// What an [`ElementwisePlan`] makes of its two inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Elementwise {
    /// The sum of two tensors of one size.
    Add,
    /// The product of two tensors of one size.
    Multiply,
    /// The first tensor `[n, h, w, c]` times one factor per image and channel `[n, 1, 1, c]`: the excitation of
    /// squeeze-and-excite (arXiv:1709.01507).
    Scale,
}

/// An element-wise operation, ready to run any number of times. It needs no scratch.
///
/// It keeps the promises of [`Conv2dPlan`](crate::Conv2dPlan): runs allocate nothing, one plan may run on many threads at
/// once, and the bits do not depend on the executor. Every result is the rounded sum or product, the same on all tiers.
///
/// ```
/// use lightconv::{Dims, Elementwise, ElementwisePlan, Layout, Options, View, ViewMut};
///
/// let dims = Dims::new(1, 2, 2, 3);
/// let plan = ElementwisePlan::new(Elementwise::Scale, dims, Layout::Nhwc, &Options::new())?;
/// let (input, factors, mut output) = ([1.0; 12], [0.0, 0.5, 1.0], [0.0; 12]);
/// plan.run(
///     &View::dense(Layout::Nhwc, dims, &input)?,
///     &View::dense(Layout::Nhwc, plan.second_dims(), &factors)?,
///     &mut ViewMut::dense(Layout::Nhwc, dims, &mut output)?,
/// )?;
/// assert_eq!(output[9..], factors);
/// # Ok::<(), lightconv::Error>(())
/// ```
pub struct ElementwisePlan {
    operation: Elementwise,
    dims: Dims,
    layout: Layout,
    isa: Isa,
    /// For two elements, and for one factor for a whole line.
    functions: [LinesFn; 2],
    parts: usize,
    cost: Cost,
}

impl ElementwisePlan {
    /// Makes a plan for inputs and an output of this size (the factors of a scale have one pixel). `layout` is that of
    /// all three.
    ///
    /// # Errors
    /// Sizes that are zero or overflow, zero threads, a tier that cannot be had, or a kernel asked for by name (there is
    /// one per tier).
    pub fn new(operation: Elementwise, dims: Dims, layout: Layout, options: &Options<'_>) -> Result<Self, Error> {
        let elements = dims.elements()?;
        let (isa, ops) = common::tier(options)?;
        let (functions, cost) = match operation {
            Elementwise::Add => ([ops.add; 2], Cost::addition(dims)?),
            Elementwise::Multiply => ([ops.multiply; 2], Cost::multiplication(dims)?),
            Elementwise::Scale => ([ops.multiply, ops.scale], Cost::scale(dims)?),
        };
        let parts = common::parts(options, elements as u64 / PART_ELEMENTS, elements);
        Ok(ElementwisePlan { operation, dims, layout, isa, functions, parts, cost })
    }

    /// Computes on the calling thread.
    ///
    /// # Errors
    /// Views whose layout or sizes are not the plan's. Nothing has been written then.
    pub fn run(&self, input: &View<'_>, second: &View<'_>, output: &mut ViewMut<'_>) -> Result<(), Error> {
        self.run_with(&Serial, input, second, output)
    }

    /// Computes on the caller's threads.
    ///
    /// # Errors
    /// As [`run`](Self::run), and an executor that did not run every task.
    pub fn run_with(
        &self,
        pool: &dyn Parallel,
        input: &View<'_>,
        second: &View<'_>,
        output: &mut ViewMut<'_>,
    ) -> Result<(), Error> {
        check_view(&INPUT, &input.extent, self.layout, self.dims)?;
        check_view(&SECOND, &second.extent, self.layout, self.second_dims())?;
        check_view(&OUTPUT, &output.extent, self.layout, self.dims)?;
        // SAFETY: views cover tensors of the plan's sizes, as checked above; the output's slice is borrowed mutably.
        unsafe { self.run_at(pool, At::view(input), At::view(second), At::view_mut(output)) }
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
        second: At<*const f32>,
        output: At<*mut f32>,
    ) -> Result<(), Error> {
        let scale = self.operation == Elementwise::Scale;
        let walk = Walk::new(self.layout, self.dims, input.strides, second.strides, scale, output.strides);
        let function = self.functions[usize::from(walk.second_is_one())];
        let shared = Shared::new((input.data, second.data, output.data));
        run_parts(pool, self.parts, &|part| {
            let (input, second, output) = shared.get();
            // SAFETY: the tier was found available when the plan was made; the tensors are of these sizes and strides, as
            // the caller promises; only a scale has one second element for a line, and its function takes one then.
            unsafe { walk.run(function, input, second, output, part) };
        })
    }

    /// The operation.
    pub fn operation(&self) -> Elementwise {
        self.operation
    }

    /// Name of the kernel: operation, type, layout, tier.
    pub fn kernel_name(&self) -> &'static str {
        match self.operation {
            Elementwise::Add => kernel_name!("add", self.layout, self.isa),
            Elementwise::Multiply => kernel_name!("multiply", self.layout, self.isa),
            Elementwise::Scale => kernel_name!("scale", self.layout, self.isa),
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

    /// The layout of inputs and output.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Into how many parts a run is cut.
    pub fn threads(&self) -> usize {
        self.parts
    }

    /// Sizes of the first input.
    pub fn input_dims(&self) -> Dims {
        self.dims
    }

    /// Sizes of the second input: those of the first, or one pixel for a scale.
    pub fn second_dims(&self) -> Dims {
        match self.operation {
            Elementwise::Scale => Dims { h: 1, w: 1, ..self.dims },
            _ => self.dims,
        }
    }

    /// Sizes of the output.
    pub fn output_dims(&self) -> Dims {
        self.dims
    }
}

impl core::fmt::Debug for ElementwisePlan {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ElementwisePlan")
            .field("kernel", &self.kernel_name())
            .field("dims", &self.dims)
            .finish_non_exhaustive()
    }
}
