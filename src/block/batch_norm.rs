//! Batch normalisation at inference, folded into the convolution before it.

use super::Filter;
use crate::error::{Error, Expected, Value};
use alloc::vec::Vec;
use num_traits::Float;

/// A batch normalisation with its statistics: `y = scale * (x - mean) / sqrt(variance + epsilon) + shift`, per channel.
///
/// ```
/// use lightconv::block::{BatchNorm, Filter};
/// let norm = BatchNorm { scale: &[2.0], shift: &[1.0], mean: &[3.0], variance: &[15.0], epsilon: 1.0 };
/// let (weights, bias) = norm.fold(&Filter::with_bias(&[4.0, 8.0], &[5.0]))?; // one output channel of two weights
/// assert_eq!((weights, bias), (vec![2.0, 4.0], vec![2.0]));
/// # Ok::<(), lightconv::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm<'a> {
    /// Gamma, per output channel of the convolution.
    pub scale: &'a [f32],
    /// Beta.
    pub shift: &'a [f32],
    /// Running mean.
    pub mean: &'a [f32],
    /// Running variance.
    pub variance: &'a [f32],
    /// What is added to the variance: 1e-5 in PyTorch, 1e-3 in TensorFlow.
    pub epsilon: f32,
}

impl BatchNorm<'_> {
    /// Weights and bias of the convolution that does both: `factor * weight` and `factor * (bias - mean) + shift` with
    /// `factor = scale / sqrt(variance + epsilon)`. Computed in `f64` and rounded once.
    ///
    /// # Errors
    /// Slices of different lengths, weights that are not as many for every channel, an epsilon that is negative or NaN,
    /// a variance that, with it, is not above zero.
    pub fn fold(&self, filter: &Filter<'_>) -> Result<(Vec<f32>, Vec<f32>), Error> {
        let channels = self.scale.len();
        if channels == 0 {
            return Err(Error::size("scale length", 0, Expected::AtLeast(1)));
        }
        for (argument, found) in [
            ("shift length", self.shift.len()),
            ("mean length", self.mean.len()),
            ("variance length", self.variance.len()),
            ("bias length", filter.bias.map_or(channels, <[f32]>::len)),
        ] {
            if found != channels {
                return Err(Error::size(argument, found, Expected::Exactly(channels)));
            }
        }
        if !filter.weights.len().is_multiple_of(channels) || filter.weights.is_empty() {
            return Err(Error::size("weights length", filter.weights.len(), Expected::MultipleOf(channels)));
        }
        if self.epsilon.is_nan() || self.epsilon < 0.0 {
            let expected = Expected::Text("zero or more");
            return Err(Error::Argument { argument: "epsilon", value: Value::Float(self.epsilon), expected });
        }
        let each = filter.weights.len() / channels;
        let mut weights = Vec::with_capacity(filter.weights.len());
        let mut bias = Vec::with_capacity(channels);
        for (c, filter_weights) in filter.weights.chunks_exact(each).enumerate() {
            let variance = f64::from(self.variance[c]) + f64::from(self.epsilon);
            if variance.is_nan() || variance <= 0.0 {
                let expected = Expected::Text("above zero, epsilon added");
                return Err(Error::Argument { argument: "variance", value: Value::Float(self.variance[c]), expected });
            }
            let factor = f64::from(self.scale[c]) / Float::sqrt(variance);
            weights.extend(filter_weights.iter().map(|&w| (f64::from(w) * factor) as f32));
            let before = f64::from(filter.bias.map_or(0.0, |b| b[c]));
            bias.push(((before - f64::from(self.mean[c])) * factor + f64::from(self.shift[c])) as f32);
        }
        Ok((weights, bias))
    }
}
