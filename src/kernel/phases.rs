//! Dilated convolutions as dense ones.
//!
//! With stride 1, a kernel dilated by `d` that computes output row `y` reads input rows of one remainder modulo `d` only, and
//! output row `y + d` reads those too. So the image falls into `dy * dx` phases, every `dy`th row and `dx`th column, of which
//! each is a dense convolution of a smaller image whose rows and pixels lie further apart.

use super::{Job, Problem, Ring};
use crate::tensor::Strides;
use core::ops::Range;

/// Bytes between the pixels under one tap of neighbouring outputs from which on they share a quarter of the first cache or less.
const CROWD: usize = 1024;

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
    dilation: [usize; 2],
}

impl Phase {
    /// How many phases there are along each axis.
    pub(super) fn count(p: &Problem, dilation: [usize; 2]) -> [usize; 2] {
        [dilation[0].min(p.oh), dilation[1].min(p.ow)]
    }

    /// Whether rows of the phases are so short that a tile or strip of them begins and ends for few multiply-adds.
    pub(super) fn is_narrow(p: &Problem, dilation: [usize; 2]) -> bool {
        dilation[1] > 1 && p.ow.div_ceil(dilation[1]) <= 3
    }

    /// Whether the pixels under one tap of neighbouring outputs share a quarter of the first cache or less, and those of a row, seen at
    /// every `dilation`th column, are more than half of what they share. Of a dense image; a plan does not know the strides that it will
    /// meet.
    pub(super) fn crowds(p: &Problem, dilation: usize) -> bool {
        let s = &p.shape;
        let apart = s.c_in.wrapping_mul(s.stride[1]).wrapping_mul(dilation * size_of::<f32>());
        // A way of the cache is a page; pixels a multiple of so many bytes apart are in one of so few sets.
        let shared = 1 << apart.trailing_zeros().min(12);
        let row = s.w.div_ceil(dilation).saturating_mul(shared);
        apart.is_multiple_of(CROWD) && (s.stride[1] > 1 || row > p.caches.l1 / 2)
    }

    /// The phase whose first output is `first`.
    pub(super) fn new(p: &Problem, i: &Strides, o: &Strides, dilation: [usize; 2], first: [usize; 2]) -> Phase {
        let (y, x) = p.origin(first[0], first[1]);
        let [dy, dx] = dilation;
        if dilation == [1, 1] {
            // The same as below without its divisions, which would show in the runs of a block, of a few rows each.
            return Phase {
                first,
                inputs: [p.shape.h, p.shape.w],
                outputs: [p.oh, p.ow],
                origin: [y, x],
                input_at: 0,
                output_at: 0,
                input_step: [i.row, i.pixel],
                output_step: [o.row, o.pixel],
                dilation,
            };
        }
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
            dilation,
        }
    }

    /// The first pixel of one of its rows, null if there is no such row. `base` is its first input; rows may lie in a ring.
    pub(super) fn line(&self, base: *const f32, ring: Option<Ring>, row: isize) -> *const f32 {
        if !(0..self.inputs[0] as isize).contains(&row) {
            return core::ptr::null();
        }
        let back = ring.filter(|ring| row >= ring.row as isize).map_or(0, |ring| ring.back);
        base.wrapping_offset(row.wrapping_mul(self.input_step[0] as isize)).wrapping_sub(back)
    }

    /// Finishes outputs, if the job has that to do: `channels` of the pixels in some rows and columns. `out` is the first of the
    /// channels of its first output.
    ///
    /// # Safety
    /// The outputs have been written, and are nobody else's.
    pub(super) unsafe fn finish(
        &self,
        job: &Job<'_>,
        image: usize,
        out: *mut f32,
        rows: Range<usize>,
        columns: Range<usize>,
        channels: Range<usize>,
    ) {
        let Some(f) = &job.finish else { return };
        for (row, column) in rows.flat_map(|row| columns.clone().map(move |column| (row, column))) {
            let [y, x] = [0, 1].map(|axis| self.first[axis] + [row, column][axis] * self.dilation[axis]);
            // SAFETY: as the caller promises.
            unsafe {
                let out = out.add(row * self.output_step[0] + column * self.output_step[1]);
                f.apply(out, [image, y, x, channels.start], channels.len());
            }
        }
    }
}
