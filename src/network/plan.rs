//! The plan of a whole network: a plan for every operation, and one block of memory for all that lies between them.

use super::fusion::{Fused, fuse};
use super::memory::{Memory, Place, Slot};
use super::{Graph, Network, Node, Op, weights};
use crate::block::{Filter, Program};
use crate::cost::Cost;
use crate::error::{Error, Expected, Value};
use crate::parallel::{Parallel, Serial};
use crate::plan::{
    At, ChannelShufflePlan, Conv2dPlan, Elementwise, ElementwisePlan, INPUT, OUTPUT, Options, PoolPlan, Pooling,
    check_scratch, check_view,
};
use crate::shape::Conv2dShape;
use crate::tensor::{Dims, Layout, Strides, View, ViewMut};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A network, ready to run any number of times: every layer's kernel chosen, its weights packed, and the places of all
/// intermediate tensors fixed.
///
/// It keeps the promises of [`Conv2dPlan`]: runs allocate nothing, one plan may run on many threads at once, with a scratch
/// each, and the bits do not depend on the executor.
///
/// ```
/// use lightconv::network::{self, NetworkPlan, Weights};
/// use lightconv::{Layout, Options, View, ViewMut};
///
/// let network = network::mobilenet_v2(0.35, 32)?;
/// let weights = Weights::random(&network, 1)?;
/// let plan = NetworkPlan::new(&network, Layout::Nhwc, |name| weights.get(name), &Options::new())?;
///
/// let image = vec![0.5; plan.input_dims().elements()?]; // 32 x 32 pixels, 3 channels
/// let mut scores = vec![0.0; 1000];
/// let mut scratch = vec![0.0; plan.scratch_len()];
/// plan.run(
///     &View::dense(Layout::Nhwc, plan.input_dims(), &image)?,
///     &mut ViewMut::dense(Layout::Nhwc, plan.output_dims(), &mut scores)?,
///     &mut scratch,
/// )?;
/// assert!(scores.iter().any(|&s| s != 0.0));
/// # Ok::<(), lightconv::Error>(())
/// ```
pub struct NetworkPlan {
    layout: Layout,
    steps: Vec<Step>,
    places: Vec<(Place, Dims)>,
    input: Dims,
    output: Dims,
    /// Floats of the block of intermediate tensors and scratch.
    block_len: usize,
    /// The most floats in use at once.
    least_len: usize,
    packed_len: usize,
    cost: Cost,
}

/// One operation with the places of its tensors.
struct Step {
    name: String,
    work: Work,
    inputs: [Slot; 2],
    output: Slot,
    dims: Dims,
    /// Where in the block its scratch begins.
    scratch: usize,
}

