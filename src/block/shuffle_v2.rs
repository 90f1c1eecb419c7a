//! The units of ShuffleNet V2 (arXiv:1807.11164).
//!
//! Stride 1: the second half of the channels goes through pointwise, depthwise, pointwise; the first half stays as it is.
//! Stride 2: all channels go through that branch, and through a second one of depthwise and pointwise. The halves are
//! concatenated and shuffled in two groups, which makes their channels take turns.
//!
//! Splitting is an address. Channels first, so are concatenation and shuffle: a branch writes every second plane. Channels
//! last, a pixel's channels have to be woven together; the half that stays must be copied to the output in any case, and
//! this is the moment: one pass over a strip that is in cache writes both, with the stores that the copy alone needs.

use super::builder::{Builder, multiple};
use super::{Filter, block_cost, block_plan, depthwise, output_of, pointwise, presence};
use crate::cost::Cost;
use crate::epilogue::Activation;
use crate::error::Error;
use crate::plan::Options;
use crate::shape::Conv2dShape;
use crate::tensor::{Dims, Layout};

/// Shape of a ShuffleNet V2 unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShuffleV2Shape {
    input: Dims,
    /// Depthwise and pointwise of the other half, with a stride.
    left: Option<[Conv2dShape; 2]>,
    expand: Conv2dShape,
    depthwise: Conv2dShape,
    project: Conv2dShape,
    activation: Activation,
    shuffled: bool,
}

impl ShuffleV2Shape {
    /// The unit with stride 1: half of the channels through a branch with a `kernel` x `kernel` depthwise convolution.
    /// The activation follows the pointwise convolutions.
    ///
    /// # Errors
    /// As [`Conv2dShape::check`]; an odd number of channels; an even kernel; an activation whose bounds are no bounds.
    pub fn basic(input: Dims, kernel: usize, activation: Activation) -> Result<Self, Error> {
        multiple("c", input.c, 2)?;
        let half = Dims { c: input.c / 2, ..input };
        Self::of(input, half, input.c, kernel, 1, activation)
    }

    /// The unit that changes the size: two branches of all channels, each to half of `c_out`.
    ///
    /// # Errors
    /// As [`basic`](Self::basic), of `c_out`.
    pub fn down(
        input: Dims,
        c_out: usize,
        kernel: usize,
        stride: usize,
        activation: Activation,
    ) -> Result<Self, Error> {
        multiple("c_out", c_out, 2)?;
        let mut shape = Self::of(input, input, c_out, kernel, stride, activation)?;
        let first = depthwise(input, kernel, stride)?;
        shape.left = Some([first, pointwise(output_of(&first)?, c_out / 2)?]);
        shape.cost()?;
        Ok(shape)
    }

    fn of(
        input: Dims,
        right: Dims,
        c_out: usize,
        kernel: usize,
        stride: usize,
        activation: Activation,
    ) -> Result<Self, Error> {
        activation.check()?;
        let expand = pointwise(right, c_out / 2)?;
        let depthwise = depthwise(output_of(&expand)?, kernel, stride)?;
        let project = pointwise(output_of(&depthwise)?, c_out / 2)?;
        let shape = ShuffleV2Shape { input, left: None, expand, depthwise, project, activation, shuffled: true };
        shape.cost()?;
        Ok(shape)
    }

    /// The same without the shuffle: the halves side by side. For measuring what the shuffle costs.
    pub const fn without_shuffle(mut self) -> Self {
        self.shuffled = false;
        self
    }

    /// Whether channels are shuffled.
    pub fn is_shuffled(&self) -> bool {
        self.shuffled
    }

    /// The convolutions of the branch that both units have: pointwise, depthwise (nothing follows it), pointwise.
    pub fn convolutions(&self) -> [Conv2dShape; 3] {
        [self.expand, self.depthwise, self.project]
    }

