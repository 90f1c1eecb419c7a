//! Each algorithm once, generic over [`crate::vector::Vector`] and const tile sizes.
//!
//! An algorithm has two halves. The *micro-kernel* is a short generic function over registers; `crate::arch`
//! instantiates it under `#[target_feature]` for each instruction set. The *driver* walks tiles, finds borders and calls
//! micro-kernels through function pointers; it does addresses only and exists once for all instruction sets.

use crate::error::Error;
use crate::isa::{Caches, Isa, Tuning, has_long_datapath};
use crate::pack::{Aligned, Source};
use crate::shape::Conv2dShape;
use crate::tensor::{Layout, Strides};
use core::ops::Range;

/// The same pointer, of whose origin the compiler knows nothing. Pointers that it knows to lie a step apart it computes from
/// each other inside of a loop, where each in a register of its own costs nothing.
#[inline(always)]
#[allow(unused_mut, clippy::pointers_in_nomem_asm_block)]
pub(crate) fn opaque<T>(mut pointer: *const T) -> *const T {
    #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
    // SAFETY: there is no instruction in it.
    unsafe {
        core::arch::asm!("/* {} */", inout(reg) pointer, options(nomem, nostack, preserves_flags, pure));
    }
    pointer
}

/// Loads after it stay after it, where registers are few: the compiler likes to load ahead what it has none for.
#[inline(always)]
pub(crate) fn in_order<V: crate::vector::Vector>() {
    in_order_if(V::FEW_REGISTERS);
}

/// The same on a condition.
#[inline(always)]
pub(crate) fn in_order_if(_few: bool) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if _few {
        // SAFETY: there is no instruction in it.
        unsafe { core::arch::asm!("", options(nomem, nostack, preserves_flags)) };
    }
}

/// `unroll!(j < n => { .. })`: the block for each `j` below the constant `n` (at most 24), as straight code. The compiler
/// unrolls short loops by itself, but leaves longer ones over accumulators as loops, which puts those into memory. Blocks from
/// `n` on are never compiled; all 24 are parsed, so a block that unrolls again belongs into a function of its own.
macro_rules! unroll {
    ($j:ident < $n:expr => $body:block) => {
        const { assert!($n <= 24) };
        unroll!(@ $j, $n, $body, 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23)
    };
    (@ $j:ident, $n:expr, $body:block, $($literal:literal)*) => {
        $(if const { $literal < $n } {
            let $j: usize = $literal;
            $body
        })*
    };
}

#[cfg(all(target_arch = "x86_64", feature = "avx512"))]
pub(crate) use unroll;

pub(crate) mod depthwise_any_nhwc;
#[cfg(target_arch = "x86_64")]
pub(crate) mod depthwise_carry_nhwc;
pub(crate) mod depthwise_line_nhwc;
#[cfg(all(target_arch = "x86_64", feature = "avx512"))]
pub(crate) mod depthwise_masked_nchw;
#[cfg(all(target_arch = "x86_64", feature = "avx512"))]
pub(crate) mod depthwise_nchw;
pub(crate) mod depthwise_nhwc;
#[cfg(target_arch = "x86_64")]
pub(crate) mod depthwise_padded_nchw;
#[cfg(target_arch = "aarch64")]
pub(crate) mod depthwise_planes_nchw;
#[cfg(target_arch = "x86_64")]
pub(crate) mod depthwise_strip_nchw;
#[cfg(all(target_arch = "x86_64", feature = "avx512"))]
pub(crate) mod depthwise_strip_nhwc;
#[cfg(all(target_arch = "x86_64", feature = "avx512"))]
mod depthwise_taps_nchw;
pub(crate) mod direct_nchw;
pub(crate) mod direct_nhwc;
pub(crate) mod elementwise;
pub(crate) mod finish;
mod gather_nchw;
#[cfg(target_arch = "x86_64")]
pub(crate) mod gemv;
pub(crate) mod grouped_nhwc;
pub(crate) mod igemm_few_pixels_nchw;
mod igemm_micro_nchw;
mod igemm_micro_nhwc;
pub(crate) mod igemm_nchw;
pub(crate) mod igemm_nhwc;
#[cfg(target_arch = "x86_64")]
pub(crate) mod igemm_rows_nchw;
mod igemm_taps;
mod igemm_tiling;
#[cfg(target_arch = "aarch64")]
pub(crate) mod lanes_nhwc;
pub(crate) mod ops;
mod phases;
pub(crate) mod pool;
pub(crate) mod shuffle;
pub(crate) mod staged_nchw;
mod tile_end;
#[cfg(target_arch = "x86_64")]
pub(crate) mod transposed_nchw;
mod window;
pub(crate) mod winograd;
pub(crate) mod winograd_nchw;
pub(crate) mod winograd_points;
pub(crate) mod winograd_run;
pub(crate) mod winograd_tile;

