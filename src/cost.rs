//! What an operation costs: closed forms of multiplies, adds, parameters, bytes and arithmetic intensity.
//!
//! The unit is the multiply, as in the papers; the rules are these.
//! - Taps in the padding count as the others do ([`Cost::multiplies`]); the count without them is a figure of its own
//!   ([`Cost::valid_multiplies`]).
//! - A sum starts with the bias, or with zero where there is none, and every product is added to it: a convolution has
//!   exactly as many adds as multiplies, bias included, and a multiply with its add is one MAC.
//! - A sum of an average starts with zero alike, so that every element costs one add; the division at its end is
//!   counted as one multiply.
//! - Activations and comparisons are not counted. A residual is an [`addition`](Cost::addition).
//!
//! The tests run [`Counted`](crate::reference::Counted) numbers through the naive [`reference`](crate::reference) and
//! find exactly these counts.

use crate::axis;
use crate::error::Error;
use crate::shape::Conv2dShape;
use crate::tensor::Dims;

/// Bytes of an element.
const ELEMENT: u64 = size_of::<f32>() as u64;

/// What an operation, a block or a network costs. Costs add up with [`plus`](Self::plus) and [`total`](Self::total).
///
/// ```
/// use lightconv::{Conv2dShape, Cost};
/// let depthwise = Cost::of(&Conv2dShape::new(1, 56, 56, 128, 128, [3, 3]).groups(128).pad(1))?;
/// let pointwise = Cost::of(&Conv2dShape::new(1, 56, 56, 128, 128, [1, 1]))?;
/// let standard = Cost::of(&Conv2dShape::new(1, 56, 56, 128, 128, [3, 3]).pad(1))?;
/// let separable = depthwise.plus(&pointwise)?;
/// let ratio = separable.multiplies as f64 / standard.multiplies as f64;
/// assert!((ratio - (1.0 / 128.0 + 1.0 / 9.0)).abs() < 1e-12);
/// # Ok::<(), lightconv::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cost {
    /// Multiplies of the direct form, taps in the padding included.
    pub multiplies: u64,
    /// Multiplies that the algorithm really does: those of the direct form, or, of a plan that chose Winograd's algorithm,
    /// its products and the multiplications by constants in its transforms.
    pub performed_multiplies: u64,
    /// Multiplies with elements of the input, taps in the padding left out.
    pub valid_multiplies: u64,
    /// Adds, taps in the padding included.
    pub adds: u64,
    /// Weights and biases.
    pub parameters: u64,
    /// Bytes of inputs, parameters and outputs, each moved once, in `f32`.
    pub bytes: u64,
}

impl Cost {
    /// Cost of a convolution with a bias; without one, `c_out` parameters fewer.
    ///
    /// # Errors
    /// As [`Conv2dShape::check`], and a count that does not fit 64 bits.
    pub fn of(shape: &Conv2dShape) -> Result<Cost, Error> {
        let (oh, ow) = shape.check()?;
        let multiplies = shape.multiplies()?;
        let taps = valid_taps(shape, oh, ow)?;
        let valid_multiplies = count("valid multiplies", &[shape.n, shape.c_out, shape.c_in / shape.groups], taps)?;
        let parameters = sum("parameters", &[shape.weight_len()? as u64, shape.c_out as u64])?;
        let input = Dims::new(shape.n, shape.h, shape.w, shape.c_in).elements()?;
        let output = Dims::new(shape.n, oh, ow, shape.c_out).elements()?;
        let bytes = bytes(&[input as u64, parameters, output as u64])?;
        Ok(Cost { multiplies, performed_multiplies: multiplies, valid_multiplies, adds: multiplies, parameters, bytes })
    }

    /// Cost of a fully connected layer of `n` vectors with a bias: that of the pointwise convolution of one pixel.
    ///
    /// # Errors
    /// A zero size, and a count that does not fit 64 bits.
    pub fn fully_connected(n: usize, c_in: usize, c_out: usize) -> Result<Cost, Error> {
        Cost::of(&Conv2dShape::new(n, 1, 1, c_in, c_out, [1, 1]))
    }

    /// Cost of an average pooling without the padding
    /// ([`reference::average_pool`](crate::reference::average_pool)): one add per element of every window, one multiply
    /// per output.
    ///
    /// # Errors
    /// As [`Conv2dShape::check_pool`], and a count that does not fit 64 bits.
    pub fn average_pool(shape: &Conv2dShape) -> Result<Cost, Error> {
        let (oh, ow) = shape.check_pool()?;
        let adds = count("adds", &[shape.n, shape.c_in], valid_taps(shape, oh, ow)?)?;
        let moved = Cost::max_pool(shape)?;
        let multiplies = Dims::new(shape.n, oh, ow, shape.c_in).elements()? as u64;
        Ok(Cost { multiplies, performed_multiplies: multiplies, valid_multiplies: multiplies, adds, ..moved })
    }

    /// Cost of a max pooling: bytes only, as it has nothing but comparisons.
    ///
    /// # Errors
    /// As [`Conv2dShape::check_pool`], and a count that does not fit 64 bits.
    pub fn max_pool(shape: &Conv2dShape) -> Result<Cost, Error> {
        let (oh, ow) = shape.check_pool()?;
        let input = Dims::new(shape.n, shape.h, shape.w, shape.c_in).elements()?;
        let output = Dims::new(shape.n, oh, ow, shape.c_in).elements()?;
        Ok(Cost { bytes: bytes(&[input as u64, output as u64])?, ..Cost::default() })
    }

