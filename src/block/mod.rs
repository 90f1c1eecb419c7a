//! Blocks of light networks as one operation each: their intermediate tensors stay in cache.
//!
//! A block is made and run as a single convolution is: a shape, checked when it is made; weights as slices in OIHW; a plan
//! that packs them once; `run` with borrowed tensors and scratch, which allocates nothing. Its operations take turns on a
//! few rows at a time, so that what lies between them never leaves the second cache; see each block for what becomes of
//! concatenations, shuffles and residuals, none of which is a pass over memory of its own.
//!
//! Batch normalisation is folded into weights and bias beforehand: [`BatchNorm::fold`].
//!
//! ```
//! use lightconv::block::{Filter, SeparablePlan, SeparableShape, SeparableWeights};
//! use lightconv::{Activation, Dims, Layout, Options, View, ViewMut};
//!
//! // A block of MobileNetV1: 14 x 14 pixels, 32 to 64 channels, stride 2.
//! let shape = SeparableShape::new(Dims::new(1, 14, 14, 32), 64, 3, 2, Activation::Relu6)?;
//! let (depthwise, pointwise) = (vec![0.1; 32 * 9], vec![0.01; 64 * 32]);
//! let weights = SeparableWeights { depthwise: Filter::new(&depthwise), pointwise: Filter::new(&pointwise) };
//! let plan = SeparablePlan::new(&shape, Layout::Nhwc, &weights, &Options::new())?;
//!
//! let (input, mut output) = (vec![1.0; 14 * 14 * 32], vec![0.0; 7 * 7 * 64]);
//! let mut scratch = vec![0.0; plan.scratch_len()];
//! plan.run(
//!     &View::dense(Layout::Nhwc, plan.input_dims(), &input)?,
//!     &mut ViewMut::dense(Layout::Nhwc, plan.output_dims(), &mut output)?,
//!     &mut scratch,
//! )?;
//! # Ok::<(), lightconv::Error>(())
//! ```

mod batch_norm;
mod bottleneck;
mod builder;
mod concat;
mod ghost;
mod inverted_residual;
mod program;
mod separable;
mod shuffle_v1;
mod shuffle_v2;
mod squeeze_excite;
mod step;

pub use batch_norm::BatchNorm;
pub use bottleneck::{BottleneckPlan, BottleneckShape, BottleneckWeights};
pub use concat::{Branch, ConcatPlan, ConcatShape};
pub use ghost::{
    GhostBottleneckPlan, GhostBottleneckShape, GhostBottleneckWeights, GhostPlan, GhostShape, GhostShortcut,
    GhostWeights,
};
pub(crate) use program::Program;

pub use inverted_residual::{InvertedResidualPlan, InvertedResidualShape, InvertedResidualWeights};
pub use separable::{SeparablePlan, SeparableShape, SeparableWeights};
pub use shuffle_v1::{ShuffleV1Plan, ShuffleV1Shape, ShuffleV1Weights};
pub use shuffle_v2::{ShuffleV2Left, ShuffleV2Plan, ShuffleV2Shape, ShuffleV2Weights};
pub use squeeze_excite::{SqueezeExcite, SqueezeExciteWeights};

use crate::cost::Cost;
use crate::error::{Error, Expected, Value};
use crate::shape::Conv2dShape;
use crate::tensor::Dims;

/// Weights of one convolution of a block: OIHW, `[c_out][c_in / groups][kh][kw]`, and bias `[c_out]`.
#[derive(Clone, Copy, Debug)]
pub struct Filter<'a> {
    /// Weights.
    pub weights: &'a [f32],
    /// Bias; none is a bias of zeros.
    pub bias: Option<&'a [f32]>,
}

impl<'a> Filter<'a> {
    /// Weights without a bias.
    pub const fn new(weights: &'a [f32]) -> Self {
        Filter { weights, bias: None }
    }

    /// Weights with a bias.
    pub const fn with_bias(weights: &'a [f32], bias: &'a [f32]) -> Self {
        Filter { weights, bias: Some(bias) }
    }

    /// Checks the lengths for a convolution.
    ///
    /// # Errors
    /// They are others.
    fn check(&self, shape: &Conv2dShape) -> Result<(), Error> {
        let len = shape.weight_len()?;
        if self.weights.len() != len {
            return Err(Error::size("weights length", self.weights.len(), Expected::Exactly(len)));
        }
        match self.bias {
            Some(b) if b.len() != shape.c_out => {
                Err(Error::size("bias length", b.len(), Expected::Exactly(shape.c_out)))
            }
            _ => Ok(()),
        }
    }
}

/// A `kernel` x `kernel` convolution of an input, padded as much as keeps the size at stride 1.
///
/// # Errors
/// As [`Conv2dShape::check`], and an even kernel, which has no such padding.
fn same(input: Dims, c_out: usize, kernel: usize, stride: usize, groups: usize) -> Result<Conv2dShape, Error> {
    if kernel.is_multiple_of(2) {
        return Err(Error::size("kernel", kernel, Expected::Text("an odd number")));
    }
    let Dims { n, h, w, c } = input;
    let shape = Conv2dShape::new(n, h, w, c, c_out, [kernel; 2]).groups(groups).stride(stride).pad(kernel / 2);
    shape.check()?;
    Ok(shape)
}