    /// The convolutions of the other branch, where the size changes: depthwise (nothing follows it), pointwise.
    pub fn left(&self) -> Option<[Conv2dShape; 2]> {
        self.left
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
        let p = &self.project;
        Dims::new(p.n, p.h, p.w, 2 * p.c_out)
    }

    /// Cost of the unit.
    ///
    /// # Errors
    /// A count that overflows.
    pub fn cost(&self) -> Result<Cost, Error> {
        let mut costs = [Cost::default(); 5];
        let shapes = self.convolutions().into_iter().chain(self.left.into_iter().flatten());
        for (cost, shape) in costs.iter_mut().zip(shapes) {
            *cost = Cost::of(&shape)?;
        }
        block_cost(self.input, self.output_dims(), costs)
    }
}

/// Weights of a ShuffleNet V2 unit.
#[derive(Clone, Copy, Debug)]
pub struct ShuffleV2Weights<'a> {
    /// `[half][c or its half][1][1]`
    pub expand: Filter<'a>,
    /// `[half][1][kernel][kernel]`
    pub depthwise: Filter<'a>,
    /// `[half][half][1][1]`
    pub project: Filter<'a>,
    /// Of the other branch, in the unit that changes the size.
    pub left: Option<ShuffleV2Left<'a>>,
}

/// Weights of the second branch of the unit that changes the size.
#[derive(Clone, Copy, Debug)]
pub struct ShuffleV2Left<'a> {
    /// `[c][1][kernel][kernel]`
    pub depthwise: Filter<'a>,
    /// `[half][c][1][1]`
    pub project: Filter<'a>,
}

block_plan! {
    /// A ShuffleNet V2 unit, ready to run any number of times.
    ShuffleV2Plan, ShuffleV2Shape
}

impl ShuffleV2Plan {
    /// Makes a plan.
    ///
    /// # Errors
    /// Slices of another length, weights of a branch that the shape does not have or lacks; options that cannot be had,
    /// or a kernel asked for by name.
    pub fn new(
        shape: &ShuffleV2Shape,
        layout: Layout,
        weights: &ShuffleV2Weights<'_>,
        options: &Options<'_>,
    ) -> Result<Self, Error> {
        let mut b = Builder::new(layout, shape.input_dims(), shape.output_dims(), options)?;
        let (x, y) = (b.input(), b.output());
        let half = y.count / 2;
        let half_dims = output_of(&shape.project)?;
        let weave = shape.shuffled && layout == Layout::Nhwc;
        let to = |i: usize| if shape.shuffled { y.every(2, i) } else { y.channels(i * half, half) };
        // What the first half of the output is made of, where it is woven together from two tensors.
        let mut first = x.channels(0, x.count.min(half));
        match (&shape.left, &weights.left) {
            (Some([filter, project]), Some(weights)) => {
                let filtered = b.tensor(output_of(filter)?)?;
                b.conv(filter, &weights.depthwise, Activation::None, x, filtered)?;
                first = if weave { b.tensor(half_dims)? } else { to(0) };
                b.conv(project, &weights.project, shape.activation, filtered, first)?;
            }
            (None, None) => {
                if !weave {
                    b.copy(first, to(0));
                }
            }
            (_, found) => return Err(presence("left weights", found.is_some())),
        }
        let right = if shape.left.is_some() { x } else { x.channels(half, half) };
        let wide = b.tensor(output_of(&shape.expand)?)?;
        let filtered = b.tensor(output_of(&shape.depthwise)?)?;
        b.conv(&shape.expand, &weights.expand, shape.activation, right, wide)?;
        b.conv(&shape.depthwise, &weights.depthwise, Activation::None, wide, filtered)?;
        let second = if weave { b.tensor(half_dims)? } else { to(1) };
        b.conv(&shape.project, &weights.project, shape.activation, filtered, second)?;
        if weave {
            b.pairs(first, second, y);
        }
        Ok(ShuffleV2Plan { shape: *shape, program: b.finish()? })
    }
}
