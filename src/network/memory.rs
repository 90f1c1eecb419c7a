//! Where the intermediate tensors of a network lie: one block of memory for all, shared by tensors whose times do not
//! overlap, with the parts of a concatenation side by side from the start.

use super::{Graph, Op};
use crate::error::Error;
use crate::tensor::Dims;
use alloc::vec;
use alloc::vec::Vec;

/// Buffers start at multiples of this many floats: a cache line.
const ALIGN: usize = 16;

/// Where a tensor lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub buffer: usize,
    /// Its first channel in the buffer.
    pub channel: usize,
}

/// What a buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The caller's input.
    Input,
    /// The caller's output.
    Output,
    /// Some of the block, from this float on.
    Block(usize),
    /// Not used: its tensors lie elsewhere.
    Nowhere,
}

/// The places of all tensors.
#[derive(Debug)]
pub(super) struct Memory {
    /// For every tensor; several may share a buffer.
    pub slots: Vec<Slot>,
    /// For every buffer: its place and the size of the tensor that fills it.
    pub buffers: Vec<(Place, Dims)>,
    /// Parts of concatenations that have to be copied there: node, tensor, first channel.
    pub copies: Vec<(usize, usize, usize)>,
    /// For every node: from which float of the block on its scratch lies.
    pub scratch: Vec<usize>,
    /// Whether the last tensor has to be copied to the caller's output.
    pub copy_output: bool,
    /// Floats of the block.
    pub len: usize,
    /// For every node, the floats that are in use while it is computed.
    pub used: Vec<usize>,
    /// The most of them, which no arrangement can go below.
    pub least: usize,
}

/// Part of the memory that tensors need at the peak by which scratch may raise it: strips of blocks are cut to fit. Where a
/// network's memory is at its peak, a tenth is some 16 rows of its first maps; below that the turns of a block get so low
/// that it takes longer. All other blocks have the room that the peak leaves them.
const SCRATCH: usize = 10;

/// Buffers by their use over time.
struct Use {
    first: usize,
    last: usize,
    len: usize,
}

impl Memory {
    /// Plans for a graph with at least one node, each of which needs this many floats of scratch while it is computed,
    /// if any of them does. With `own_output` the last tensor lies in the block.
    pub fn new(graph: &Graph, scratch: &[usize], own_output: bool) -> Result<Memory, Error> {
        let tensors = graph.nodes.len() + 1;
        let mut memory = Memory {
            slots: (0..tensors).map(|t| Slot { buffer: t, channel: 0 }).collect(),
            buffers: (0..tensors).map(|t| (Place::Nowhere, graph.dims(t))).collect(),
            copies: Vec::new(),
            scratch: vec![0; graph.nodes.len()],
            copy_output: false,
            len: 0,
            used: Vec::new(),
            least: 0,
        };
        memory.buffers[0].0 = Place::Input;
        // Backwards, so that a concatenation has its place before its parts get theirs in it.
        let mut placed = vec![false; tensors];
        for (i, node) in graph.nodes.iter().enumerate().rev() {
            if node.op == Op::Concat {
                memory.place_parts(graph, i, &mut placed);
            }
        }
        // Forwards, since what is part of a tensor lies where that tensor does.
        for (i, node) in graph.nodes.iter().enumerate() {
            if let Op::Channels { first, .. } = node.op {
                let of = memory.slots[node.inputs[0]];
                memory.slots[i + 1] = Slot { buffer: of.buffer, channel: of.channel + first };
            }
            if node.op == Op::Concat
                && let Some(home) = in_place(graph, i, &memory)
            {
                memory.adopt(graph, i, home);
            }
        }
        memory.arrange(graph, scratch, own_output)?;
        Ok(memory)
    }

