//! Which operations of a network run as one block, so that what lies between them stays in cache.

use super::patterns::{Found, find};
use super::{Graph, Op};
use crate::block::{
    BottleneckPlan, BottleneckShape, BottleneckWeights, Filter, GhostBottleneckPlan, GhostBottleneckShape,
    GhostBottleneckWeights, GhostShortcut, GhostWeights, InvertedResidualPlan, InvertedResidualShape,
    InvertedResidualWeights, Program, SeparablePlan, SeparableShape, SeparableWeights, ShuffleV1Plan, ShuffleV1Shape,
    ShuffleV1Weights, ShuffleV2Left, ShuffleV2Plan, ShuffleV2Shape, ShuffleV2Weights, SqueezeExciteWeights,
};
use crate::error::Error;
use crate::isa::Caches;
use crate::plan::Options;
use crate::tensor::{Dims, Layout};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// A graph whose blocks are nodes.
pub(super) struct Fused {
    pub graph: Graph,
    /// For every node of it: its number in the whole graph, or that of the last operation of the block.
    pub numbers: Vec<usize>,
    /// For every node of it: the block that it stands for.
    pub blocks: Vec<Option<Found>>,
}

/// The graph with its blocks found, or as it is.
pub(super) fn fuse(graph: &Graph, options: &Options<'_>) -> Fused {
    let fuses = options.fused && options.kernel.is_none();
    let mut joined = vec![false; graph.nodes.len() + 1];
    let mut last_reader = vec![0; graph.nodes.len() + 1];
    for (i, node) in graph.nodes.iter().enumerate() {
        for &t in &node.inputs {
            joined[t] |= node.op == Op::Concat;
            last_reader[t] = i;
        }
    }
    let mut nodes = Vec::new();
    let (mut numbers, mut blocks) = (Vec::new(), Vec::new());
    // Where the tensors of the whole graph are in the other one.
    let mut tensors = vec![0; graph.nodes.len() + 1];
    let mut i = 0;
    while i < graph.nodes.len() {
        // Nobody else reads what lies within a block. What it writes must not lie among what it reads, as parts of a
        // concatenation may.
        let accept = |b: &Found| {
            let inside = (i..b.end).all(|n| last_reader[n + 1] <= b.end);
            inside && !joined[b.end + 1] && !is_better_apart(b, options)
        };
        let found = if fuses { find(graph, i, accept) } else { None };
        let end = found.as_ref().map_or(i, |b| b.end);
        let mut node = graph.nodes[end].clone();
        match &found {
            Some(block) => {
                node.inputs = vec![tensors[block.input]];
                // Of the operation only that it is one matters from here on: a block that ends with a concatenation writes
                // its output itself.
                node.op = Op::Add;
            }
            None => node.inputs.iter_mut().for_each(|t| *t = tensors[*t]),
        }
        nodes.push(node);
        numbers.push(end);
        blocks.push(found);
        tensors[end + 1] = nodes.len();
        i = end + 1;
    }
    Fused { graph: Graph { nodes, ..graph.clone() }, numbers, blocks }
}

/// Whether two operations take less memory apart, and one thread does them as fast: where the tensor between them is no larger
/// than those before and after it, which are needed at once if the operations are a block; and where the first tensor is
/// larger than the second cache, so that no turns of a few rows read it from there.
fn is_better_apart(found: &Found, options: &Options<'_>) -> bool {
    let Block::Separable(shape, _) = &found.block else { return false };
    let len = |d: Dims| d.h.saturating_mul(d.w).saturating_mul(d.c);
    let (input, output) = (shape.input_dims(), shape.output_dims());
    let between = Dims { c: input.c, ..output };
    let large = len(input) > Caches::detect().l2 / size_of::<f32>();
    options.threads == 1 && large && len(between) <= len(input).min(len(output))
}

/// Convolutions of a block by their numbers in the whole graph, each where the block's weights have it.
#[derive(Clone, Debug)]
pub(super) enum Block {
    /// Depthwise, pointwise.
    Separable(SeparableShape, [usize; 2]),
    /// Expansion, depthwise, projection.
    Inverted { shape: InvertedResidualShape, expand: Option<usize>, nodes: [usize; 2], squeeze: Option<[usize; 2]> },
    /// Both convolutions of both modules; depthwise between them; depthwise and pointwise of the shortcut.
    Ghost {
        shape: Box<GhostBottleneckShape>,
        modules: [[usize; 2]; 2],
        depthwise: Option<usize>,
        squeeze: Option<[usize; 2]>,
        shortcut: Option<[usize; 2]>,
    },
    /// Pointwise, depthwise, pointwise.
    ShuffleV1(ShuffleV1Shape, [usize; 3]),
    /// The same; depthwise and pointwise of the other branch.
    ShuffleV2(ShuffleV2Shape, [usize; 3], Option<[usize; 2]>),
    /// Reduction, spatial, expansion; shortcut.
    Bottleneck(BottleneckShape, [usize; 3], Option<usize>),
}

