//! Which operations of a network run as one block, so that what lies between them stays in cache.

use super::{Graph, Node, Op};
use crate::block::{InvertedResidualShape, SeparableShape, SqueezeExcite};
use crate::epilogue::{Activation, Epilogue, Residual};
use crate::plan::Pooling;
use crate::shape::Conv2dShape;
use alloc::vec;
use alloc::vec::Vec;

/// A block, with the numbers of its convolutions in the whole graph.
#[derive(Clone, Debug)]
pub(super) enum Block {
    /// Depthwise, pointwise.
    Separable { shape: SeparableShape, nodes: [usize; 2] },
    /// Expansion, depthwise, projection; the two layers of squeeze-and-excite.
    Inverted { shape: InvertedResidualShape, expand: Option<usize>, nodes: [usize; 2], squeeze: Option<[usize; 2]> },
}

/// A graph whose blocks are nodes.
pub(super) struct Fused {
    pub graph: Graph,
    /// For every node of it: its number in the whole graph, or that of the last operation of the block.
    pub numbers: Vec<usize>,
    /// For every node of it: the block that it stands for.
    pub blocks: Vec<Option<Block>>,
}

/// The graph with its blocks found, or as it is.
pub(super) fn fuse(graph: &Graph, fuses: bool) -> Fused {
    let mut readers = vec![0usize; graph.nodes.len() + 1];
    let mut joined = vec![false; graph.nodes.len() + 1];
    for node in &graph.nodes {
        for &t in &node.inputs {
            readers[t] += 1;
            joined[t] |= node.op == Op::Concat;
        }
    }
    let mut nodes = Vec::new();
    let (mut numbers, mut blocks) = (Vec::new(), Vec::new());
    // Where the tensors of the whole graph are in the other one.
    let mut tensors = vec![0; graph.nodes.len() + 1];
    let mut i = 0;
    while i < graph.nodes.len() {
        // What a block writes must not lie among what it reads, as parts of a concatenation may.
        let found = if fuses { find(graph, i, &readers) } else { None };
        let (end, block) = match found {
            Some((end, block)) if !joined[end + 1] => (end, Some(block)),
            _ => (i, None),
        };
        let (first, last) = (&graph.nodes[i], &graph.nodes[end]);
        let inputs = if block.is_some() { &first.inputs[..1] } else { &first.inputs[..] };
        let inputs = inputs.iter().map(|&t| tensors[t]).collect();
        nodes.push(Node { inputs, ..last.clone() });
        numbers.push(end);
        blocks.push(block);
        tensors[end + 1] = nodes.len();
        i = end + 1;
    }
    Fused { graph: Graph { nodes, ..graph.clone() }, numbers, blocks }
}

/// The block that begins at a node, and its last node.
fn find(graph: &Graph, start: usize, readers: &[usize]) -> Option<(usize, Block)> {
    let (mut at, input) = (start, graph.nodes[start].inputs[0]);
    let conv = |i: usize| match graph.nodes.get(i)?.op {
        Op::Convolution { shape, epilogue } => Some((shape, epilogue)),
        _ => None,
    };
    // Read by the next operation alone, which is the next node.
    let follows = |i: usize, times: usize| {
        graph.nodes.get(i + 1).is_some_and(|n| n.inputs[0] == i + 1) && readers[i + 1] == times
    };
    let (mut shape, mut epilogue) = conv(at)?;
    let mut expand = None;
    if shape.is_pointwise() && shape.groups == 1 && epilogue.residual == Residual::None && follows(at, 1) {
        expand = Some((at, shape, epilogue.activation));
        at += 1;
        (shape, epilogue) = conv(at)?;
    }
    let (depthwise, dw, activation) = (at, shape, epilogue.activation);
    if !dw.is_depthwise() || epilogue.residual != Residual::None {
        return None;
    }
    let mut squeeze = None;
    if let Some((se, last)) = find_squeeze(graph, at, readers) {
        squeeze = Some(se);
        at = last;
    } else if !follows(at, 1) {
        return None;
    }
    if squeeze.is_some() && !follows(at, 1) {
        return None;
    }
    let last = at + 1;
    let (project, end) = conv(last)?;
    if !project.is_pointwise() || project.groups != 1 {
        return None;
    }
    let dims = graph.dims(input);
    let nodes = [depthwise, last];
    let residual = match end.residual {
        Residual::None => false,
        Residual::AfterActivation if graph.nodes[last].inputs[1] == input => true,
        _ => return None,
    };
    if expand.is_none() && squeeze.is_none() && !residual {
        let block = SeparableShape::new(dims, project.c_out, dw.kh, dw.stride[0], activation).ok()?;
        let block = block.activations(activation, end.activation).ok()?;
        let same = block.convolutions() == [(dw, activation), (project, end.activation)];
        return same.then_some((last, Block::Separable { shape: block, nodes }));
    }
    if end.activation != Activation::None || expand.is_some_and(|e| e.2 != activation) {
        return None;
    }
    let mut block = InvertedResidualShape::new(dims, dw.c_in, project.c_out, dw.kh, dw.stride[0], activation).ok()?;
    if let Some((se, _)) = squeeze {
        block = block.squeeze_excite(se).ok()?;
    }
    if !residual {
        block = block.without_residual();
    }
    let expansion = expand.map(|e| e.1);
    let same = (block.expand(), block.depthwise(), block.project()) == (expansion, dw, project);
    if !same || block.has_residual() != residual {
        return None;
    }
    let (expand, squeeze) = (expand.map(|e| e.0), squeeze.map(|s| s.1));
    Some((last, Block::Inverted { shape: block, expand, nodes, squeeze }))
}

/// The squeeze-and-excite of the output of node `at`: itself with the numbers of its layers, and its last node.
fn find_squeeze(graph: &Graph, at: usize, readers: &[usize]) -> Option<((SqueezeExcite, [usize; 2]), usize)> {
    // Average, two layers, scale: each reads the one before, and the last reads the map as well.
    let nodes = graph.nodes.get(at + 1..at + 5)?;
    let reads = |n: usize, inputs: &[usize]| nodes[n].inputs == inputs;
    let map = at + 1;
    let chained = reads(0, &[map]) && reads(1, &[map + 1]) && reads(2, &[map + 2]) && reads(3, &[map, map + 3]);
    if !chained || readers[map] != 2 || (1..4).any(|i| readers[map + i] != 1) {
        return None;
    }
    let layer = |n: usize, c_in: usize| match nodes[n].op {
        Op::Convolution { shape, epilogue: Epilogue { activation, residual: Residual::None } } => {
            let same = shape == Conv2dShape::new(shape.n, 1, 1, c_in, shape.c_out, [1, 1]);
            same.then_some((shape.c_out, activation))
        }
        _ => None,
    };
    let dims = graph.dims(map);
    match nodes[0].op {
        Op::Pool { pooling: Pooling::Average, shape } if [shape.kh, shape.kw] == [dims.h, dims.w] => {}
        _ => return None,
    }
    let (squeeze, activation) = layer(1, dims.c)?;
    let (c, gate) = layer(2, squeeze)?;
    let whole = c == dims.c && nodes[3].op == Op::Scale;
    whole.then_some(((SqueezeExcite { squeeze, activation, gate }, [at + 2, at + 3]), at + 4))
}
