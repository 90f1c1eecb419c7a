//! Dilated convolutions as dense ones.
//!
//! With stride 1, a kernel dilated by `d` that computes output row `y` reads input rows of one remainder modulo `d` only, and
//! output row `y + d` reads those too. So the image falls into `dy * dx` phases, every `dy`th row and `dx`th column, of which
//! each is a dense convolution of a smaller image whose rows and pixels lie further apart.

use super::Problem;
use crate::tensor::Strides;

/// One phase of an image, an image itself; the whole image where nothing is dilated. Pairs are rows and columns.
pub(super) struct Phase {
    /// Where in the image its first output is.
    pub first: [usize; 2],
    /// How many inputs it has, and how many outputs.
    pub inputs: [usize; 2],
    pub outputs: [usize; 2],
    /// Which of its inputs the first tap of its first output meets; negative in the padding.
    pub origin: [isize; 2],
    /// Floats from the image's first input to its own, and for outputs.
    pub input_at: usize,
    pub output_at: usize,
    /// Floats from one of its inputs to the next, and for outputs. Of use only inside; addresses of others wrap.
    pub input_step: [usize; 2],
    pub output_step: [usize; 2],
}

impl Phase {
    /// How many phases there are along each axis.
    pub(super) fn count(p: &Problem, dilation: [usize; 2]) -> [usize; 2] {
        [dilation[0].min(p.oh), dilation[1].min(p.ow)]
    }

    /// The phase whose first output is `first`.
    pub(super) fn new(p: &Problem, i: &Strides, o: &Strides, dilation: [usize; 2], first: [usize; 2]) -> Phase {
        let (y, x) = p.origin(first[0], first[1]);
        let [dy, dx] = dilation;
        let rest = [y.rem_euclid(dy as isize) as usize, x.rem_euclid(dx as isize) as usize];
        Phase {
            first,
            inputs: [p.shape.h.saturating_sub(rest[0]).div_ceil(dy), p.shape.w.saturating_sub(rest[1]).div_ceil(dx)],
            outputs: [(p.oh - first[0]).div_ceil(dy), (p.ow - first[1]).div_ceil(dx)],
            origin: [y.div_euclid(dy as isize), x.div_euclid(dx as isize)],
            input_at: rest[0].wrapping_mul(i.row).wrapping_add(rest[1].wrapping_mul(i.pixel)),
            output_at: first[0] * o.row + first[1] * o.pixel,
            input_step: [i.row.wrapping_mul(dy), i.pixel.wrapping_mul(dx)],
            output_step: [o.row.wrapping_mul(dy), o.pixel.wrapping_mul(dx)],
        }
    }

    /// Row and column in the image of one of its outputs.
    pub(super) fn in_image(&self, dilation: [usize; 2], row: usize, column: usize) -> [usize; 2] {
        [self.first[0] + row * dilation[0], self.first[1] + column * dilation[1]]
    }
}
