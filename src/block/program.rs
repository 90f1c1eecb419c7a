//! A block as a program of operations over tensors, and how it runs.
//!
//! A program is a sequence of *phases*. Inside a phase the operations take turns on a few rows: to compute the next rows
//! of its output, a phase asks backwards how far every operation must have come, and then lets each one go on to there.
//! The tensor between two operations is a *strip*: the rows that are still to be read, in a buffer that stays in the
//! second cache; where the kernels can read it so, the first row of the buffer follows its last, else the rows move to the
//! buffer's beginning before each turn. No row is computed twice but where the rows are cut between threads, each of which
//! has strips of its own.
//! Between phases all threads wait; a tensor that crosses the border is whole.
//!
//! The order in which one output's products are summed does not depend on the rows that a call computes, so neither the
//! height of the strips nor the number of threads changes a bit.

use super::step::{Op, Place, Port, Step};
use crate::cost::Cost;
use crate::error::Error;
use crate::kernel::{Part, Problem, Ring};
use crate::parallel::{Parallel, Serial};
use crate::plan::common::{At, INPUT, OUTPUT, Shared, check_scratch, check_view, run_parts};
use crate::plan::conv2d::Tensors;
use crate::tensor::{Dims, Layout, Strides, View, ViewMut};
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

/// Most steps of a phase.
pub(super) const MOST_STEPS: usize = 32;

/// Where a tensor is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Home {
    Input,
    Output,
    /// In the scratch that all threads share, from this float on.
    Whole(usize),
    /// In a thread's own scratch, from this float on: the rows at hand. The number counts the strips of a phase.
    Strip(usize, usize),
}

/// A tensor of a program.
pub(super) struct Tensor {
    pub home: Home,
    pub dims: Dims,
    /// Of whole tensors and strips.
    pub strides: Strides,
    /// Rows of a strip's buffer if its first row follows its last; 0 otherwise.
    pub ring: usize,
}

/// Operations that take turns.
pub(super) struct Phase {
    pub steps: Vec<Step>,
    /// Images and rows that the phase computes.
    pub n: usize,
    pub h: usize,
    /// Rows of a turn.
    pub rows: usize,
    pub parts: usize,
    /// Tensors that are strips.
    pub strips: Vec<usize>,
    /// The steps read whole tensors that others of them write: with several threads they take turns on all rows instead.
    pub in_step: bool,
    /// All that is done for an image, if one part computes all of it.
    pub acts: Vec<Act>,
    /// Problems of convolutions in those.
    pub problems: Vec<Problem>,
}

/// What a turn consists of.
pub(super) enum Act {
    Compute(Call),
    /// Moves rows of a strip to its beginning, where row `base` was: those from `first` to `end`.
    Move {
        tensor: usize,
        base: usize,
        first: usize,
        end: usize,
    },
}

/// Output rows of a step that are computed in one go.
pub(super) struct Call {
    step: usize,
    rows: Range<usize>,
    /// The first row that is read of each input and that is written: of a strip, the row of its buffer.
    from: usize,
    second: usize,
    to: usize,
    ring: Option<Ring>,
    /// Number of a convolution's problem, where it was kept.
    problem: Option<usize>,
}

/// A block, ready to run.
pub(crate) struct Program {
    pub(super) layout: Layout,
    pub(super) input: Dims,
    pub(super) output: Dims,
    pub(super) tensors: Vec<Tensor>,
    pub(super) phases: Vec<Phase>,
    /// Floats of whole tensors, and of each part's own scratch.
    pub(super) whole_len: usize,
    pub(super) part_len: usize,
    /// Floats from the beginning of the scratch to what the first step writes and to what the last one reads, modulo a page;
    /// none where pages do not matter.
    pub(super) ends: Option<[usize; 2]>,
    /// Most parts of any phase.
    pub(super) parts: usize,
    pub(super) cost: Cost,
}

/// The memory of a run.
#[derive(Clone, Copy)]
struct Memory {
    input: *const f32,
    input_strides: Strides,
    output: *mut f32,
    output_strides: Strides,
    whole: *mut f32,
    parts: *mut f32,
}

/// First row of each strip of a phase; of a ring, the row that is first in the buffer, modulo its rows.
type Bases = [usize; MOST_STEPS];

/// Floats of a cache line.
pub(super) const LINE: usize = 16;

/// Floats of a page, after which addresses may be mistaken for each other: many cores take a load for one of a store
/// shortly before it if both agree in the lowest 12 bits of their addresses, and make it wait.
pub(super) const PAGE: usize = 1024;

