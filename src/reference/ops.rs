//! What the blocks need beside convolution: pooling, channel shuffle, element-wise add and multiply, channel scale.

use super::{FACTORS, INPUT, OUTPUT, SECOND, check_dims, for_each, source};
use crate::error::{Error, Expected};
use crate::shape::Conv2dShape;
use crate::tensor::{Dims, View, ViewMut};
use core::ops::{Add, Div, Mul};
use num_traits::{FromPrimitive, Zero};

/// Average of every window. Taps in the padding are left out of the sum *and* of the number it is divided by
/// (`count_include_pad = false`): a window at the border averages the elements that exist.
///
/// The geometry is that of a depthwise convolution: `Conv2dShape::new(n, h, w, c, c, [kh, kw]).groups(c)` with stride
/// and padding. `input` is `[n, h, w, c]`, `output` `[n, oh, ow, c]`.
///
/// # Errors
/// As [`Conv2dShape::check_pool`], tensors whose sizes are not those of the shape, and a window of more elements than
/// `T` can say.
pub fn average_pool<T>(shape: &Conv2dShape, input: &View<'_, T>, output: &mut ViewMut<'_, T>) -> Result<(), Error>
where
    T: Copy + Zero + Div<Output = T> + FromPrimitive,
{
    check_pool(shape, input.dims(), output.dims())?;
    // The windows are at most this large, so that the conversions below cannot fail.
    number::<T>(shape.kh.min(shape.h) * shape.kw.min(shape.w))?;
    for_each(output.dims(), |n, y, x, c| {
        let mut sum = T::zero();
        let mut taps = 0;
        window(shape, y, x, |row, column| {
            sum = sum + input.at(n, row, column, c);
            taps += 1;
        });
        if let Some(taps) = T::from_usize(taps) {
            output.set(n, y, x, c, sum / taps);
        }
    });
    Ok(())
}

/// Greatest element of every window; taps in the padding do not take part. A NaN in the window gives NaN.
///
/// Geometry and sizes as in [`average_pool`].
///
/// # Errors
/// As [`Conv2dShape::check_pool`], and tensors whose sizes are not those of the shape.
pub fn max_pool<T>(shape: &Conv2dShape, input: &View<'_, T>, output: &mut ViewMut<'_, T>) -> Result<(), Error>
where
    T: Copy + PartialOrd,
{
    check_pool(shape, input.dims(), output.dims())?;
    for_each(output.dims(), |n, y, x, c| {
        let mut greatest: Option<T> = None;
        window(shape, y, x, |row, column| {
            let value = input.at(n, row, column, c);
            let is_nan = value.partial_cmp(&value).is_none();
            if greatest.is_none_or(|g| value > g || is_nan) {
                greatest = Some(value);
            }
        });
        if let Some(greatest) = greatest {
            output.set(n, y, x, c, greatest);
        }
    });
    Ok(())
}

/// Average of every channel over all pixels: `input` `[n, h, w, c]`, `output` `[n, 1, 1, c]`.
///
/// # Errors
/// An output that is not of that size, and more pixels than `T` can say.
pub fn global_average_pool<T>(input: &View<'_, T>, output: &mut ViewMut<'_, T>) -> Result<(), Error>
where
    T: Copy + Zero + Div<Output = T> + FromPrimitive,
{
    let d = input.dims();
    check_dims(&OUTPUT, output.dims(), Dims::new(d.n, 1, 1, d.c))?;
    let pixels = number::<T>(d.h * d.w)?;
    for_each(output.dims(), |n, _, _, c| {
        let mut sum = T::zero();
        for_each(Dims::new(1, d.h, d.w, 1), |_, y, x, _| sum = sum + input.at(n, y, x, c));
        output.set(n, 0, 0, c, sum / pixels);
    });
    Ok(())
}

