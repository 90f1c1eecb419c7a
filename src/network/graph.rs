//! Networks as graphs of primitive operations.

use super::{Layer, Network};
use crate::epilogue::{Activation, Epilogue, Residual};
use crate::error::{Error, Expected, Value};
use crate::plan::Pooling;
use crate::shape::Conv2dShape;
use crate::tensor::Dims;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What a [`Node`] computes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Op {
    /// A convolution of the first input, with the second input as the residual if the epilogue adds one.
    Convolution {
        /// The geometry.
        shape: Conv2dShape,
        /// Activation and residual.
        epilogue: Epilogue,
    },
    /// A pooling; the global average has one window, as large as the map.
    Pool {
        /// What becomes of a window.
        pooling: Pooling,
        /// The geometry, that of a depthwise convolution.
        shape: Conv2dShape,
    },
    /// The sum of two tensors of one size.
    Add,
    /// The first tensor times the second one's factor per channel.
    Scale,
    /// The channel shuffle of ShuffleNet.
    Shuffle {
        /// Rows of the matrix of channels that is transposed.
        groups: usize,
    },
    /// The channels of all inputs, one after the other. Addressing: no work where the inputs can be computed in place.
    Concat,
    /// Some channels of the input. Addressing: no work.
    Channels {
        /// The first one.
        first: usize,
        /// How many.
        count: usize,
    },
}

/// Where published weights of a convolution are found: names of modules in the state dictionary of the network's
/// authors, or of torchvision where it has the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// The module with `weight` and perhaps `bias`.
    pub module: String,
    /// The batch normalisation after it, with `weight`, `bias`, `running_mean` and `running_var`, if there is one.
    pub norm: Option<String>,
    /// Whether the module has a bias of its own.
    pub bias: bool,
}

/// One operation of a [`Graph`].
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Name, unique in its network; that of a convolution is the [`Layer`]'s.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// The tensors that it reads: 0 is the network's input, `i + 1` the output of node `i`.
    pub inputs: Vec<usize>,
    /// Size of its output.
    pub dims: Dims,
    /// Where its weights are published, if it has weights.
    pub source: Option<Source>,
}

/// Operations in an order in which they can be computed; the last one's output is the network's.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// Size of the input.
    pub input: Dims,
    /// The operations.
    pub nodes: Vec<Node>,
    /// What batch normalisation adds to a variance.
    pub epsilon: f32,
}

impl Graph {
    /// Size of a tensor: 0 is the input, `i + 1` the output of node `i`.
    ///
    /// # Panics
    /// No such tensor.
    pub fn dims(&self, tensor: usize) -> Dims {
        if tensor == 0 { self.input } else { self.nodes[tensor - 1].dims }
    }
}

/// A convolution as a [`Builder`] is told of it: what its input does not say.
#[derive(Clone, Debug)]
pub(super) struct Conv {
    c_out: usize,
    kernel: usize,
    stride: usize,
    pad: usize,
    groups: usize,
    activation: Activation,
    source: Source,
}

impl Conv {
    /// Padded by half the kernel, stride 1, one group, no activation.
    pub fn new(c_out: usize, kernel: usize) -> Self {
        let source = Source::default();
        Conv { c_out, kernel, stride: 1, pad: kernel / 2, groups: 1, activation: Activation::None, source }
    }

    /// One output channel for each of `c` input channels.
    pub fn depthwise(c: usize, kernel: usize) -> Self {
        Conv { groups: c, ..Conv::new(c, kernel) }
    }

    pub fn stride(self, stride: usize) -> Self {
        Conv { stride, ..self }
    }

    pub fn pad(self, pad: usize) -> Self {
        Conv { pad, ..self }
    }

    pub fn groups(self, groups: usize) -> Self {
        Conv { groups, ..self }
    }

    pub fn activation(self, activation: Activation) -> Self {
        Conv { activation, ..self }
    }

    pub fn relu(self) -> Self {
        self.activation(Activation::Relu)
    }

    /// Published as this module, without bias, and this batch normalisation.
    pub fn normed(self, module: impl Into<String>, norm: impl Into<String>) -> Self {
        Conv { source: Source { module: module.into(), norm: Some(norm.into()), bias: false }, ..self }
    }

