//! The operations beside convolution touch nothing outside the caller's slices: every slice lies flush against
//! inaccessible pages, once with its end and once with its start.

use crate::common::case::{Backwards, Placement};
use crate::common::data::Kind;
use crate::common::ops::{FAMILIES, Op, OpCase, OpData, compare, op_case};
use crate::common::pages::{Arena, Flush, announced, explain_faults};
use crate::common::rows::{cases, runs_here};
use crate::common::strategy::runner;
use lightconv::{Conv2dShape, Isa, Layout, Pooling};
use proptest::test_runner::TestCaseError;
use std::cell::{Cell, RefCell};

struct Arenas([Arena; 4]);

impl Arenas {
    fn run(&mut self, case: &OpCase, data: &OpData, isa: Isa, flush: Flush) -> Result<Vec<f32>, String> {
        let [input, second, output, scratch] = &mut self.0;
        let say = |e| format!("{flush:?}: {e}");
        let input = input.place(&data.input, flush);
        let second = data.second.as_ref().map(|s| second.place(s, flush));
        let g = case.output();
        let output = output.place(&vec![f32::NAN; g.len], flush);
        let plan = data.plan(case, isa)?;
        let scratch = scratch.place(&vec![f32::NAN; plan.scratch_len()], flush);
        let input = case.input().view(input).map_err(say)?;
        let second = match (case.second(), second) {
            (Some(g), Some(s)) => Some(g.view(s).map_err(say)?),
            _ => None,
        };
        g.with_view_mut(output, |out| plan.run_with(&Backwards(case.parts), &input, second.as_ref(), out, scratch))
            .map_err(say)?;
        Ok(output.to_vec())
    }
}

/// One case at both ends of its slices.
fn check(arenas: &mut Arenas, case: &OpCase, isa: Isa) -> Result<(), String> {
    let data = OpData::new(case, Kind::Integers);
    let text = format!("touched memory outside a slice: {isa}, {case:?}\n");
    for flush in [Flush::End, Flush::Start] {
        let output = announced(&text, || arenas.run(case, &data, isa, flush))?;
        compare(case, &data, &output)?;
    }
    Ok(())
}

/// Poolings whose last window ends with the last element of the input, for every width of a few vectors: random shapes
/// seldom do.
fn tight_poolings() -> impl Iterator<Item = OpCase> {
    let dense = Placement { exact: true, ..Placement::default() };
    let sizes = (1..=5usize).flat_map(|k| (1..=4usize).flat_map(move |s| (1..=40usize).map(move |out| (k, s, out))));
    sizes.flat_map(move |(k, s, out)| {
        [Layout::Nhwc, Layout::Nchw].map(|layout| {
            let shape = Conv2dShape::new(1, 2, (out - 1) * s + k, 2, 2, [2, k]).groups(2).stride(s);
            let op = Op::Pool(if out % 2 == 0 { Pooling::Max } else { Pooling::Average }, shape);
            OpCase { op, layout, input: dense, second: dense, output: dense, parts: 1, seed: 1 }
        })
    })
}

// One test in this binary: the signal handler and the announced text are the process's.
#[test]
fn nothing_outside_the_slices_is_touched() {
    explain_faults();
    let arenas = RefCell::new(Arenas(std::array::from_fn(|_| Arena::new())));
    for isa in Isa::ALL.into_iter().filter(|&i| runs_here(i)) {
        for (family, layout) in FAMILIES.into_iter().flat_map(|f| [(f, Layout::Nhwc), (f, Layout::Nchw)]) {
            let ran = Cell::new(0u32);
            let result = runner(cases()).run(&op_case(family, layout), |mut case| {
                for p in [&mut case.input, &mut case.second, &mut case.output] {
                    // Slices that begin and end with an element of the tensor.
                    (p.exact, p.offset) = (true, 0);
                    p.after += std::mem::take(&mut p.before);
                }
                check(&mut arenas.borrow_mut(), &case, isa).map_err(TestCaseError::fail)?;
                ran.set(ran.get() + 1);
                Ok(())
            });
            result.unwrap_or_else(|e| panic!("{family:?}, {layout:?}, {isa}: {e}"));
            assert!(ran.get() >= cases(), "{family:?}, {layout:?}, {isa}: only {} cases ran", ran.get());
        }
        for case in tight_poolings() {
            check(&mut arenas.borrow_mut(), &case, isa).unwrap_or_else(|e| panic!("{isa}, {case:?}: {e}"));
        }
    }
}
