//! The units of ShuffleNet V1 (arXiv:1707.01083): pointwise in groups, channel shuffle, depthwise, pointwise in groups;
//! with stride 1 the input is added, with stride 2 the branch is concatenated to the averaged input.
//!
//! What becomes of the shuffle, of `b` channels in `g` groups:
//!
//! - Where the first convolution has one group, its output channels are computed in shuffled order: its weights are
//!   permuted, and nothing is left of the shuffle.
//! - Channels first, the depthwise convolution runs group by group and writes every `g`th plane.
//! - Channels last, the second convolution's groups each need a few channels of every group of the first, six or seven in
//!   the first stage with three groups: too few to fill a vector. (A depthwise convolution that moves such pieces, or one
//!   that reads them, costs several times what follows.) So pixels are permuted in registers, on the strip between depthwise
//!   and second convolution, where with stride 2 there are a quarter as many; the depthwise weights are permuted to match.
//!
//! Concatenation is an address: the pooling and the branch each write their channels of the output.

use super::builder::{Builder, multiple};
use super::step::Port;
use super::{Filter, block_cost, block_plan, depthwise, output_of, pointwise, same};
use crate::cost::Cost;
use crate::epilogue::{Activation, Epilogue, Residual};
use crate::error::{Error, Expected};
use crate::plan::{Options, Pooling};
use crate::shape::Conv2dShape;
use crate::tensor::{Dims, Layout};
use alloc::vec::Vec;

/// Shape of a ShuffleNet V1 unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShuffleV1Shape {
    input: Dims,
    reduce: Conv2dShape,
    depthwise: Conv2dShape,
    expand: Conv2dShape,
    /// The averages of the input, with a stride.
    pool: Option<Conv2dShape>,
    activation: Activation,
    shuffled: bool,
}

impl ShuffleV1Shape {
    /// The unit with stride 1: reduces to `width` channels in `groups`, shuffles, filters 3 x 3 depthwise, expands to as
    /// many channels as the input has, in `groups`, and adds the input. The activation follows the first convolution and
    /// the sum.
    ///
    /// # Errors
    /// As [`Conv2dShape::check`]; an activation whose bounds are no bounds.
    pub fn basic(input: Dims, width: usize, groups: usize, activation: Activation) -> Result<Self, Error> {
        Self::of(input, width, input.c, groups, groups, 1, activation)
    }

    /// The unit that halves the size: its branch has `c_out` less the input's channels, which are averaged 3 x 3 and
    /// concatenated before it. `first_groups` are those of the first convolution: 1 in the first stage of the network. The
    /// activation follows the first convolution and the branch; averages of an input that has passed a ReLU need none.
    /// Averages leave out the padding.
    ///
    /// # Errors
    /// As [`basic`](Self::basic); no more output channels than input channels.
    pub fn down(
        input: Dims,
        width: usize,
        c_out: usize,
        groups: usize,
        first_groups: usize,
        activation: Activation,
    ) -> Result<Self, Error> {
        if c_out <= input.c {
            return Err(Error::size("c_out", c_out, Expected::AtLeast(input.c.saturating_add(1))));
        }
        let mut shape = Self::of(input, width, c_out - input.c, groups, first_groups, 2, activation)?;
        shape.pool = Some(depthwise(input, 3, 2)?);
        shape.cost()?;
        Ok(shape)
    }

    fn of(
        input: Dims,
        width: usize,
        c_out: usize,
        groups: usize,
        first_groups: usize,
        stride: usize,
        activation: Activation,
    ) -> Result<Self, Error> {
        activation.check()?;
        multiple("width", width, groups)?;
        if first_groups != 1 && first_groups != groups {
            return Err(Error::size("first groups", first_groups, Expected::Text("one, or as many as groups")));
        }
        let reduce = same(input, width, 1, 1, first_groups)?;
        let depthwise = depthwise(output_of(&reduce)?, 3, stride)?;
        let expand = pointwise(output_of(&depthwise)?, c_out)?.groups(groups);
        expand.check()?;
        let shape = ShuffleV1Shape { input, reduce, depthwise, expand, pool: None, activation, shuffled: true };
        shape.cost()?;
        Ok(shape)
    }

    /// The same without the shuffle. For measuring what the shuffle costs.
    pub const fn without_shuffle(mut self) -> Self {
        self.shuffled = false;
        self
    }

    /// The three convolutions. Weights of the last two are those after the shuffle.
    pub fn convolutions(&self) -> [Conv2dShape; 3] {
        [self.reduce, self.depthwise, self.expand]
    }

    /// The averages of the input, with a stride.
    pub fn pool(&self) -> Option<Conv2dShape> {
        self.pool
    }

    /// Groups of the shuffle: those of the last convolution; 1 where there is none.
    pub fn shuffle_groups(&self) -> usize {
        if self.shuffled { self.expand.groups } else { 1 }
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
        Dims::new(e.n, e.h, e.w, e.c_out + self.pool.map_or(0, |p| p.c_in))
    }

    /// Cost of the unit: with stride 1, `n·h·w·(2·c·width / groups + 9·width)` multiplies.
    ///
    /// # Errors
    /// A count that overflows.
    pub fn cost(&self) -> Result<Cost, Error> {
        let [a, b, c] = self.convolutions();
        let rest = match &self.pool {
            Some(pool) => Cost::average_pool(pool)?,
            None => Cost::addition(self.output_dims())?,
        };
        block_cost(self.input, self.output_dims(), [Cost::of(&a)?, Cost::of(&b)?, Cost::of(&c)?, rest])
    }
}