/// What a plan asks of an algorithm, with everything derived that several of them need.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub shape: Conv2dShape,
    pub layout: Layout,
    /// Output rows and columns.
    pub oh: usize,
    pub ow: usize,
    /// Channels per group.
    pub cg_in: usize,
    pub cg_out: usize,
    pub caches: Caches,
    /// Whether a long vector takes no longer than half of one.
    pub long_datapath: bool,
    /// Whether the caller allows the changed arithmetic of Winograd's algorithm.
    pub winograd: bool,
    /// The cores that the caller has in mind.
    pub tuning: Tuning,
}

impl Problem {
    pub(crate) fn new(shape: &Conv2dShape, layout: Layout) -> Result<Self, Error> {
        let (oh, ow) = shape.check()?;
        let (cg_in, cg_out) = (shape.c_in / shape.groups, shape.c_out / shape.groups);
        let (caches, long_datapath, tuning) = (Caches::detect(), has_long_datapath(), Tuning::OutOfOrder);
        Ok(Problem { shape: *shape, layout, oh, ow, cg_in, cg_out, caches, long_datapath, winograd: false, tuning })
    }

    /// The part of a row's taps that see the image.
    pub(crate) fn columns_seen(&self) -> f64 {
        let outside: usize = (0..self.shape.kw).map(|k| self.outside(1, k)).map(|(left, right)| left + right).sum();
        1.0 - outside as f64 / (self.shape.kw as f64 * self.ow as f64)
    }

    /// Cost of a vector multiply-add beside that of the tier's widest vector, for one that costs `width` where the core splits
    /// the widest.
    pub(crate) fn vector_cost(&self, width: f64) -> f64 {
        if self.long_datapath { width.max(1.0) } else { width }
    }

    /// Costs on cores that split long vectors, or those on cores that do not.
    pub(crate) fn costs(&self, split: [f64; 2], long: Option<[f64; 2]>) -> [f64; 2] {
        long.filter(|_| self.long_datapath).unwrap_or(split)
    }

    /// The problem of some output rows of one image. Its input begins with the first row that they read
    /// ([`Conv2dShape::input_rows`]).
    pub(crate) fn rows(&self, rows: Range<usize>) -> Problem {
        Problem { shape: self.shape.rows(rows.clone()), oh: rows.len(), ..self.clone() }
    }

    /// The problem of as many rows as a call computes, for the choice of a kernel.
    pub(crate) fn at_most_rows(&self, rows: usize) -> Problem {
        if rows < self.oh { self.rows(0..rows.max(1)) } else { self.clone() }
    }

    /// Elements of one output channel's filter.
    pub(crate) fn k(&self) -> usize {
        self.cg_in * self.shape.kh * self.shape.kw
    }

