//! Ghost module and Ghost bottleneck (GhostNet, arXiv:1911.11907).
//!
//! A module computes `c_out / ratio` channels, rounded up, by a convolution and derives the others from them by cheap
//! depthwise filters, as many as are missing; both are concatenated. The convolution writes its channels of the output,
//! the filters read them there and write the others: the concatenation is an address. A module by itself computes all rows
//! by the convolution, then all by the filters: by turns it was no faster. Inside a bottleneck, whose tensors between are
//! larger than what goes in and comes out, all operations take turns on a few rows.
//!
//! Multiplies beside those of the convolution that a module replaces: near `1 / ratio`. Where the ratio does not divide
//! `c_out`, the authors' code computes a few channels more and cuts them off; here they are not computed.

use super::builder::Builder;
use super::squeeze_excite::{SqueezeExcite, SqueezeExciteWeights};
use super::step::Port;
use super::{Filter, block_cost, block_plan, depthwise, output_of, pointwise, presence, same};
use crate::cost::Cost;
use crate::epilogue::{Activation, Epilogue, Residual};
use crate::error::{Error, Expected};
use crate::plan::Options;
use crate::shape::{Conv2dShape, product};
use crate::tensor::{Dims, Layout};

/// Shape of a Ghost module.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GhostShape {
    input: Dims,
    c_out: usize,
    primary: Conv2dShape,
    cheap: Conv2dShape,
    activation: Activation,
}

impl GhostShape {
    /// `kernel` x `kernel` convolution with this stride to `c_out / ratio` channels, rounded up, then `ratio - 1` depthwise
    /// filters `cheap` x `cheap` of each, without those of the last channels that would be more than `c_out`. The activation
    /// follows both.
    ///
    /// # Errors
    /// As [`Conv2dShape::check`]; a ratio below 2, or above `c_out`; even kernels; an activation whose bounds are no bounds.
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        input: Dims,
        c_out: usize,
        ratio: usize,
        kernel: usize,
        cheap: usize,
        stride: usize,
        activation: Activation,
    ) -> Result<Self, Error> {
        activation.check()?;
        if ratio < 2 {
            return Err(Error::size("ratio", ratio, Expected::AtLeast(2)));
        }
        if ratio > c_out {
            return Err(Error::size("ratio", ratio, Expected::AtMost(c_out)));
        }
        let primary = same(input, c_out.div_ceil(ratio), kernel, stride, 1)?;
        let some = output_of(&primary)?;
        let all = product("cheap channels", &[some.c, ratio - 1])?;
        let cheap = same(some, all, cheap, 1, some.c)?;
        let shape = GhostShape { input, c_out, primary, cheap, activation };
        shape.cost()?;
        Ok(shape)
    }

    /// The convolution and the cheap filters, all of them, as there are weights for; the activation follows both.
    pub fn convolutions(&self) -> [Conv2dShape; 2] {
        [self.primary, self.cheap]
    }

    /// The cheap filters that are computed: those of channels with all of theirs, and those of the channel after them, which
    /// has only some.
    fn cheap_parts(&self) -> [Option<Conv2dShape>; 2] {
        let (all, each) = (self.c_out - self.primary.c_out, self.cheap.c_out / self.cheap.c_in);
        let part =
            |c_in: usize, c_out: usize| (c_out > 0).then_some(Conv2dShape { c_in, c_out, groups: c_in, ..self.cheap });
        [part(all / each, all / each * each), part(1, all % each)]
    }

    /// The convolution that the module replaces.
    pub fn standard(&self) -> Conv2dShape {
        Conv2dShape { c_out: self.output_dims().c, ..self.primary }
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
        let c = &self.cheap;
        Dims::new(c.n, c.h, c.w, self.c_out)
    }

    /// Cost of the module: `n·oh·ow·(m·c·kernel² + (c_out - m)·cheap²)` multiplies with `m = c_out / ratio`, rounded up.
    ///
    /// # Errors
    /// A count that overflows.
    pub fn cost(&self) -> Result<Cost, Error> {
        let mut costs = [Cost::of(&self.primary)?, Cost::default(), Cost::default()];
        for (cost, part) in costs[1..].iter_mut().zip(self.cheap_parts()) {
            *cost = part.map_or(Ok(Cost::default()), |part| Cost::of(&part))?;
        }
        block_cost(self.input, self.output_dims(), costs)
    }

    fn build(&self, b: &mut Builder<'_>, weights: &GhostWeights<'_>, from: Port, to: Port) -> Result<(), Error> {
        weights.cheap.check(&self.cheap)?;
        let m = self.primary.c_out;
        b.conv(&self.primary, &weights.primary, self.activation, from, to.channels(0, m))?;
        let taps = self.cheap.kh * self.cheap.kw;
        // Channels of the convolution that have been filtered, and filters that have been used.
        let (mut done, mut used) = (0, 0);
        for part in self.cheap_parts().into_iter().flatten() {
            let filters = used..used + part.c_out;
            let weights = Filter {
                weights: &weights.cheap.weights[filters.start * taps..filters.end * taps],
                bias: weights.cheap.bias.map(|b| &b[filters]),
            };
            let (from, to) = (to.channels(done, part.c_in), to.channels(m + used, part.c_out));
            b.conv(&part, &weights, self.activation, from, to)?;
            (done, used) = (done + part.c_in, used + part.c_out);
        }
        Ok(())
    }
}