impl Program {
    pub(super) fn run(&self, input: &View<'_>, output: &mut ViewMut<'_>, scratch: &mut [f32]) -> Result<(), Error> {
        self.run_with(&Serial, input, output, scratch)
    }

    pub(super) fn run_with(
        &self,
        pool: &dyn Parallel,
        input: &View<'_>,
        output: &mut ViewMut<'_>,
        scratch: &mut [f32],
    ) -> Result<(), Error> {
        check_view(&INPUT, &input.extent, self.layout, self.input)?;
        check_view(&OUTPUT, &output.extent, self.layout, self.output)?;
        check_scratch(scratch.len(), self.scratch_len())?;
        // SAFETY: views cover tensors of the program's sizes, as checked above; what is read does not overlap what is
        // written, which is borrowed mutably.
        unsafe { self.run_at(pool, At::view(input), At::view_mut(output), scratch.as_mut_ptr()) }
    }

    /// Computes on tensors that are given by their addresses.
    ///
    /// # Errors
    /// An executor that did not run every task.
    ///
    /// # Safety
    /// As [`Conv2dPlan::run_at`](crate::plan::Conv2dPlan::run_at), without a residual.
    pub(crate) unsafe fn run_at(
        &self,
        pool: &dyn Parallel,
        input: At<*const f32>,
        output: At<*mut f32>,
        scratch: *mut f32,
    ) -> Result<(), Error> {
        let whole = self.begin(scratch, input.data, output.data);
        let shared = Shared::new(Memory {
            input: input.data,
            input_strides: input.strides,
            output: output.data,
            output_strides: output.strides,
            whole,
            parts: whole.wrapping_add(self.whole_len),
        });
        for phase in &self.phases {
            if phase.in_step && phase.parts > 1 && pool.threads() > 1 {
                for step in &phase.steps {
                    run_parts(pool, phase.parts, &|part| {
                        // SAFETY: as below; no step reads what another part of it writes.
                        unsafe { self.run_step(&shared.get(), phase, step, part) };
                    })?;
                }
            } else if let [step] = phase.steps.as_slice() {
                run_parts(pool, phase.parts, &|part| {
                    // SAFETY: as below.
                    unsafe { self.run_step(&shared.get(), phase, step, part) };
                })?;
            } else {
                run_parts(pool, phase.parts, &|part| {
                    // SAFETY: the tensors have the program's sizes, the scratch is as long as it says; parts
                    // compute rows of their own, of tensors that no other part reads in this phase.
                    unsafe { self.run_phase(&shared.get(), phase, part) };
                })?;
            }
        }
        Ok(())
    }

    pub(crate) fn scratch_len(&self) -> usize {
        let all = self.whole_len + self.parts * self.part_len;
        // Scratch starts where any float may.
        match self.ends {
            _ if all == 0 => 0,
            None => all + LINE,
            Some(_) => all + PAGE,
        }
    }

    /// Where the scratch begins: at a cache line, and where what is read and what is written at the same time lie far from
    /// each other within a page, whatever the places of input and output. Slowed down by 1 to 3 % otherwise.
    fn begin(&self, scratch: *mut f32, input: *const f32, output: *mut f32) -> *mut f32 {
        let line = scratch.wrapping_add(scratch.align_offset(LINE * size_of::<f32>()).min(LINE));
        let Some([first, last]) = self.ends else { return line };
        let apart = |a: usize, b: usize| {
            let d = (a.wrapping_sub(b) / size_of::<f32>()) % PAGE;
            d.min(PAGE - d)
        };
        let places = (0..4).map(|quarter| line.wrapping_add(quarter * (PAGE / 4)));
        let worth = |place: &*mut f32| {
            let (first, last) = (place.wrapping_add(first).addr(), place.wrapping_add(last).addr());
            apart(first, input.addr()).min(apart(last, output.addr()))
        };
        places.max_by_key(worth).unwrap_or(line)
    }

    /// What runs, phase by phase.
    pub(super) fn describe(&self) -> String {
        let mut text = String::new();
        for phase in &self.phases {
            let turns = if phase.steps.len() > 1 { phase.rows } else { phase.h };
            let parts = phase.parts;
            text += &alloc::format!("{} images of {} rows, {turns} at a time, parts: {parts}\n", phase.n, phase.h);
            for step in &phase.steps {
                let name = step.name();
                text += &alloc::format!("  {name}: {}\n", self.describe_tensor(&step.to));
            }
        }
        text
    }