    /// How it differs from a dense `k` x `k` kernel of this stride, if it does.
    pub(crate) fn differs_from(&self, k: usize, stride: usize) -> Option<&'static str> {
        let dense = self.shape.dilation == [1, 1];
        self.differs_in_phases_from(k, stride).or((!dense).then_some("computes dense kernels only"))
    }

    /// Why a kernel of size `k` and a stride that computes the phases of a dilated image does not suit, if so.
    pub(crate) fn differs_in_phases_from(&self, k: usize, stride: usize) -> Option<&'static str> {
        let s = &self.shape;
        if [s.kh, s.kw] != [k; 2] {
            Some("computes another kernel size")
        } else if s.stride != [stride; 2] {
            Some("computes another stride")
        } else if s.dilation != [1, 1] && stride != 1 {
            Some("computes dilated kernels with stride 1 only")
        } else {
            None
        }
    }

    /// How many of the first and of the last outputs along an axis (0 is rows, 1 columns) have kernel row or column `k` in
    /// the padding. Together they are no more than all.
    pub(crate) fn outside(&self, axis: usize, k: usize) -> (usize, usize) {
        let s = &self.shape;
        let (size, outputs, before) =
            if axis == 0 { (s.h, self.oh, s.padding.top) } else { (s.w, self.ow, s.padding.left) };
        let (stride, tap) = (s.stride[axis], k * s.dilation[axis]);
        let first = before.saturating_sub(tap).div_ceil(stride).min(outputs);
        let end = (size + before).saturating_sub(tap).div_ceil(stride).clamp(first, outputs);
        (first, outputs - end)
    }

    /// First input row and column that output row `oy` and column `ox` read; negative in the padding.
    pub(crate) fn origin(&self, oy: usize, ox: usize) -> (isize, isize) {
        let s = &self.shape;
        ((oy * s.stride[0]) as isize - s.padding.top as isize, (ox * s.stride[1]) as isize - s.padding.left as isize)
    }
}

/// One of the parts that a run is cut into.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub index: usize,
    pub of: usize,
}

impl Part {
    /// This part's share of `units`.
    pub(crate) fn range(self, units: usize) -> Range<usize> {
        Shares::new(units, self.of).range(self.index)
    }
}

/// Floats of a line of the cache.
pub(crate) const LINE: usize = 16;

/// Units cut into contiguous shares whose sizes differ by one at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shares {
    each: usize,
    more: usize,
    of: usize,
}

impl Shares {
    /// No shares of nothing.
    pub(crate) const NONE: Shares = Shares { each: 0, more: 0, of: 0 };

    pub(crate) fn new(units: usize, of: usize) -> Self {
        Shares { each: units / of, more: units % of, of }
    }

    /// How many units there are.
    pub(crate) fn units(&self) -> usize {
        self.each * self.of + self.more
    }

    /// The number of the share that a unit belongs to.
    pub(crate) fn find(&self, unit: usize) -> usize {
        let larger = self.more * (self.each + 1);
        if unit < larger { unit / (self.each + 1) } else { self.more + (unit - larger) / self.each }
    }

    /// How many shares from number `index` on are of its size.
    pub(crate) fn alike(&self, index: usize) -> usize {
        if index < self.more { self.more - index } else { self.of - index }
    }

    /// Share number `index`.
    pub(crate) fn range(self, index: usize) -> Range<usize> {
        let first = index * self.each + index.min(self.more);
        first..first + self.each + usize::from(index < self.more)
    }
}

/// Bounds of a clamp that lets everything pass.
pub(crate) const NO_CLAMP: (f32, f32) = (f32::NEG_INFINITY, f32::INFINITY);

/// An input that is the rows at hand in a buffer whose first row follows its last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring {
    /// The first of the input's rows that lies at the beginning of the buffer again: it and those after it lie `back` floats
    /// before the place that strides tell.
    pub row: usize,
    pub back: usize,
}

/// One run of a plan, as kernels see it. Pointers are to element (0, 0, 0, 0); strides are in elements.
pub(crate) struct Job<'a> {
    pub problem: &'a Problem,
    pub weights: *const f32,
    pub input: *const f32,
    pub input_strides: Strides,
    pub output: *mut f32,
    pub output_strides: Strides,
    /// Bounds of the clamp that ends every kernel; infinite where `finish` does the activation.
    pub clamp: (f32, f32),
    /// What a clamp cannot do, applied to stored outputs while they are in the first cache.
    pub finish: Option<finish::Finish>,
    /// Scratch of this part.
    pub scratch: *mut f32,
    /// Where the input's rows begin again; only for algorithms that [read rings](Algorithm::reads_rings).
    pub ring: Option<Ring>,
}