    /// Cost of a global average pooling of an input of this size: one add per element, one multiply per output.
    ///
    /// # Errors
    /// As [`Dims::elements`], and a count that does not fit 64 bits.
    pub fn global_average_pool(input: Dims) -> Result<Cost, Error> {
        let adds = input.elements()? as u64;
        let multiplies = Dims::new(input.n, 1, 1, input.c).elements()? as u64;
        let bytes = bytes(&[adds, multiplies])?;
        Ok(Cost {
            multiplies,
            performed_multiplies: multiplies,
            valid_multiplies: multiplies,
            adds,
            parameters: 0,
            bytes,
        })
    }

    /// Cost of a channel shuffle of a tensor of this size as a pass of its own: bytes only.
    ///
    /// # Errors
    /// As [`Dims::elements`], and a count that does not fit 64 bits.
    pub fn channel_shuffle(dims: Dims) -> Result<Cost, Error> {
        let elements = dims.elements()? as u64;
        Ok(Cost { bytes: bytes(&[elements, elements])?, ..Cost::default() })
    }

    /// Cost of the element-wise sum of two tensors of this size as a pass of its own.
    ///
    /// # Errors
    /// As [`Dims::elements`], and a count that does not fit 64 bits.
    pub fn addition(dims: Dims) -> Result<Cost, Error> {
        let elements = dims.elements()? as u64;
        Ok(Cost { adds: elements, bytes: bytes(&[elements; 3])?, ..Cost::default() })
    }

    /// Cost of the element-wise product of two tensors of this size.
    ///
    /// # Errors
    /// As [`Dims::elements`], and a count that does not fit 64 bits.
    pub fn multiplication(dims: Dims) -> Result<Cost, Error> {
        let elements = dims.elements()? as u64;
        let bytes = bytes(&[elements; 3])?;
        Ok(Cost {
            multiplies: elements,
            performed_multiplies: elements,
            valid_multiplies: elements,
            bytes,
            ..Cost::default()
        })
    }

    /// Cost of the per-channel scale of a tensor of this size.
    ///
    /// # Errors
    /// As [`Dims::elements`], and a count that does not fit 64 bits.
    pub fn scale(dims: Dims) -> Result<Cost, Error> {
        let elements = dims.elements()? as u64;
        let factors = Dims::new(dims.n, 1, 1, dims.c).elements()? as u64;
        let bytes = bytes(&[elements, factors, elements])?;
        Ok(Cost {
            multiplies: elements,
            performed_multiplies: elements,
            valid_multiplies: elements,
            bytes,
            ..Cost::default()
        })
    }

    /// This and another cost.
    ///
    /// # Errors
    /// A sum that does not fit 64 bits.
    pub fn plus(&self, other: &Cost) -> Result<Cost, Error> {
        Ok(Cost {
            multiplies: sum("multiplies", &[self.multiplies, other.multiplies])?,
            performed_multiplies: sum(
                "performed multiplies",
                &[self.performed_multiplies, other.performed_multiplies],
            )?,
            valid_multiplies: sum("valid multiplies", &[self.valid_multiplies, other.valid_multiplies])?,
            adds: sum("adds", &[self.adds, other.adds])?,
            parameters: sum("parameters", &[self.parameters, other.parameters])?,
            bytes: sum("bytes", &[self.bytes, other.bytes])?,
        })
    }

    /// All of these costs together; nothing costs nothing.
    ///
    /// # Errors
    /// A sum that does not fit 64 bits.
    pub fn total(costs: impl IntoIterator<Item = Cost>) -> Result<Cost, Error> {
        costs.into_iter().try_fold(Cost::default(), |all, cost| all.plus(&cost))
    }

    /// Arithmetic intensity: multiplies per byte. 0 where nothing moves.
    pub fn intensity(&self) -> f64 {
        if self.bytes == 0 { 0.0 } else { self.multiplies as f64 / self.bytes as f64 }
    }
}

/// The error for a count beyond 64 bits; its value is the factor or term at which it happened.
fn overflow(argument: &'static str, value: u64) -> Error {
    Error::Overflow { argument, value: usize::try_from(value).unwrap_or(usize::MAX) }
}

fn sum(argument: &'static str, terms: &[u64]) -> Result<u64, Error> {
    terms.iter().try_fold(0u64, |all, &term| all.checked_add(term).ok_or(overflow(argument, term)))
}

fn bytes(elements: &[u64]) -> Result<u64, Error> {
    let all = sum("bytes", elements)?;
    all.checked_mul(ELEMENT).ok_or(overflow("bytes", all))
}

/// Product of sizes and a number of taps.
fn count(argument: &'static str, sizes: &[usize], taps: u128) -> Result<u64, Error> {
    let all = sizes.iter().try_fold(taps, |all, &size| all.checked_mul(size as u128));
    all.and_then(|all| u64::try_from(all).ok()).ok_or(overflow(argument, u64::try_from(taps).unwrap_or(u64::MAX)))
}

/// Taps of one output channel and one input channel that fall into the image, over all `oh x ow` outputs: the product
/// of the rows' count and the columns' count.
fn valid_taps(shape: &Conv2dShape, oh: usize, ow: usize) -> Result<u128, Error> {
    let p = shape.padding;
    let rows = axis::valid_pairs(oh, shape.stride[0], shape.kh, shape.dilation[0], p.top, shape.h);
    let columns = axis::valid_pairs(ow, shape.stride[1], shape.kw, shape.dilation[1], p.left, shape.w);
    rows.checked_mul(columns).ok_or(overflow("valid taps", shape.h as u64))
}