    fn describe_tensor(&self, port: &Port) -> String {
        let tensor = &self.tensors[port.tensor];
        let Dims { h, w, .. } = tensor.dims;
        let c = port.count;
        match tensor.home {
            Home::Input => alloc::format!("input, {c} channels"),
            Home::Output => alloc::format!("output, {c} channels"),
            Home::Whole(_) => alloc::format!("whole, {h} x {w} x {c}"),
            Home::Strip(..) => alloc::format!("strip of {w} x {c}"),
        }
    }

    /// The place of a row; of a strip, of a row of its buffer.
    ///
    /// # Safety
    /// The memory is that of a run, and the row is inside the tensor or the strip.
    #[inline(always)]
    unsafe fn place(&self, m: &Memory, local: *mut f32, port: &Port, image: usize, row: usize) -> Place {
        let tensor = &self.tensors[port.tensor];
        let (first, s, image) = match tensor.home {
            Home::Input => (m.input.cast_mut(), m.input_strides, image),
            Home::Output => (m.output, m.output_strides, image),
            Home::Whole(at) => (m.whole.wrapping_add(at), tensor.strides, image),
            Home::Strip(_, at) => (local.wrapping_add(at), tensor.strides, 0),
        };
        // SAFETY: inside the tensor by contract.
        let first = unsafe { first.add(image * s.image + row * s.row + port.first * s.channel) };
        (first, Strides { channel: s.channel * port.step, ..s })
    }

    /// The row where a tensor has a row: of a strip, that of its buffer.
    fn slot(&self, bases: &Bases, port: &Port, row: usize) -> usize {
        let tensor = &self.tensors[port.tensor];
        match tensor.home {
            Home::Strip(index, _) => tensor.slot(bases[index], row),
            _ => row,
        }
    }

    fn local(&self, m: &Memory, part: Part) -> *mut f32 {
        m.parts.wrapping_add(part.index * self.part_len)
    }

    /// Rows of a part: of one image after the other.
    fn each_image(phase: &Phase, h: usize, part: Part, mut f: impl FnMut(usize, Range<usize>)) {
        let units = part.range(phase.n * h);
        let mut unit = units.start;
        while unit < units.end {
            let (image, first) = (unit / h, unit % h);
            let count = (h - first).min(units.end - unit);
            f(image, first..first + count);
            unit += count;
        }
    }

    /// A part of a step that runs by itself.
    ///
    /// # Safety
    /// As [`run_phase`](Self::run_phase); none of its tensors is a strip.
    unsafe fn run_step(&self, m: &Memory, phase: &Phase, step: &Step, part: Part) {
        let local = self.local(m, part);
        if let Op::Conv(plan) = &step.op {
            // SAFETY: the tensors are whole, of the plan's sizes, and the parts those of its kernel.
            unsafe {
                let place = |port: &Port| self.place(m, local, port, 0, 0);
                let (from, second, to) = (place(&step.from), step.second.as_ref().map(place), place(&step.to));
                let tensors = Tensors {
                    input: from.0.cast_const(),
                    input_strides: from.1,
                    residual: second.map(|s| (s.0.cast_const(), s.1)),
                    output: to.0,
                    output_strides: to.1,
                    scratch: local,
                    ring: None,
                };
                plan.run_whole(&tensors, part);
            }
            return;
        }
        Self::each_image(phase, step.h, part, |image, rows| {
            self.calls(&[0; MOST_STEPS], step, 0, rows, &mut |call| {
                // SAFETY: as the caller promises.
                unsafe { self.run_call(m, local, step, None, image, &call) };
            });
        });
    }

    /// Rows from `row` on that lie one after the other.
    fn until_again(&self, bases: &Bases, port: &Port, row: usize) -> usize {
        let tensor = &self.tensors[port.tensor];
        match tensor.home {
            Home::Strip(index, _) if tensor.ring > 0 => tensor.ring - tensor.slot(bases[index], row),
            _ => usize::MAX,
        }
    }

    /// Calls `f` for output rows of a step, number `index` of its phase, as often as they or what they read begin again in a
    /// strip.
    fn calls(&self, bases: &Bases, step: &Step, index: usize, rows: Range<usize>, f: &mut impl FnMut(Call)) {
        let mut first = rows.start;
        while first < rows.end {
            // What is written, and what is read row by row, has to lie in one piece.
            let mut count = (rows.end - first).min(self.until_again(bases, &step.to, first));
            if let Some(port) = &step.second {
                count = count.min(self.until_again(bases, port, step.second_row(first)));
            }
            let row = step.input_rows(first..first + count).start;
            let left = self.until_again(bases, &step.from, row);
            if step.is_row_by_row() {
                count = count.min(left);
            }
            let rows = first..first + count;
            let tensor = &self.tensors[step.from.tensor];
            let ring = (left < step.input_rows(rows.clone()).len())
                .then(|| Ring { row: left, back: tensor.ring * tensor.strides.row });
            let (from, to) = (self.slot(bases, &step.from, row), self.slot(bases, &step.to, first));
            let second = step.second.as_ref().map_or(0, |port| self.slot(bases, port, step.second_row(first)));
            f(Call { step: index, rows, from, second, to, ring, problem: None });
            first += count;
        }
    }

