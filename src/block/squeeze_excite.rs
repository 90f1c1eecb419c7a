//! Squeeze-and-excite (arXiv:1709.01507): channels scaled by what their averages say.
//!
//! The averages need the whole map, so this is where a block's phases meet: what is scaled is stored whole. The scaled
//! map is not: a strip of it is made for the convolution that reads it.

use super::builder::Builder;
use super::step::Port;
use super::{Filter, pointwise};
use crate::cost::Cost;
use crate::epilogue::Activation;
use crate::error::Error;
use crate::plan::Pooling;
use crate::shape::Conv2dShape;
use crate::tensor::Dims;

/// A squeeze-and-excite inside a block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SqueezeExcite {
    /// Channels that the averages are squeezed to.
    pub squeeze: usize,
    /// After the first fully connected layer: ReLU in MobileNetV3 and GhostNet, SiLU in EfficientNet.
    pub activation: Activation,
    /// After the second: hard sigmoid in MobileNetV3 and GhostNet, sigmoid in EfficientNet.
    pub gate: Activation,
}

impl SqueezeExcite {
    /// ReLU and hard sigmoid, as in MobileNetV3 and GhostNet.
    pub const fn hard(squeeze: usize) -> Self {
        SqueezeExcite { squeeze, activation: Activation::Relu, gate: Activation::HardSigmoid }
    }

    /// SiLU and sigmoid, as in EfficientNet.
    pub const fn silu(squeeze: usize) -> Self {
        SqueezeExcite { squeeze, activation: Activation::Silu, gate: Activation::Sigmoid }
    }

    /// The two fully connected layers, as pointwise convolutions of one pixel.
    ///
    /// # Errors
    /// As [`Conv2dShape::check`].
    pub fn convolutions(&self, input: Dims) -> Result<[Conv2dShape; 2], Error> {
        let pixel = Dims { h: 1, w: 1, ..input };
        Ok([pointwise(pixel, self.squeeze)?, pointwise(Dims { c: self.squeeze, ..pixel }, input.c)?])
    }

    /// Checked when a shape is made with it.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.activation.check()?;
        self.gate.check()
    }

    /// Cost for a map of this size: averages, two fully connected layers, and the scale.
    ///
    /// # Errors
    /// A count that overflows, a size of zero.
    pub fn cost(&self, input: Dims) -> Result<Cost, Error> {
        let [reduce, expand] = self.convolutions(input)?;
        let parts = [Cost::global_average_pool(input)?, Cost::of(&reduce)?, Cost::of(&expand)?, Cost::scale(input)?];
        Cost::total(parts)
    }

    /// Closes the phase that writes `map` whole, and gives a strip of the scaled map in a new one.
    pub(super) fn build(
        &self,
        b: &mut Builder<'_>,
        weights: &SqueezeExciteWeights<'_>,
        dims: Dims,
        map: Port,
    ) -> Result<Port, Error> {
        let [reduce, expand] = self.convolutions(dims)?;
        b.phase();
        let averages = b.tensor(Dims { h: 1, w: 1, ..dims })?;
        let squeezed = b.tensor(Dims { h: 1, w: 1, c: self.squeeze, ..dims })?;
        let factors = b.tensor(Dims { h: 1, w: 1, ..dims })?;
        let whole = Conv2dShape::new(dims.n, dims.h, dims.w, dims.c, dims.c, [dims.h, dims.w]).groups(dims.c);
        b.pool(Pooling::Average, &whole, map, averages)?;
        b.conv(&reduce, &weights.reduce, self.activation, averages, squeezed)?;
        b.conv(&expand, &weights.expand, self.gate, squeezed, factors)?;
        b.phase();
        let scaled = b.tensor(dims)?;
        b.scale(map, factors, scaled)?;
        Ok(scaled)
    }
}

/// Weights of a squeeze-and-excite.
#[derive(Clone, Copy, Debug)]
pub struct SqueezeExciteWeights<'a> {
    /// `[squeeze][c][1][1]`
    pub reduce: Filter<'a>,
    /// `[c][squeeze][1][1]`
    pub expand: Filter<'a>,
}