impl Block {
    /// What it is, as the kernel of a step.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Block::Separable(..) => "separable block",
            Block::Inverted { .. } => "inverted residual",
            Block::Ghost { .. } => "ghost bottleneck",
            Block::ShuffleV1(..) => "shuffle unit v1",
            Block::ShuffleV2(..) => "shuffle unit v2",
            Block::Bottleneck(..) => "bottleneck",
        }
    }

    /// Its plan; `filter` gives the weights of a node of the whole graph.
    ///
    /// # Errors
    /// What `filter` and the plan's `new` refuse.
    pub(super) fn program<'w>(
        &self,
        layout: Layout,
        mut filter: impl FnMut(usize) -> Result<Filter<'w>, Error>,
        options: &Options<'_>,
    ) -> Result<Program, Error> {
        let squeezes = |squeeze: &Option<[usize; 2]>, filter: &mut dyn FnMut(usize) -> Result<Filter<'w>, Error>| {
            squeeze
                .map(|[reduce, expand]| {
                    Ok::<_, Error>(SqueezeExciteWeights { reduce: filter(reduce)?, expand: filter(expand)? })
                })
                .transpose()
        };
        Ok(match self {
            Block::Separable(shape, [depthwise, pointwise]) => {
                let weights = SeparableWeights { depthwise: filter(*depthwise)?, pointwise: filter(*pointwise)? };
                SeparablePlan::new(shape, layout, &weights, options)?.into_program()
            }
            Block::Inverted { shape, expand, nodes: [depthwise, project], squeeze } => {
                let expand = expand.map(&mut filter).transpose()?;
                let squeeze_excite = squeezes(squeeze, &mut filter)?;
                let (depthwise, project) = (filter(*depthwise)?, filter(*project)?);
                let weights = InvertedResidualWeights { expand, depthwise, squeeze_excite, project };
                InvertedResidualPlan::new(shape, layout, &weights, options)?.into_program()
            }
            Block::Ghost { shape, modules, depthwise, squeeze, shortcut } => {
                let squeeze_excite = squeezes(squeeze, &mut filter)?;
                let depthwise = depthwise.map(&mut filter).transpose()?;
                let shortcut = match shortcut {
                    Some([depthwise, pointwise]) => {
                        Some(GhostShortcut { depthwise: filter(*depthwise)?, pointwise: filter(*pointwise)? })
                    }
                    None => None,
                };
                let mut module = |[primary, cheap]: [usize; 2]| {
                    Ok::<_, Error>(GhostWeights { primary: filter(primary)?, cheap: filter(cheap)? })
                };
                let (expand, project) = (module(modules[0])?, module(modules[1])?);
                let weights = GhostBottleneckWeights { expand, depthwise, squeeze_excite, project, shortcut };
                GhostBottleneckPlan::new(shape, layout, &weights, options)?.into_program()
            }
            Block::ShuffleV1(shape, [reduce, depthwise, expand]) => {
                let (reduce, depthwise, expand) = (filter(*reduce)?, filter(*depthwise)?, filter(*expand)?);
                let weights = ShuffleV1Weights { reduce, depthwise, expand };
                ShuffleV1Plan::new(shape, layout, &weights, options)?.into_program()
            }
            Block::ShuffleV2(shape, [expand, depthwise, project], left) => {
                let (expand, depthwise, project) = (filter(*expand)?, filter(*depthwise)?, filter(*project)?);
                let left = match left {
                    Some([depthwise, project]) => {
                        Some(ShuffleV2Left { depthwise: filter(*depthwise)?, project: filter(*project)? })
                    }
                    None => None,
                };
                let weights = ShuffleV2Weights { expand, depthwise, project, left };
                ShuffleV2Plan::new(shape, layout, &weights, options)?.into_program()
            }
            Block::Bottleneck(shape, [reduce, spatial, expand], shortcut) => {
                let (reduce, spatial, expand) = (filter(*reduce)?, filter(*spatial)?, filter(*expand)?);
                let shortcut = shortcut.map(filter).transpose()?;
                let weights = BottleneckWeights { reduce, spatial, expand, shortcut };
                BottleneckPlan::new(shape, layout, &weights, options)?.into_program()
            }
        })
    }
}
