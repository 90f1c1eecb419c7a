//! A run allocates nothing.

use crate::common::allocator::calls;
use crate::common::case::Backwards;
use crate::common::data::{Data, Kind};
use crate::common::rows::{cases, rows};
use crate::common::strategy::{accepted_cases, runner};
use lightconv::network::{self, NetworkPlan, Weights};
use lightconv::parallel::Serial;
use lightconv::{Layout, Options, Residual, View, ViewMut};
use proptest::test_runner::TestCaseError;
use std::cell::Cell;

#[test]
fn the_counter_counts() {
    assert_eq!(calls(|| drop(std::hint::black_box(vec![1u8; 100]))).0, 2);
}

#[test]
fn a_run_allocates_nothing() {
    let (here, _) = rows();
    for row in here {
        let (ran, plain) = (Cell::new(0u32), Cell::new(0u32));
        let cases = (cases() / 3).max(8);
        let result = runner(cases).run(&accepted_cases(row, 60_000), |case| {
            let data = Data::new(&case, Kind::Reals);
            let plan = data.plan(&case, row.isa(), Some(row.name())).map_err(TestCaseError::fail)?;
            let g = case.output();
            let mut output = vec![0.0; g.len];
            let mut scratch = vec![0.0; plan.scratch_len()];
            let input = case.input().view(&data.input).unwrap();
            let residual_geometry = case.residual();
            let residual = residual_geometry.as_ref().zip(data.residual.as_ref()).map(|(g, r)| g.view(r).unwrap());
            let (made, result) = g
                .with_view_mut(&mut output, |out| {
                    Ok(calls(|| {
                        if case.epilogue.residual == Residual::None {
                            plan.run(&input, out, &mut scratch)?;
                        }
                        plan.run_with(&Serial, &input, residual.as_ref(), out, &mut scratch)?;
                        // Cut into parts, on this thread.
                        plan.run_with(&Backwards(4), &input, residual.as_ref(), out, &mut scratch)
                    }))
                })
                .unwrap();
            result.map_err(|e| TestCaseError::fail(e.to_string()))?;
            if made != 0 {
                return Err(TestCaseError::fail(format!("{made} calls to the allocator")));
            }
            plain.set(plain.get() + u32::from(case.epilogue.residual == Residual::None));
            ran.set(ran.get() + 1);
            Ok(())
        });
        result.unwrap_or_else(|e| panic!("{}: {e}", row.name()));
        assert!(ran.get() >= cases && plain.get() > 0, "{}: {} cases ran", row.name(), ran.get());
    }
}

#[test]
fn a_run_of_a_network_allocates_nothing() {
    for network in [network::mobilenet_v3_small(0.35, 32).unwrap(), network::shufflenet_v2(0.5, 32).unwrap()] {
        let weights = Weights::random(&network, 1).unwrap();
        for layout in [Layout::Nhwc, Layout::Nchw] {
            let plan = NetworkPlan::new(&network, layout, |n| weights.get(n), &Options::new().threads(4)).unwrap();
            let input = vec![0.5; plan.input_dims().elements().unwrap()];
            let mut output = vec![0.0; plan.output_dims().elements().unwrap()];
            let mut scratch = vec![0.0; plan.scratch_len()];
            let input = View::dense(layout, plan.input_dims(), &input).unwrap();
            let mut view = ViewMut::dense(layout, plan.output_dims(), &mut output).unwrap();
            let (made, result) = calls(|| {
                plan.run(&input, &mut view, &mut scratch)?;
                plan.run_with(&Backwards(4), &input, &mut view, &mut scratch)
            });
            result.unwrap();
            assert_eq!(made, 0, "{}", network.name);
            assert!(output.iter().any(|&v| v != 0.0));
        }
    }
}
