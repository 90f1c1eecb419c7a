//! The blocks that are found in a graph. Each pattern reads the nodes in the order in which the tables of networks write them,
//! makes the block's shape of what it has read, and takes the block only if all of its convolutions are those of the graph.

use super::fusion::Block;
use super::{Graph, Op};
use crate::block::{
    BottleneckShape, GhostBottleneckShape, InvertedResidualShape, SeparableShape, ShuffleV1Shape, ShuffleV2Shape,
    SqueezeExcite,
};
use crate::epilogue::{Activation, Residual};
use crate::plan::Pooling;
use crate::shape::Conv2dShape;
use crate::tensor::Dims;
use alloc::boxed::Box;

/// A block in a graph: the tensor that it reads, and its last node, whose output is the block's.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub block: Block,
    pub input: usize,
    pub end: usize,
}

/// The block that begins at a node, of those that are accepted: the beginning of one may be another.
pub(super) fn find(graph: &Graph, start: usize, accept: impl Fn(&Found) -> bool) -> Option<Found> {
    let patterns = [mobile, shuffle_v1, shuffle_v2, ghost, bottleneck];
    patterns.iter().find_map(|pattern| {
        let mut walk = Walk { graph, at: start };
        let input = *graph.nodes[start].inputs.first()?;
        let block = pattern(&mut walk, input)?;
        Some(Found { block, input, end: walk.at - 1 }).filter(&accept)
    })
}

/// A convolution of a graph.
#[derive(Clone, Copy)]
struct Conv {
    node: usize,
    shape: Conv2dShape,
    activation: Activation,
    /// What is added, and when.
    residual: Option<(usize, Residual)>,
}

impl Conv {
    /// With this activation, and nothing added.
    fn is_plain(&self, activation: Activation) -> bool {
        self.residual.is_none() && self.activation == activation
    }

    fn is_pointwise(&self) -> bool {
        self.shape.is_pointwise() && self.shape.groups == 1
    }
}

/// Reads nodes one after the other; each reader gives nothing, and stays where it is, where it finds something else.
struct Walk<'g> {
    graph: &'g Graph,
    /// The next node; also the number of the tensor that the last one wrote.
    at: usize,
}

impl Walk<'_> {
    fn dims(&self, tensor: usize) -> Dims {
        self.graph.dims(tensor)
    }

    /// The operation of the next node, if it reads these tensors.
    fn next(&self, inputs: &[usize]) -> Option<Op> {
        self.graph.nodes.get(self.at).filter(|n| n.inputs == inputs).map(|n| n.op)
    }

    fn conv(&mut self, from: usize) -> Option<Conv> {
        let node = self.graph.nodes.get(self.at).filter(|n| n.inputs.first() == Some(&from))?;
        let Op::Convolution { shape, epilogue } = node.op else { return None };
        let residual = match epilogue.residual {
            Residual::None => None,
            when => Some((*node.inputs.get(1)?, when)),
        };
        self.at += 1;
        Some(Conv { node: self.at - 1, shape, activation: epilogue.activation, residual })
    }

    fn average(&mut self, from: usize) -> Option<Conv2dShape> {
        let Op::Pool { pooling: Pooling::Average, shape } = self.next(&[from])? else { return None };
        self.at += 1;
        Some(shape)
    }

    fn channels(&mut self, from: usize) -> Option<(usize, usize)> {
        let Op::Channels { first, count } = self.next(&[from])? else { return None };
        self.at += 1;
        Some((first, count))
    }

    /// A node of exactly this operation.
    fn is(&mut self, op: Op, inputs: &[usize]) -> Option<()> {
        self.next(inputs).filter(|found| *found == op)?;
        self.at += 1;
        Some(())
    }

    /// The squeeze-and-excite of the last tensor, with the numbers of its layers.
    fn squeeze_excite(&mut self) -> Option<(SqueezeExcite, [usize; 2])> {
        let start = self.at;
        let found = self.read_squeeze_excite();
        if found.is_none() {
            self.at = start;
        }
        found
    }

    fn read_squeeze_excite(&mut self) -> Option<(SqueezeExcite, [usize; 2])> {
        let map = self.at;
        let dims = self.dims(map);
        let pool = self.average(map)?;
        let (a, b) = (self.conv(self.at)?, self.conv(self.at)?);
        self.is(Op::Scale, &[map, self.at])?;
        let squeeze = SqueezeExcite { squeeze: a.shape.c_out, activation: a.activation, gate: b.activation };
        let whole = [pool.kh, pool.kw] == [dims.h, dims.w] && a.residual.is_none() && b.residual.is_none();
        let same = squeeze.convolutions(dims).ok()? == [a.shape, b.shape];
        (whole && same).then_some((squeeze, [a.node, b.node]))
    }
}