/// Weights of a Ghost module.
#[derive(Clone, Copy, Debug)]
pub struct GhostWeights<'a> {
    /// `[m][c][kernel][kernel]` with `m = c_out / ratio`, rounded up
    pub primary: Filter<'a>,
    /// `[m·(ratio - 1)][1][cheap][cheap]`; where these are more than `c_out - m`, the last ones are not used.
    pub cheap: Filter<'a>,
}

block_plan! {
    /// A Ghost module, ready to run any number of times.
    GhostPlan, GhostShape
}

impl GhostPlan {
    /// Makes a plan.
    ///
    /// # Errors
    /// Slices of another length; options that cannot be had, or a kernel asked for by name.
    pub fn new(
        shape: &GhostShape,
        layout: Layout,
        weights: &GhostWeights<'_>,
        options: &Options<'_>,
    ) -> Result<Self, Error> {
        let mut b = Builder::new(layout, shape.input_dims(), shape.output_dims(), options)?;
        let (x, y) = (b.input(), b.output());
        shape.build(&mut b, weights, x, y)?;
        Ok(GhostPlan { shape: *shape, program: b.finish()? })
    }
}

/// Shape of a Ghost bottleneck: a module that expands, a depthwise convolution if the stride is not 1, perhaps a
/// squeeze-and-excite, a module that projects, and a shortcut that is added.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GhostBottleneckShape {
    input: Dims,
    expand: GhostShape,
    depthwise: Option<Conv2dShape>,
    squeeze_excite: Option<SqueezeExcite>,
    project: GhostShape,
    /// Depthwise and pointwise.
    shortcut: Option<[Conv2dShape; 2]>,
}

impl GhostBottleneckShape {
    /// Expands to `expanded` channels, with ReLU; filters `kernel` x `kernel` depthwise if `stride` is not 1; projects to
    /// `c_out`. Both modules have ratio 2, a pointwise convolution and cheap filters 3 x 3, as in the paper. The shortcut
    /// is the input where stride is 1 and `c_out` is the number of input channels, else a depthwise convolution
    /// `kernel` x `kernel` with this stride and a pointwise one.
    ///
    /// # Errors
    /// As [`Conv2dShape::check`]; fewer than two channels; an even kernel.
    pub fn new(input: Dims, expanded: usize, c_out: usize, kernel: usize, stride: usize) -> Result<Self, Error> {
        let expand = GhostShape::new(input, expanded, 2, 1, 3, 1, Activation::Relu)?;
        let wide = expand.output_dims();
        let filter = if stride == 1 { None } else { Some(depthwise(wide, kernel, stride)?) };
        let narrow = filter.map_or(Ok(wide), |f| output_of(&f))?;
        let project = GhostShape::new(narrow, c_out, 2, 1, 3, 1, Activation::None)?;
        let shortcut = if stride == 1 && c_out == input.c {
            None
        } else {
            let filter = depthwise(input, kernel, stride)?;
            Some([filter, pointwise(output_of(&filter)?, c_out)?])
        };
        let shape = GhostBottleneckShape { input, expand, depthwise: filter, squeeze_excite: None, project, shortcut };
        shape.cost()?;
        Ok(shape)
    }

    /// The same with a squeeze-and-excite before the projection.
    ///
    /// # Errors
    /// A squeeze to zero channels, an activation whose bounds are no bounds.
    pub fn squeeze_excite(mut self, squeeze_excite: SqueezeExcite) -> Result<Self, Error> {
        squeeze_excite.check()?;
        self.squeeze_excite = Some(squeeze_excite);
        self.cost()?;
        Ok(self)
    }

    /// The module that expands.
    pub fn expand(&self) -> GhostShape {
        self.expand
    }

    /// The depthwise convolution between the modules; nothing follows it.
    pub fn depthwise(&self) -> Option<Conv2dShape> {
        self.depthwise
    }

    /// The squeeze-and-excite.
    pub fn squeeze(&self) -> Option<SqueezeExcite> {
        self.squeeze_excite
    }

    /// The module that projects.
    pub fn project(&self) -> GhostShape {
        self.project
    }

