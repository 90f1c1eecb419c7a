//! The operations beside convolution touch nothing outside the caller's slices: every slice lies flush against
//! inaccessible pages, once with its end and once with its start.
#![cfg(unix)]

mod common;
#[path = "common/ops.rs"]
mod ops;
#[path = "common/pages.rs"]
mod pages;

use common::case::Backwards;
use common::data::Kind;
use common::rows::{cases, runs_here};
use common::strategy::runner;
use lightconv::{Isa, Layout};
use ops::{FAMILIES, OpCase, OpData, compare, op_case};
use pages::{Arena, Flush, announced, explain_faults};
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
                let data = OpData::new(&case, Kind::Integers);
                let text = format!("touched memory outside a slice: {isa}, {case:?}\n");
                for flush in [Flush::End, Flush::Start] {
                    let output = announced(&text, || arenas.borrow_mut().run(&case, &data, isa, flush));
                    output.and_then(|o| compare(&case, &data, &o)).map_err(TestCaseError::fail)?;
                }
                ran.set(ran.get() + 1);
                Ok(())
            });
            result.unwrap_or_else(|e| panic!("{family:?}, {layout:?}, {isa}: {e}"));
            assert!(ran.get() >= cases(), "{family:?}, {layout:?}, {isa}: only {} cases ran", ran.get());
        }
    }
}