    /// Gives the inputs of a concatenation their places in it, or notes that they must be copied there.
    fn place_parts(&mut self, graph: &Graph, node: usize, placed: &mut [bool]) {
        let home = self.slots[node + 1];
        let mut channel = home.channel;
        for &part in &graph.nodes[node].inputs {
            let movable = part > 0 && !matches!(graph.nodes[part - 1].op, Op::Channels { .. }) && !placed[part];
            if movable {
                self.slots[part] = Slot { buffer: home.buffer, channel };
                placed[part] = true;
            } else {
                self.copies.push((node, part, channel));
            }
            channel += graph.dims(part).c;
        }
    }

    /// Moves a concatenation and its parts into the buffer of a tensor that one of them is a piece of.
    fn adopt(&mut self, graph: &Graph, node: usize, home: usize) {
        let (from, to) = (self.slots[node + 1].buffer, self.slots[home].buffer);
        for slot in self.slots.iter_mut().filter(|s| s.buffer == from) {
            slot.buffer = to;
        }
        let inside = |part: usize| matches!(graph.nodes[part - 1].op, Op::Channels { .. });
        self.copies.retain(|&(n, part, _)| n != node || !inside(part));
    }

    /// Gives every buffer its time and its place.
    fn arrange(&mut self, graph: &Graph, scratch: &[usize], own_output: bool) -> Result<(), Error> {
        let end = graph.nodes.len();
        let mut uses: Vec<Option<Use>> = (0..=end).map(|_| None).collect();
        let touch = |uses: &mut Vec<Option<Use>>, slot: Slot, time: usize| -> Result<(), Error> {
            let len = self.buffers[slot.buffer].1.elements()?.next_multiple_of(ALIGN);
            let u = uses[slot.buffer].get_or_insert(Use { first: time, last: time, len });
            (u.first, u.last) = (u.first.min(time), u.last.max(time));
            Ok(())
        };
        for (i, node) in graph.nodes.iter().enumerate() {
            let copied = |part: &usize| self.copies.iter().any(|c| c.0 == i && c.1 == *part);
            let computes = !matches!(node.op, Op::Concat | Op::Channels { .. });
            for part in node.inputs.iter().filter(|p| computes || copied(p)) {
                touch(&mut uses, self.slots[*part], i)?;
            }
            // A concatenation is written when its parts are, or when one is copied.
            if computes || node.inputs.iter().any(copied) {
                touch(&mut uses, self.slots[i + 1], i)?;
            }
        }
        let last = self.slots[end];
        touch(&mut uses, last, end)?;
        let whole = last.channel == 0 && self.buffers[last.buffer].1 == graph.dims(end);
        self.copy_output = own_output || !whole || last.buffer == 0;
        uses[0] = None;
        if !self.copy_output {
            self.buffers[last.buffer].0 = Place::Output;
            uses[last.buffer] = None;
        }

        // Scratch is a buffer of one step.
        let tensors = uses.len();
        uses.extend(
            scratch.iter().enumerate().map(|(time, &len)| {
                (len > 0).then(|| Use { first: time, last: time, len: len.next_multiple_of(ALIGN) })
            }),
        );

        // Tensors and scratch alike, or scratch after all tensors: neither is the better order for all networks.
        let (mut places, mut len) = place(&uses, |_| false)?;
        let other = place(&uses, |b| b >= tensors)?;
        if other.1 < len {
            (places, len) = other;
        }
        self.len = len;
        for (b, at) in places {
            match b.checked_sub(tensors) {
                None => self.buffers[b].0 = Place::Block(at),
                Some(node) => self.scratch[node] = at,
            }
        }
        let at_once = |time| uses.iter().flatten().filter(|u| u.first <= time && time <= u.last).map(|u| u.len).sum();
        self.used = (0..=end).map(at_once).collect();
        self.least = self.used.iter().copied().max().unwrap_or(0);
        Ok(())
    }

    /// Floats of scratch that a node may have, of the memory planned without scratch.
    pub fn room(&self, node: usize) -> usize {
        self.least + self.least / SCRATCH - self.used[node]
    }
}