enum Work {
    Convolution(Conv2dPlan, bool),
    Pool(PoolPlan),
    Elementwise(ElementwisePlan),
    Shuffle(ChannelShufflePlan),
    /// Operations that run as one, under a name.
    Block(Program, &'static str),
    /// A pooling of windows of one pixel.
    Copy(PoolPlan),
    /// The output lies where the inputs do.
    Nothing,
}

/// The addresses of a run.
struct Run {
    input: At<*const f32>,
    output: At<*mut f32>,
    block: *mut f32,
}

impl NetworkPlan {
    /// Makes a plan. `weights` gives the tensors by the names of [`Network::parameters`]; a layer without a bias has
    /// none added. [`Weights`](super::Weights) has tensors drawn from a seed, or published ones; what the caller's own file
    /// calls by other names the closure can translate.
    ///
    /// Depthwise separable blocks, inverted residuals, Ghost bottlenecks, units of ShuffleNet and bottlenecks of ResNet run as
    /// one [block](crate::block) each, unless [`Options::fused`] is off; the results are the same but for rounding. Strips of
    /// blocks are only as high as leaves the peak of the memory near what the tensors between blocks need.
    /// `options` apply to every layer; a kernel asked for by name is an error unless all layers are convolutions that it
    /// computes.
    ///
    /// # Errors
    /// A network without operations ([`Network::list`]), weights that are missing (the error has the number of the layer in
    /// [`Network::layers`]) or of another length, and whatever the plans of the operations refuse.
    pub fn new<'w>(
        network: &Network,
        layout: Layout,
        weights: impl Fn(&str) -> Option<&'w [f32]>,
        options: &Options<'_>,
    ) -> Result<Self, Error> {
        let graph = &network.graph;
        let Some(last) = graph.nodes.last() else {
            let expected = Expected::Text("a graph of operations, not just a list of layers");
            return Err(Error::Argument { argument: "network", value: Value::Name("a list"), expected });
        };
        // In one pixel, channels lie next to each other in either layout, if not in a view of the caller's.
        let own_output = layout == Layout::Nchw && one_pixel(last.dims);
        let Fused { graph: fused, numbers, blocks } = fuse(graph, options);
        let mut plan = NetworkPlan {
            layout,
            steps: Vec::new(),
            places: Vec::new(),
            input: graph.input,
            output: last.dims,
            block_len: 0,
            least_len: 0,
            packed_len: 0,
            cost: network.cost()?,
        };
        let layer =
            |number: usize| graph.nodes[..number].iter().filter(|n| matches!(n.op, Op::Convolution { .. })).count();
        // Weights and bias of a node of the whole graph.
        let filter = |number: usize| -> Result<Filter<'w>, Error> {
            let name = &graph.nodes[number].name;
            let weight = weights(&format!("{name}.weight")).ok_or_else(|| weights::missing(layer(number)))?;
            Ok(Filter { weights: weight, bias: weights(&format!("{name}.bias")) })
        };
        let (mut works, mut scratch) = (Vec::new(), Vec::new());
        let tensors = Memory::new(&fused, &[], own_output)?;
        for (i, node) in fused.nodes.iter().enumerate() {
            let (work, len) = match &blocks[i] {
                Some(found) => {
                    let filter = |number| {
                        let found: Filter<'w> = filter(number)?;
                        plan.packed_len += found.weights.len() + found.bias.map_or(0, <[f32]>::len);
                        Ok(found)
                    };
                    let options = Options { strip_floats: Some(tensors.room(i)), ..*options };
                    let program = found.block.program(layout, filter, &options)?;
                    let scratch = program.scratch_len();
                    (Work::Block(program, found.block.name()), scratch)
                }
                None => plan.work(&fused, node, || filter(numbers[i]), options)?,
            };
            works.push(work);
            scratch.push(len);
        }
        let memory = Memory::new(&fused, &scratch, own_output)?;
        plan.places = memory.buffers.clone();
        (plan.block_len, plan.least_len) = (memory.len, memory.least);
        for ((i, node), work) in fused.nodes.iter().enumerate().zip(works) {
            for &(_, part, channel) in memory.copies.iter().filter(|c| c.0 == i) {
                let to = Slot { buffer: memory.slots[i + 1].buffer, channel };
                plan.push_copy(format!("{}.copy", node.name), memory.slots[part], to, fused.dims(part), options)?;
            }
            let slot = |n: usize| node.inputs.get(n).map_or(memory.slots[0], |&t| memory.slots[t]);
            plan.steps.push(Step {
                name: node.name.clone(),
                work,
                inputs: [slot(0), slot(1)],
                output: memory.slots[i + 1],
                dims: node.dims,
                scratch: memory.scratch[i],
            });
        }
        if memory.copy_output {
            let from = memory.slots[fused.nodes.len()];
            let to = Slot { buffer: plan.places.len(), channel: 0 };
            plan.places.push((Place::Output, last.dims));
            plan.push_copy(String::from("output"), from, to, last.dims, options)?;
        }
        Ok(plan)
    }

    fn push_copy(
        &mut self,
        name: String,
        from: Slot,
        to: Slot,
        dims: Dims,
        options: &Options<'_>,
    ) -> Result<(), Error> {
        let Dims { n, c, h, w } = dims;
        let shape = Conv2dShape::new(n, h, w, c, c, [1, 1]).groups(c);
        let work = Work::Copy(PoolPlan::new(Pooling::Max, &shape, self.layout, options)?);
        self.steps.push(Step { name, work, inputs: [from; 2], output: to, dims, scratch: 0 });
        Ok(())
    }

    /// The plan of a node.
    fn work<'w>(
        &mut self,
        graph: &Graph,
        node: &Node,
        filter: impl Fn() -> Result<Filter<'w>, Error>,
        options: &Options<'_>,
    ) -> Result<(Work, usize), Error> {
        let input = graph.dims(node.inputs[0]);
        let mut scratch = 0;
        let work = match node.op {
            Op::Convolution { shape, epilogue } => {
                let Filter { weights: weight, bias } = filter()?;
                // The kernels of NHWC take more channels at a time than those of NCHW, and there are no pixels.
                let pixel = one_pixel(input) && one_pixel(node.dims) && shape.is_pointwise() && shape.groups == 1;
                let inside = node.inputs.iter().all(|&t| !is_input(graph, t));
                let layout = if pixel && inside { Layout::Nhwc } else { self.layout };
                let plan = Conv2dPlan::new(&shape, layout, weight, bias, epilogue, options)?;
                scratch = plan.scratch_len();
                self.packed_len += plan.packed_len();
                Work::Convolution(plan, node.inputs.len() > 1)
            }
            Op::Pool { pooling, shape } => Work::Pool(PoolPlan::new(pooling, &shape, self.layout, options)?),
            Op::Add => Work::Elementwise(ElementwisePlan::new(Elementwise::Add, input, self.layout, options)?),
            Op::Scale => Work::Elementwise(ElementwisePlan::new(Elementwise::Scale, input, self.layout, options)?),
            Op::Shuffle { groups } => Work::Shuffle(ChannelShufflePlan::new(groups, input, self.layout, options)?),
            Op::Concat | Op::Channels { .. } => Work::Nothing,
        };
        Ok((work, scratch))
    }

    /// Computes on the calling thread. `scratch` is any memory of [`scratch_len`](Self::scratch_len) floats; what it
    /// holds does not matter.
    ///
    /// # Errors
    /// Views whose layout or sizes are not the plan's, or a scratch that is too short. Nothing has been written then.
    pub fn run(&self, input: &View<'_>, output: &mut ViewMut<'_>, scratch: &mut [f32]) -> Result<(), Error> {
        self.run_with(&Serial, input, output, scratch)
    }

    /// Computes on the caller's threads.
    ///
    /// # Errors
    /// As [`run`](Self::run), and an executor that did not run every task.
    pub fn run_with(
        &self,
        pool: &dyn Parallel,
        input: &View<'_>,
        output: &mut ViewMut<'_>,
        scratch: &mut [f32],
    ) -> Result<(), Error> {
        self.check(input, output, scratch)?;
        for step in &self.steps {
            let mut run = self.addresses(input, output, scratch);
            // SAFETY: `check` found the caller's tensors and the scratch to be those that the plan was made for.
            unsafe { self.step(step, pool, &mut run)? };
        }
        Ok(())
    }

    /// As [`run_with`](Self::run_with), and shows the output of every operation to `see`, by the name of the node. The
    /// features of a layer in the middle are had in this way. Of operations that run as one block only the last is shown;
    /// a plan made with [`Options::fused`] off has no blocks.
    ///
    /// # Errors
    /// As [`run_with`](Self::run_with).
    pub fn run_observed(
        &self,
        pool: &dyn Parallel,
        input: &View<'_>,
        output: &mut ViewMut<'_>,
        scratch: &mut [f32],
        see: &mut dyn FnMut(&str, &View<'_>),
    ) -> Result<(), Error> {
        self.check(input, output, scratch)?;
        for step in &self.steps {
            let mut run = self.addresses(input, output, scratch);
            // SAFETY: as in `run_with`.
            unsafe { self.step(step, pool, &mut run)? };
            let (place, dims) = self.places[step.output.buffer];
            match place {
                Place::Input => see(&step.name, &input.channels(step.output.channel, step.dims.c)?),
                Place::Output => see(&step.name, &output.as_view().channels(step.output.channel, step.dims.c)?),
                Place::Block(at) => {
                    let all = View::strided(self.layout, dims, Strides::dense(self.layout, dims), at, scratch)?;
                    see(&step.name, &all.channels(step.output.channel, step.dims.c)?);
                }
                Place::Nowhere => {}
            }
        }
        Ok(())
    }

    fn check(&self, input: &View<'_>, output: &mut ViewMut<'_>, scratch: &[f32]) -> Result<(), Error> {
        check_view(&INPUT, &input.extent, self.layout, self.input)?;
        check_view(&OUTPUT, &output.extent, self.layout, self.output)?;
        check_scratch(scratch.len(), self.scratch_len())
    }

    fn addresses(&self, input: &View<'_>, output: &mut ViewMut<'_>, scratch: &mut [f32]) -> Run {
        Run {
            input: At { data: input.data.as_ptr(), strides: input.strides() },
            output: At { data: output.data.as_mut_ptr(), strides: output.strides() },
            block: scratch.as_mut_ptr(),
        }
    }

    /// Where a tensor lies in this run. The input is not written through it, since no step has its output there.
    fn at(&self, slot: Slot, run: &Run) -> At<*mut f32> {
        let (place, dims) = self.places[slot.buffer];
        let all = match place {
            Place::Input => At { data: run.input.data.cast_mut(), strides: run.input.strides },
            Place::Output => run.output,
            Place::Block(at) => At { data: run.block.wrapping_add(at), strides: Strides::dense(self.layout, dims) },
            Place::Nowhere => At { data: core::ptr::null_mut(), strides: Strides::dense(self.layout, dims) },
        };
        At { data: all.data.wrapping_add(slot.channel * all.strides.channel), ..all }
    }

    /// # Safety
    /// The caller's tensors have the sizes and the layout of the plan, and the scratch its length.
    unsafe fn step(&self, step: &Step, pool: &dyn Parallel, run: &mut Run) -> Result<(), Error> {
        let read = |n: usize| {
            let at = self.at(step.inputs[n], run);
            At { data: at.data.cast_const(), strides: at.strides }
        };
        let output = self.at(step.output, run);
        // SAFETY: the plans were made for tensors of these sizes. `Memory` gives every tensor elements of its own for as
        // long as it is in use, and every step scratch of its own. Where a plan is of another layout than the network's, its
        // tensors have one pixel, in the block, and the strides of both layouts are the same on all axes that have more than
        // one element.
        unsafe {
            match &step.work {
                Work::Convolution(plan, residual) => {
                    let residual = residual.then(|| pixel_strides(plan, self.layout, read(1)));
                    let (input, output) =
                        (pixel_strides(plan, self.layout, read(0)), pixel_strides(plan, self.layout, output));
                    plan.run_at(pool, input, residual, output, run.block.wrapping_add(step.scratch))
                }
                Work::Pool(plan) | Work::Copy(plan) => plan.run_at(pool, read(0), output),
                Work::Elementwise(plan) => plan.run_at(pool, read(0), read(1), output),
                Work::Shuffle(plan) => plan.run_at(pool, read(0), output),
                Work::Block(program, _) => program.run_at(pool, read(0), output, run.block.wrapping_add(step.scratch)),
                Work::Nothing => Ok(()),
            }
        }
    }

    /// Floats of scratch that a run needs: the block of all intermediate tensors and of what kernels need beside them.
    pub fn scratch_len(&self) -> usize {
        self.block_len
    }

    /// The same in bytes: the peak of the memory for activations, input and output of the network not among them.
    pub fn activation_bytes(&self) -> usize {
        self.block_len * size_of::<f32>()
    }

    /// The most bytes of intermediate tensors and scratch that are in use at one time, below which no arrangement can go.
    pub fn least_activation_bytes(&self) -> usize {
        self.least_len * size_of::<f32>()
    }

    /// Floats of packed weights that the plan holds.
    pub fn packed_len(&self) -> usize {
        self.packed_len
    }

    /// The operations that a run computes, with the names of their kernels; a block has the name of its last operation.
    pub fn kernels(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.steps.iter().filter_map(|s| {
            let kernel = match &s.work {
                Work::Convolution(plan, _) => plan.kernel_name(),
                Work::Pool(plan) | Work::Copy(plan) => plan.kernel_name(),
                Work::Elementwise(plan) => plan.kernel_name(),
                Work::Shuffle(plan) => plan.kernel_name(),
                Work::Block(_, name) => name,
                Work::Nothing => return None,
            };
            Some((s.name.as_str(), kernel))
        })
    }

    /// Multiplies, parameters and bytes of all layers, as [`Network::cost`] counts them.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// The layout of input and output.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Sizes of the input.
    pub fn input_dims(&self) -> Dims {
        self.input
    }

    /// Sizes of the output.
    pub fn output_dims(&self) -> Dims {
        self.output
    }
}

/// Whether a tensor is the network's input or some of its channels.
fn is_input(graph: &Graph, mut tensor: usize) -> bool {
    while tensor > 0
        && let Op::Channels { .. } = graph.nodes[tensor - 1].op
    {
        tensor = graph.nodes[tensor - 1].inputs[0];
    }
    tensor == 0
}

fn one_pixel(dims: Dims) -> bool {
    dims.h == 1 && dims.w == 1
}

/// The address with strides as the plan's layout has them for one pixel, where that is not the network's layout.
fn pixel_strides<P>(plan: &Conv2dPlan, layout: Layout, at: At<P>) -> At<P> {
    if plan.layout() == layout {
        return at;
    }
    let image = at.strides.image;
    At { strides: Strides { image, row: image, pixel: image, channel: 1 }, ..at }
}

impl core::fmt::Debug for NetworkPlan {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("NetworkPlan")
            .field("steps", &self.steps.len())
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}
