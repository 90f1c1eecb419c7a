//! Channel shuffle: the channels as a matrix of `groups` rows, transposed.
//!
//! Channels last, the micro-kernel transposes every pixel; with the number of groups known it is blocks of fixed size,
//! which the compiler makes the tier's permutations of; three groups, of which it makes poor ones, are by hand on AVX2,
//! AVX-512 and NEON. Channels first, planes move as they are, and there is nothing
//! to compute: rows are copied. Bound by the memory that holds the tensors.

use super::Part;
use crate::tensor::{Dims, Layout, Strides};

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
/// The CPU has the tier that this is inlined into; the pixels are readable and writable for `groups * per_group` floats
/// and do not overlap.
#[inline(always)]
pub(crate) unsafe fn pixels(p: &Pixels) {
    // SAFETY: as the caller promises.
    unsafe {
        match p.groups {
            2 => interleave::<2>(p),
            3 => interleave::<3>(p),
            4 => interleave::<4>(p),
            8 => interleave::<8>(p),
            _ => any(p),
        }
    }
}

/// # Safety
/// As [`pixels`], with `G` groups.
#[inline(always)]
unsafe fn interleave<const G: usize>(p: &Pixels) {
    for pixel in 0..p.pixels {
        // SAFETY: the pixel has `G * per_group` floats, in the input and in the output, which do not overlap.
        unsafe {
            let from = p.input.add(pixel * p.input_step);
            let rows = core::array::from_fn(|g| from.add(g * p.per_group));
            weave::<G>(rows, p.per_group, p.output.add(pixel * p.output_step));
        }
    }
}

/// `G` rows of `len` floats, which take turns in `to`. In blocks of fixed size, which the compiler makes permutations of
/// registers of; the last block is moved back over floats already done.
///
/// # Safety
/// The rows are readable for `len` floats, `to` writable for `G * len`, and does not overlap them.
#[inline(always)]
unsafe fn weave<const G: usize>(rows: [*const f32; G], len: usize, to: *mut f32) {
    // SAFETY: blocks end at `len` at most.
    unsafe {
        let at = |j: usize| (rows.map(|row| row.add(j)), to.add(j * G));
        let mut j = 0;
        while len - j >= 16 {
            let (rows, to) = at(j);
            block::<G, 16>(rows, to);
            j += 16;
        }
        if len - j > 8 && len >= 16 {
            let (rows, to) = at(len - 16);
            block::<G, 16>(rows, to);
        } else if len > j && len >= 8 {
            if len - j > 8 {
                let (rows, to) = at(j);
                block::<G, 8>(rows, to);
            }
            let (rows, to) = at(len - 8);
            block::<G, 8>(rows, to);
        } else {
            while j < len {
                for (g, row) in rows.iter().enumerate() {
                    *to.add(j * G + g) = *row.add(j);
                }
                j += 1;
            }
        }
    }
}

/// As [`weave`], of `B` floats.
///
/// # Safety
/// As [`weave`].
#[inline(always)]
unsafe fn block<const G: usize, const B: usize>(rows: [*const f32; G], to: *mut f32) {
    let mut from = [[0.0; B]; G];
    for g in 0..G {
        // SAFETY: an array of floats is aligned as one of them.
        from[g] = unsafe { *rows[g].cast::<[f32; B]>() };
    }
    // SAFETY: as above; nothing else refers to these floats.
    let to = unsafe { &mut *to.cast::<[[f32; G]; B]>() };
    for j in 0..B {
        for g in 0..G {
            to[j][g] = from[g][j];
        }
    }
}

/// # Safety
/// As [`pixels`].
#[inline(always)]
unsafe fn any(p: &Pixels) {
    for pixel in 0..p.pixels {
        // SAFETY: the pixel has `groups * per_group` floats.
        unsafe {
            let (from, to) = (p.input.add(pixel * p.input_step), p.output.add(pixel * p.output_step));
            for j in 0..p.per_group {
                for g in 0..p.groups {
                    *to.add(j * p.groups + g) = *from.add(g * p.per_group + j);
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
/// The CPU has the tier that this is inlined into; the pixels of the inputs are readable for `channels` floats, those of
/// the output writable for twice as many, and do not overlap the others.
#[inline(always)]
pub(crate) unsafe fn pairs(p: &Pairs) {
    for pixel in 0..p.pixels {
        // SAFETY: as the caller promises.
        unsafe {
            let rows = [p.first.add(pixel * p.first_step), p.second.add(pixel * p.second_step)];
            weave::<2>(rows, p.channels, p.output.add(pixel * p.output_step));
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