    /// Published as this module, with a bias.
    pub fn biased(self, module: impl Into<String>) -> Self {
        Conv { source: Source { module: module.into(), norm: None, bias: true }, ..self }
    }

    /// Published as this module, without bias.
    pub fn bare(self, module: impl Into<String>) -> Self {
        Conv { source: Source { module: module.into(), norm: None, bias: false }, ..self }
    }
}

/// Number of a tensor.
pub(super) type Tensor = usize;

/// Makes the graph and the list of layers at once.
pub(super) struct Builder {
    graph: Graph,
    layers: Vec<Layer>,
}

impl Builder {
    /// One image of `resolution` x `resolution` pixels and 3 channels, which is tensor 0.
    pub fn new(resolution: usize) -> Result<Self, Error> {
        if resolution == 0 {
            return Err(Error::size("resolution", resolution, Expected::AtLeast(1)));
        }
        let input = Dims::new(1, resolution, resolution, 3);
        input.elements()?;
        Ok(Builder { graph: Graph { input, nodes: Vec::new(), epsilon: 1e-5 }, layers: Vec::new() })
    }

    /// What the network's batch normalisations add to a variance, if not 1e-5.
    pub fn epsilon(&mut self, epsilon: f32) {
        self.graph.epsilon = epsilon;
    }

    pub fn dims(&self, tensor: Tensor) -> Dims {
        self.graph.dims(tensor)
    }

    /// The network, under this name.
    pub fn finish(self, name: String) -> Network {
        Network { name, layers: self.layers, graph: self.graph }
    }

    fn push(
        &mut self,
        name: impl Into<String>,
        op: Op,
        inputs: &[Tensor],
        dims: Dims,
        source: Option<Source>,
    ) -> Result<Tensor, Error> {
        dims.elements()?;
        self.graph.nodes.push(Node { name: name.into(), op, inputs: inputs.to_vec(), dims, source });
        Ok(self.graph.nodes.len())
    }

    pub fn conv(&mut self, name: impl Into<String>, x: Tensor, conv: Conv) -> Result<Tensor, Error> {
        self.add_conv(name.into(), &[x], conv, Residual::None)
    }

    /// The convolution with a residual that is added before or after its activation.
    pub fn conv_onto(
        &mut self,
        name: impl Into<String>,
        x: Tensor,
        conv: Conv,
        onto: Tensor,
        residual: Residual,
    ) -> Result<Tensor, Error> {
        self.add_conv(name.into(), &[x, onto], conv, residual)
    }

    fn add_conv(&mut self, name: String, inputs: &[Tensor], conv: Conv, residual: Residual) -> Result<Tensor, Error> {
        let Dims { n, c, h, w } = self.dims(inputs[0]);
        let Conv { c_out, kernel, stride, pad, groups, activation, source } = conv;
        let shape = Conv2dShape::new(n, h, w, c, c_out, [kernel, kernel]).stride(stride).pad(pad).groups(groups);
        self.shaped(name, inputs, shape, Epilogue { activation, residual }, source)
    }

    fn shaped(
        &mut self,
        name: String,
        inputs: &[Tensor],
        shape: Conv2dShape,
        epilogue: Epilogue,
        source: Source,
    ) -> Result<Tensor, Error> {
        let (oh, ow) = shape.check()?;
        shape.multiplies()?;
        self.layers.push(Layer { name: name.clone(), shape });
        let dims = Dims::new(shape.n, oh, ow, shape.c_out);
        self.push(name, Op::Convolution { shape, epilogue }, inputs, dims, Some(source))
    }

    /// A fully connected layer on all pixels and channels of its input, in the order channel, row, column: the
    /// convolution whose kernel is as large as the map.
    pub fn fully_connected(&mut self, name: impl Into<String>, x: Tensor, conv: Conv) -> Result<Tensor, Error> {
        let Dims { n, c, h, w } = self.dims(x);
        let shape = Conv2dShape::new(n, h, w, c, conv.c_out, [h, w]);
        self.shaped(name.into(), &[x], shape, Epilogue::activation(conv.activation), conv.source)
    }

