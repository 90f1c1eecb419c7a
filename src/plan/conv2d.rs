//! The plan of a convolution.

use crate::cost::Cost;
use crate::epilogue::{Epilogue, Residual};
use crate::error::{Error, Expected, Value};
use crate::isa::Isa;
use crate::kernel::finish::Finish;
use crate::kernel::{Job, Kernel, NO_CLAMP, Part, Problem};
use crate::pack::{Aligned, Source};
use crate::parallel::{Parallel, Serial};
use crate::registry;
use crate::shape::Conv2dShape;
use crate::tensor::{Dims, Extent, Layout, Strides, View, ViewMut};
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

/// How a plan is made: the cap on the instruction set, the threads, the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    pub(super) isa: Option<Isa>,
    pub(super) threads: usize,
    pub(super) kernel: Option<&'a str>,
}

impl<'a> Options<'a> {
    /// The best tier that this machine has under `LIGHTCONV_ISA`, one thread, any kernel.
    pub const fn new() -> Self {
        Options { isa: None, threads: 1, kernel: None }
    }

    /// Kernels of this tier or of lower ones of the same machine. A tier that the machine lacks is an error. This
    /// choice stands above `LIGHTCONV_ISA`.
    pub const fn isa(mut self, isa: Isa) -> Self {
        self.isa = Some(isa);
        self
    }

    /// Cut the work into this many parts at most, for as many threads. Small layers are cut into fewer.
    pub const fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Exactly the kernel of this name (see [`registry::kernels`]), or an error.
    pub const fn kernel(mut self, name: &'a str) -> Self {
        self.kernel = Some(name);
        self
    }
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// Multiplies that a part should have at least: some five microseconds of a fast core, what waking a thread costs.
const PART_MULTIPLIES: u64 = 150_000;

/// Parts are counted in the bits of a word.
const MOST_PARTS: usize = 64;

/// A convolution, ready to run any number of times: kernel chosen, weights packed, scratch sized.
///
/// Plans are `Send + Sync`; one plan may run on many threads at once, with a scratch each. The same plan on the same
/// input gives the same bits on every run, whatever the executor. Memory: the packed weights
/// ([`packed_len`](Self::packed_len) floats) and nothing of the weights passed in.
pub struct Conv2dPlan {
    problem: Problem,
    kernel: &'static Kernel,
    asked: bool,
    cap: Isa,
    packed: Aligned,
    epilogue: Epilogue,
    parts: usize,
    scratch_per_part: usize,
    cost: Cost,
}

impl Conv2dPlan {
    /// Makes a plan.
    ///
    /// - `weights`: OIHW, `[c_out][c_in / groups][kh][kw]`
    /// - `bias`: `[c_out]`
    /// - `layout`: of input, output and residual
    ///
    /// # Errors
    /// A shape that [`Conv2dShape::check`] refuses, slices of another length, clamp bounds that are NaN or the wrong way
    /// round, zero threads, a tier or a kernel that cannot be had, or a kernel asked for that cannot compute the shape.
    pub fn new(
        shape: &Conv2dShape,
        layout: Layout,
        weights: &[f32],
        bias: Option<&[f32]>,
        epilogue: Epilogue,
        options: &Options<'_>,
    ) -> Result<Self, Error> {
        let problem = Problem::new(shape, layout)?;
        let weight_len = shape.weight_len()?;
        if weights.len() != weight_len {
            return Err(Error::size("weights length", weights.len(), Expected::Exactly(weight_len)));
        }
        if let Some(b) = bias
            && b.len() != shape.c_out
        {
            return Err(Error::size("bias length", b.len(), Expected::Exactly(shape.c_out)));
        }
        epilogue.activation.check()?;
        if options.threads == 0 {
            return Err(Error::size("threads", 0, Expected::AtLeast(1)));
        }
        let cap = match options.isa {
            Some(isa) => isa.require()?,
            None => Isa::best()?,
        };
        let kernel = registry::select(&problem, cap, options.kernel)?;
        let source = Source { weights, bias, cg_in: problem.cg_in, kh: shape.kh, kw: shape.kw };
        let packed = kernel.algorithm.pack(&problem, &source);
        let cost = Cost::of(shape)?;
        let worth = usize::try_from(cost.multiplies / PART_MULTIPLIES).unwrap_or(usize::MAX).max(1);
        let parts = options.threads.min(MOST_PARTS).min(worth).min(kernel.algorithm.units(&problem)).max(1);
        // Whole cache lines, so that parts do not share one.
        let scratch_per_part = kernel.algorithm.scratch_len(&problem).next_multiple_of(16);
        let asked = options.kernel.is_some();
        Ok(Conv2dPlan { problem, kernel, asked, cap, packed, epilogue, parts, scratch_per_part, cost })
    }

