//! What follows the sums before they are stored: bias, activation, residual add.

use crate::error::{Error, Expected, Value};
use num_traits::Float;

/// Activation functions, in their published forms.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Activation {
    /// `x`
    #[default]
    None,
    /// `max(x, 0)`
    Relu,
    /// `min(max(x, 0), 6)`
    Relu6,
    /// `min(max(x, lo), hi)`
    Clamp {
        /// Least value.
        lo: f32,
        /// Greatest value.
        hi: f32,
    },
    /// `x * relu6(x + 3) / 6` (MobileNetV3, arXiv:1905.02244)
    HardSwish,
    /// `relu6(x + 3) / 6` (MobileNetV3)
    HardSigmoid,
    /// `x / (1 + exp(-x))`, also called swish (arXiv:1702.03118)
    Silu,
    /// `1 / (1 + exp(-x))`
    Sigmoid,
}

impl Activation {
    /// The activation of one value. NaN stays NaN.
    ///
    /// ```
    /// use lightconv::Activation;
    /// assert_eq!(Activation::Relu6.apply(7.5f32), 6.0);
    /// assert_eq!(Activation::HardSwish.apply(-4.0f64), 0.0);
    /// ```
    pub fn apply<T: Float>(self, x: T) -> T {
        let c = |v: f32| T::from(v).unwrap_or_else(T::nan);
        // In this order a NaN fails both comparisons and passes.
        let clamp = |x: T, lo: T, hi: T| {
            if x < lo {
                lo
            } else if x > hi {
                hi
            } else {
                x
            }
        };
        match self {
            Activation::None => x,
            Activation::Relu => clamp(x, T::zero(), T::infinity()),
            Activation::Relu6 => clamp(x, T::zero(), c(6.0)),
            Activation::Clamp { lo, hi } => clamp(x, c(lo), c(hi)),
            Activation::HardSwish => x * clamp(x + c(3.0), T::zero(), c(6.0)) / c(6.0),
            Activation::HardSigmoid => clamp(x + c(3.0), T::zero(), c(6.0)) / c(6.0),
            Activation::Silu => x / (T::one() + (-x).exp()),
            Activation::Sigmoid => T::one() / (T::one() + (-x).exp()),
        }
    }

    /// The bounds, if the activation is nothing but a clamp.
    pub(crate) const fn as_clamp(self) -> Option<(f32, f32)> {
        match self {
            Activation::None => Some((f32::NEG_INFINITY, f32::INFINITY)),
            Activation::Relu => Some((0.0, f32::INFINITY)),
            Activation::Relu6 => Some((0.0, 6.0)),
            Activation::Clamp { lo, hi } => Some((lo, hi)),
            _ => None,
        }
    }

    /// # Errors
    /// A clamp whose bounds are NaN or the wrong way round.
    pub(crate) fn check(self) -> Result<(), Error> {
        if let Activation::Clamp { lo, hi } = self {
            let bad = if lo.is_nan() {
                Some(("clamp lo", lo))
            } else if hi.is_nan() || hi < lo {
                Some(("clamp hi", hi))
            } else {
                None
            };
            if let Some((argument, value)) = bad {
                let expected = Expected::Text("numbers with lo <= hi");
                return Err(Error::Argument { argument, value: Value::Float(value), expected });
            }
        }
        Ok(())
    }
}

/// Where a second tensor of the output's shape is added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Residual {
    /// Nowhere.
    #[default]
    None,
    /// `activation(sum + bias + residual)` (ResNet)
    BeforeActivation,
    /// `activation(sum + bias) + residual` (MobileNetV2's linear bottleneck, with no activation)
    AfterActivation,
}

/// Activation and residual of a plan; the bias comes with the weights.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Epilogue {
    /// Activation.
    pub activation: Activation,
    /// Residual add.
    pub residual: Residual,
}

impl Epilogue {
    /// Nothing but the bias.
    pub const NONE: Epilogue = Epilogue { activation: Activation::None, residual: Residual::None };

    /// This activation, no residual.
    pub const fn activation(activation: Activation) -> Self {
        Epilogue { activation, residual: Residual::None }
    }

    /// The same with a residual.
    pub const fn with_residual(mut self, residual: Residual) -> Self {
        self.residual = residual;
        self
    }

    /// The epilogue of one value; `residual` is ignored where there is none.
    pub fn apply<T: Float>(&self, x: T, residual: T) -> T {
        match self.residual {
            Residual::None => self.activation.apply(x),
            Residual::BeforeActivation => self.activation.apply(x + residual),
            Residual::AfterActivation => self.activation.apply(x) + residual,
        }
    }
}