    pub fn pool(
        &mut self,
        name: impl Into<String>,
        pooling: Pooling,
        x: Tensor,
        kernel: usize,
        stride: usize,
        pad: usize,
    ) -> Result<Tensor, Error> {
        let Dims { n, c, h, w } = self.dims(x);
        let shape = Conv2dShape::new(n, h, w, c, c, [kernel, kernel]).groups(c).stride(stride).pad(pad);
        let (oh, ow) = shape.check_pool()?;
        self.push(name, Op::Pool { pooling, shape }, &[x], Dims::new(n, oh, ow, c), None)
    }

    /// The average of every channel.
    pub fn global_average(&mut self, name: impl Into<String>, x: Tensor) -> Result<Tensor, Error> {
        let Dims { n, c, h, w } = self.dims(x);
        let shape = Conv2dShape::new(n, h, w, c, c, [h, w]).groups(c);
        shape.check_pool()?;
        self.push(name, Op::Pool { pooling: Pooling::Average, shape }, &[x], Dims::new(n, 1, 1, c), None)
    }

    pub fn add(&mut self, name: impl Into<String>, x: Tensor, y: Tensor) -> Result<Tensor, Error> {
        self.push(name, Op::Add, &[x, y], self.dims(x), None)
    }

    pub fn shuffle(&mut self, name: impl Into<String>, x: Tensor, groups: usize) -> Result<Tensor, Error> {
        if groups == 1 {
            return Ok(x);
        }
        self.push(name, Op::Shuffle { groups }, &[x], self.dims(x), None)
    }

    pub fn concat(&mut self, name: impl Into<String>, parts: &[Tensor]) -> Result<Tensor, Error> {
        let c = parts.iter().map(|&p| self.dims(p).c).sum();
        self.push(name, Op::Concat, parts, Dims { c, ..self.dims(parts[0]) }, None)
    }

    pub fn channels(
        &mut self,
        name: impl Into<String>,
        x: Tensor,
        first: usize,
        count: usize,
    ) -> Result<Tensor, Error> {
        self.push(name, Op::Channels { first, count }, &[x], Dims { c: count, ..self.dims(x) }, None)
    }

    /// Squeeze-and-excite (arXiv:1709.01507) of `x`: its channels' averages through two fully connected layers, ReLU
    /// after the first and the hard sigmoid after the second, are factors for its channels.
    pub fn squeeze_excite(
        &mut self,
        name: &str,
        x: Tensor,
        squeezed: usize,
        modules: [String; 2],
    ) -> Result<Tensor, Error> {
        let c = self.dims(x).c;
        let [first, second] = modules;
        let mean = self.global_average(format!("{name}.pool"), x)?;
        let low = self.conv(format!("{name}.squeeze"), mean, Conv::new(squeezed, 1).relu().biased(first))?;
        let excite = Conv::new(c, 1).activation(Activation::HardSigmoid).biased(second);
        let factors = self.conv(format!("{name}.excite"), low, excite)?;
        self.push(format!("{name}.scale"), Op::Scale, &[x, factors], self.dims(x), None)
    }

    /// A max pooling of 3x3 windows with stride 2, padded by 1, as after the first layer of ResNet and ShuffleNet.
    pub fn max_pool_3_2(&mut self, x: Tensor) -> Result<Tensor, Error> {
        self.pool("maxpool".to_string(), Pooling::Max, x, 3, 2, 1)
    }
}

/// # Errors
/// A width multiplier that is not a positive number.
pub(super) fn check_width(width: f64) -> Result<(), Error> {
    if width > 0.0 && width.is_finite() {
        return Ok(());
    }
    let expected = Expected::Text("a positive number");
    Err(Error::Argument { argument: "width", value: Value::Float(width as f32), expected })
}

/// The multiple of `divisor` next to `channels`, but at least one and not below nine tenths of it: the rounding of
/// MobileNetV2, V3 and GhostNet. Numbers beyond all sizes saturate, where the check of the shapes then fails.
pub(super) fn divisible(channels: f64, divisor: usize) -> usize {
    let near = ((channels + divisor as f64 / 2.0) as usize / divisor * divisor).max(divisor);
    if (near as f64) < 0.9 * channels { near.saturating_add(divisor) } else { near }
}
