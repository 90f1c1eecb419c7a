//! Makes the program of a block: its tensors, its operations, then the height of strips and the place of whole tensors.

use super::Filter;
use super::program::{Home, LINE, MOST_STEPS, PAGE, Phase, Program, Tensor};
use super::step::{Op, Port, Step};
use crate::cost::Cost;
use crate::epilogue::{Activation, Epilogue, Residual};
use crate::error::{Error, Expected};
use crate::isa::Caches;
use crate::kernel::Part;
use crate::kernel::ops::Ops;
use crate::kernel::pool::Pool;
use crate::plan::common;
use crate::plan::conv2d::PART_MULTIPLIES;
use crate::plan::{Conv2dPlan, Options, Pooling};
use crate::shape::{Conv2dShape, product};
use crate::tensor::{Dims, Layout, Strides};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// What it costs, in multiplies of one thread, to wait for all threads and to start them again: some twenty microseconds. A
/// phase of several threads saves this once per operation, but computes rows at the border of two parts twice, and parts of
/// few rows differ in size.
const WAKE_MULTIPLIES: u64 = 8 * PART_MULTIPLIES;

/// Floats of a tensor's place. Strips are often whole pages long, so that two that lie one after the other, of which one is
/// read while the other is written, would begin at the same place of a page.
fn staggered(len: usize) -> usize {
    if len < 4 * PAGE { len.next_multiple_of(LINE) } else { len.next_multiple_of(PAGE) + PAGE / 4 }
}

/// Images beyond which parts are taken for even.
const MANY_IMAGES: usize = 256;

/// Multiplies that an element of an operation without any is worth, when rows are cut into parts.
const ELEMENT_WORK: u64 = 4;

pub(super) struct Builder<'a> {
    layout: Layout,
    options: Options<'a>,
    ops: &'static Ops,
    caches: Caches,
    tensors: Vec<Tensor>,
    /// Steps of each phase.
    phases: Vec<Vec<Step>>,
    cost: Cost,
}