    /// # Safety
    /// As [`run_phase`](Self::run_phase), for a call of this step whose rows are at hand, and its problem if that was kept.
    unsafe fn run_call(
        &self,
        m: &Memory,
        local: *mut f32,
        step: &Step,
        problem: Option<&Problem>,
        image: usize,
        call: &Call,
    ) {
        let w = self.tensors[step.to.tensor].dims.w;
        // SAFETY: the rows are inside the tensors and, of strips, at hand.
        unsafe {
            let from = self.place(m, local, &step.from, image, call.from);
            let second = step.second.as_ref().map(|port| self.place(m, local, port, image, call.second));
            let to = self.place(m, local, &step.to, image, call.to);
            step.run_rows(self.layout, w, call.rows.clone(), problem, from, second, to, local, call.ring);
        }
    }

    /// A part of a phase whose steps take turns.
    ///
    /// # Safety
    /// The memory is that of a run of this program; this part's scratch is its own; parts have the same `of`, and indexes
    /// of their own. No other part reads what this one writes, and the tiers of all steps are there.
    unsafe fn run_phase(&self, m: &Memory, phase: &Phase, part: Part) {
        let local = self.local(m, part);
        let act = |image: usize, act: &Act| {
            // SAFETY: what the rows read has been computed, by the steps before or in a phase before; strips are as high as
            // any turn needs.
            unsafe {
                match act {
                    Act::Compute(call) => {
                        let problem = call.problem.map(|number| &phase.problems[number]);
                        self.run_call(m, local, &phase.steps[call.step], problem, image, call);
                    }
                    &Act::Move { tensor, base, first, end } => self.slide(local, tensor, base, first, end),
                }
            }
        };
        Self::each_image(phase, phase.h, part, |image, rows| {
            if rows.len() == phase.h {
                phase.acts.iter().for_each(|a| act(image, a));
            } else {
                self.turns(phase, rows, &mut |a| act(image, &a));
            }
        });
    }

    /// What all turns are for some rows of a phase's output.
    fn turns(&self, phase: &Phase, rows: Range<usize>, f: &mut impl FnMut(Act)) {
        let mut done = [0; MOST_STEPS];
        let mut bases = [0; MOST_STEPS];
        for first in rows.clone().step_by(phase.rows) {
            let needs = phase.needs(first..(first + phase.rows).min(rows.end));
            for (index, &tensor) in phase.strips.iter().enumerate() {
                let Some(hull) = phase.hull(tensor, &needs) else { continue };
                let ring = self.tensors[tensor].ring;
                if ring > 0 {
                    // So that what further turns write begins at the beginning, if that is a whole number of turns.
                    if first == rows.start && ring < self.tensors[tensor].dims.h {
                        bases[index] = hull.end % ring;
                    }
                    continue;
                }
                if first == rows.start {
                    bases[index] = hull.start;
                    continue;
                }
                let writers = phase.steps.iter().zip(done).filter(|(s, _)| s.to.tensor == tensor);
                let end = writers.map(|(_, done)| done).max().unwrap_or(0);
                if hull.start != bases[index] && hull.start < end {
                    f(Act::Move { tensor, base: bases[index], first: hull.start, end });
                }
                bases[index] = hull.start;
            }
            for (index, (step, need)) in phase.steps.iter().zip(needs).enumerate() {
                let done = &mut done[index];
                *done = if first == rows.start { need.0 } else { need.0.max(*done) };
                if *done < need.1 {
                    self.calls(&bases, step, index, *done..need.1, &mut |call| f(Act::Compute(call)));
                    *done = need.1;
                }
            }
        }
    }

    /// Works out beforehand what one part does for an image: a turn of two rows would take about as long to think of as to
    /// compute a pixel or two.
    pub(super) fn prepare(&mut self) {
        for index in 0..self.phases.len() {
            let phase = &self.phases[index];
            if phase.steps.len() < 2 {
                continue;
            }
            let (mut acts, mut problems) = (Vec::new(), Vec::<Problem>::new());
            self.turns(phase, 0..phase.h, &mut |mut act| {
                if let Act::Compute(call) = &mut act
                    && let Op::Conv(plan) = &phase.steps[call.step].op
                {
                    let problem = plan.rows(call.rows.clone());
                    let same = |p: &Problem| p.shape == problem.shape && p.oh == problem.oh;
                    call.problem = Some(problems.iter().position(same).unwrap_or(problems.len()));
                    if call.problem == Some(problems.len()) {
                        problems.push(problem);
                    }
                }
                acts.push(act);
            });
            (self.phases[index].acts, self.phases[index].problems) = (acts, problems);
        }
    }

