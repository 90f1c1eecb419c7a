//! Channel shuffle: the channels as a matrix of `groups` rows, transposed.
//!
//! Channels last, the micro-kernel transposes every pixel: two, four and eight groups a vector of each at a time, which are
//! interleaved by halves; three groups have kernels of their own on AVX2, AVX-512 and NEON. Channels first, planes move as they
//! are, and there is nothing to compute: rows are copied. Bound by the memory that holds the tensors.

use super::Part;
use crate::tensor::{Dims, Layout, Strides};
use crate::vector::Vector;

/// Pixels of a row.
pub(crate) struct Pixels {
    pub pixels: usize,
    pub groups: usize,
    pub per_group: usize,
    pub input: *const f32,
    pub input_step: usize,
    pub output: *mut f32,
    pub output_step: usize,
}

/// A micro-kernel over pixels.
pub(crate) type ShuffleFn = unsafe fn(&Pixels);

/// Transposes the channels of every pixel.
///
/// # Safety
/// The CPU has the tier of `V`; the pixels are readable and writable for `groups * per_group` floats and do not overlap.
#[inline(always)]
pub(crate) unsafe fn pixels<V: Vector>(p: &Pixels) {
    // SAFETY: as the caller promises.
    unsafe {
        match p.groups {
            2 => interleave::<V, 2>(p),
            4 => interleave::<V, 4>(p),
            8 => interleave::<V, 8>(p),
            // The compiler unrolls it.
            3 => any(p, 3),
            _ => any(p, p.groups),
        }
    }
}

/// # Safety
/// As [`pixels`], with `G` groups.
#[inline(always)]
unsafe fn interleave<V: Vector, const G: usize>(p: &Pixels) {
    for pixel in 0..p.pixels {
        // SAFETY: the pixel has `G * per_group` floats, in the input and in the output, which do not overlap.
        unsafe {
            let from = p.input.add(pixel * p.input_step);
            let mut rows = [from; G];
            for g in 1..G {
                rows[g] = from.add(g * p.per_group);
            }
            weave::<V, G>(rows, p.per_group, p.output.add(pixel * p.output_step));
        }
    }
}

/// `G` rows of `len` floats, which take turns in `to`, a vector of each row at a time; the last ones are moved back over floats
/// already done.
///
/// # Safety
/// The CPU has the tier of `V`; the rows are readable for `len` floats, `to` writable for `G * len`, and does not overlap them.
#[inline(always)]
unsafe fn weave<V: Vector, const G: usize>(rows: [*const f32; G], len: usize, to: *mut f32) {
    let mut j = 0;
    // SAFETY: vectors end at `len` at most.
    unsafe {
        while len - j >= V::LANES {
            block::<V, G>(&rows, j, to);
            j += V::LANES;
        }
        if len - j > V::Rest::LANES && len >= V::LANES {
            block::<V, G>(&rows, len - V::LANES, to);
        } else if len >= V::Rest::LANES {
            while j < len {
                block::<V::Rest, G>(&rows, j.min(len - V::Rest::LANES), to);
                j += V::Rest::LANES;
            }
        } else {
            while j < len {
                for g in 0..G {
                    *to.add(j * G + g) = *rows[g].add(j);
                }
                j += 1;
            }
        }
    }
}

/// As [`weave`], of one vector of each row, from element `j` on.
///
/// # Safety
/// As [`weave`]; `G` is a power of two.
#[inline(always)]
unsafe fn block<V: Vector, const G: usize>(rows: &[*const f32; G], j: usize, to: *mut f32) {
    // SAFETY: as the caller promises.
    unsafe {
        let mut x = [V::zero(); G];
        for g in 0..G {
            x[g] = V::load(rows[g].add(j));
        }
        // A vector of one half of them with its counterpart of the other half, until neighbours come from all rows.
        let mut mixed = 1;
        while mixed < G {
            let halves = x;
            for g in 0..G / 2 {
                (x[2 * g], x[2 * g + 1]) = halves[g].interleave(halves[g + G / 2]);
            }
            mixed *= 2;
        }
        for g in 0..G {
            x[g].store(to.add(j * G + g * V::LANES));
        }
    }
}

/// # Safety
/// As [`pixels`], with so many groups.
#[inline(always)]
unsafe fn any(p: &Pixels, groups: usize) {
    for pixel in 0..p.pixels {
        // SAFETY: the pixel has `groups * per_group` floats.
        unsafe {
            let (from, to) = (p.input.add(pixel * p.input_step), p.output.add(pixel * p.output_step));
            for j in 0..p.per_group {
                for g in 0..groups {
                    *to.add(j * groups + g) = *from.add(g * p.per_group + j);
                }
            }
        }
    }
}

/// Pixels of two tensors that become pixels of one.
pub(crate) struct Pairs {
    pub pixels: usize,
    /// Channels of each of the two.
    pub channels: usize,
    pub first: *const f32,
    pub first_step: usize,
    pub second: *const f32,
    pub second_step: usize,
    pub output: *mut f32,
    pub output_step: usize,
}

/// A micro-kernel over [`Pairs`].
pub(crate) type PairsFn = unsafe fn(&Pairs);

/// The concatenation of two tensors, shuffled in two groups: their channels take turns.
///
/// # Safety
/// The CPU has the tier of `V`; the pixels of the inputs are readable for `channels` floats, those of
/// the output writable for twice as many, and do not overlap the others.
#[inline(always)]
pub(crate) unsafe fn pairs<V: Vector>(p: &Pairs) {
    for pixel in 0..p.pixels {
        // SAFETY: as the caller promises.
        unsafe {
            let rows = [p.first.add(pixel * p.first_step), p.second.add(pixel * p.second_step)];
            weave::<V, 2>(rows, p.channels, p.output.add(pixel * p.output_step));
        }
    }
}

/// The tensors of a run.
pub(crate) struct Shuffle {
    pub function: ShuffleFn,
    pub layout: Layout,
    pub dims: Dims,
    pub groups: usize,
    pub input: Strides,
    pub output: Strides,
}

impl Shuffle {
    /// Moves a part.
    ///
    /// # Safety
    /// The CPU has the tier of `function`; the pointers are to the first elements of tensors of the size and strides.
    pub(crate) unsafe fn run(&self, input: *const f32, output: *mut f32, part: Part) {
        let (d, i, o, groups) = (self.dims, self.input, self.output, self.groups);
        let per_group = d.c / groups;
        match self.layout {
            Layout::Nhwc => {
                for unit in part.range(d.n * d.h) {
                    let (n, y) = (unit / d.h, unit % d.h);
                    // SAFETY: the row is inside both tensors.
                    unsafe {
                        (self.function)(&Pixels {
                            pixels: d.w,
                            groups,
                            per_group,
                            input: input.add(n * i.image + y * i.row),
                            input_step: i.pixel,
                            output: output.add(n * o.image + y * o.row),
                            output_step: o.pixel,
                        });
                    }
                }
            }
            Layout::Nchw => {
                let whole = i.row == d.w && o.row == d.w;
                let (lines, len) = if whole { (1, d.h * d.w) } else { (d.h, d.w) };
                for unit in part.range(d.n * d.c) {
                    let (n, c) = (unit / d.c, unit % d.c);
                    let from = n * i.image + (c % groups * per_group + c / groups) * i.channel;
                    for y in 0..lines {
                        // SAFETY: the line is inside both tensors, which do not overlap.
                        unsafe {
                            let to = output.add(n * o.image + c * o.channel + y * o.row);
                            core::ptr::copy_nonoverlapping(input.add(from + y * i.row), to, len);
                        }
                    }
                }
            }
        }
    }
}