impl<'a> Builder<'a> {
    /// A program of one input and one output. Its first phase is open.
    ///
    /// # Errors
    /// Options that cannot be had, sizes that are zero or overflow.
    pub(super) fn new(layout: Layout, input: Dims, output: Dims, options: &Options<'a>) -> Result<Self, Error> {
        let (isa, ops) = common::tier(options)?;
        input.elements()?;
        output.elements()?;
        if options.strip_rows == Some(0) {
            return Err(Error::size("strip rows", 0, Expected::AtLeast(1)));
        }
        let strides = |dims| Strides::dense(layout, dims);
        let tensors = alloc::vec![
            Tensor { home: Home::Input, dims: input, strides: strides(input), ring: 0 },
            Tensor { home: Home::Output, dims: output, strides: strides(output), ring: 0 },
        ];
        let (options, caches) = (Options { isa: Some(isa), ..*options }, Caches::detect());
        let phases = alloc::vec![Vec::new()];
        Ok(Builder { layout, options, ops, caches, tensors, phases, cost: Cost::default() })
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    fn port(&self, tensor: usize) -> Port {
        Port { tensor, first: 0, count: self.tensors[tensor].dims.c, step: 1 }
    }

    pub(super) fn input(&self) -> Port {
        self.port(0)
    }

    pub(super) fn output(&self) -> Port {
        self.port(1)
    }

    /// A tensor that is whole if it is needed in a later phase, and a strip otherwise.
    ///
    /// # Errors
    /// As [`Dims::elements`].
    pub(super) fn tensor(&mut self, dims: Dims) -> Result<Port, Error> {
        dims.elements()?;
        let strides = Strides::dense(self.layout, dims);
        self.tensors.push(Tensor { home: Home::Whole(0), dims, strides, ring: 0 });
        Ok(self.port(self.tensors.len() - 1))
    }

    /// From here on steps run when those before have done all their rows.
    pub(super) fn phase(&mut self) {
        self.phases.push(Vec::new());
    }

    /// Adds to what the block costs, for multiplies that are no convolution's.
    pub(super) fn costs(&mut self, cost: Cost) -> Result<(), Error> {
        self.cost = self.cost.plus(&cost)?;
        Ok(())
    }

    /// A convolution with bias and activation; `weights` are OIHW.
    ///
    /// # Errors
    /// As [`Conv2dPlan::new`].
    pub(super) fn conv(
        &mut self,
        shape: &Conv2dShape,
        filter: &Filter<'_>,
        activation: Activation,
        from: Port,
        to: Port,
    ) -> Result<(), Error> {
        self.conv_and_add(shape, filter, Epilogue::activation(activation), from, None, to)
    }

    /// A convolution with a residual.
    ///
    /// # Errors
    /// As [`Conv2dPlan::new`].
    pub(super) fn conv_and_add(
        &mut self,
        shape: &Conv2dShape,
        filter: &Filter<'_>,
        epilogue: Epilogue,
        from: Port,
        residual: Option<Port>,
        to: Port,
    ) -> Result<(), Error> {
        let epilogue = if residual.is_some() { epilogue } else { epilogue.with_residual(Residual::None) };
        let rows = self.turn_of(shape, &from, &to);
        let (weights, bias) = (filter.weights, filter.bias);
        let plan = Conv2dPlan::for_turns(shape, self.layout, weights, bias, epilogue, &self.options, rows)?;
        self.costs(plan.cost())?;
        if residual.is_some() {
            self.costs(Cost::addition(plan.output_dims())?)?;
        }
        let (oh, work) = (plan.output_dims().h, plan.cost().multiplies / shape.n as u64);
        self.push(Op::Conv(Box::new(plan)), from, residual, to, oh, work);
        Ok(())
    }

    /// Floats that the strips of a part may have: three quarters of the second cache, and no more than the caller allows.
    fn budget(&self, parts: usize) -> usize {
        let cache = self.caches.l2 / 4 * 3 / size_of::<f32>();
        self.options.strip_floats.map_or(cache, |most| cache.min(most / parts))
    }

    /// About how many rows a turn of a convolution has that reads a strip, as far as its own tensors tell. A kernel for images
    /// beyond the second cache, which come from memory in the order in which it reads them, is of no use for strips. Only
    /// of depthwise layers, whose kernels between which rows decide all add the taps of an output in one order: the bits are those of any rows.
    fn turn_of(&self, shape: &Conv2dShape, from: &Port, to: &Port) -> usize {
        if !self.options.fused || from.tensor < 2 || !shape.is_depthwise() || shape.c_in != shape.c_out {
            return usize::MAX;
        }
        let floats = |port: &Port| {
            let d = self.tensors[port.tensor].dims;
            if port.tensor < 2 { 0 } else { d.w * d.c }
        };
        let row = shape.stride[0].saturating_mul(floats(from)).saturating_add(floats(to));
        self.options.strip_rows.unwrap_or(usize::MAX).min(self.budget(self.options.threads) / row)
    }

    /// A pooling.
    ///
    /// # Errors
    /// As [`Conv2dShape::check_pool`].
    pub(super) fn pool(&mut self, pooling: Pooling, shape: &Conv2dShape, from: Port, to: Port) -> Result<(), Error> {
        let (oh, ow) = shape.check_pool()?;
        let o = self.ops;
        let (average, windows, line) = match pooling {
            Pooling::Max => (false, o.maximum, o.maximum_line),
            Pooling::Average => (true, o.sum, o.sum_line),
        };
        let cost = if average { Cost::average_pool(shape)? } else { Cost::max_pool(shape)? };
        self.costs(cost)?;
        let pool =
            Pool { shape: *shape, layout: self.layout, oh, ow, average, windows, line, planes: o.average_planes };
        let work = Cost::average_pool(shape)?.adds.saturating_mul(ELEMENT_WORK) / shape.n as u64;
        self.push(Op::Pool(pool), from, None, to, oh, work);
        Ok(())
    }

    fn element_work(&self, port: &Port) -> u64 {
        let d = self.tensors[port.tensor].dims;
        (d.h * d.w * port.count) as u64 * ELEMENT_WORK
    }

    fn elementwise(&mut self, op: Op, from: Port, second: Option<Port>, to: Port) {
        let (h, work) = (self.tensors[to.tensor].dims.h, self.element_work(&to));
        self.push(op, from, second, to, h, work);
    }

    fn dims(&self, port: &Port) -> Dims {
        Dims { c: port.count, ..self.tensors[port.tensor].dims }
    }

    /// The sum of two tensors.
    ///
    /// # Errors
    /// A cost that overflows.
    pub(super) fn add(&mut self, from: Port, second: Port, to: Port) -> Result<(), Error> {
        self.costs(Cost::addition(self.dims(&to))?)?;
        self.elementwise(Op::Add(self.ops.add), from, Some(second), to);
        Ok(())
    }

    /// A tensor times one factor per image and channel.
    ///
    /// # Errors
    /// A cost that overflows.
    pub(super) fn scale(&mut self, from: Port, factors: Port, to: Port) -> Result<(), Error> {
        self.costs(Cost::scale(self.dims(&to))?)?;
        self.elementwise(Op::Scale([self.ops.multiply, self.ops.scale]), from, Some(factors), to);
        Ok(())
    }

    /// Channels of two tensors in turn: a concatenation, shuffled in two groups. Channels last only.
    pub(super) fn pairs(&mut self, from: Port, second: Port, to: Port) {
        self.elementwise(Op::Pairs(self.ops.pairs), from, Some(second), to);
    }

    /// Channel shuffle of the rows at hand.
    pub(super) fn shuffle(&mut self, groups: usize, from: Port, to: Port) {
        self.elementwise(Op::Shuffle(self.ops.shuffle, groups), from, None, to);
    }

    pub(super) fn copy(&mut self, from: Port, to: Port) {
        self.elementwise(Op::Copy, from, None, to);
    }

    fn push(&mut self, op: Op, from: Port, second: Option<Port>, to: Port, h: usize, work: u64) {
        let work = work / h as u64;
        if let Some(phase) = self.phases.last_mut() {
            phase.push(Step { op, from, second, to, h, reads: 0, reads_second: 0, work });
        }
    }

    /// Decides what is fused, and gives every tensor its place.
    ///
    /// # Errors
    /// Scratch that overflows.
    pub(super) fn finish(mut self) -> Result<Program, Error> {
        let mut phases = Vec::new();
        for steps in core::mem::take(&mut self.phases) {
            if steps.is_empty() {
                continue;
            }
            let phase = self.new_phase(steps);
            if self.is_worth_fusing(&phase) {
                phases.push(phase);
            } else {
                phases.extend(phase.steps.into_iter().map(|step| self.new_phase(alloc::vec![step])));
            }
        }
        let mut part_len = 0;
        self.find_strips(&mut phases);
        for phase in &mut phases {
            part_len = part_len.max(self.size_strips(phase)?);
        }
        let whole_len = self.place_whole(&phases)?;
        let parts = phases.iter().map(|p| p.parts).max().unwrap_or(1);
        if parts > 1 && part_len >= 4 * PAGE {
            // All parts lie alike within pages.
            part_len = part_len.next_multiple_of(PAGE);
        }
        let ends = self.ends(&phases, whole_len).filter(|_| whole_len + part_len >= 4 * PAGE);
        let (input, output) = (self.tensors[0].dims, self.tensors[1].dims);
        let moved = [input.elements()? as u64, output.elements()? as u64, self.cost.parameters];
        let bytes = moved.iter().try_fold(0u64, |all, &v| all.checked_add(v)).and_then(|v| v.checked_mul(4));
        let overflow = |value| Error::Overflow { argument: "scratch", value };
        let cost = Cost { bytes: bytes.ok_or(overflow(output.c))?, ..self.cost };
        let own = part_len.checked_mul(parts).ok_or(overflow(parts))?;
        product("scratch", &[whole_len.checked_add(own).ok_or(overflow(own))?])?;
        let (layout, tensors) = (self.layout, self.tensors);
        let mut program = Program { layout, input, output, tensors, phases, whole_len, part_len, ends, parts, cost };
        program.prepare();
        Ok(program)
    }

    /// Where what the first step writes and what the last one reads begin in the scratch.
    fn ends(&self, phases: &[Phase], whole_len: usize) -> Option<[usize; 2]> {
        let at = |port: &Port| match self.tensors[port.tensor].home {
            Home::Whole(at) => Some(at),
            Home::Strip(_, at) => Some(whole_len + at),
            Home::Input | Home::Output => None,
        };
        let (first, last) = (phases.first()?.steps.first()?, phases.last()?.steps.last()?);
        Some([at(&first.to)?, at(&last.from)?])
    }

    /// A phase of these steps, with the dependencies between them and the number of its parts.
    fn new_phase(&self, mut steps: Vec<Step>) -> Phase {
        for i in 0..steps.len().min(MOST_STEPS) {
            let writers = |port: &Port| (0..i).filter(|&j| steps[j].to.meets(port)).fold(0u32, |all, j| all | 1 << j);
            let reads = writers(&steps[i].from);
            let second = steps[i].second.as_ref().map_or(0, writers);
            (steps[i].reads, steps[i].reads_second) = (reads, second);
        }
        let last = &steps[steps.len() - 1];
        let (n, h) = (self.tensors[last.to.tensor].dims.n, last.h);
        let work: u64 = steps.iter().map(|s| s.work.saturating_mul((s.h * n) as u64)).fold(0, u64::saturating_add);
        let mut units = n * h;
        if let [Step { op: Op::Conv(plan), .. }] = steps.as_slice() {
            units = plan.units();
        }
        let parts = common::parts(&self.options, work / PART_MULTIPLIES, units);
        let (strips, acts, problems) = (Vec::new(), Vec::new(), Vec::new());
        Phase { steps, n, h, rows: h, parts, strips, in_step: false, acts, problems }
    }

    fn is_worth_fusing(&self, phase: &Phase) -> bool {
        if phase.steps.len() == 1 {
            return true;
        }
        let by_rows = |s: &Step| !matches!(&s.op, Op::Conv(plan) if !plan.is_by_rows());
        if !self.options.fused || phase.steps.len() > MOST_STEPS || !phase.steps.iter().all(by_rows) {
            return false;
        }
        if phase.parts == 1 {
            return !self.is_better_whole(phase);
        }
        if phase.n >= MANY_IMAGES {
            return true;
        }
        let most = (0..phase.parts).map(|index| {
            let units = Part { index, of: phase.parts }.range(phase.n * phase.h);
            let (mut unit, mut work) = (units.start, 0u64);
            while unit < units.end {
                let first = unit % phase.h;
                let count = (phase.h - first).min(units.end - unit);
                work += phase.work(first..first + count);
                unit += count;
            }
            work
        });
        let all = phase.work(0..phase.h) * phase.n as u64;
        let saved = (phase.steps.len() - 1) as u64 * WAKE_MULTIPLIES;
        most.max().unwrap_or(0).saturating_sub(all / phase.parts as u64) <= saved
    }

    /// Whether one thread gains nothing by turns, or takes longer than step by step.
    ///
    /// Nothing where the steps write the block's output alone, as those of a Ghost module do: no strip takes the place of a
    /// tensor. Longer where the first of two steps filters an image of the block's input that is larger than the second
    /// cache. Its kernel walks down all of the image, faster than down some rows at a time, and the other step hides what
    /// reading from beyond the cache takes. Measured on Zen 4: 1 to 3 %. Only where memory is plenty.
    fn is_better_whole(&self, phase: &Phase) -> bool {
        if self.options.strip_rows.is_some() {
            return false;
        }
        if phase.steps.iter().all(|s| s.to.tensor == 1) {
            return true;
        }
        let [first, _] = phase.steps.as_slice() else { return false };
        let (from, between) = (self.tensors[first.from.tensor].dims, self.tensors[first.to.tensor].dims);
        let bytes = from.h * from.w * from.c * size_of::<f32>();
        let whole = between.n * between.h * between.w * between.c;
        first.from.tensor == 0
            && first.to.tensor > 1
            && first.is_depthwise()
            && bytes > self.caches.l2
            && self.options.strip_floats.is_none_or(|most| whole <= most / 2)
    }

    /// Tensors that one phase alone writes and reads become strips.
    fn find_strips(&mut self, phases: &mut [Phase]) {
        for tensor in 2..self.tensors.len() {
            let touches = |s: &Step| [Some(s.from), s.second, Some(s.to)].iter().flatten().any(|p| p.tensor == tensor);
            let mut users = phases.iter_mut().filter(|p| p.steps.iter().any(touches));
            if let (Some(phase), None) = (users.next(), users.next()) {
                self.tensors[tensor].home = Home::Strip(phase.strips.len(), 0);
                phase.strips.push(tensor);
            }
        }
        for phase in phases {
            let whole = |i: usize, writers: u32| {
                (0..i).any(|j| writers >> j & 1 == 1 && !phase.strips.contains(&phase.steps[j].to.tensor))
            };
            phase.in_step = phase.steps.iter().enumerate().any(|(i, s)| whole(i, s.reads | s.reads_second));
            if phase.in_step {
                // Its steps may run one by one, each cut by its kernel; then strips would be missing rows.
                for tensor in core::mem::take(&mut phase.strips) {
                    self.tensors[tensor].home = Home::Whole(0);
                }
            }
        }
    }

    /// Floats from one pixel to the next of a tensor of ours. Where they are a multiple of 1 KiB, pixels of a window fall
    /// into few sets of the first cache.
    fn pixel(c: usize) -> usize {
        if c.is_multiple_of(256) { c + LINE } else { c }
    }

    /// Strides of a tensor of ours with `h` rows, and its floats.
    fn strides(&self, dims: Dims, h: usize, n: usize) -> Result<(Strides, usize), Error> {
        let (w, c) = (dims.w, dims.c);
        match self.layout {
            Layout::Nhwc => {
                let pixel = Self::pixel(c);
                let len = product("scratch", &[n, h, w, pixel])?;
                Ok((Strides { image: h * w * pixel, row: w * pixel, pixel, channel: 1 }, len))
            }
            Layout::Nchw => {
                let len = product("scratch", &[n, h, w, c])?;
                Ok((Strides::dense(self.layout, Dims { n, h, ..dims }), len))
            }
        }
    }

    /// Chooses the rows of a turn and places the strips; gives the floats of a part's scratch.
    fn size_strips(&mut self, phase: &mut Phase) -> Result<usize, Error> {
        let scratch = phase.steps.iter().map(Step::scratch_len).max().unwrap_or(0).next_multiple_of(LINE);
        if phase.strips.is_empty() && !phase.in_step {
            return Ok(scratch);
        }
        let budget = self.budget(phase.parts);
        // What one turn has in its strips; rows of whole tensors that are read again count alike.
        let floats = |rows: usize| -> usize {
            let strips = phase.strips.iter().map(|&t| {
                let d = self.tensors[t].dims;
                phase.strip_height(t, rows).min(d.h).saturating_mul(d.w * d.c)
            });
            let shared = phase.steps.iter().filter(|_| phase.in_step).map(|s| {
                let d = self.tensors[s.to.tensor].dims;
                rows.saturating_mul(d.w * s.to.count)
            });
            strips.chain(shared).fold(0, usize::saturating_add)
        };
        // Rows that a part has of an image.
        let most = (phase.n * phase.h).div_ceil(phase.parts).min(phase.h);
        let mut rows = self.options.strip_rows.unwrap_or(most).min(most);
        while rows > 1 && floats(rows) > budget {
            let fits = (rows as f64 * budget as f64 / floats(rows) as f64) as usize;
            rows = fits.clamp(1, rows - 1);
        }
        // Turns of equal height, and of even height, as kernels compute two rows at a time; channels first, of whole vectors
        // of pixels.
        if self.options.strip_rows.is_none() {
            rows = most.div_ceil(most.div_ceil(rows));
            let w = self.tensors[phase.steps[phase.steps.len() - 1].to.tensor].dims.w;
            let whole = (1..=LINE).find(|&k| self.layout == Layout::Nchw && (k * w).is_multiple_of(LINE)).unwrap_or(2);
            let higher = rows.next_multiple_of(whole).min(most);
            let limit = self.options.strip_floats.map_or(usize::MAX, |all| all / phase.parts);
            rows = if floats(higher) <= limit { higher } else { (rows / whole * whole).max(1) };
        }
        phase.rows = rows;
        let mut at = scratch;
        for &tensor in &phase.strips {
            let dims = self.tensors[tensor].dims;
            let height = phase.strip_height(tensor, rows).min(dims.h);
            let (strides, len) = self.strides(dims, height, 1)?;
            let reads = |s: &Step| s.from.tensor != tensor || s.is_row_by_row() || s.reads_rings();
            if self.layout == Layout::Nhwc && phase.steps.iter().all(reads) {
                self.tensors[tensor].ring = height;
            }
            let Tensor { home: Home::Strip(index, _), .. } = self.tensors[tensor] else { continue };
            self.tensors[tensor].home = Home::Strip(index, at);
            self.tensors[tensor].strides = strides;
            at = at.checked_add(staggered(len)).ok_or(Error::Overflow { argument: "scratch", value: len })?;
        }
        Ok(at)
    }

    /// Places whole tensors: two may share memory if no phase uses both. Gives the floats of all.
    fn place_whole(&mut self, phases: &[Phase]) -> Result<usize, Error> {
        // First float, end, first and last phase.
        let mut placed: Vec<[usize; 4]> = Vec::new();
        let mut end = 0;
        for tensor in 2..self.tensors.len() {
            if !matches!(self.tensors[tensor].home, Home::Whole(_)) {
                continue;
            }
            let touches = |s: &Step| [Some(s.from), s.second, Some(s.to)].iter().flatten().any(|p| p.tensor == tensor);
            let used = |p: &Phase| p.steps.iter().any(touches);
            let (Some(first), Some(last)) = (phases.iter().position(used), phases.iter().rposition(used)) else {
                continue;
            };
            let dims = self.tensors[tensor].dims;
            let (strides, len) = self.strides(dims, dims.h, dims.n)?;
            let len = staggered(len);
            let mut at = 0;
            // In order of address, behind all that it would overlap.
            placed.sort_unstable();
            for &[from, to, a, b] in &placed {
                if a <= last && first <= b && from < at + len && at < to {
                    at = to;
                }
            }
            let to = at.checked_add(len).ok_or(Error::Overflow { argument: "scratch", value: len })?;
            placed.push([at, to, first, last]);
            end = end.max(to);
            self.tensors[tensor].home = Home::Whole(at);
            self.tensors[tensor].strides = strides;
        }
        Ok(end)
    }
}

/// The error for an argument that is zero, or not a multiple.
pub(super) fn multiple(argument: &'static str, value: usize, of: usize) -> Result<(), Error> {
    if value == 0 {
        return Err(Error::size(argument, value, Expected::AtLeast(1)));
    }
    if of == 0 || !value.is_multiple_of(of) {
        return Err(Error::size(argument, value, Expected::MultipleOf(of)));
    }
    Ok(())
}
