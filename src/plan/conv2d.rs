//! The plan of a convolution.

use super::common::{self, At, INPUT, OUTPUT, RESIDUAL, Shared, check_scratch, check_view, run_parts};
use crate::cost::Cost;
use crate::epilogue::{Epilogue, Residual};
use crate::error::{Error, Expected, Value};
use crate::isa::{Isa, Tuning};
use crate::kernel::finish::Finish;
use crate::kernel::{Job, Kernel, NO_CLAMP, Part, Problem, Ring};
use crate::pack::{Aligned, Source};
use crate::parallel::{Parallel, Serial};
use crate::registry;
use crate::shape::Conv2dShape;
use crate::tensor::{Dims, Layout, Strides, View, ViewMut};
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

/// How a plan is made: the cap on the instruction set, the threads, the kernel, the kind of cores.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    pub(crate) isa: Option<Isa>,
    pub(crate) threads: usize,
    pub(crate) kernel: Option<&'a str>,
    pub(crate) winograd: bool,
    pub(crate) tuning: Tuning,
    pub(crate) fused: bool,
    pub(crate) strip_rows: Option<usize>,
    /// Of blocks in a network: at most this many floats in the strips of all parts, if at least one row fits.
    pub(crate) strip_floats: Option<usize>,
}

impl<'a> Options<'a> {
    /// The best tier that this machine has under `LIGHTCONV_ISA`, one thread, any kernel.
    pub const fn new() -> Self {
        Options {
            isa: None,
            threads: 1,
            kernel: None,
            winograd: false,
            tuning: Tuning::OutOfOrder,
            fused: true,
            strip_rows: None,
            strip_floats: None,
        }
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

    /// Whether Winograd's algorithm may be chosen, where it is estimated to be faster: for 3x3 layers of stride 1, standard or in
    /// groups of 16 channels and more.
    /// It needs two to five times fewer multiplies, in another arithmetic: results differ from the direct form's by a
    /// multiple of its rounding errors (see `docs/design.md` for the bounds), and a NaN or an infinity in the input
    /// spreads to all outputs of the tiles that read it. Never chosen without this, unless [`kernel`](Self::kernel) names it.
    pub const fn winograd(mut self, allowed: bool) -> Self {
        self.winograd = allowed;
        self
    }

    /// Prefer kernels for this kind of cores, on tiers that have them; the default is [`Tuning::OutOfOrder`]. The plan runs on
    /// any core, and does not depend on the one that made it. Results of the two differ by no more than rounding.
    ///
    /// ```
    /// use lightconv::{Conv2dPlan, Conv2dShape, Epilogue, Layout, Options, Tuning};
    ///
    /// let shape = Conv2dShape::new(1, 14, 14, 64, 64, [1, 1]);
    /// let options = Options::new().tuning(Tuning::InOrder);
    /// let plan = Conv2dPlan::new(&shape, Layout::Nhwc, &[0.1; 64 * 64], None, Epilogue::NONE, &options)?;
    /// // On NEON a name with `inorder` in it.
    /// println!("{}", plan.kernel_name());
    /// # Ok::<(), lightconv::Error>(())
    /// ```
    pub const fn tuning(mut self, tuning: Tuning) -> Self {
        self.tuning = tuning;
        self
    }

    /// Of [blocks](crate::block) only: whether the operations of a block take turns on a few rows, which then stay in
    /// cache (the default), or run one after the other, with whole tensors between them. The bits are the same.
    pub const fn fused(mut self, fused: bool) -> Self {
        self.fused = fused;
        self
    }

    /// Of [blocks](crate::block) only: at most this many output rows at a time. The default is as many as fill three
    /// quarters of the second cache; fewer need less scratch. The bits are the same.
    pub const fn strip_rows(mut self, rows: usize) -> Self {
        self.strip_rows = Some(rows);
        self
    }
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// Multiplies that a part should have at least: some five microseconds of a fast core, what waking a thread costs.
pub(crate) const PART_MULTIPLIES: u64 = 150_000;

/// Where the tensors of a run are: pointers to first elements.
#[derive(Clone, Copy)]
pub(crate) struct Tensors {
    pub input: *const f32,
    pub input_strides: Strides,
    pub residual: Option<(*const f32, Strides)>,
    pub output: *mut f32,
    pub output_strides: Strides,
    pub scratch: *mut f32,
    /// Of an input whose rows begin again, if the plan [reads such](Conv2dPlan::reads_rings).
    pub ring: Option<Ring>,
}

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
        Self::for_turns(shape, layout, weights, bias, epilogue, options, usize::MAX)
    }

