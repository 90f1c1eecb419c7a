//! Inverted residual (MobileNetV2, arXiv:1801.04381; V3, arXiv:1905.02244; MnasNet, EfficientNet): a pointwise
//! convolution expands the channels, a depthwise one filters them, perhaps a squeeze-and-excite scales them, a pointwise
//! one projects them, and the input is added where it has the output's size.
//!
//! The expanded map, the largest tensor of these networks, exists as a strip of rows only: each row is computed once,
//! kept for as many rows as the depthwise kernel is high, and dropped. The depthwise output is a strip too, or whole if
//! a squeeze-and-excite has to see all of it. The residual is added to outputs that have just been stored.

use super::builder::Builder;
use super::squeeze_excite::{SqueezeExcite, SqueezeExciteWeights};
use super::{Filter, block_cost, block_plan, depthwise, output_of, pointwise, presence};
use crate::cost::Cost;
use crate::epilogue::{Activation, Epilogue, Residual};
use crate::error::Error;
use crate::plan::Options;
use crate::shape::{Conv2dShape, Padding};
use crate::tensor::{Dims, Layout};

/// Shape of an inverted residual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InvertedResidualShape {
    input: Dims,
    expand: Option<Conv2dShape>,
    depthwise: Conv2dShape,
    squeeze_excite: Option<SqueezeExcite>,
    project: Conv2dShape,
    activation: Activation,
    residual: bool,
}

impl InvertedResidualShape {
    /// Expands to `expanded` channels, filters them `kernel` x `kernel` with this stride, projects to `c_out`. The
    /// activation follows the first two. There is no first convolution where `expanded` is the number of input channels
    /// (expansion 1). The input is added where stride is 1 and `c_out` is the number of input channels.
    ///
    /// # Errors
    /// As [`Conv2dShape::check`]; an even kernel; an activation whose bounds are no bounds.
    pub fn new(
        input: Dims,
        expanded: usize,
        c_out: usize,
        kernel: usize,
        stride: usize,
        activation: Activation,
    ) -> Result<Self, Error> {
        let wide = Dims { c: expanded, ..input };
        let expand = if expanded == input.c { None } else { Some(pointwise(input, expanded)?) };
        let depthwise = depthwise(wide, kernel, stride)?;
        let project = pointwise(output_of(&depthwise)?, c_out)?;
        let residual = stride == 1 && c_out == input.c;
        Self { input, expand, depthwise, squeeze_excite: None, project, activation, residual }.checked()
    }

    fn checked(self) -> Result<Self, Error> {
        self.activation.check()?;
        if let Some(se) = &self.squeeze_excite {
            se.check()?;
        }
        self.cost()?;
        Ok(self)
    }

    /// The same with a squeeze-and-excite after the depthwise convolution and its activation.
    ///
    /// # Errors
    /// A squeeze to zero channels, an activation whose bounds are no bounds.
    pub fn squeeze_excite(mut self, squeeze_excite: SqueezeExcite) -> Result<Self, Error> {
        self.squeeze_excite = Some(squeeze_excite);
        self.checked()
    }

    /// The same with other padding of the depthwise convolution. A residual is left out where it no longer fits.
    ///
    /// # Errors
    /// As [`Conv2dShape::check`].
    pub fn padding(mut self, padding: Padding) -> Result<Self, Error> {
        self.depthwise = self.depthwise.padding(padding);
        self.project = pointwise(output_of(&self.depthwise)?, self.project.c_out)?;
        self.residual &= self.output_dims() == self.input;
        self.checked()
    }

    /// The same without a residual.
    pub const fn without_residual(mut self) -> Self {
        self.residual = false;
        self
    }

    /// The pointwise convolution that expands, if there is one; the activation follows it.
    pub fn expand(&self) -> Option<Conv2dShape> {
        self.expand
    }

    /// The depthwise convolution; the activation follows it.
    pub fn depthwise(&self) -> Conv2dShape {
        self.depthwise
    }

    /// The pointwise convolution that projects; nothing follows it but the residual.
    pub fn project(&self) -> Conv2dShape {
        self.project
    }

    /// The squeeze-and-excite between the last two.
    pub fn squeeze(&self) -> Option<SqueezeExcite> {
        self.squeeze_excite
    }

    /// The activation.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Whether the input is added.
    pub fn has_residual(&self) -> bool {
        self.residual
    }

    /// Sizes of the input.
    pub fn input_dims(&self) -> Dims {
        self.input
    }

    /// Sizes of the output.
    pub fn output_dims(&self) -> Dims {
        let p = &self.project;
        Dims::new(p.n, p.h, p.w, p.c_out)
    }

    /// Cost of the block.
    ///
    /// # Errors
    /// A count that overflows.
    pub fn cost(&self) -> Result<Cost, Error> {
        let expand = self.expand.map_or(Ok(Cost::default()), |s| Cost::of(&s))?;
        let se = self.squeeze_excite.map_or(Ok(Cost::default()), |se| se.cost(output_of(&self.depthwise)?))?;
        let add = if self.residual { Cost::addition(self.output_dims())? } else { Cost::default() };
        let costs = [expand, Cost::of(&self.depthwise)?, se, Cost::of(&self.project)?, add];
        block_cost(self.input, self.output_dims(), costs)
    }
}

/// Weights of an inverted residual.
#[derive(Clone, Copy, Debug)]
pub struct InvertedResidualWeights<'a> {
    /// `[expanded][c][1][1]`; none with expansion 1.
    pub expand: Option<Filter<'a>>,
    /// `[expanded][1][kernel][kernel]`
    pub depthwise: Filter<'a>,
    /// Of the squeeze-and-excite, if there is one.
    pub squeeze_excite: Option<SqueezeExciteWeights<'a>>,
    /// `[c_out][expanded][1][1]`
    pub project: Filter<'a>,
}

block_plan! {
    /// An inverted residual, ready to run any number of times.
    InvertedResidualPlan, InvertedResidualShape
}

impl InvertedResidualPlan {
    /// Makes a plan.
    ///
    /// # Errors
    /// Slices of another length, weights of a convolution that the shape does not have or lacks; options that cannot be
    /// had, or a kernel asked for by name.
    pub fn new(
        shape: &InvertedResidualShape,
        layout: Layout,
        weights: &InvertedResidualWeights<'_>,
        options: &Options<'_>,
    ) -> Result<Self, Error> {
        let mut b = Builder::new(layout, shape.input_dims(), shape.output_dims(), options)?;
        let (x, y) = (b.input(), b.output());
        let wide = match (&shape.expand, &weights.expand) {
            (Some(expand), Some(filter)) => {
                let wide = b.tensor(output_of(expand)?)?;
                b.conv(expand, filter, shape.activation, x, wide)?;
                wide
            }
            (None, None) => x,
            (_, found) => return Err(presence("expand weights", found.is_some())),
        };
        let filtered_dims = output_of(&shape.depthwise)?;
        let filtered = b.tensor(filtered_dims)?;
        b.conv(&shape.depthwise, &weights.depthwise, shape.activation, wide, filtered)?;
        let last = match (&shape.squeeze_excite, &weights.squeeze_excite) {
            (Some(se), Some(weights)) => se.build(&mut b, weights, filtered_dims, filtered)?,
            (None, None) => filtered,
            (_, found) => return Err(presence("squeeze-and-excite weights", found.is_some())),
        };
        let epilogue = Epilogue::NONE.with_residual(Residual::AfterActivation);
        b.conv_and_add(&shape.project, &weights.project, epilogue, last, shape.residual.then_some(x), y)?;
        Ok(InvertedResidualPlan { shape: *shape, program: b.finish()? })
    }
}
