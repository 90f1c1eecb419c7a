//! Convolution, its epilogue, and the fully connected layer.

use super::{INPUT, OUTPUT, RESIDUAL, check_dims, check_size, for_each, source};
use crate::epilogue::{Epilogue, Residual};
use crate::error::{Error, Expected, Value};
use crate::shape::Conv2dShape;
use crate::tensor::{Dims, View, ViewMut};
use core::ops::Mul;
use num_traits::{Float, Zero};

/// 2-D convolution: standard, grouped, depthwise, pointwise, whatever `shape` says.
///
/// `input` is `[n, h, w, c_in]`, `output` `[n, oh, ow, c_out]`, `weights` OIHW
/// (`[c_out][c_in / groups][kh][kw]`), `bias` `[c_out]`. Every sum starts with the bias (or zero) and runs over kernel
/// rows, kernel columns, then the input channels of the group. Taps in the padding are multiplied like the others,
/// with zero: an infinite or NaN weight there gives NaN. Follow with [`epilogue`] for activation and residual.
///
/// ```
/// use lightconv::{Conv2dShape, Dims, Layout, View, ViewMut, reference};
/// let shape = Conv2dShape::new(1, 1, 4, 1, 1, [1, 3]).pad_hw(0, 1);
/// let input = View::dense(Layout::Nhwc, Dims::new(1, 1, 4, 1), &[1, 2, 3, 4])?;
/// let mut sums = [0; 4];
/// let mut output = ViewMut::dense(Layout::Nhwc, Dims::new(1, 1, 4, 1), &mut sums)?;
/// reference::conv2d(&shape, &input, &[1, 10, 100], Some(&[1000]), &mut output)?;
/// assert_eq!(sums, [1210, 1321, 1432, 1043]);
/// # Ok::<(), lightconv::Error>(())
/// ```
///
/// # Errors
/// As [`Conv2dShape::check`], and tensors, weights or a bias whose sizes are not those of the shape.
pub fn conv2d<T>(
    shape: &Conv2dShape,
    input: &View<'_, T>,
    weights: &[T],
    bias: Option<&[T]>,
    output: &mut ViewMut<'_, T>,
) -> Result<(), Error>
where
    T: Copy + Zero + Mul<Output = T>,
{
    let (oh, ow) = shape.check()?;
    check_dims(&INPUT, input.dims(), Dims::new(shape.n, shape.h, shape.w, shape.c_in))?;
    check_dims(&OUTPUT, output.dims(), Dims::new(shape.n, oh, ow, shape.c_out))?;
    check_size("length of weights", weights.len(), shape.weight_len()?)?;
    if let Some(bias) = bias {
        check_size("length of bias", bias.len(), shape.c_out)?;
    }

    let (kh, kw) = (shape.kh, shape.kw);
    let group_in = shape.c_in / shape.groups;
    let group_out = shape.c_out / shape.groups;
    for_each(output.dims(), |n, y, x, o| {
        let first = o / group_out * group_in;
        let filter = &weights[o * group_in * kh * kw..][..group_in * kh * kw];
        let mut sum = bias.map_or_else(T::zero, |bias| bias[o]);
        for ky in 0..kh {
            let row = source(y, shape.stride[0], ky, shape.dilation[0], shape.padding.top, shape.h);
            for kx in 0..kw {
                let column = source(x, shape.stride[1], kx, shape.dilation[1], shape.padding.left, shape.w);
                // A loop for each, since tests spend half of their time here.
                match (row, column) {
                    (Some(row), Some(column)) => {
                        for i in 0..group_in {
                            sum = sum + filter[(i * kh + ky) * kw + kx] * input.get(n, row, column, first + i);
                        }
                    }
                    _ => {
                        for i in 0..group_in {
                            sum = sum + filter[(i * kh + ky) * kw + kx] * T::zero();
                        }
                    }
                }
            }
        }
        output.set(n, y, x, o, sum);
    });
    Ok(())
}

/// Activation and residual, in place on the sums of [`conv2d`].
///
/// # Errors
/// A clamp with bounds that make no sense; a residual that is missing, not asked for, or not of the output's size.
pub fn epilogue<T: Float>(
    epilogue: &Epilogue,
    residual: Option<&View<'_, T>>,
    output: &mut ViewMut<'_, T>,
) -> Result<(), Error> {
    epilogue.activation.check()?;
    let dims = output.dims();
    match (epilogue.residual, residual) {
        (Residual::None, Some(_)) => return Err(presence("some", "none, as the epilogue adds no residual")),
        (Residual::BeforeActivation | Residual::AfterActivation, None) => {
            return Err(presence("none", "a tensor of the output's size, as the epilogue adds a residual"));
        }
        (_, Some(residual)) => check_dims(&RESIDUAL, residual.dims(), dims)?,
        (Residual::None, None) => {}
    }
    for_each(dims, |n, y, x, c| {
        let residual = residual.map_or_else(T::zero, |r| r.at(n, y, x, c));
        let value = epilogue.apply(output.as_view().at(n, y, x, c), residual);
        output.set(n, y, x, c, value);
    });
    Ok(())
}

fn presence(found: &'static str, expected: &'static str) -> Error {
    Error::Argument { argument: "residual", value: Value::Name(found), expected: Expected::Text(expected) }
}

/// Fully connected layer: `input` `[n, 1, 1, c_in]`, `weights` `[c_out][c_in]`, `bias` `[c_out]`, `output`
/// `[n, 1, 1, c_out]`. It is the pointwise convolution of a map of one pixel, and is computed as such.
///
/// # Errors
/// Tensors of more than one pixel, or sizes that do not match.
pub fn fully_connected<T>(
    input: &View<'_, T>,
    weights: &[T],
    bias: Option<&[T]>,
    output: &mut ViewMut<'_, T>,
) -> Result<(), Error>
where
    T: Copy + Zero + Mul<Output = T>,
{
    let (n, c_in, c_out) = (input.dims().n, input.dims().c, output.dims().c);
    conv2d(&Conv2dShape::new(n, 1, 1, c_in, c_out, [1, 1]), input, weights, bias, output)
}
