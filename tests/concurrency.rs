//! One plan on many threads at once; the same bits for any number of parts and any executor.

use crate::common::case::{Backwards, Case, Geometry};
use crate::common::data::{Data, Kind};
use crate::common::rows::{cases, for_each_row, rows, runs_here};
use crate::common::strategy::{accepted_cases, runner};
use crate::common::threads::Threads;
use lightconv::parallel::{Parallel, Serial};
use lightconv::{Conv2dPlan, Conv2dShape, Dims, Epilogue, Error, Isa, Layout, Options, View, ViewMut};
use proptest::test_runner::TestCaseError;
use std::cell::Cell;

/// The bits of a run.
fn bits(case: &Case, data: &Data, plan: &Conv2dPlan, pool: &dyn Parallel) -> Result<Vec<u32>, TestCaseError> {
    let g: Geometry = case.output();
    let mut output = vec![0.0f32; g.len];
    let mut scratch = vec![f32::NAN; plan.scratch_len()];
    let input = case.input().view(&data.input).unwrap();
    let residual_geometry = case.residual();
    let residual = residual_geometry.as_ref().zip(data.residual.as_ref()).map(|(g, r)| g.view(r).unwrap());
    g.with_view_mut(&mut output, |out| plan.run_with(pool, &input, residual.as_ref(), out, &mut scratch))
        .map_err(|e: Error| TestCaseError::fail(e.to_string()))?;
    Ok(output.iter().map(|v| v.to_bits()).collect())
}

fn plan(case: &Case, data: &Data, isa: Isa, name: &str) -> Result<Conv2dPlan, TestCaseError> {
    data.plan(case, isa, Some(name)).map_err(TestCaseError::fail)
}

#[test]
fn results_are_the_same_bits_for_any_number_of_threads() {
    #[cfg(feature = "rayon")]
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    for_each_row(|row| {
        let most_parts = Cell::new(0);
        let cases = (cases() / 2).max(24);
        let check = |mut case: Case| {
            let data = Data::new(&case, Kind::Reals);
            case.parts = 1;
            let one = plan(&case, &data, row.isa(), row.name())?;
            let want = bits(&case, &data, &one, &Serial)?;
            let same = |what: &str, got: Vec<u32>| {
                let message = format!("{what} changes the result");
                if got == want { Ok(()) } else { Err(TestCaseError::fail(message)) }
            };
            for parts in [2, 3, 4, 7] {
                case.parts = parts;
                let many = plan(&case, &data, row.isa(), row.name())?;
                most_parts.set(most_parts.get().max(many.threads()));
                // A plan of one part leaves a pool nothing to do, which one of them shows.
                if parts == 2 || many.threads() > 1 {
                    same(&format!("cutting into {parts}"), bits(&case, &data, &many, &Backwards(parts))?)?;
                }
                same(&format!("one thread on a plan for {parts}"), bits(&case, &data, &many, &Serial)?)?;
                if parts == 3 && many.threads() > 1 {
                    same("a pool of fresh threads", bits(&case, &data, &many, &Threads(3))?)?;
                    same("a pool with fewer threads than parts", bits(&case, &data, &many, &Threads(2))?)?;
                    #[cfg(feature = "rayon")]
                    same("rayon", bits(&case, &data, &many, &lightconv::parallel::Rayon::in_pool(&pool))?)?;
                }
            }
            Ok(())
        };
        // Small layers are not cut: where all that came up were, larger ones follow.
        for budget in [200_000, 1_000_000, 4_000_000] {
            runner(cases).run(&accepted_cases(row, budget), check).map_err(|e| e.to_string())?;
            if most_parts.get() > 1 {
                return Ok(());
            }
        }
        Err("no case was cut into parts".into())
    });
}