    /// Moves the rows of a strip from `first` to `end` to its beginning, where row `base` was.
    ///
    /// # Safety
    /// The rows are at hand: `base <= first`, and `end` no more than the strip's height beyond `base`.
    unsafe fn slide(&self, local: *mut f32, tensor: usize, base: usize, first: usize, end: usize) {
        let Tensor { home: Home::Strip(_, at), dims, strides, .. } = &self.tensors[tensor] else { return };
        if first == base || end <= first {
            return;
        }
        let (lines, step) = match self.layout {
            Layout::Nhwc => (1, 0),
            Layout::Nchw => (dims.c, strides.channel),
        };
        for line in 0..lines {
            // SAFETY: whole rows of the strip.
            unsafe {
                let line = local.add(at + line * step);
                core::ptr::copy(line.add((first - base) * strides.row), line, (end - first) * strides.row);
            }
        }
    }
}

impl Tensor {
    /// The row of a strip's buffer where a row at hand is.
    fn slot(&self, base: usize, row: usize) -> usize {
        match self.ring {
            0 => row - base,
            ring => (row + ring - base) % ring,
        }
    }
}

impl Phase {
    /// Rows that every step must have computed for these rows of the phase's output.
    fn needs(&self, rows: Range<usize>) -> [(usize, usize); MOST_STEPS] {
        let mut needs = [(usize::MAX, 0); MOST_STEPS];
        for (i, step) in self.steps.iter().enumerate().rev() {
            if step.h == self.h && self.is_kept(i) {
                widen(&mut needs[i], rows.clone());
            }
            let need = needs[i].0..needs[i].1;
            if need.is_empty() {
                continue;
            }
            for (writers, rows) in [(step.reads, step.input_rows(need.clone())), (step.reads_second, need)] {
                (0..i).filter(|j| writers >> j & 1 == 1).for_each(|j| widen(&mut needs[j], rows.clone()));
            }
        }
        needs
    }

    /// Whether what step `i` writes outlives the phase.
    fn is_kept(&self, i: usize) -> bool {
        !self.strips.contains(&self.steps[i].to.tensor)
    }

    /// Rows of a strip that a turn writes or reads.
    fn hull(&self, tensor: usize, needs: &[(usize, usize); MOST_STEPS]) -> Option<Range<usize>> {
        let mut hull = (usize::MAX, 0);
        let writers = self.steps.iter().zip(needs).filter(|(s, _)| s.to.tensor == tensor);
        writers.for_each(|(_, need)| widen(&mut hull, need.0..need.1));
        (hull.0 < hull.1).then_some(hull.0..hull.1)
    }

    /// Height of a strip for turns of `rows` rows, as far as the image's border does not limit it.
    pub(super) fn strip_height(&self, tensor: usize, rows: usize) -> usize {
        let mut needs = [None::<(isize, isize)>; MOST_STEPS];
        let widen = |need: &mut Option<(isize, isize)>, rows: Range<isize>| {
            let (a, b) = need.unwrap_or((rows.start, rows.end));
            *need = Some((a.min(rows.start), b.max(rows.end)));
        };
        let mut hull = None;
        for (i, step) in self.steps.iter().enumerate().rev() {
            if self.is_kept(i) {
                widen(&mut needs[i], 0..rows as isize);
            }
            let Some((a, b)) = needs[i] else { continue };
            for (writers, rows) in [(step.reads, step.unclipped_rows(a..b)), (step.reads_second, a..b)] {
                (0..i).filter(|j| writers >> j & 1 == 1).for_each(|j| widen(&mut needs[j], rows.clone()));
            }
            if step.to.tensor == tensor {
                widen(&mut hull, a..b);
            }
        }
        hull.map_or(0, |(a, b)| (b - a) as usize)
    }

    /// Work of some rows of the phase's output, in multiplies.
    pub(super) fn work(&self, rows: Range<usize>) -> u64 {
        let needs = self.needs(rows);
        self.steps.iter().zip(needs).map(|(s, n)| s.work * n.1.saturating_sub(n.0) as u64).sum()
    }
}

fn widen(range: &mut (usize, usize), rows: Range<usize>) {
    *range = (range.0.min(rows.start), range.1.max(rows.end));
}
