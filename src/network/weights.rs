//! Weights of networks by name: drawn from a seed, or published ones with the batch normalisation folded in.

use super::{Network, Node, Op};
use crate::error::{Error, Expected, Value};
use crate::shape::Conv2dShape;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use num_traits::Float;

/// Weights and biases of a network under the names of [`Network::parameters`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    tensors: BTreeMap<String, Vec<f32>>,
}

impl Weights {
    /// Numbers drawn from a seed, the same everywhere: uniform, with the variance of 2 over the products in a sum, so that
    /// values neither grow nor vanish from layer to layer.
    ///
    /// # Errors
    /// As [`Conv2dShape::check`], which the layers of [`network`](super)'s own tables pass.
    pub fn random(network: &Network, seed: u64) -> Result<Weights, Error> {
        let mut random = Random(seed);
        let mut tensors = BTreeMap::new();
        for layer in &network.layers {
            let len = layer.shape.weight_len()?;
            let products = (len / layer.shape.c_out) as f32;
            let most = Float::sqrt(6.0 / products);
            tensors.insert(format!("{}.weight", layer.name), (0..len).map(|_| most * random.next()).collect());
            let bias = (0..layer.shape.c_out).map(|_| 0.1 * random.next()).collect();
            tensors.insert(format!("{}.bias", layer.name), bias);
        }
        Ok(Weights { tensors })
    }

    /// Published weights: `find` gives the tensors of a state dictionary by the names of the [`Source`](super::Source)s, and
    /// scale, shift, mean and variance of the batch normalisations are folded into weights and biases.
    ///
    /// Tensors that are not asked for do not matter.
    ///
    /// # Errors
    /// A tensor that is missing or of another length; the error has the number of the layer in [`Network::layers`].
    pub fn folded<'w>(network: &Network, find: impl Fn(&str) -> Option<&'w [f32]>) -> Result<Weights, Error> {
        let mut tensors = BTreeMap::new();
        let mut number = 0;
        for node in &network.graph.nodes {
            let Op::Convolution { shape, .. } = node.op else { continue };
            let (weight, bias) = fold(node, &shape, network.graph.epsilon, &find).ok_or(missing(number))?;
            tensors.insert(format!("{}.weight", node.name), weight);
            tensors.insert(format!("{}.bias", node.name), bias);
            number += 1;
        }
        Ok(Weights { tensors })
    }

    /// Tensors that have these names already.
    pub fn from_tensors(tensors: impl IntoIterator<Item = (String, Vec<f32>)>) -> Weights {
        Weights { tensors: tensors.into_iter().collect() }
    }

    /// The tensor of this name.
    pub fn get(&self, name: &str) -> Option<&[f32]> {
        self.tensors.get(name).map(Vec::as_slice)
    }

    /// All tensors with their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[f32])> {
        self.tensors.iter().map(|(name, data)| (name.as_str(), data.as_slice()))
    }
}

/// The error for a layer whose weights are not there.
pub(super) fn missing(layer: usize) -> Error {
    let expected = Expected::Text("a layer with all its tensors, of the right lengths");
    Error::Argument { argument: "first layer whose weights are missing", value: Value::Size(layer), expected }
}

/// Weights and biases of a layer, or `None` if a tensor is missing or of another length.
fn fold<'w>(
    node: &Node,
    shape: &Conv2dShape,
    epsilon: f32,
    find: &impl Fn(&str) -> Option<&'w [f32]>,
) -> Option<(Vec<f32>, Vec<f32>)> {
    let source = node.source.as_ref()?;
    let tensor = |module: &str, kind: &str, len| find(&format!("{module}.{kind}")).filter(|t| t.len() == len);
    let per_channel = |module: &str, kind: &str| tensor(module, kind, shape.c_out);
    let mut weight = tensor(&source.module, "weight", shape.weight_len().ok()?)?.to_vec();
    let mut bias = match source.bias {
        true => per_channel(&source.module, "bias")?.to_vec(),
        false => alloc::vec![0.0; shape.c_out],
    };
    if let Some(norm) = &source.norm {
        let scale = per_channel(norm, "weight")?;
        let shift = per_channel(norm, "bias")?;
        let mean = per_channel(norm, "running_mean")?;
        let variance = per_channel(norm, "running_var")?;
        let per_output = weight.len() / shape.c_out;
        for (c, filter) in weight.chunks_exact_mut(per_output).enumerate() {
            // In double precision, so that folding rounds once.
            let factor = f64::from(scale[c]) / Float::sqrt(f64::from(variance[c]) + f64::from(epsilon));
            for w in filter {
                *w = (f64::from(*w) * factor) as f32;
            }
            bias[c] = (f64::from(shift[c]) + (f64::from(bias[c]) - f64::from(mean[c])) * factor) as f32;
        }
    }
    Some((weight, bias))
}

/// Uniform numbers in [-1, 1): splitmix64 (Steele, Lea and Flood, 2014), cut to 24 bits.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    }
}
