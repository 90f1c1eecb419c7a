//! The bottleneck of ResNet (arXiv:1512.03385) and, with groups, of ResNeXt (arXiv:1611.05431): the baselines that the
//! light networks are compared with.
//!
//! Pointwise, `kernel` x `kernel` with groups, pointwise; the shortcut is added before the last activation. Both
//! intermediates, and a projected shortcut, are strips.

use super::builder::Builder;
use super::{Filter, block_cost, block_plan, output_of, pointwise, presence, same};
use crate::cost::Cost;
use crate::epilogue::{Activation, Epilogue, Residual};
use crate::error::Error;
use crate::plan::Options;
use crate::shape::Conv2dShape;
use crate::tensor::{Dims, Layout};

/// Shape of a bottleneck.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BottleneckShape {
    input: Dims,
    reduce: Conv2dShape,
    spatial: Conv2dShape,
    expand: Conv2dShape,
    shortcut: Option<Conv2dShape>,
    activation: Activation,
}

impl BottleneckShape {
    /// Reduces to `width` channels, convolves `kernel` x `kernel` in `groups` with this stride, expands to `c_out`. The
    /// shortcut is the input where stride is 1 and `c_out` is the number of input channels, else a pointwise convolution
    /// of it with this stride. The activation follows the first two convolutions and the sum.
    ///
    /// # Errors
    /// As [`Conv2dShape::check`]; an even kernel; an activation whose bounds are no bounds.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        input: Dims,
        width: usize,
        c_out: usize,
        kernel: usize,
        stride: usize,
        groups: usize,
        activation: Activation,
    ) -> Result<Self, Error> {
        let reduce = pointwise(input, width)?;
        let spatial = same(output_of(&reduce)?, width, kernel, stride, groups)?;
        Self::of(input, reduce, spatial, c_out, stride, activation)
    }

    fn of(
        input: Dims,
        reduce: Conv2dShape,
        spatial: Conv2dShape,
        c_out: usize,
        stride: usize,
        activation: Activation,
    ) -> Result<Self, Error> {
        activation.check()?;
        let expand = pointwise(output_of(&spatial)?, c_out)?;
        let identity = stride == 1 && c_out == input.c;
        let shortcut = if identity { None } else { Some(same(input, c_out, 1, stride, 1)?) };
        let shape = BottleneckShape { input, reduce, spatial, expand, shortcut, activation };
        shape.cost()?;
        Ok(shape)
    }

    /// The same with the stride in the first convolution, as the paper has it; most later code has it in the second.
    ///
    /// # Errors
    /// As [`Conv2dShape::check`].
    pub fn stride_first(self) -> Result<Self, Error> {
        let s = &self.spatial;
        let stride = s.stride[0].max(self.reduce.stride[0]);
        let reduce = same(self.input, self.reduce.c_out, 1, stride, 1)?;
        let spatial = same(output_of(&reduce)?, s.c_out, s.kh, 1, s.groups)?;
        Self::of(self.input, reduce, spatial, self.expand.c_out, stride, self.activation)
    }

    /// The three convolutions.
    pub fn convolutions(&self) -> [Conv2dShape; 3] {
        [self.reduce, self.spatial, self.expand]
    }

    /// The convolution of the shortcut, if it is one.
    pub fn shortcut(&self) -> Option<Conv2dShape> {
        self.shortcut
    }

    /// The activation.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Sizes of the input.
    pub fn input_dims(&self) -> Dims {
        self.input
    }

    /// Sizes of the output.
    pub fn output_dims(&self) -> Dims {
        let e = &self.expand;
        Dims::new(e.n, e.h, e.w, e.c_out)
    }

    /// Cost of the block.
    ///
    /// # Errors
    /// A count that overflows.
    pub fn cost(&self) -> Result<Cost, Error> {
        let shortcut = self.shortcut.map_or(Ok(Cost::default()), |s| Cost::of(&s))?;
        let [a, b, c] = self.convolutions();
        let costs = [Cost::of(&a)?, Cost::of(&b)?, Cost::of(&c)?, shortcut, Cost::addition(self.output_dims())?];
        block_cost(self.input, self.output_dims(), costs)
    }
}

/// Weights of a bottleneck.
#[derive(Clone, Copy, Debug)]
pub struct BottleneckWeights<'a> {
    /// `[width][c][1][1]`
    pub reduce: Filter<'a>,
    /// `[width][width / groups][kernel][kernel]`
    pub spatial: Filter<'a>,
    /// `[c_out][width][1][1]`
    pub expand: Filter<'a>,
    /// `[c_out][c][1][1]`; none where the shortcut is the input.
    pub shortcut: Option<Filter<'a>>,
}

block_plan! {
    /// A bottleneck, ready to run any number of times.
    BottleneckPlan, BottleneckShape
}

impl BottleneckPlan {
    /// Makes a plan.
    ///
    /// # Errors
    /// Slices of another length, weights of a shortcut that the shape does not have or lacks; options that cannot be had,
    /// or a kernel asked for by name.
    pub fn new(
        shape: &BottleneckShape,
        layout: Layout,
        weights: &BottleneckWeights<'_>,
        options: &Options<'_>,
    ) -> Result<Self, Error> {
        let mut b = Builder::new(layout, shape.input_dims(), shape.output_dims(), options)?;
        let (x, y) = (b.input(), b.output());
        let shortcut = match (&shape.shortcut, &weights.shortcut) {
            (Some(shortcut), Some(filter)) => {
                let projected = b.tensor(output_of(shortcut)?)?;
                b.conv(shortcut, filter, Activation::None, x, projected)?;
                projected
            }
            (None, None) => x,
            (_, found) => return Err(presence("shortcut weights", found.is_some())),
        };
        let reduced = b.tensor(output_of(&shape.reduce)?)?;
        let spatial = b.tensor(output_of(&shape.spatial)?)?;
        b.conv(&shape.reduce, &weights.reduce, shape.activation, x, reduced)?;
        b.conv(&shape.spatial, &weights.spatial, shape.activation, reduced, spatial)?;
        let epilogue = Epilogue::activation(shape.activation).with_residual(Residual::BeforeActivation);
        b.conv_and_add(&shape.expand, &weights.expand, epilogue, spatial, Some(shortcut), y)?;
        Ok(BottleneckPlan { shape: *shape, program: b.finish()? })
    }
}
