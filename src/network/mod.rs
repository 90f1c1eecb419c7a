//! Layer tables of published networks.
//!
//! A [`Network`] lists the convolutions of a network in order, the fully connected layer as the pointwise convolution
//! of one pixel. That is what the papers count; pooling and activations are left out, as they leave them out. Beside
//! the list it has the [`Graph`] of all operations, which a network plan runs.

mod alexnet;
mod fusion;
mod ghostnet;
mod graph;
mod memory;
mod mobilenet_v1;
mod mobilenet_v2;
mod mobilenet_v3;
mod names;
mod patterns;
mod plan;
mod resnet;
mod shufflenet_v1;
mod shufflenet_v2;
mod vgg;
mod weights;

pub use alexnet::{alexnet, alexnet_columns};
pub use ghostnet::ghostnet;
pub use graph::{Graph, Node, Op, Source};
pub use mobilenet_v1::{mobilenet_v1, mobilenet_v1_standard};
pub use mobilenet_v2::mobilenet_v2;
pub use mobilenet_v3::{mobilenet_v3_large, mobilenet_v3_small};
pub use names::{by_name, names};
pub use plan::NetworkPlan;
pub use resnet::{resnet50, resnet50_v1, resnext50_32x4d};
pub use shufflenet_v1::shufflenet_v1;
pub use shufflenet_v2::{shufflenet_v2, shufflenet_v2_torchvision};
pub use vgg::vgg16;
pub use weights::Weights;

/// Classes of ImageNet.
const CLASSES: usize = 1000;

use crate::cost::Cost;
use crate::error::Error;
use crate::shape::Conv2dShape;
use crate::tensor::Dims;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// One layer of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Name, unique in its network.
    pub name: String,
    /// What it computes.
    pub shape: Conv2dShape,
}

impl Layer {
    /// Cost of the layer with a bias per output channel, which is where batch normalisation is folded into.
    ///
    /// # Errors
    /// As [`Cost::of`].
    pub fn cost(&self) -> Result<Cost, Error> {
        Cost::of(&self.shape)
    }
}

/// The layers of a network, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Name, with width multiplier and resolution.
    pub name: String,
    /// The layers.
    pub layers: Vec<Layer>,
    /// All operations, with what connects them.
    pub graph: Graph,
}

impl Network {
    /// A list of layers with nothing known of what connects them; its graph has no operation.
    pub fn list(name: impl Into<String>, layers: Vec<Layer>) -> Self {
        let graph = Graph { input: Dims::new(0, 0, 0, 0), nodes: Vec::new(), epsilon: 0.0 };
        Network { name: name.into(), layers, graph }
    }

    /// Cost of all layers together.
    ///
    /// # Errors
    /// As [`Cost::of`], and a total that does not fit 64 bits.
    pub fn cost(&self) -> Result<Cost, Error> {
        self.layers.iter().try_fold(Cost::default(), |all, layer| all.plus(&layer.cost()?))
    }

    /// The tensors that a plan asks for, by name and length: `LAYER.weight` (OIHW) and `LAYER.bias` for every layer.
    ///
    /// ```
    /// let network = lightconv::network::mobilenet_v1(1.0, 224)?;
    /// let first = network.parameters().next().unwrap();
    /// assert_eq!(first, ("conv0.weight".to_string(), 32 * 3 * 3 * 3));
    /// # Ok::<(), lightconv::Error>(())
    /// ```
    pub fn parameters(&self) -> impl Iterator<Item = (String, usize)> {
        self.layers.iter().flat_map(|l| {
            let weights = l.shape.weight_len().unwrap_or(0);
            [(format!("{}.weight", l.name), weights), (format!("{}.bias", l.name), l.shape.c_out)]
        })
    }

    /// What frameworks and most papers count as parameters: weights, biases where the published network has them, and
    /// scale and shift of every batch normalisation. [`cost`](Self::cost) counts one bias per output channel instead,
    /// into which inference folds these.
    ///
    /// ```
    /// let network = lightconv::network::mobilenet_v2(1.0, 224)?;
    /// assert_eq!(network.trained_parameters(), 3_504_872);
    /// # Ok::<(), lightconv::Error>(())
    /// ```
    pub fn trained_parameters(&self) -> u64 {
        let per_channel = |s: &Source| u64::from(s.bias) + 2 * u64::from(s.norm.is_some());
        let of = |node: &Node| match (node.op, &node.source) {
            (Op::Convolution { shape, .. }, Some(source)) => {
                // The shapes were checked when the network was made.
                shape.weight_len().map_or(0, |w| w as u64) + shape.c_out as u64 * per_channel(source)
            }
            _ => 0,
        };
        self.graph.nodes.iter().map(of).sum()
    }

    /// The depthwise separable pairs: every depthwise convolution that a pointwise one follows directly, on its output.
    ///
    /// ```
    /// let network = lightconv::network::mobilenet_v1(1.0, 224)?;
    /// let first = network.pairs().next().unwrap();
    /// assert_eq!((first.depthwise.name.as_str(), first.pointwise.name.as_str()), ("dw1", "pw1"));
    /// assert_eq!(first.ratio()?, 1.0 / 64.0 + 1.0 / 9.0);
    /// assert_eq!(network.pairs().count(), 13);
    /// # Ok::<(), lightconv::Error>(())
    /// ```
    pub fn pairs(&self) -> impl Iterator<Item = Pair<'_>> {
        self.layers.windows(2).filter_map(|two| Pair::new(&two[0], &two[1]))
    }
}

/// A depthwise separable convolution: a depthwise convolution and the pointwise one that follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair<'a> {
    /// The first of the two, one filter per channel.
    pub depthwise: &'a Layer,
    /// The second of the two, across channels.
    pub pointwise: &'a Layer,
    /// The standard convolution that they replace: the geometry of the depthwise one, from its input channels to the
    /// pointwise one's output channels.
    pub standard: Conv2dShape,
}

impl<'a> Pair<'a> {
    /// The pair of two layers, if they are one.
    fn new(depthwise: &'a Layer, pointwise: &'a Layer) -> Option<Self> {
        let (first, second) = (&depthwise.shape, &pointwise.shape);
        let (oh, ow) = first.check().ok()?;
        let joined = Conv2dShape::new(first.n, oh, ow, first.c_out, second.c_out, [1, 1]);
        if !first.is_depthwise() || *second != joined {
            return None;
        }
        let standard = Conv2dShape { c_out: second.c_out, groups: 1, ..*first };
        Some(Pair { depthwise, pointwise, standard })
    }

    /// Cost of both layers together.
    ///
    /// # Errors
    /// As [`Cost::of`], and a total that does not fit 64 bits.
    pub fn cost(&self) -> Result<Cost, Error> {
        self.depthwise.cost()?.plus(&self.pointwise.cost()?)
    }

    /// Multiplies of the pair per multiply of the standard convolution: `1 / c_out + 1 / (kh * kw)` with a channel
    /// multiplier of 1. Its inverse is the speed-up that the paper promises.
    ///
    /// # Errors
    /// As [`Cost::of`].
    pub fn ratio(&self) -> Result<f64, Error> {
        Ok(self.cost()?.multiplies as f64 / self.standard.multiplies()? as f64)
    }
}
