//! Depthwise separable convolution (MobileNetV1, arXiv:1704.04861): depthwise, then pointwise.
//!
//! A strip of the depthwise output is the left matrix of the pointwise product, read while it is in the second cache.
//!
//! Multiplies beside those of the standard convolution: `1 / c_out + 1 / kernel²`.

use super::builder::Builder;
use super::{Filter, block_cost, block_plan, depthwise, output_of, pointwise};
use crate::cost::Cost;
use crate::epilogue::Activation;
use crate::error::Error;
use crate::plan::Options;
use crate::shape::{Conv2dShape, Padding};
use crate::tensor::{Dims, Layout};

/// Shape of a depthwise separable block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SeparableShape {
    input: Dims,
    depthwise: Conv2dShape,
    pointwise: Conv2dShape,
    activations: [Activation; 2],
}

impl SeparableShape {
    /// `kernel` x `kernel` depthwise with this stride, padded as much as keeps the size at stride 1, then pointwise to
    /// `c_out` channels; the activation follows both.
    ///
    /// # Errors
    /// As [`Conv2dShape::check`]; an even kernel; an activation whose bounds are no bounds.
    pub fn new(input: Dims, c_out: usize, kernel: usize, stride: usize, activation: Activation) -> Result<Self, Error> {
        Self::of(input, depthwise(input, kernel, stride)?, c_out, [activation; 2])
    }

    fn of(input: Dims, depthwise: Conv2dShape, c_out: usize, activations: [Activation; 2]) -> Result<Self, Error> {
        activations.iter().try_for_each(|a| a.check())?;
        let pointwise = pointwise(output_of(&depthwise)?, c_out)?;
        let shape = SeparableShape { input, depthwise, pointwise, activations };
        shape.cost()?;
        Ok(shape)
    }

    /// The same with other padding.
    ///
    /// # Errors
    /// As [`Conv2dShape::check`].
    pub fn padding(self, padding: Padding) -> Result<Self, Error> {
        Self::of(self.input, self.depthwise.padding(padding), self.pointwise.c_out, self.activations)
    }

    /// The same with other activations after the two convolutions.
    ///
    /// # Errors
    /// An activation whose bounds are no bounds.
    pub fn activations(self, depthwise: Activation, pointwise: Activation) -> Result<Self, Error> {
        Self::of(self.input, self.depthwise, self.pointwise.c_out, [depthwise, pointwise])
    }

    /// The depthwise and the pointwise convolution, each with what follows it.
    pub fn convolutions(&self) -> [(Conv2dShape, Activation); 2] {
        [(self.depthwise, self.activations[0]), (self.pointwise, self.activations[1])]
    }

    /// The standard convolution that the block replaces.
    pub fn standard(&self) -> Conv2dShape {
        Conv2dShape { groups: 1, c_out: self.pointwise.c_out, ..self.depthwise }
    }

    /// Sizes of the input.
    pub fn input_dims(&self) -> Dims {
        self.input
    }

    /// Sizes of the output.
    pub fn output_dims(&self) -> Dims {
        let p = &self.pointwise;
        Dims::new(p.n, p.h, p.w, p.c_out)
    }

    /// Cost of the block: `n·oh·ow·c·(kernel² + c_out)` multiplies.
    ///
    /// # Errors
    /// A count that overflows.
    pub fn cost(&self) -> Result<Cost, Error> {
        let costs = [Cost::of(&self.depthwise)?, Cost::of(&self.pointwise)?];
        block_cost(self.input, self.output_dims(), costs)
    }
}

/// Weights of a depthwise separable block.
#[derive(Clone, Copy, Debug)]
pub struct SeparableWeights<'a> {
    /// `[c][1][kernel][kernel]`
    pub depthwise: Filter<'a>,
    /// `[c_out][c][1][1]`
    pub pointwise: Filter<'a>,
}

block_plan! {
    /// A depthwise separable block, ready to run any number of times.
    SeparablePlan, SeparableShape
}

impl SeparablePlan {
    /// Makes a plan.
    ///
    /// # Errors
    /// Slices of another length; options that cannot be had, or a kernel asked for by name.
    pub fn new(
        shape: &SeparableShape,
        layout: Layout,
        weights: &SeparableWeights<'_>,
        options: &Options<'_>,
    ) -> Result<Self, Error> {
        let mut b = Builder::new(layout, shape.input_dims(), shape.output_dims(), options)?;
        let (x, y) = (b.input(), b.output());
        let between = b.tensor(output_of(&shape.depthwise)?)?;
        b.conv(&shape.depthwise, &weights.depthwise, shape.activations[0], x, between)?;
        b.conv(&shape.pointwise, &weights.pointwise, shape.activations[1], between, y)?;
        Ok(SeparablePlan { shape: *shape, program: b.finish()? })
    }
}