/// A depthwise convolution.
///
/// # Errors
/// As [`same`].
fn depthwise(input: Dims, kernel: usize, stride: usize) -> Result<Conv2dShape, Error> {
    same(input, input.c, kernel, stride, input.c)
}

/// A pointwise convolution.
///
/// # Errors
/// As [`Conv2dShape::check`].
fn pointwise(input: Dims, c_out: usize) -> Result<Conv2dShape, Error> {
    same(input, c_out, 1, 1, 1)
}

/// Sizes of the output of a checked shape.
fn output_of(shape: &Conv2dShape) -> Result<Dims, Error> {
    let (oh, ow) = shape.check()?;
    Ok(Dims::new(shape.n, oh, ow, shape.c_out))
}

/// Cost of a block: that of its operations, but only what goes in and comes out is moved.
///
/// # Errors
/// A count that overflows.
fn block_cost(input: Dims, output: Dims, costs: impl IntoIterator<Item = Cost>) -> Result<Cost, Error> {
    let all = Cost::total(costs)?;
    let elements = (input.elements()? as u64).checked_add(output.elements()? as u64);
    let bytes = elements.and_then(|e| e.checked_add(all.parameters)).and_then(|e| e.checked_mul(4));
    Ok(Cost { bytes: bytes.ok_or(Error::Overflow { argument: "bytes", value: output.c })?, ..all })
}

/// The error for weights that are there but not expected, or the other way round.
fn presence(argument: &'static str, found: bool) -> Error {
    let (value, expected) =
        if found { ("some", "none, as the shape says") } else { ("none", "some, as the shape says") };
    Error::Argument { argument, value: Value::Name(value), expected: Expected::Text(expected) }
}

/// The plan of a block: a program and the shape that it was made of.
macro_rules! block_plan {
    ($(#[$doc:meta])* $plan:ident, $shape:ident) => {
        $(#[$doc])*
        ///
        /// It keeps the promises of [`Conv2dPlan`](crate::Conv2dPlan): runs allocate nothing, one plan may run on many
        /// threads at once with a scratch each, and the bits do not depend on the executor.
        pub struct $plan {
            shape: $shape,
            program: $crate::block::program::Program,
        }

        impl $plan {
            /// Computes on the calling thread. `scratch` is any memory of [`scratch_len`](Self::scratch_len) floats; what
            /// it holds does not matter.
            ///
            /// # Errors
            /// Views whose layout or sizes are not the plan's, or a scratch that is too short. Nothing has been written
            /// then.
            pub fn run(
                &self,
                input: &$crate::tensor::View<'_>,
                output: &mut $crate::tensor::ViewMut<'_>,
                scratch: &mut [f32],
            ) -> Result<(), $crate::error::Error> {
                self.program.run(input, output, scratch)
            }

            /// Computes on the caller's threads.
            ///
            /// # Errors
            /// As [`run`](Self::run), and an executor that did not run every task.
            pub fn run_with(
                &self,
                pool: &dyn $crate::parallel::Parallel,
                input: &$crate::tensor::View<'_>,
                output: &mut $crate::tensor::ViewMut<'_>,
                scratch: &mut [f32],
            ) -> Result<(), $crate::error::Error> {
                self.program.run_with(pool, input, output, scratch)
            }

            /// The program, for a network that runs it by addresses. Of some blocks no network is made.
            #[allow(dead_code)]
            pub(crate) fn into_program(self) -> $crate::block::program::Program {
                self.program
            }

            /// Floats of scratch that a run needs, all parts together.
            pub fn scratch_len(&self) -> usize {
                self.program.scratch_len()
            }

            /// Multiplies, adds and parameters of all operations; bytes of input, parameters and output only.
            pub fn cost(&self) -> $crate::cost::Cost {
                self.program.cost
            }

            /// The shape.
            pub fn shape(&self) -> &$shape {
                &self.shape
            }

            /// The layout of input and output.
            pub fn layout(&self) -> $crate::tensor::Layout {
                self.program.layout
            }

            /// Into how many parts a run is cut at most.
            pub fn threads(&self) -> usize {
                self.program.parts
            }

            /// Sizes of the input.
            pub fn input_dims(&self) -> $crate::tensor::Dims {
                self.program.input
            }

            /// Sizes of the output.
            pub fn output_dims(&self) -> $crate::tensor::Dims {
                self.program.output
            }

            /// How the block runs: the operations that take turns, and on how many rows.
            pub fn describe(&self) -> alloc::string::String {
                self.program.describe()
            }
        }

        impl core::fmt::Debug for $plan {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_struct(stringify!($plan)).field("shape", &self.shape).finish_non_exhaustive()
            }
        }
    };
}
use block_plan;
