//! The oracle: every operation as naive loops, generic over the number type.
//!
//! Nothing here is fast; everything is meant to be read and believed. The kernels are tested against these functions
//! with `f32` and `f64`, and [`Counted`] run through them gives the exact number of multiplies and adds that
//! [`Cost`](crate::Cost) claims.
//!
//! Tensors may have any strides, and the layouts of input and output may differ. All functions check their arguments
//! before they write anything, return an [`Error`] that names the argument, and never panic, unless the arithmetic of the
//! number type does (as integers do that overflow in a debug build).

mod conv;
mod counting;
mod ops;

pub use conv::{conv2d, epilogue, fully_connected};
pub use counting::{Counted, Counts};
pub use ops::{add, average_pool, channel_shuffle, global_average_pool, max_pool, multiply, scale};

use crate::error::{Error, Expected};
use crate::tensor::Dims;

/// Names of the sizes of an argument, for errors.
struct Names {
    n: &'static str,
    h: &'static str,
    w: &'static str,
    c: &'static str,
}

const INPUT: Names = Names { n: "input images", h: "input rows", w: "input columns", c: "input channels" };
const SECOND: Names =
    Names { n: "second input images", h: "second input rows", w: "second input columns", c: "second input channels" };
const FACTORS: Names = Names { n: "factor images", h: "factor rows", w: "factor columns", c: "factor channels" };
const RESIDUAL: Names =
    Names { n: "residual images", h: "residual rows", w: "residual columns", c: "residual channels" };
const OUTPUT: Names = Names { n: "output images", h: "output rows", w: "output columns", c: "output channels" };

fn check_dims(names: &Names, found: Dims, expected: Dims) -> Result<(), Error> {
    check_size(names.n, found.n, expected.n)?;
    check_size(names.h, found.h, expected.h)?;
    check_size(names.w, found.w, expected.w)?;
    check_size(names.c, found.c, expected.c)
}

fn check_size(argument: &'static str, found: usize, expected: usize) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::size(argument, found, Expected::Exactly(expected))) }
}

/// The row (or column) that tap `k` of output `o` reads, or `None` in the padding.
#[inline]
fn source(o: usize, stride: usize, k: usize, dilation: usize, before: usize, len: usize) -> Option<usize> {
    (o * stride + k * dilation).checked_sub(before).filter(|&i| i < len)
}

/// Calls `f(image, row, column, channel)` for every element. Inlined, since tests spend much of their time in such loops.
#[inline(always)]
fn for_each(dims: Dims, mut f: impl FnMut(usize, usize, usize, usize)) {
    for n in 0..dims.n {
        for y in 0..dims.h {
            for x in 0..dims.w {
                for c in 0..dims.c {
                    f(n, y, x, c);
                }
            }
        }
    }
}