/// Layers of few tiles or few panels of output channels, which parts share.
#[test]
fn parts_that_share_a_panel_or_a_tile_compute_all_of_it() {
    let mut cut = 0;
    for (n, map, c_in, c_out, k, groups) in [
        (1, 7, 256, 100, 1, 1),
        (1, 7, 480, 240, 1, 3),
        (1, 14, 48, 100, 3, 1),
        (2, 13, 24, 40, 3, 1),
        (2, 9, 40, 130, 1, 1),
        (1, 14, 60, 240, 1, 3),
        (2, 5, 200, 72, 1, 1),
        (1, 1, 2048, 1000, 1, 1),
        (1, 4, 1024, 40, 1, 1),
        (1, 28, 96, 17, 1, 1),
        (2, 9, 64, 52, 3, 4),
    ] {
        let shape = Conv2dShape::new(n, map, map, c_in, c_out, [k, k]).groups(groups).pad(k / 2);
        let value = |i: usize| (i.wrapping_mul(2_654_435_761) % 1021) as f32 / 1021.0 - 0.5;
        let weights: Vec<f32> = (0..shape.weight_len().unwrap()).map(value).collect();
        let input: Vec<f32> = (0..n * map * map * c_in).map(value).collect();
        for (isa, layout) in Isa::available().flat_map(|isa| [(isa, Layout::Nhwc), (isa, Layout::Nchw)]) {
            if !runs_here(isa) {
                continue;
            }
            let mut run = |parts: usize| {
                let options = Options::new().isa(isa).threads(parts);
                let plan = Conv2dPlan::new(&shape, layout, &weights, None, Epilogue::NONE, &options).unwrap();
                let mut output = vec![f32::NAN; n * map * map * c_out];
                let mut scratch = vec![f32::NAN; plan.scratch_len()];
                let from = View::dense(layout, Dims { n, h: map, w: map, c: c_in }, &input).unwrap();
                let mut to = ViewMut::dense(layout, Dims { n, h: map, w: map, c: c_out }, &mut output).unwrap();
                plan.run_with(&Backwards(parts), &from, None, &mut to, &mut scratch).unwrap();
                cut += usize::from(plan.threads() > 1);
                (output.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), plan.kernel_name())
            };
            let (want, _) = run(1);
            for parts in 2..=9 {
                let (got, kernel) = run(parts);
                assert!(got == want, "{kernel}: {parts} parts change the result of {shape:?}");
            }
        }
    }
    assert!(cut > 100, "{cut} plans were cut into parts");
}

#[test]
fn one_plan_runs_on_many_threads_at_once() {
    let (here, _) = rows();
    for row in here {
        let result = runner(4).run(&accepted_cases(row, 60_000), |mut case| {
            let plan = plan(&case, &Data::new(&case, Kind::Reals), row.isa(), row.name())?;
            let weights = Data::new(&case, Kind::Reals).weights;
            // Inputs of their own, and for each the bits of a run with nobody else around.
            let inputs: Vec<(Case, Data)> = (0..4)
                .map(|i| {
                    case.seed = case.seed.wrapping_add(i);
                    let mut data = Data::new(&case, Kind::Reals);
                    data.weights.clone_from(&weights);
                    (case.clone(), data)
                })
                .collect();
            let alone: Vec<_> = inputs.iter().map(|(c, d)| bits(c, d, &plan, &Serial)).collect::<Result<_, _>>()?;
            let together: Vec<bool> = std::thread::scope(|s| {
                let mut running = Vec::new();
                for ((c, d), want) in inputs.iter().zip(&alone) {
                    let plan = &plan;
                    running
                        .push(s.spawn(move || (0..8).all(|_| bits(c, d, plan, &Serial).is_ok_and(|got| &got == want))));
                }
                running.into_iter().map(|t| t.join().unwrap()).collect()
            });
            if together.contains(&false) {
                return Err(TestCaseError::fail("a run beside others gives another result"));
            }
            Ok(())
        });
        result.unwrap_or_else(|e| panic!("{}: {e}", row.name()));
    }
}

#[test]
fn plans_are_send_and_sync() {
    fn check<T: Send + Sync>() {}
    check::<Conv2dPlan>();
}

/// A pool that breaks its promise.
struct Broken(&'static [usize]);

impl Parallel for Broken {
    fn threads(&self) -> usize {
        4
    }

    fn run(&self, _: usize, task: &(dyn Fn(usize) + Sync)) {
        self.0.iter().for_each(|&t| task(t));
    }
}

#[test]
fn a_pool_that_breaks_its_promise_does_no_harm() {
    let shape = Conv2dShape::new(1, 32, 32, 32, 32, [3, 3]).pad(1);
    let weights = vec![1.0; shape.weight_len().unwrap()];
    let options = Options::new().threads(4);
    let plan = Conv2dPlan::new(&shape, Layout::Nhwc, &weights, None, Epilogue::NONE, &options).unwrap();
    assert_eq!(plan.threads(), 4);
    let dims = Dims::new(1, 32, 32, 32);
    let (input, mut output) = (vec![1.0; 32 * 32 * 32], vec![0.0; 32 * 32 * 32]);
    let mut scratch = vec![0.0; plan.scratch_len()];
    let mut run = |pool: Broken| {
        let input = View::dense(Layout::Nhwc, dims, &input).unwrap();
        let mut output = ViewMut::dense(Layout::Nhwc, dims, &mut output).unwrap();
        plan.run_with(&pool, &input, None, &mut output, &mut scratch)
    };
    assert!(run(Broken(&[0, 1, 2, 3])).is_ok());
    // Too many, and some that do not exist: the result is still right.
    assert!(run(Broken(&[3, 2, 1, 0, 0, 3, 4, 63, 64, usize::MAX])).is_ok());
    let error = run(Broken(&[0, 2, 3])).unwrap_err().to_string();
    assert!(error.contains("expected 4"), "{error}");
    assert!(run(Broken(&[])).is_err());
}
