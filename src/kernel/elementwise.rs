//! Element-wise sum and product of two tensors, and the scale per channel.
//!
//! The driver joins neighbouring axes that all three tensors step over evenly, so that dense tensors are one long line;
//! the micro-kernel takes a block of lines. One operation per two loads and a store: bound by the memory that holds the
//! tensors. Every element is computed by itself, so the cut into parts cannot change a bit.

use super::Part;
use crate::tensor::{Dims, Layout, Strides};
use crate::vector::Vector;

/// Lines of elements next to each other.
pub(crate) struct Lines {
    pub lines: usize,
    /// Elements of a line.
    pub len: usize,
    pub first: *const f32,
    pub first_step: usize,
    pub second: *const f32,
    pub second_step: usize,
    pub output: *mut f32,
    pub output_step: usize,
}

/// A micro-kernel over lines.
pub(crate) type LinesFn = unsafe fn(&Lines);

/// What becomes of two elements.
pub(crate) trait Combine {
    /// # Safety
    /// The CPU has the tier.
    unsafe fn apply<V: Vector>(a: V, b: V) -> V;
}

/// The sum.
pub(crate) struct Sum;

impl Combine for Sum {
    #[inline(always)]
    unsafe fn apply<V: Vector>(a: V, b: V) -> V {
        // SAFETY: as the caller promises.
        unsafe { a.add(b) }
    }
}

/// The product.
pub(crate) struct Product;

impl Combine for Product {
    #[inline(always)]
    unsafe fn apply<V: Vector>(a: V, b: V) -> V {
        // SAFETY: as the caller promises.
        unsafe { a.mul(b) }
    }
}

/// `output[i] = first[i] (op) second[i]`, or with `ONE` the same `second[0]` for a whole line.
///
/// # Safety
/// The CPU has the tier of `V`; the lines are readable and writable, `second` for one element per line with `ONE`.
#[inline(always)]
pub(crate) unsafe fn lines<V: Vector, C: Combine, const ONE: bool>(l: &Lines) {
    for line in 0..l.lines {
        // SAFETY: every access is to one of the first `len` elements of the line, by contract.
        unsafe {
            let (a, b) = (l.first.add(line * l.first_step), l.second.add(line * l.second_step));
            let out = l.output.add(line * l.output_step);
            let one = if ONE { V::splat(*b) } else { V::zero() };
            let mut i = 0;
            while i + V::LANES <= l.len {
                let y = if ONE { one } else { V::load(b.add(i)) };
                C::apply(V::load(a.add(i)), y).store(out.add(i));
                i += V::LANES;
            }
            let rest = l.len - i;
            if rest > 0 {
                let y = if ONE { one } else { V::load_range(b.add(i), 0, rest) };
                C::apply(V::load_range(a.add(i), 0, rest), y).store_first(out.add(i), rest);
            }
        }
    }
}

/// An axis of the three tensors: its length and the steps over it.
#[derive(Clone, Copy, Default)]
struct Axis {
    len: usize,
    first: usize,
    second: usize,
    output: usize,
}

/// Elements of a unit of work, where lines are longer than that: 16 KiB per tensor.
const BLOCK: usize = 4096;

/// The order in which three tensors are walked.
pub(crate) struct Walk {
    /// The innermost first.
    axes: [Axis; 4],
}

impl Walk {
    /// For tensors of one size with these strides. `second_is_scale`: it has one pixel, which stands for all.
    pub(crate) fn new(
        layout: Layout,
        d: Dims,
        first: Strides,
        second: Strides,
        second_is_scale: bool,
        output: Strides,
    ) -> Self {
        let axis = |len, step: fn(Strides) -> usize, on_pixels: bool| {
            let second = if second_is_scale && on_pixels { 0 } else { step(second) };
            Axis { len, first: step(first), second, output: step(output) }
        };
        let images = axis(d.n, |s| s.image, false);
        let rows = axis(d.h, |s| s.row, true);
        let pixels = axis(d.w, |s| s.pixel, true);
        let channels = axis(d.c, |s| s.channel, false);
        let all = match layout {
            Layout::Nhwc => [channels, pixels, rows, images],
            Layout::Nchw => [pixels, rows, channels, images],
        };
        let mut axes = [Axis { len: 1, ..Axis::default() }; 4];
        let mut count = 0;
        for axis in all {
            if count > 0 {
                let inner = &mut axes[count - 1];
                let joins = |outer: usize, step: usize| outer == inner.len * step;
                if axis.len == 1 {
                    continue;
                }
                if inner.len == 1 && axis.first == 1 && axis.output == 1 && axis.second <= 1 {
                    *inner = axis;
                    continue;
                }
                if joins(axis.first, inner.first)
                    && joins(axis.second, inner.second)
                    && joins(axis.output, inner.output)
                {
                    inner.len *= axis.len;
                    continue;
                }
            }
            axes[count] = axis;
            count += 1;
        }
        Walk { axes }
    }

    /// Whether all elements of a line meet one and the same of the second tensor.
    pub(crate) fn second_is_one(&self) -> bool {
        self.axes[0].second == 0
    }

    /// Walks a part.
    ///
    /// # Safety
    /// The CPU has the tier of `f`; the pointers are to the first elements of tensors of the size and strides that the
    /// walk was made for. `f` takes one second element per line if [`second_is_one`](Self::second_is_one).
    pub(crate) unsafe fn run(&self, f: LinesFn, first: *const f32, second: *const f32, output: *mut f32, part: Part) {
        let [line, lines, outer, outermost] = self.axes;
        let blocks = line.len.div_ceil(BLOCK);
        let units = part.range(outermost.len * outer.len * lines.len * blocks);
        let mut unit = units.start;
        while unit < units.end {
            let (index, block) = (unit / blocks, unit % blocks);
            let (y, x) = (index / lines.len, index % lines.len);
            // Whole lines of one plane in one call, or one block.
            let count = if blocks == 1 { (lines.len - x).min(units.end - unit) } else { 1 };
            let at = block * BLOCK;
            let offset = |step: fn(&Axis) -> usize| {
                y / outer.len * step(&outermost) + y % outer.len * step(&outer) + x * step(&lines) + at * step(&line)
            };
            // SAFETY: the positions are inside the tensors.
            unsafe {
                f(&Lines {
                    lines: count,
                    len: (line.len - at).min(BLOCK),
                    first: first.add(offset(|a| a.first)),
                    first_step: lines.first,
                    second: second.add(offset(|a| a.second)),
                    second_step: lines.second,
                    output: output.add(offset(|a| a.output)),
                    output_step: lines.output,
                });
            }
            unit += count;
        }
    }
}
