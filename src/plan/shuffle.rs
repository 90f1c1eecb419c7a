//! The plan of a channel shuffle.

use super::common::{self, At, INPUT, OUTPUT, PART_ELEMENTS, Shared, check_view, kernel_name, run_parts};
use super::conv2d::Options;
use crate::cost::Cost;
use crate::error::{Error, Expected};
use crate::isa::Isa;
use crate::kernel::shuffle::{Shuffle, ShuffleFn};
use crate::parallel::{Parallel, Serial};
use crate::tensor::{Dims, Layout, View, ViewMut};

/// The channel shuffle of ShuffleNet (arXiv:1707.01083), ready to run any number of times: the channels as a matrix of
/// `groups` rows, transposed. Input channel `c` becomes output channel `(c % (C / groups)) * groups + c / (C / groups)`.
/// It needs no scratch.
///
/// It keeps the promises of [`Conv2dPlan`](crate::Conv2dPlan): runs allocate nothing, one plan may run on many threads at
/// once, and the bits do not depend on the executor.
///
/// ```
/// use lightconv::{ChannelShufflePlan, Dims, Layout, Options, View, ViewMut};
///
/// let dims = Dims::new(1, 1, 1, 6);
/// let plan = ChannelShufflePlan::new(2, dims, Layout::Nhwc, &Options::new())?;
/// let (input, mut output) = ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [0.0; 6]);
/// plan.run(
///     &View::dense(Layout::Nhwc, dims, &input)?,
///     &mut ViewMut::dense(Layout::Nhwc, dims, &mut output)?,
/// )?;
/// assert_eq!(output, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
/// # Ok::<(), lightconv::Error>(())
/// ```
pub struct ChannelShufflePlan {
    groups: usize,
    dims: Dims,
    layout: Layout,
    isa: Isa,
    function: ShuffleFn,
    parts: usize,
    cost: Cost,
}

impl ChannelShufflePlan {
    /// Makes a plan for an input and an output of this size and layout.
    ///
    /// # Errors
    /// Sizes that are zero or overflow, groups that do not divide the channels, zero threads, a tier that cannot be had,
    /// or a kernel asked for by name (there is one per tier).
    pub fn new(groups: usize, dims: Dims, layout: Layout, options: &Options<'_>) -> Result<Self, Error> {
        let elements = dims.elements()?;
        if groups == 0 {
            return Err(Error::size("groups", groups, Expected::AtLeast(1)));
        }
        if !dims.c.is_multiple_of(groups) {
            return Err(Error::size("c", dims.c, Expected::MultipleOf(groups)));
        }
        let (isa, ops) = common::tier(options)?;
        let units = match layout {
            Layout::Nhwc => dims.n * dims.h,
            Layout::Nchw => dims.n * dims.c,
        };
        let parts = common::parts(options, elements as u64 / PART_ELEMENTS, units);
        let cost = Cost::channel_shuffle(dims)?;
        Ok(ChannelShufflePlan { groups, dims, layout, isa, function: ops.shuffle, parts, cost })
    }

    /// Moves the channels on the calling thread.
    ///
    /// # Errors
    /// Views whose layout or sizes are not the plan's. Nothing has been written then.
    pub fn run(&self, input: &View<'_>, output: &mut ViewMut<'_>) -> Result<(), Error> {
        self.run_with(&Serial, input, output)
    }

    /// Moves the channels on the caller's threads.
    ///
    /// # Errors
    /// As [`run`](Self::run), and an executor that did not run every task.
    pub fn run_with(&self, pool: &dyn Parallel, input: &View<'_>, output: &mut ViewMut<'_>) -> Result<(), Error> {
        check_view(&INPUT, &input.extent, self.layout, self.dims)?;
        check_view(&OUTPUT, &output.extent, self.layout, self.dims)?;
        // SAFETY: views cover tensors of the plan's sizes, as checked above; the output's slice is borrowed mutably.
        unsafe { self.run_at(pool, At::view(input), At::view_mut(output)) }
    }

    /// Moves the channels of tensors that are given by their addresses.
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
        let shuffle = Shuffle {
            function: self.function,
            layout: self.layout,
            dims: self.dims,
            groups: self.groups,
            input: input.strides,
            output: output.strides,
        };
        let shared = Shared::new((input.data, output.data));
        run_parts(pool, self.parts, &|part| {
            let (input, output) = shared.get();
            // SAFETY: the tier was found available when the plan was made; the views cover tensors of these sizes and
            // strides.
            unsafe { shuffle.run(input, output, part) };
        })
    }

    /// Rows of the matrix of channels.
    pub fn groups(&self) -> usize {
        self.groups
    }

    /// Name of the kernel: operation, type, layout, tier.
    pub fn kernel_name(&self) -> &'static str {
        kernel_name!("shuffle", self.layout, self.isa)
    }

    /// Tier of the kernel.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Bytes; a shuffle has no arithmetic.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// The layout of input and output.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Into how many parts a run is cut.
    pub fn threads(&self) -> usize {
        self.parts
    }

    /// Sizes of the input.
    pub fn input_dims(&self) -> Dims {
        self.dims
    }

    /// Sizes of the output.
    pub fn output_dims(&self) -> Dims {
        self.dims
    }
}

impl core::fmt::Debug for ChannelShufflePlan {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ChannelShufflePlan")
            .field("kernel", &self.kernel_name())
            .field("groups", &self.groups)
            .field("dims", &self.dims)
            .finish_non_exhaustive()
    }
}