    /// Computes on the calling thread. `scratch` is any memory of [`scratch_len`](Self::scratch_len) floats; what it
    /// holds does not matter.
    ///
    /// # Errors
    /// Views whose layout or sizes are not the plan's, a scratch that is too short, or a plan with a residual (see
    /// [`run_with`](Self::run_with)). Nothing has been written then.
    pub fn run(&self, input: &View<'_>, output: &mut ViewMut<'_>, scratch: &mut [f32]) -> Result<(), Error> {
        self.run_with(&Serial, input, None, output, scratch)
    }

    /// Computes on the caller's threads, with the residual if the plan has one.
    ///
    /// # Errors
    /// As [`run`](Self::run); a residual that is missing or not expected; an executor that did not run every task.
    pub fn run_with(
        &self,
        pool: &dyn Parallel,
        input: &View<'_>,
        residual: Option<&View<'_>>,
        output: &mut ViewMut<'_>,
        scratch: &mut [f32],
    ) -> Result<(), Error> {
        self.check_view("input layout", "input", &input.extent, self.input_dims())?;
        self.check_view("output layout", "output", &output.extent, self.output_dims())?;
        match (self.epilogue.residual, residual) {
            (Residual::None, None) => {}
            (Residual::None, Some(_)) => {
                let expected = Expected::Text("none, as the plan was made");
                return Err(Error::Argument { argument: "residual", value: Value::Name("a view"), expected });
            }
            (_, None) => {
                let expected = Expected::Text("a view of the output's size");
                return Err(Error::Argument { argument: "residual", value: Value::Name("none"), expected });
            }
            (_, Some(r)) => self.check_view("residual layout", "residual", &r.extent, self.output_dims())?,
        }
        if scratch.len() < self.scratch_len() {
            return Err(Error::size("scratch length", scratch.len(), Expected::AtLeast(self.scratch_len())));
        }
        let clamp = self.epilogue.activation.as_clamp();
        let finish = (clamp.is_none() || residual.is_some()).then(|| Finish {
            function: self.kernel.finish,
            epilogue: self.epilogue,
            residual: residual.map_or(core::ptr::null(), |r| r.data.as_ptr()),
            residual_strides: residual.map_or(Strides { image: 0, row: 0, pixel: 0, channel: 0 }, |r| r.strides()),
        });
        let clamp = match (clamp, finish) {
            (Some(c), None) => c,
            _ => NO_CLAMP,
        };
        let shared = Shared {
            input: input.data.as_ptr(),
            output: output.data.as_mut_ptr(),
            scratch: scratch.as_mut_ptr(),
            finish,
        };
        let (input_strides, output_strides) = (input.strides(), output.strides());
        // As many parts as were planned, or one if there is one thread: the result is the same, and the caches warmer.
        let of = if pool.threads() == 1 { 1 } else { self.parts };
        let started = AtomicU64::new(0);
        let task = |index: usize| {
            let bit = if index < of { 1u64 << index } else { 0 };
            if bit == 0 || started.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
                return;
            }
            let shared = &shared;
            let job = Job {
                problem: &self.problem,
                weights: self.packed.as_ptr(),
                input: shared.input,
                input_strides,
                output: shared.output,
                output_strides,
                clamp,
                finish: shared.finish,
                scratch: shared.scratch.wrapping_add(index * self.scratch_per_part),
            };
            // SAFETY: the tier was found available when the plan was made; the views cover tensors of the problem's
            // sizes with these strides; every part has scratch of its own and runs once.
            unsafe { self.kernel.algorithm.run(&job, Part { index, of }) };
        };
        if of == 1 {
            task(0);
        } else {
            pool.run(of, &task);
        }
        let done = started.into_inner().count_ones() as usize;
        if done != of {
            return Err(Error::size("tasks run by the executor", done, Expected::Exactly(of)));
        }
        Ok(())
    }