/// Weights of a ShuffleNet V1 unit.
#[derive(Clone, Copy, Debug)]
pub struct ShuffleV1Weights<'a> {
    /// `[width][c / groups][1][1]`
    pub reduce: Filter<'a>,
    /// `[width][1][3][3]`, of the shuffled channels
    pub depthwise: Filter<'a>,
    /// `[c_out][width / groups][1][1]`
    pub expand: Filter<'a>,
}

block_plan! {
    /// A ShuffleNet V1 unit, ready to run any number of times.
    ShuffleV1Plan, ShuffleV1Shape
}

impl ShuffleV1Plan {
    /// Makes a plan.
    ///
    /// # Errors
    /// Slices of another length; options that cannot be had, or a kernel asked for by name.
    pub fn new(
        shape: &ShuffleV1Shape,
        layout: Layout,
        weights: &ShuffleV1Weights<'_>,
        options: &Options<'_>,
    ) -> Result<Self, Error> {
        let mut b = Builder::new(layout, shape.input_dims(), shape.output_dims(), options)?;
        weights.reduce.check(&shape.reduce)?;
        weights.depthwise.check(&shape.depthwise)?;
        weights.expand.check(&shape.expand)?;
        let (x, y) = (b.input(), b.output());
        if let Some(pool) = &shape.pool {
            b.pool(Pooling::Average, pool, x, y.channels(0, pool.c_in))?;
        }
        let reduced = b.tensor(output_of(&shape.reduce)?)?;
        let filtered = b.tensor(output_of(&shape.depthwise)?)?;
        let expand = shape.middle(&mut b, weights, x, reduced, filtered)?;
        let (first, residual) = match &shape.pool {
            Some(pool) => (pool.c_in, None),
            None => (0, Some(x)),
        };
        let epilogue = Epilogue::activation(shape.activation).with_residual(Residual::BeforeActivation);
        let to = y.channels(first, shape.expand.c_out);
        b.conv_and_add(&shape.expand, &expand.filter(), epilogue, filtered, residual, to)?;
        Ok(ShuffleV1Plan { shape: *shape, program: b.finish()? })
    }
}

/// A filter of its own.
struct Owned {
    weights: Vec<f32>,
    bias: Option<Vec<f32>>,
}

impl Owned {
    /// Output channels `channels` of a filter, in this order, with input channels of each in the order that `inputs` gives
    /// for it.
    fn pick(
        filter: &Filter<'_>,
        channels: impl Iterator<Item = usize> + Clone,
        each: usize,
        inputs: impl Fn(usize, usize) -> usize,
    ) -> Owned {
        let weights = channels.clone().flat_map(|o| (0..each).map(move |i| (o, i)));
        let weights = weights.map(|(o, i)| filter.weights[o * each + inputs(o, i)]).collect();
        Owned { weights, bias: filter.bias.map(|b| channels.map(|o| b[o]).collect()) }
    }

    fn filter(&self) -> Filter<'_> {
        Filter { weights: &self.weights, bias: self.bias.as_deref() }
    }
}

impl ShuffleV1Shape {
    /// Adds the first two convolutions and what becomes of the shuffle; gives the weights of the third.
    fn middle(
        &self,
        b: &mut Builder<'_>,
        weights: &ShuffleV1Weights<'_>,
        x: Port,
        reduced: Port,
        filtered: Port,
    ) -> Result<Owned, Error> {
        let (g, width) = (self.shuffle_groups(), self.reduce.c_out);
        let per = width / g;
        // Shuffled channel `c` was channel `before(c)`.
        let before = |c: usize| c % g * per + c / g;
        let same = |_: usize, i: usize| i;
        let each_in = self.reduce.c_in / self.reduce.groups;
        let each_out = self.expand.c_in / self.expand.groups;
        let expand = Owned::pick(&weights.expand, 0..self.expand.c_out, each_out, same);
        if g == 1 || self.reduce.groups == 1 {
            let reduce = Owned::pick(&weights.reduce, (0..width).map(before), each_in, same);
            b.conv(&self.reduce, &reduce.filter(), self.activation, x, reduced)?;
            b.conv(&self.depthwise, &weights.depthwise, Activation::None, reduced, filtered)?;
            return Ok(expand);
        }
        b.conv(&self.reduce, &weights.reduce, self.activation, x, reduced)?;
        if b.layout() == Layout::Nchw {
            for i in 0..g {
                let to = filtered.every(g, i);
                let channels = (0..per).map(|j| j * g + i);
                self.piece(b, &weights.depthwise, channels, reduced.channels(i * per, per), to)?;
            }
            return Ok(expand);
        }
        // What filters shuffled channel `c` filters channel `before(c)` here: `after` is its inverse.
        let after = |c: usize| c % per * g + c / per;
        let filter =
            Owned::pick(&weights.depthwise, (0..width).map(after), self.depthwise.kh * self.depthwise.kw, same);
        let apart = b.tensor(output_of(&self.depthwise)?)?;
        b.conv(&self.depthwise, &filter.filter(), Activation::None, reduced, apart)?;
        b.shuffle(g, apart, filtered);
        Ok(expand)
    }

    /// The depthwise convolution of some shuffled channels.
    fn piece(
        &self,
        b: &mut Builder<'_>,
        filter: &Filter<'_>,
        channels: impl Iterator<Item = usize> + Clone,
        from: Port,
        to: Port,
    ) -> Result<(), Error> {
        let s = &self.depthwise;
        let piece = Conv2dShape { c_in: from.count, c_out: from.count, groups: from.count, ..*s };
        let filter = Owned::pick(filter, channels, s.kh * s.kw, |_, i| i);
        b.conv(&piece, &filter.filter(), Activation::None, from, to)
    }
}