    /// As [`new`](Self::new), with the kernel that is best where a call computes at most `rows` output rows.
    ///
    /// # Errors
    /// As `new`.
    pub(crate) fn for_turns(
        shape: &Conv2dShape,
        layout: Layout,
        weights: &[f32],
        bias: Option<&[f32]>,
        epilogue: Epilogue,
        options: &Options<'_>,
        rows: usize,
    ) -> Result<Self, Error> {
        let winograd = options.winograd || options.kernel.is_some();
        let problem = Problem { winograd, tuning: options.tuning, ..Problem::new(shape, layout)? };
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
        let cap = common::cap(options)?;
        let kernel = registry::select(&problem.at_most_rows(rows), cap, options.kernel)?;
        let source = Source { weights, bias, cg_in: problem.cg_in, kh: shape.kh, kw: shape.kw };
        let packed = kernel.algorithm.pack(&problem, &source);
        let mut cost = Cost::of(shape)?;
        if let Some(performed) = kernel.algorithm.multiplies(&problem) {
            cost.performed_multiplies = performed;
        }
        let parts = common::parts(options, cost.multiplies / PART_MULTIPLIES, kernel.algorithm.units(&problem));
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
        let layout = self.layout();
        check_view(&INPUT, &input.extent, layout, self.input_dims())?;
        check_view(&OUTPUT, &output.extent, layout, self.output_dims())?;
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
            (_, Some(r)) => check_view(&RESIDUAL, &r.extent, layout, self.output_dims())?,
        }
        check_scratch(scratch.len(), self.scratch_len())?;
        let (input, residual) = (At::view(input), residual.map(At::view));
        // SAFETY: views cover tensors of the plan's sizes, as checked above; the slices of those that are read do not
        // overlap the others, which are borrowed mutably.
        unsafe { self.run_at(pool, input, residual, At::view_mut(output), scratch.as_mut_ptr()) }
    }

    /// Computes on tensors that are given by their addresses.
    ///
    /// # Errors
    /// An executor that did not run every task.
    ///
    /// # Safety
    /// The tensors have the plan's layout and sizes, with strides that a view would accept; there is a residual exactly if
    /// the plan has one. What is read is initialised; no element of the output or of the
    /// [`scratch_len`](Self::scratch_len) floats of scratch is an element of another tensor, or is used by anyone else.
    pub(crate) unsafe fn run_at(
        &self,
        pool: &dyn Parallel,
        input: At<*const f32>,
        residual: Option<At<*const f32>>,
        output: At<*mut f32>,
        scratch: *mut f32,
    ) -> Result<(), Error> {
        let tensors = Tensors {
            input: input.data,
            input_strides: input.strides,
            residual: residual.map(|r| (r.data, r.strides)),
            output: output.data,
            output_strides: output.strides,
            scratch,
            ring: None,
        };
        let shared = Shared::new(tensors);
        run_parts(pool, self.parts, &|part| {
            let tensors = shared.get();
            let scratch = tensors.scratch.wrapping_add(part.index * self.scratch_per_part);
            // SAFETY: the tensors are of the problem's sizes with these strides, as the caller promises; every part has
            // scratch of its own and runs once.
            unsafe { self.run_part(&self.problem, &Tensors { scratch, ..tensors }, part) };
        })
    }

    /// Computes a part of the plan's problem or of one that [`rows`](Self::rows) cut from it.
    ///
    /// # Safety
    /// The tensors are of the problem's sizes, the residual is there if the epilogue adds one, the scratch has
    /// [`part_scratch_len`](Self::part_scratch_len) floats of this part's own. Parts run once each.
    pub(crate) unsafe fn run_part(&self, problem: &Problem, t: &Tensors, part: Part) {
        let clamp = self.epilogue.activation.as_clamp();
        let finish = (clamp.is_none() || t.residual.is_some()).then(|| Finish {
            function: self.kernel.finish,
            epilogue: self.epilogue,
            residual: t.residual.map_or(core::ptr::null(), |r| r.0),
            residual_strides: t.residual.map_or(Strides { image: 0, row: 0, pixel: 0, channel: 0 }, |r| r.1),
        });
        let clamp = match (clamp, finish) {
            (Some(c), None) => c,
            _ => NO_CLAMP,
        };
        let job = Job {
            problem,
            weights: self.packed.as_ptr(),
            input: t.input,
            input_strides: t.input_strides,
            output: t.output,
            output_strides: t.output_strides,
            clamp,
            finish,
            scratch: t.scratch,
            ring: t.ring,
        };
        // SAFETY: the tier was found available when the plan was made; the rest is as the caller promises. Packed weights
        // do not depend on rows and images, and rows of a problem need no more scratch than all of it.
        unsafe { self.kernel.algorithm.run(&job, part) };
    }

    /// Computes a part of the plan's problem.
    ///
    /// # Safety
    /// As [`run_part`](Self::run_part).
    pub(crate) unsafe fn run_whole(&self, tensors: &Tensors, part: Part) {
        // SAFETY: as the caller promises.
        unsafe { self.run_part(&self.problem, tensors, part) };
    }

    /// The problem of some output rows of one image. Its input begins with the first row that they read
    /// ([`Conv2dShape::input_rows`]).
    pub(crate) fn rows(&self, rows: Range<usize>) -> Problem {
        self.problem.rows(rows)
    }

    /// Whether [`rows`](Self::rows) have the same bits, whatever rows are computed together. Not where outputs share
    /// arithmetic in tiles, which would begin elsewhere.
    pub(crate) fn is_by_rows(&self) -> bool {
        self.kernel.op != "winograd"
    }

    /// Whether the input may be a ring of rows.
    pub(crate) fn reads_rings(&self) -> bool {
        self.kernel.algorithm.reads_rings(&self.problem)
    }

    /// Units of work that the plan's problem can be cut into.
    pub(crate) fn units(&self) -> usize {
        self.kernel.algorithm.units(&self.problem)
    }

    /// Floats of scratch of one part.
    pub(crate) fn part_scratch_len(&self) -> usize {
        self.scratch_per_part
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

    /// Multiplies of the direct form and those that the kernel really does, parameters and bytes.
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