impl Job<'_> {
    /// Finishes rows of some channels of an image, channels before rows, if there is that to do.
    ///
    /// # Safety
    /// The rows have been written, and are nobody else's.
    pub(crate) unsafe fn finish_rows(&self, image: usize, channels: Range<usize>, rows: Range<usize>) {
        let (Some(f), o) = (&self.finish, self.output_strides) else { return };
        for (c, y) in channels.flat_map(|c| rows.clone().map(move |y| (c, y))) {
            // SAFETY: as the caller promises.
            unsafe {
                let out = self.output.add(image * o.image + c * o.channel + y * o.row);
                f.apply(out, [image, y, 0, c], self.problem.ow);
            }
        }
    }
}

/// An algorithm with its tile and its micro-kernels: everything that a registry row needs to run.
pub(crate) trait Algorithm: Sync {
    /// Why it cannot compute this problem, if it cannot.
    fn refuses(&self, p: &Problem) -> Option<&'static str>;

    /// Estimated cost in vector multiply-adds of the tier's full width, for choosing between rows.
    fn estimate(&self, p: &Problem) -> f64;

    /// Multiplies that it really does, if not those of the direct form.
    fn multiplies(&self, _: &Problem) -> Option<u64> {
        None
    }

    /// Packs weights and bias into the order in which the kernel reads them.
    fn pack(&self, p: &Problem, source: &Source<'_>) -> Aligned;

    /// Scratch floats per part. The block may start at any address aligned for `f32`.
    fn scratch_len(&self, p: &Problem) -> usize;

    /// Into how many parts of equal work a run can be cut.
    fn units(&self, p: &Problem) -> usize;

    /// Whether the input may be a [`Ring`].
    fn reads_rings(&self, _: &Problem) -> bool {
        false
    }

    /// Computes one part.
    ///
    /// # Safety
    /// The CPU has the instructions of the row's tier. The job's pointers and strides cover tensors of the problem's
    /// shape, `weights` came from [`Algorithm::pack`], `scratch` has [`Algorithm::scratch_len`] floats of its own. No two
    /// parts run with the same index at the same time, and all use the same `of`.
    unsafe fn run(&self, job: &Job<'_>, part: Part);
}

/// A row of the registry: one kernel on one instruction set. The name is the contract: operation, type, layout, tile
/// (r: rows or pixels, c: channels, v: vectors), instruction set.
pub struct Kernel {
    pub(crate) name: &'static str,
    pub(crate) isa: Isa,
    pub(crate) op: &'static str,
    pub(crate) layout: Layout,
    pub(crate) tile: &'static str,
    pub(crate) lanes: usize,
    /// The kind of cores that it is for, if it is for one.
    pub(crate) tuning: Option<Tuning>,
    pub(crate) algorithm: &'static dyn Algorithm,
    pub(crate) finish: finish::FinishFn,
}

impl Kernel {
    /// The name: in reports, tests, benches and [`crate::Conv2dPlan::kernel_name`] alike.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The tier that it needs.
    pub const fn isa(&self) -> Isa {
        self.isa
    }

    /// The algorithm: the name's first word.
    pub const fn op(&self) -> &'static str {
        self.op
    }

    /// The layout of its input and output.
    pub const fn layout(&self) -> Layout {
        self.layout
    }

    /// The register tile, in words.
    pub const fn tile(&self) -> &'static str {
        self.tile
    }

    /// Lanes of its vectors.
    pub const fn lanes(&self) -> usize {
        self.lanes
    }

    /// The kind of cores that it is for, if it is for one: on others a kernel of the same tier is better.
    pub const fn tuning(&self) -> Option<Tuning> {
        self.tuning
    }

    /// Why it cannot compute this shape, if it cannot. A shape that [`Conv2dShape::check`] refuses is refused.
    pub fn refuses(&self, shape: &Conv2dShape) -> Option<&'static str> {
        match Problem::new(shape, self.layout) {
            Ok(p) => self.algorithm.refuses(&Problem { winograd: true, ..p }),
            Err(_) => Some("the shape is invalid"),
        }
    }
}

impl core::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Kernel").field("name", &self.name).finish_non_exhaustive()
    }
}