/// Places of buffers, and the floats of the block that holds them: the largest first, each at the lowest place that is free
/// all its time, those that are `late` after all others.
///
/// # Errors
/// A block larger than memory.
fn place(uses: &[Option<Use>], late: impl Fn(usize) -> bool) -> Result<(Vec<(usize, usize)>, usize), Error> {
    let mut order: Vec<(usize, &Use)> = uses.iter().enumerate().filter_map(|(b, u)| Some((b, u.as_ref()?))).collect();
    order.sort_by_key(|&(b, u)| (late(b), core::cmp::Reverse(u.len)));
    let (mut places, mut len) = (Vec::new(), 0);
    // Sorted by place.
    let mut done: Vec<(usize, &Use)> = Vec::new();
    for (b, u) in order {
        let mut at = 0;
        for (other, v) in &done {
            if v.first <= u.last && u.first <= v.last {
                if at + u.len <= *other {
                    break;
                }
                at = at.max(other + v.len);
            }
        }
        let most = isize::MAX as usize / size_of::<f32>();
        let top = at.checked_add(u.len).filter(|&t| t <= most);
        len = len.max(top.ok_or(Error::Overflow { argument: "scratch", value: u.len })?);
        places.push((b, at));
        done.insert(done.partition_point(|d| d.0 < at), (at, u));
    }
    Ok((places, len))
}

/// The tensor whose buffer a concatenation can take: one input is a piece of it that stays where it is, and what lies at
/// the place of the other inputs has been read for the last time before they are written.
fn in_place(graph: &Graph, node: usize, memory: &Memory) -> Option<usize> {
    let concat = &graph.nodes[node];
    if memory.slots[node + 1] != (Slot { buffer: node + 1, channel: 0 }) {
        return None;
    }
    let piece = |part: usize| match graph.nodes.get(part.checked_sub(1)?)?.op {
        Op::Channels { first, .. } => Some((graph.nodes[part - 1].inputs[0], first)),
        _ => None,
    };
    let home = concat.inputs.iter().find_map(|&p| piece(p))?.0;
    let slot = memory.slots[home];
    if slot.buffer == 0 || slot.channel != 0 || memory.buffers[slot.buffer].1 != concat.dims {
        return None;
    }
    let mut channel = 0;
    for &part in &concat.inputs {
        let count = graph.dims(part).c;
        match piece(part) {
            Some(p) if p == (home, channel) => {}
            Some(_) => return None,
            // Computed where it belongs, unless it has to be copied.
            None => {
                if memory.slots[part] != (Slot { buffer: node + 1, channel }) {
                    return None;
                }
                let written = first_write(graph, part);
                let overlaps = |s: Slot, c: usize| {
                    s.buffer == slot.buffer && s.channel < channel + count && channel < s.channel + c
                };
                let read_later = |(i, other): (usize, &super::Node)| {
                    i >= written
                        && !matches!(other.op, Op::Channels { .. })
                        && other.inputs.iter().any(|&t| overlaps(lies(graph, memory, t), graph.dims(t).c))
                };
                if graph.nodes.iter().enumerate().any(read_later) {
                    return None;
                }
            }
        }
        channel += count;
    }
    Some(home)
}

/// Where a tensor lies, also if it is a piece whose place has not been noted yet.
fn lies(graph: &Graph, memory: &Memory, tensor: usize) -> Slot {
    let (mut tensor, mut offset) = (tensor, 0);
    while tensor > 0
        && let Op::Channels { first, .. } = graph.nodes[tensor - 1].op
    {
        (tensor, offset) = (graph.nodes[tensor - 1].inputs[0], offset + first);
    }
    let slot = memory.slots[tensor];
    Slot { channel: slot.channel + offset, ..slot }
}

/// The first node that writes to a tensor, which may be a concatenation itself.
fn first_write(graph: &Graph, tensor: usize) -> usize {
    match graph.nodes[tensor - 1].op {
        Op::Concat => graph.nodes[tensor - 1].inputs.iter().map(|&p| first_write(graph, p)).min().unwrap_or(0),
        _ => tensor - 1,
    }
}