/// Separable blocks and inverted residuals.
fn mobile(w: &mut Walk<'_>, x: usize) -> Option<Block> {
    let first = w.conv(x)?;
    let (expand, filter) =
        if first.is_pointwise() && first.residual.is_none() { (Some(first), w.conv(w.at)?) } else { (None, first) };
    if !filter.shape.is_depthwise() || filter.residual.is_some() {
        return None;
    }
    let squeeze = w.squeeze_excite();
    let project = w.conv(w.at)?;
    let (dw, activation, nodes) = (filter.shape, filter.activation, [filter.node, project.node]);
    let residual = match project.residual {
        None => false,
        Some((tensor, Residual::AfterActivation)) if tensor == x => true,
        Some(_) => return None,
    };
    let input = w.dims(x);
    if expand.is_none() && squeeze.is_none() && !residual {
        let shape = SeparableShape::new(input, project.shape.c_out, dw.kh, dw.stride[0], activation).ok()?;
        let shape = shape.activations(activation, project.activation).ok()?;
        let same = shape.convolutions() == [(dw, activation), (project.shape, project.activation)];
        return same.then_some(Block::Separable(shape, nodes));
    }
    if project.activation != Activation::None || expand.is_some_and(|e| e.activation != activation) {
        return None;
    }
    let c_out = project.shape.c_out;
    let mut shape = InvertedResidualShape::new(input, dw.c_in, c_out, dw.kh, dw.stride[0], activation).ok()?;
    if let Some((se, _)) = squeeze {
        shape = shape.squeeze_excite(se).ok()?;
    }
    if !residual {
        shape = shape.without_residual();
    }
    let read = (expand.map(|e| e.shape), dw, project.shape);
    let same = (shape.expand(), shape.depthwise(), shape.project()) == read && shape.has_residual() == residual;
    let (expand, squeeze) = (expand.map(|e| e.node), squeeze.map(|s| s.1));
    same.then_some(Block::Inverted { shape, expand, nodes, squeeze })
}

/// Units of ShuffleNet V1.
fn shuffle_v1(w: &mut Walk<'_>, x: usize) -> Option<Block> {
    let reduce = w.conv(x)?;
    let groups = match w.next(&[w.at])? {
        Op::Shuffle { groups } => {
            w.at += 1;
            groups
        }
        _ => 1,
    };
    let filter = w.conv(w.at)?;
    let filtered = w.at;
    let pool = w.average(x).map(|shape| (w.at, shape));
    let expand = w.conv(filtered)?;
    let (input, activation, width) = (w.dims(x), reduce.activation, reduce.shape.c_out);
    if !reduce.is_plain(activation) || !filter.is_plain(Activation::None) || expand.activation != activation {
        return None;
    }
    let shape = match (pool, expand.residual) {
        (Some((pooled, pool)), None) => {
            w.is(Op::Concat, &[pooled, w.at])?;
            let c_out = input.c + expand.shape.c_out;
            let shape = ShuffleV1Shape::down(input, width, c_out, groups, reduce.shape.groups, activation).ok()?;
            (shape.pool() == Some(pool)).then_some(shape)?
        }
        (None, Some((tensor, Residual::BeforeActivation))) if tensor == x => {
            ShuffleV1Shape::basic(input, width, groups, activation).ok()?
        }
        _ => return None,
    };
    let same = shape.convolutions() == [reduce.shape, filter.shape, expand.shape];
    same.then_some(Block::ShuffleV1(shape, [reduce.node, filter.node, expand.node]))
}

/// Units of ShuffleNet V2.
fn shuffle_v2(w: &mut Walk<'_>, x: usize) -> Option<Block> {
    let input = w.dims(x);
    let mut left = None;
    let (first, from) = match w.channels(x) {
        Some((0, half)) if 2 * half == input.c => {
            let kept = w.at;
            (w.channels(x)? == (half, half)).then_some(())?;
            (kept, w.at)
        }
        Some(_) => return None,
        None => {
            let (filter, project) = (w.conv(x)?, w.conv(w.at)?);
            left = Some([filter, project]);
            (w.at, x)
        }
    };
    let (expand, filter) = (w.conv(from)?, w.conv(w.at)?);
    let project = w.conv(w.at)?;
    let joined = [first, w.at];
    w.is(Op::Concat, &joined)?;
    w.is(Op::Shuffle { groups: 2 }, &[w.at])?;
    let activation = expand.activation;
    let plain = |filter: &Conv, project: &Conv| filter.is_plain(Activation::None) && project.is_plain(activation);
    if !expand.is_plain(activation) || !plain(&filter, &project) || left.is_some_and(|[f, p]| !plain(&f, &p)) {
        return None;
    }
    let dw = filter.shape;
    let shape = match left {
        None => ShuffleV2Shape::basic(input, dw.kh, activation).ok()?,
        Some(_) => ShuffleV2Shape::down(input, w.dims(w.at).c, dw.kh, dw.stride[0], activation).ok()?,
    };
    let same =
        shape.convolutions() == [expand.shape, dw, project.shape] && shape.left() == left.map(|l| l.map(|c| c.shape));
    let nodes = [expand.node, filter.node, project.node];
    same.then_some(Block::ShuffleV2(shape, nodes, left.map(|l| l.map(|c| c.node))))
}

