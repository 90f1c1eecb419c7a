//! What the plans share: the tier, the parts, the checks of views.

use super::Options;
use crate::arch;
use crate::error::{Error, Expected, Value};
use crate::isa::Isa;
use crate::kernel::Part;
use crate::kernel::ops::Ops;
use crate::parallel::Parallel;
use crate::tensor::{Dims, Extent, Layout, Strides, View, ViewMut};
use core::sync::atomic::{AtomicU64, Ordering};

/// Elements that a part of an operation beside convolution should read at least: some five microseconds, what waking a
/// thread costs.
pub(crate) const PART_ELEMENTS: u64 = 32_768;

/// Parts are counted in the bits of a word.
const MOST_PARTS: usize = 64;

/// The name of an operation's kernel on a tier: `operation_f32_layout_tier`.
macro_rules! kernel_name {
    ($op:literal, $layout:expr, $isa:expr) => {
        match $layout {
            $crate::tensor::Layout::Nhwc => $crate::plan::common::kernel_name!(@ concat!($op, "_f32_nhwc_"), $isa),
            $crate::tensor::Layout::Nchw => $crate::plan::common::kernel_name!(@ concat!($op, "_f32_nchw_"), $isa),
        }
    };
    (@ $first:expr, $isa:expr) => {
        match $isa {
            $crate::isa::Isa::Scalar => concat!($first, "scalar"),
            $crate::isa::Isa::Portable => concat!($first, "portable"),
            $crate::isa::Isa::Avx2 => concat!($first, "avx2"),
            $crate::isa::Isa::Avx512 => concat!($first, "avx512"),
            $crate::isa::Isa::Neon => concat!($first, "neon"),
        }
    };
}
pub(crate) use kernel_name;

/// The tier that the options ask for.
///
/// # Errors
/// A tier that cannot be had, or zero threads.
pub(crate) fn cap(options: &Options<'_>) -> Result<Isa, Error> {
    if options.threads == 0 {
        return Err(Error::size("threads", 0, Expected::AtLeast(1)));
    }
    match options.isa {
        Some(isa) => isa.require(),
        None => Isa::best(),
    }
}

/// The tier that the options ask for, with its operations beside convolution.
///
/// # Errors
/// As [`cap`], or a kernel asked for by name.
pub(crate) fn tier(options: &Options<'_>) -> Result<(Isa, &'static Ops), Error> {
    if options.kernel.is_some() {
        let expected = "none: the operation has one kernel per tier";
        return Err(Error::Unsupported { argument: "kernel", value: Value::Name("a name"), expected });
    }
    let isa = cap(options)?;
    let ops = arch::ops(isa).ok_or(Error::Isa { isa: isa.name(), expected: "a tier of this architecture" })?;
    Ok((isa, ops))
}

/// Into how many parts a run is cut: as many as there are threads and units of work, and `worth` a thread's waking.
pub(crate) fn parts(options: &Options<'_>, worth: u64, units: usize) -> usize {
    let worth = usize::try_from(worth).unwrap_or(usize::MAX);
    options.threads.min(MOST_PARTS).min(worth).min(units).max(1)
}

/// Runs every part once: `parts` of them, or one if there is one thread; the result is the same, and the caches warmer.
///
/// # Errors
/// An executor that did not run every task.
pub(crate) fn run_parts(pool: &dyn Parallel, parts: usize, task: &(dyn Fn(Part) + Sync)) -> Result<(), Error> {
    let of = if pool.threads() == 1 { 1 } else { parts };
    if of == 1 {
        task(Part { index: 0, of });
        return Ok(());
    }
    let started = AtomicU64::new(0);
    pool.run(of, &|index| {
        let bit = if index < of { 1u64 << index } else { 0 };
        if bit != 0 && started.fetch_or(bit, Ordering::Relaxed) & bit == 0 {
            task(Part { index, of });
        }
    });
    let done = started.into_inner().count_ones() as usize;
    if done == of { Ok(()) } else { Err(Error::size("tasks run by the executor", done, Expected::Exactly(of))) }
}

/// Names of a view's layout and sizes, for errors.
pub(crate) struct Names {
    layout: &'static str,
    n: &'static str,
    h: &'static str,
    w: &'static str,
    c: &'static str,
}

pub(crate) const INPUT: Names =
    Names { layout: "input layout", n: "input n", h: "input h", w: "input w", c: "input c" };
pub(crate) const SECOND: Names =
    Names { layout: "second layout", n: "second n", h: "second h", w: "second w", c: "second c" };
pub(crate) const RESIDUAL: Names =
    Names { layout: "residual layout", n: "residual n", h: "residual h", w: "residual w", c: "residual c" };
pub(crate) const OUTPUT: Names =
    Names { layout: "output layout", n: "output n", h: "output h", w: "output w", c: "output c" };

/// Checks that a view has the plan's layout and sizes.
///
/// # Errors
/// It has not.
pub(crate) fn check_view(names: &Names, found: &Extent, layout: Layout, dims: Dims) -> Result<(), Error> {
    if found.layout != layout {
        let expected = Expected::Text(match layout {
            Layout::Nhwc => "nhwc, as the plan was made",
            Layout::Nchw => "nchw, as the plan was made",
        });
        return Err(Error::Argument { argument: names.layout, value: Value::Name(found.layout.name()), expected });
    }
    let got = found.dims;
    for (argument, got, want) in
        [(names.n, got.n, dims.n), (names.h, got.h, dims.h), (names.w, got.w, dims.w), (names.c, got.c, dims.c)]
    {
        if got != want {
            return Err(Error::size(argument, got, Expected::Exactly(want)));
        }
    }
    Ok(())
}

/// Checks scratch memory.
///
/// # Errors
/// It is too short.
pub(crate) fn check_scratch(found: usize, expected: usize) -> Result<(), Error> {
    if found < expected {
        return Err(Error::size("scratch length", found, Expected::AtLeast(expected)));
    }
    Ok(())
}

/// Where a tensor lies: its first element and strides. Unlike a view it claims nothing of what lies between its elements,
/// so that a plan can read one part of a concatenation while it writes another.
#[derive(Clone, Copy)]
pub(crate) struct At<P> {
    pub data: P,
    pub strides: Strides,
}

impl At<*const f32> {
    pub(crate) fn view(view: &View<'_>) -> Self {
        At { data: view.data.as_ptr(), strides: view.strides() }
    }
}

impl At<*mut f32> {
    pub(crate) fn view_mut(view: &mut ViewMut<'_>) -> Self {
        At { data: view.data.as_mut_ptr(), strides: view.strides() }
    }
}

/// A pointer that tasks share.
#[derive(Clone, Copy)]
pub(crate) struct Shared<P>(P);

// SAFETY: tasks read through the shared pointers to inputs, and write disjoint elements of outputs and scratch.
unsafe impl<P> Sync for Shared<P> {}

impl<P: Copy> Shared<P> {
    pub(crate) fn new(pointers: P) -> Self {
        Shared(pointers)
    }

    pub(crate) fn get(&self) -> P {
        self.0
    }
}