/// Channel shuffle of ShuffleNet (arXiv:1707.01083): the channels as a matrix of `groups` rows, transposed. Input
/// channel `c` becomes output channel `(c % (C / groups)) * groups + c / (C / groups)`.
///
/// # Errors
/// Groups that do not divide the channels, or an output that is not of the input's size.
pub fn channel_shuffle<T: Copy>(groups: usize, input: &View<'_, T>, output: &mut ViewMut<'_, T>) -> Result<(), Error> {
    let channels = input.dims().c;
    if groups == 0 {
        return Err(Error::size("groups", groups, Expected::AtLeast(1)));
    }
    if !channels.is_multiple_of(groups) {
        return Err(Error::size("input channels", channels, Expected::MultipleOf(groups)));
    }
    check_dims(&OUTPUT, output.dims(), input.dims())?;
    let per_group = channels / groups;
    for_each(input.dims(), |n, y, x, c| {
        output.set(n, y, x, c % per_group * groups + c / per_group, input.at(n, y, x, c));
    });
    Ok(())
}

/// Element-wise sum of two tensors of one size.
///
/// # Errors
/// Tensors of different sizes.
pub fn add<T>(input: &View<'_, T>, second: &View<'_, T>, output: &mut ViewMut<'_, T>) -> Result<(), Error>
where
    T: Copy + Add<Output = T>,
{
    element_wise(input, second, output, |a, b| a + b)
}

/// Element-wise product of two tensors of one size.
///
/// # Errors
/// Tensors of different sizes.
pub fn multiply<T>(input: &View<'_, T>, second: &View<'_, T>, output: &mut ViewMut<'_, T>) -> Result<(), Error>
where
    T: Copy + Mul<Output = T>,
{
    element_wise(input, second, output, |a, b| a * b)
}

/// Per-channel scale, the last step of squeeze-and-excite (arXiv:1709.01507): every pixel of `input` `[n, h, w, c]`
/// times `factors` `[n, 1, 1, c]`.
///
/// # Errors
/// Factors or an output that are not of those sizes.
pub fn scale<T>(input: &View<'_, T>, factors: &View<'_, T>, output: &mut ViewMut<'_, T>) -> Result<(), Error>
where
    T: Copy + Mul<Output = T>,
{
    let d = input.dims();
    check_dims(&FACTORS, factors.dims(), Dims::new(d.n, 1, 1, d.c))?;
    check_dims(&OUTPUT, output.dims(), d)?;
    for_each(d, |n, y, x, c| output.set(n, y, x, c, input.at(n, y, x, c) * factors.at(n, 0, 0, c)));
    Ok(())
}

fn element_wise<T: Copy>(
    input: &View<'_, T>,
    second: &View<'_, T>,
    output: &mut ViewMut<'_, T>,
    f: impl Fn(T, T) -> T,
) -> Result<(), Error> {
    check_dims(&SECOND, second.dims(), input.dims())?;
    check_dims(&OUTPUT, output.dims(), input.dims())?;
    for_each(input.dims(), |n, y, x, c| output.set(n, y, x, c, f(input.at(n, y, x, c), second.at(n, y, x, c))));
    Ok(())
}

fn check_pool(shape: &Conv2dShape, input: Dims, output: Dims) -> Result<(), Error> {
    let (oh, ow) = shape.check_pool()?;
    check_dims(&INPUT, input, Dims::new(shape.n, shape.h, shape.w, shape.c_in))?;
    check_dims(&OUTPUT, output, Dims::new(shape.n, oh, ow, shape.c_in))
}

/// Calls `f(row, column)` for every element of the image in the window of output `y`, `x`.
fn window(shape: &Conv2dShape, y: usize, x: usize, mut f: impl FnMut(usize, usize)) {
    for ky in 0..shape.kh {
        let Some(row) = source(y, shape.stride[0], ky, 1, shape.padding.top, shape.h) else { continue };
        for kx in 0..shape.kw {
            let Some(column) = source(x, shape.stride[1], kx, 1, shape.padding.left, shape.w) else { continue };
            f(row, column);
        }
    }
}

/// A number of elements as `T`.
fn number<T: FromPrimitive>(elements: usize) -> Result<T, Error> {
    T::from_usize(elements).ok_or(Error::size(
        "elements of a window",
        elements,
        Expected::Text("a number that the element type can represent"),
    ))
}