    /// Depthwise and pointwise convolution of the shortcut, if it is not the input; nothing follows them.
    pub fn shortcut(&self) -> Option<[Conv2dShape; 2]> {
        self.shortcut
    }

    /// Sizes of the input.
    pub fn input_dims(&self) -> Dims {
        self.input
    }

    /// Sizes of the output.
    pub fn output_dims(&self) -> Dims {
        self.project.output_dims()
    }

    /// Cost of the block.
    ///
    /// # Errors
    /// A count that overflows.
    pub fn cost(&self) -> Result<Cost, Error> {
        let mut all = self.expand.cost()?.plus(&self.project.cost()?)?;
        for shape in self.depthwise.into_iter().chain(self.shortcut.into_iter().flatten()) {
            all = all.plus(&Cost::of(&shape)?)?;
        }
        if let Some(se) = &self.squeeze_excite {
            all = all.plus(&se.cost(self.project.input_dims())?)?;
        }
        block_cost(self.input, self.output_dims(), [all, Cost::addition(self.output_dims())?])
    }
}

/// Weights of a Ghost bottleneck.
#[derive(Clone, Copy, Debug)]
pub struct GhostBottleneckWeights<'a> {
    /// Of the module that expands.
    pub expand: GhostWeights<'a>,
    /// `[expanded][1][kernel][kernel]`; none with stride 1.
    pub depthwise: Option<Filter<'a>>,
    /// Of the squeeze-and-excite, if there is one.
    pub squeeze_excite: Option<SqueezeExciteWeights<'a>>,
    /// Of the module that projects.
    pub project: GhostWeights<'a>,
    /// Of the shortcut, if it is not the input.
    pub shortcut: Option<GhostShortcut<'a>>,
}

/// Weights of the shortcut of a Ghost bottleneck.
#[derive(Clone, Copy, Debug)]
pub struct GhostShortcut<'a> {
    /// `[c][1][kernel][kernel]`
    pub depthwise: Filter<'a>,
    /// `[c_out][c][1][1]`
    pub pointwise: Filter<'a>,
}

block_plan! {
    /// A Ghost bottleneck, ready to run any number of times.
    GhostBottleneckPlan, GhostBottleneckShape
}

impl GhostBottleneckPlan {
    /// Makes a plan.
    ///
    /// # Errors
    /// Slices of another length, weights of a convolution that the shape does not have or lacks; options that cannot be
    /// had, or a kernel asked for by name.
    pub fn new(
        shape: &GhostBottleneckShape,
        layout: Layout,
        weights: &GhostBottleneckWeights<'_>,
        options: &Options<'_>,
    ) -> Result<Self, Error> {
        let mut b = Builder::new(layout, shape.input_dims(), shape.output_dims(), options)?;
        let (x, y) = (b.input(), b.output());
        let wide = b.tensor(shape.expand.output_dims())?;
        shape.expand.build(&mut b, &weights.expand, x, wide)?;
        let mut last = match (&shape.depthwise, &weights.depthwise) {
            (Some(filter), Some(weights)) => {
                let narrow = b.tensor(output_of(filter)?)?;
                b.conv(filter, weights, Activation::None, wide, narrow)?;
                narrow
            }
            (None, None) => wide,
            (_, found) => return Err(presence("depthwise weights", found.is_some())),
        };
        last = match (&shape.squeeze_excite, &weights.squeeze_excite) {
            (Some(se), Some(weights)) => se.build(&mut b, weights, shape.project.input_dims(), last)?,
            (None, None) => last,
            (_, found) => return Err(presence("squeeze-and-excite weights", found.is_some())),
        };
        match (&shape.shortcut, &weights.shortcut) {
            (Some([filter, project]), Some(shortcut)) => {
                // The shortcut's last convolution adds what the modules made.
                let main = b.tensor(shape.output_dims())?;
                shape.project.build(&mut b, &weights.project, last, main)?;
                let filtered = b.tensor(output_of(filter)?)?;
                b.conv(filter, &shortcut.depthwise, Activation::None, x, filtered)?;
                let epilogue = Epilogue::NONE.with_residual(Residual::AfterActivation);
                b.conv_and_add(project, &shortcut.pointwise, epilogue, filtered, Some(main), y)?;
            }
            (None, None) => {
                // A pass over rows that lie in cache: an epilogue would add a few channels of each pixel at a time.
                let main = b.tensor(shape.output_dims())?;
                shape.project.build(&mut b, &weights.project, last, main)?;
                b.add(main, x, y)?;
            }
            (_, found) => return Err(presence("shortcut weights", found.is_some())),
        }
        Ok(GhostBottleneckPlan { shape: *shape, program: b.finish()? })
    }
}