    fn check_view(&self, layout: &'static str, name: &'static str, e: &Extent, want: Dims) -> Result<(), Error> {
        if e.layout != self.problem.layout {
            let expected = Expected::Text(match self.problem.layout {
                Layout::Nhwc => "nhwc, as the plan was made",
                Layout::Nchw => "nchw, as the plan was made",
            });
            return Err(Error::Argument { argument: layout, value: Value::Name(e.layout.name()), expected });
        }
        let names = match name {
            "input" => ["input n", "input h", "input w", "input c"],
            "output" => ["output n", "output h", "output w", "output c"],
            _ => ["residual n", "residual h", "residual w", "residual c"],
        };
        let got = [e.dims.n, e.dims.h, e.dims.w, e.dims.c];
        let want = [want.n, want.h, want.w, want.c];
        for ((argument, got), want) in names.into_iter().zip(got).zip(want) {
            if got != want {
                return Err(Error::size(argument, got, Expected::Exactly(want)));
            }
        }
        Ok(())
    }

    /// Floats of scratch that a run needs, all parts together.
    pub fn scratch_len(&self) -> usize {
        self.parts * self.scratch_per_part
    }

    /// Floats of packed weights that the plan holds.
    pub fn packed_len(&self) -> usize {
        self.packed.len()
    }

    /// Name of the chosen kernel: a row of [`registry::kernels`].
    pub fn kernel_name(&self) -> &'static str {
        self.kernel.name
    }

    /// Tier of the chosen kernel.
    pub fn isa(&self) -> Isa {
        self.kernel.isa
    }

    /// The kernels that were not chosen, each with the reason.
    pub fn why(&self) -> Vec<(&'static str, String)> {
        registry::why(&self.problem, self.cap, self.asked.then_some(self.kernel.name))
    }

    /// Multiplies, parameters and bytes.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// The shape.
    pub fn shape(&self) -> &Conv2dShape {
        &self.problem.shape
    }

    /// The layout of input, output and residual.
    pub fn layout(&self) -> Layout {
        self.problem.layout
    }

    /// Into how many parts a run is cut.
    pub fn threads(&self) -> usize {
        self.parts
    }

    /// Sizes of the input.
    pub fn input_dims(&self) -> Dims {
        let s = &self.problem.shape;
        Dims::new(s.n, s.h, s.w, s.c_in)
    }

    /// Sizes of the output.
    pub fn output_dims(&self) -> Dims {
        Dims::new(self.problem.shape.n, self.problem.oh, self.problem.ow, self.problem.shape.c_out)
    }
}

impl core::fmt::Debug for Conv2dPlan {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Conv2dPlan")
            .field("kernel", &self.kernel.name)
            .field("shape", &self.problem.shape)
            .field("layout", &self.problem.layout)
            .finish_non_exhaustive()
    }
}

/// What the tasks of a run share.
struct Shared {
    input: *const f32,
    output: *mut f32,
    scratch: *mut f32,
    finish: Option<Finish>,
}

// SAFETY: tasks read the input and the residual, and write disjoint elements of output and scratch.
unsafe impl Sync for Shared {}