/// Ghost bottlenecks.
fn ghost(w: &mut Walk<'_>, x: usize) -> Option<Block> {
    let expand = ghost_module(w, x, Activation::Relu)?;
    let wide = w.at;
    let filter = w.conv(wide).filter(|c| c.shape.is_depthwise());
    if filter.is_none() {
        w.at = wide;
    }
    let squeeze = w.squeeze_excite();
    let project = ghost_module(w, w.at, Activation::None)?;
    let projected = w.at;
    let mut shortcut = None;
    if w.is(Op::Add, &[projected, x]).is_none() {
        let (filter, onto) = (w.conv(x)?, w.conv(w.at)?);
        let plain = filter.is_plain(Activation::None) && onto.activation == Activation::None;
        (plain && onto.residual == Some((projected, Residual::AfterActivation))).then_some(())?;
        shortcut = Some([filter, onto]);
    }
    if filter.is_some_and(|f| !f.is_plain(Activation::None)) {
        return None;
    }
    let (input, side) = (w.dims(x), shortcut.map(|s| s[0]));
    let (kernel, stride) = filter.or(side).map_or((3, 1), |c| (c.shape.kh, c.shape.stride[0]));
    let mut shape = GhostBottleneckShape::new(input, w.dims(wide).c, w.dims(projected).c, kernel, stride).ok()?;
    if let Some((se, _)) = squeeze {
        shape = shape.squeeze_excite(se).ok()?;
    }
    let modules = [expand, project];
    let same = [shape.expand(), shape.project()].map(|m| m.convolutions()) == modules.map(|m| m.map(|c| c.shape))
        && shape.depthwise() == filter.map(|f| f.shape)
        && shape.shortcut() == shortcut.map(|s| s.map(|c| c.shape));
    same.then_some(Block::Ghost {
        shape: Box::new(shape),
        modules: modules.map(|m| m.map(|c| c.node)),
        depthwise: filter.map(|f| f.node),
        squeeze: squeeze.map(|s| s.1),
        shortcut: shortcut.map(|s| s.map(|c| c.node)),
    })
}

/// The two convolutions of a Ghost module.
fn ghost_module(w: &mut Walk<'_>, x: usize, activation: Activation) -> Option<[Conv; 2]> {
    let primary = w.conv(x)?;
    let some = w.at;
    let cheap = w.conv(some)?;
    w.is(Op::Concat, &[some, w.at])?;
    (primary.is_plain(activation) && cheap.is_plain(activation)).then_some([primary, cheap])
}

/// Bottlenecks of ResNet and ResNeXt.
fn bottleneck(w: &mut Walk<'_>, x: usize) -> Option<Block> {
    let (reduce, spatial) = (w.conv(x)?, w.conv(w.at)?);
    let filtered = w.at;
    let mut expand = w.conv(filtered);
    let shortcut = if expand.is_none() { Some(w.conv(x)?) } else { None };
    let onto = if shortcut.is_some() { w.at } else { x };
    if shortcut.is_some() {
        expand = w.conv(filtered);
    }
    let expand = expand?;
    let activation = reduce.activation;
    let plain = reduce.is_plain(activation) && spatial.is_plain(activation) && expand.activation == activation;
    let adds = expand.residual == Some((onto, Residual::BeforeActivation));
    if !plain || !adds || shortcut.is_some_and(|s| !s.is_plain(Activation::None)) {
        return None;
    }
    let (input, s) = (w.dims(x), spatial.shape);
    let stride = s.stride[0].max(reduce.shape.stride[0]);
    let c_out = expand.shape.c_out;
    let mut shape = BottleneckShape::new(input, s.c_out, c_out, s.kh, stride, s.groups, activation).ok()?;
    if reduce.shape.stride[0] > 1 {
        shape = shape.stride_first().ok()?;
    }
    let same = shape.convolutions() == [reduce.shape, s, expand.shape] && shape.shortcut() == shortcut.map(|c| c.shape);
    let nodes = [reduce.node, spatial.node, expand.node];
    same.then_some(Block::Bottleneck(shape, nodes, shortcut.map(|c| c.node)))
}
