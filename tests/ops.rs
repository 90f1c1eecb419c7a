//! The operations beside convolution against the reference, on every tier that this machine can run; their promises about
//! allocation, threads, arguments and special values.

use crate::common::allocator::calls;
use crate::common::case::{Backwards, Placement};
use crate::common::data::Kind;
use crate::common::ops::{FAMILIES, Family, Op, OpCase, OpData, Plan, compare, op_case};
use crate::common::rows::{cases, record, record_tiers, runs_here, say, why_not};
use crate::common::strategy::runner;
use crate::common::threads::Threads;
use crate::common::tiers::TIERS;
use lightconv::parallel::{Parallel, Serial};
use lightconv::{
    ChannelShufflePlan, Conv2dShape, Cost, Dims, Elementwise, ElementwisePlan, Epilogue, Error, FullyConnectedPlan,
    Isa, Layout, Options, Padding, PoolPlan, Pooling, View, ViewMut,
};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

/// A pool that counts what its tasks ask of the allocator.
struct Watched(Backwards, std::sync::atomic::AtomicUsize);

impl Parallel for Watched {
    fn threads(&self) -> usize {
        self.0.threads()
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        let (made, ()) = calls(|| self.0.run(tasks, task));
        self.1.fetch_add(made, std::sync::atomic::Ordering::Relaxed);
    }
}

const LAYOUTS: [Layout; 2] = [Layout::Nhwc, Layout::Nchw];

fn tiers() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|&i| runs_here(i))
}

fn families() -> impl Iterator<Item = (Family, Layout)> {
    FAMILIES.into_iter().flat_map(|f| LAYOUTS.map(|l| (f, l)))
}

fn strided(p: &Placement) -> bool {
    p.before + p.after + p.row_slack + p.outer_slack > 0
}

/// The names of an operation's kernels that may run in cases of the family on the tier; a fully connected layer's are
/// rows of the registry, which has tests of its own.
fn names(family: Family, layout: Layout, isa: Isa) -> Vec<String> {
    let operations: &[&str] = match family {
        Family::MaxPool => &["maxpool"],
        Family::AveragePool => &["avgpool"],
        Family::GlobalAverage => &["globalavgpool"],
        Family::Shuffle => &["shuffle"],
        Family::Add => &["add"],
        Family::Multiply => &["multiply"],
        Family::Scale => &["scale"],
        Family::FullyConnected => &[],
    };
    operations.iter().map(|o| format!("{o}_f32_{}_{isa}", layout.name())).collect()
}

/// One case on one tier: against the reference, cut and whole, with the allocator watched.
fn prove(case: &OpCase, kind: Kind, isa: Isa) -> Result<Plan, String> {
    let data = OpData::new(case, kind);
    let plan = data.plan(case, isa)?;
    if plan.isa() > isa || plan.dims() != (case.input_dims(), case.output_dims()) {
        return Err(format!("the plan is for {}, {:?}", plan.isa(), plan.dims()));
    }
    let pool = Watched(Backwards(case.parts), Default::default());
    let output = data.run(case, &plan, &pool)?;
    compare(case, &data, &output).map_err(|e| format!("{} on {kind:?}: {e}", plan.name()))?;
    let whole = data.run(case, &plan, &Serial)?;
    // A NaN's sign and payload are not promised.
    if output.iter().zip(&whole).any(|(a, b)| a.to_bits() != b.to_bits() && !(a.is_nan() && b.is_nan())) {
        return Err(format!("{} on {kind:?}: the cut into parts changes the result", plan.name()));
    }
    match pool.1.into_inner() {
        0 => Ok(plan),
        made => Err(format!("{}: {made} calls to the allocator in tasks", plan.name())),
    }
}

#[test]
fn every_operation_is_exact_on_integers_and_within_its_bound_on_reals() {
    let all: Vec<_> = families().flat_map(|(f, l)| TIERS.iter().map(move |&i| (f, l, i))).collect();
    record(
        &all.iter()
            .flat_map(|&(f, l, i)| names(f, l, i).into_iter().map(move |n| format!("row {n} {i}")))
            .collect::<Vec<_>>(),
    );
    record_tiers(TIERS.iter().copied());
    for &isa in TIERS.iter().filter(|&&i| !runs_here(i)) {
        say(&format!("not run here: the operations of {isa} ({})", why_not(isa)));
    }
    assert!(tiers().count() >= 1);
    for isa in tiers() {
        for (family, layout) in families() {
            let seen = RefCell::new(BTreeSet::new());
            let ran = Cell::new(0);
            let result = runner(cases()).run(&op_case(family, layout), |case| {
                let mut seen = seen.borrow_mut();
                for kind in [Kind::Integers, Kind::Reals, Kind::Specials] {
                    let plan = prove(&case, kind, isa).map_err(TestCaseError::fail)?;
                    if family != Family::FullyConnected {
                        let global = matches!(&plan, Plan::Pool(p) if p.kernel_name().starts_with("globalavgpool"));
                        let name =
                            if global { names(Family::GlobalAverage, layout, isa) } else { names(family, layout, isa) };
                        if plan.name() != name[0] || plan.isa() != isa {
                            return Err(TestCaseError::fail(format!("the kernel is {}, not {}", plan.name(), name[0])));
                        }
                    }
                    seen.extend((plan.threads() > 1).then_some("several parts"));
                }
                seen.extend(strided(&case.input).then_some("a strided input"));
                seen.extend(strided(&case.output).then_some("a strided output"));
                seen.extend((case.input_dims().n > 1).then_some("several images"));
                seen.extend((case.input_dims().c % 16 != 0).then_some("channels that do not fill a vector"));
                ran.set(ran.get() + 1);
                Ok(())
            });
            result.unwrap_or_else(|e| panic!("{family:?}, {layout:?}, {isa}: {e}"));
            assert!(ran.get() >= cases(), "{family:?}, {layout:?}, {isa}: only {} cases ran", ran.get());
            // With fewer cases it would be no surprise.
            assert!(
                cases() < 60 || seen.borrow().len() == 5,
                "{family:?}, {layout:?}, {isa}: only {:?}",
                seen.borrow()
            );
            record(&names(family, layout, isa).iter().map(|n| format!("ran {n}")).collect::<Vec<_>>());
        }
        say(&format!("ran: the operations of {isa} ({} cases each)", cases()));
    }
}

#[test]
fn a_run_allocates_nothing() {
    for isa in tiers() {
        for (family, layout) in families() {
            let result = runner((cases() / 4).max(8)).run(&op_case(family, layout), |case| {
                let data = OpData::new(&case, Kind::Reals);
                let plan = data.plan(&case, isa).map_err(TestCaseError::fail)?;
                let (g, second_geometry) = (case.output(), case.second());
                let mut output = vec![0.0; g.len];
                let mut scratch = vec![0.0; plan.scratch_len()];
                let input = case.input().view(&data.input).unwrap();
                let second = second_geometry.as_ref().zip(data.second.as_ref()).map(|(g, s)| g.view(s).unwrap());
                let (made, result) = g
                    .with_view_mut(&mut output, |out| {
                        Ok(calls(|| {
                            plan.run_with(&Serial, &input, second.as_ref(), out, &mut scratch)?;
                            // Cut into parts, on this thread.
                            plan.run_with(&Backwards(4), &input, second.as_ref(), out, &mut scratch)
                        }))
                    })
                    .unwrap();
                result.map_err(|e| TestCaseError::fail(e.to_string()))?;
                prop_assert_eq!(made, 0, "calls to the allocator");
                Ok(())
            });
            result.unwrap_or_else(|e| panic!("{family:?}, {layout:?}, {isa}: {e}"));
        }
    }
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

/// One large case per operation.
fn large(family: Family) -> Op {
    let d = Dims::new(2, 40, 40, 70);
    let shape = Conv2dShape::new(2, 40, 40, 70, 70, [3, 3]).groups(70).stride(2).pad(1);
    match family {
        Family::MaxPool => Op::Pool(Pooling::Max, shape),
        Family::AveragePool => Op::Pool(Pooling::Average, shape),
        Family::GlobalAverage => Op::GlobalAverage(d),
        Family::Shuffle => Op::Shuffle(2, d),
        Family::Add => Op::Elementwise(Elementwise::Add, d),
        Family::Multiply => Op::Elementwise(Elementwise::Multiply, d),
        Family::Scale => Op::Elementwise(Elementwise::Scale, d),
        Family::FullyConnected => {
            Op::FullyConnected { n: 3, c_in: 600, c_out: 500, epilogue: Epilogue::NONE, bias: true }
        }
    }
}

fn large_case(family: Family, layout: Layout) -> OpCase {
    let dense = Placement { exact: true, ..Placement::default() };
    // A gap between the channels of NCHW, so that the copies of a fully connected layer run as well.
    let gaps = Placement { outer_slack: 3, ..dense };
    OpCase { op: large(family), layout, input: gaps, second: dense, output: gaps, parts: 4, seed: 3 }
}

#[test]
fn threads_do_not_change_the_bits_and_broken_pools_do_no_harm() {
    for isa in tiers() {
        for (family, layout) in families() {
            let what = format!("{family:?}, {layout:?}, {isa}");
            let case = large_case(family, layout);
            let data = OpData::new(&case, Kind::Reals);
            let plan = data.plan(&case, isa).unwrap();
            assert!(plan.threads() > 1, "{what} is not cut into parts");
            let bits = |pool: &dyn Parallel| -> Vec<u32> {
                data.run(&case, &plan, pool).expect(&what).iter().map(|v| v.to_bits()).collect()
            };
            let want = bits(&Serial);
            assert!(bits(&Threads(plan.threads())) == want, "{what}: threads change the result");
            assert!(bits(&Threads(2)) == want, "{what}: fewer threads than parts change the result");
            #[cfg(feature = "rayon")]
            assert!(bits(&lightconv::parallel::Rayon::current()) == want, "{what}: rayon changes the result");
            // Tasks twice, and some that do not exist.
            assert!(bits(&Broken(&[3, 2, 1, 0, 0, 3, 4, 63, 64, usize::MAX])) == want, "{what}");
            let error = data.run(&case, &plan, &Broken(&[])).unwrap_err();
            assert!(error.contains("tasks run by the executor is 0, expected"), "{what}: {error}");
            // The same plan on several threads at once.
            std::thread::scope(|s| {
                let runs: Vec<_> = (0..3).map(|_| s.spawn(|| bits(&Serial) == want)).collect();
                assert!(runs.into_iter().all(|r| r.join().unwrap()), "{what}: a run beside others differs");
            });
        }
    }
}

#[test]
fn plans_are_send_and_sync() {
    fn check<T: Send + Sync>() {}
    check::<PoolPlan>();
    check::<ChannelShufflePlan>();
    check::<ElementwisePlan>();
    check::<FullyConnectedPlan>();
}

#[test]
fn costs_are_the_closed_forms() {
    for layout in LAYOUTS {
        for family in FAMILIES {
            let case = large_case(family, layout);
            let plan = OpData::new(&case, Kind::Integers).plan(&case, Isa::Scalar).unwrap();
            let want = match case.op {
                Op::Pool(Pooling::Max, s) => Cost::max_pool(&s),
                Op::Pool(_, s) => Cost::average_pool(&s),
                Op::GlobalAverage(d) => Cost::global_average_pool(d),
                Op::Shuffle(_, d) => Cost::channel_shuffle(d),
                Op::Elementwise(Elementwise::Add, d) => Cost::addition(d),
                Op::Elementwise(Elementwise::Multiply, d) => Cost::multiplication(d),
                Op::Elementwise(_, d) => Cost::scale(d),
                Op::FullyConnected { n, c_in, c_out, .. } => Cost::fully_connected(n, c_in, c_out),
            };
            assert_eq!(plan.cost(), want.unwrap(), "{family:?}");
        }
    }
}

/// One channel, one row.
fn pooled(pooling: Pooling, isa: Isa, layout: Layout, input: &[f32], kernel: usize, pad: usize) -> Vec<f32> {
    let shape = Conv2dShape::new(1, 1, input.len(), 1, 1, [1, kernel]).pad_hw(0, pad);
    let plan = PoolPlan::new(pooling, &shape, layout, &Options::new().isa(isa)).unwrap();
    let mut output = vec![f32::NAN; plan.output_dims().w];
    let input = View::dense(layout, plan.input_dims(), input).unwrap();
    let mut view = ViewMut::dense(layout, plan.output_dims(), &mut output).unwrap();
    plan.run(&input, &mut view).unwrap();
    output
}

#[test]
fn pooling_keeps_nan_and_leaves_the_padding_out() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    for isa in tiers() {
        for layout in LAYOUTS {
            let max = |x: &[f32]| pooled(Pooling::Max, isa, layout, x, 3, 1);
            // A padded zero would win against these.
            assert_eq!(max(&[-5.0, -7.0, -9.0, -8.0]), [-5.0, -5.0, -7.0, -8.0], "{isa}");
            assert_eq!(max(&[-inf; 20]), [-inf; 20], "{isa}");
            // In every position of the window, and in every lane.
            for at in 0..40 {
                let mut x: Vec<f32> = (0..40).map(|i| i as f32).collect();
                x[at] = nan;
                for (i, y) in max(&x).into_iter().enumerate() {
                    let want = if i.abs_diff(at) <= 1 { None } else { Some((i + 1).min(39) as f32) };
                    let want = want.map(|w| if at == i + 2 { (i + 1) as f32 } else { w });
                    assert_eq!((!y.is_nan()).then_some(y), want, "{isa}, NaN at {at}, output {i}");
                }
            }
            let average = pooled(Pooling::Average, isa, layout, &[3.0, 6.0, 9.0, 1.0], 3, 1);
            assert_eq!(average, [4.5, 6.0, 16.0 / 3.0, 5.0], "{isa}");
        }
    }
}

#[test]
fn a_shuffle_keeps_every_bit() {
    // Signalling and quiet NaNs, with payloads; and two shuffles undo each other.
    for isa in tiers() {
        for layout in LAYOUTS {
            for groups in [1, 2, 3, 4, 6, 8, 24] {
                let dims = Dims::new(2, 3, 5, 48);
                let data: Vec<f32> =
                    (0..dims.elements().unwrap()).map(|i| f32::from_bits(0x7f80_0001 + 0x1003 * i as u32)).collect();
                let shuffled = |groups: usize, from: &[f32]| {
                    let plan = ChannelShufflePlan::new(groups, dims, layout, &Options::new().isa(isa)).unwrap();
                    let mut to = vec![0.0; from.len()];
                    let input = View::dense(layout, dims, from).unwrap();
                    plan.run(&input, &mut ViewMut::dense(layout, dims, &mut to).unwrap()).unwrap();
                    to
                };
                let back = shuffled(48 / groups, &shuffled(groups, &data));
                let bits = |x: &[f32]| x.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                assert!(bits(&back) == bits(&data), "{isa}, {layout:?}, {groups} groups");
            }
        }
    }
}

/// Kernels move a few channels of a group at a time, the last few once more: every remainder that there can be.
#[test]
fn a_shuffle_of_any_width_is_a_transposition() {
    for isa in tiers() {
        for (groups, per_group) in [2, 3, 4, 8].into_iter().flat_map(|g| (1..=40).map(move |n| (g, n))) {
            let dims = Dims::new(1, 1, 3, groups * per_group);
            let data: Vec<f32> = (0..3 * dims.c).map(|i| i as f32).collect();
            let plan = ChannelShufflePlan::new(groups, dims, Layout::Nhwc, &Options::new().isa(isa)).unwrap();
            let mut out = vec![f32::NAN; data.len()];
            let input = View::dense(Layout::Nhwc, dims, &data).unwrap();
            plan.run(&input, &mut ViewMut::dense(Layout::Nhwc, dims, &mut out).unwrap()).unwrap();
            let want = |i: usize| data[i / dims.c * dims.c + i % groups * per_group + i % dims.c / groups];
            assert!((0..out.len()).all(|i| out[i] == want(i)), "{isa}, {groups} groups of {per_group}");
        }
    }
}

/// A number that is anything from fine to hostile.
fn number() -> impl Strategy<Value = usize> {
    prop_oneof![
        6 => 1..=5usize,
        1 => Just(0usize),
        1 => Just(usize::MAX),
        1 => Just(usize::MAX / 2 + 1),
        1 => Just(1usize << (usize::BITS / 2)),
        1 => any::<usize>(),
    ]
}

#[test]
fn hostile_arguments_are_errors() {
    let sizes = || (number(), number(), number(), number());
    let pads = || (number(), number(), number(), number());
    let options = (0..3usize, prop_oneof![3 => Just(None), 1 => (0..Isa::ALL.len()).prop_map(|i| Some(Isa::ALL[i]))]);
    let all = (sizes(), sizes(), sizes(), pads(), options, any::<bool>(), any::<bool>());
    let result = runner(2000).run(&all, |(a, b, s, p, (threads, isa), nhwc, max)| {
        let layout = if nhwc { Layout::Nhwc } else { Layout::Nchw };
        let mut options = Options::new().threads(threads);
        if let Some(isa) = isa {
            options = options.isa(isa);
        }
        let usable = threads > 0 && isa.is_none_or(|i| i.is_available());
        let dims = Dims::new(a.0, a.1, a.2, a.3);
        let padding = Padding { top: p.0 - p.0.min(1), left: p.1 - p.1.min(1), bottom: p.2 / 2, right: p.3 / 2 };
        let shape = Conv2dShape::new(a.0, a.1, a.2, a.3, if max { a.3 } else { s.0 }, [b.0, b.1])
            .groups(a.3)
            .stride_hw(b.2, b.3)
            .padding(padding);
        let pooling = if max { Pooling::Max } else { Pooling::Average };
        let plan = PoolPlan::new(pooling, &shape, layout, &options);
        // Not the other way round: a count may not fit 64 bits where the tensors do.
        prop_assert!(plan.is_err() || (shape.check_pool().is_ok() && usable));
        prop_assert!(plan.is_ok() || !usable || shape.check_pool().is_err() || Cost::average_pool(&shape).is_err());
        let fits = dims.elements().is_ok() && usable;
        let global = PoolPlan::global_average(dims, layout, &options);
        prop_assert!(global.is_err() || fits);
        prop_assert_eq!(global.is_ok(), fits && Cost::global_average_pool(dims).is_ok());
        let shuffle = ChannelShufflePlan::new(s.0, dims, layout, &options);
        prop_assert_eq!(shuffle.is_ok(), fits && s.0 > 0 && dims.c.is_multiple_of(s.0));
        for (kind, cost) in [
            (Elementwise::Add, Cost::addition(dims)),
            (Elementwise::Multiply, Cost::multiplication(dims)),
            (Elementwise::Scale, Cost::scale(dims)),
        ] {
            // Three tensors that could exist one by one may be more bytes than 64 bits can count.
            prop_assert_eq!(ElementwisePlan::new(kind, dims, layout, &options).is_ok(), fits && cost.is_ok());
        }
        let weights = [0.5; 6];
        let (n, c_in, c_out) = (s.1, s.2, s.3);
        let plan =
            FullyConnectedPlan::new(n, c_in, c_out, layout, &weights, Some(&weights[..2]), Epilogue::NONE, &options);
        prop_assert!(plan.is_err() || (usable && (1..=6).contains(&c_in) && c_out == 2 && c_in * c_out == 6 && n > 0));
        Ok(())
    });
    result.unwrap_or_else(|e| panic!("{e}"));
    let dims = Dims::new(1, 2, 2, 4);
    let named = ElementwisePlan::new(Elementwise::Add, dims, Layout::Nhwc, &Options::new().kernel("add_f32_nhwc_avx2"));
    assert!(named.unwrap_err().to_string().starts_with("kernel is"));
    let error = ChannelShufflePlan::new(3, dims, Layout::Nhwc, &Options::new()).unwrap_err();
    assert_eq!(error.to_string(), "c is 4, expected a multiple of 3");
    let error = PoolPlan::global_average(Dims::new(1, 0, 2, 4), Layout::Nhwc, &Options::new()).unwrap_err();
    assert_eq!(error.to_string(), "h is 0, expected at least 1");
}

#[test]
fn views_that_do_not_fit_the_plan_are_errors_and_nothing_is_written() {
    for (family, layout) in families() {
        let case = large_case(family, layout);
        let data = OpData::new(&case, Kind::Integers);
        let plan = data.plan(&case, Isa::Scalar).unwrap();
        let other = if layout == Layout::Nhwc { Layout::Nchw } else { Layout::Nhwc };
        let (input_dims, output_dims) = plan.dims();
        let second_dims = case.second_dims().unwrap_or(Dims::new(1, 1, 1, 1));
        let room = vec![1.0f32; 2 * input_dims.elements().unwrap().max(output_dims.elements().unwrap()) + 1000];
        let grown = |d: Dims, axis: usize| match axis {
            0 => Dims { n: d.n + 1, ..d },
            1 => Dims { h: d.h + 1, ..d },
            2 => Dims { w: d.w + 1, ..d },
            _ => Dims { c: d.c - 1, ..d },
        };
        // Runs with dense views of these layouts and sizes.
        let run = |layouts: [Layout; 3], sizes: [Dims; 3], scratch: usize| -> Result<(), Error> {
            let mut output = vec![7.5f32; room.len()];
            let input = View::dense(layouts[0], sizes[0], &room)?;
            let second = View::dense(layouts[1], sizes[1], &room)?;
            let mut view = ViewMut::dense(layouts[2], sizes[2], &mut output)?;
            let second = case.second_dims().map(|_| &second);
            let result = plan.run_with(&Serial, &input, second, &mut view, &mut vec![0.0; scratch]);
            assert!(result.is_ok() || output.iter().all(|&v| v == 7.5), "{family:?}: a failed run wrote something");
            result
        };
        let (good, sizes) = ([layout; 3], [input_dims, second_dims, output_dims]);
        run(good, sizes, plan.scratch_len()).unwrap();
        if plan.scratch_len() > 0 {
            let error = run(good, sizes, plan.scratch_len() - 1).unwrap_err().to_string();
            assert!(error.starts_with("scratch length is"), "{error}");
        }
        for (i, name) in ["input", "second", "output"].into_iter().enumerate() {
            if i == 1 && case.second_dims().is_none() {
                continue;
            }
            let mut layouts = good;
            layouts[i] = other;
            let error = run(layouts, sizes, plan.scratch_len()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name} layout is")), "{family:?}: {error}");
            for axis in 0..4 {
                let mut wrong = sizes;
                wrong[i] = grown(sizes[i], axis);
                let error = run(good, wrong, plan.scratch_len()).unwrap_err().to_string();
                let axis = ["n", "h", "w", "c"][axis];
                assert!(error.starts_with(&format!("{name} {axis} is")), "{family:?}: {error}");
            }
        }
        if let (Plan::FullyConnected(p), layout) = (&plan, layout) {
            let mut output = vec![0.0f32; room.len()];
            let input = View::dense(layout, input_dims, &room).unwrap();
            let residual = View::dense(layout, output_dims, &room).unwrap();
            let mut view = ViewMut::dense(layout, output_dims, &mut output).unwrap();
            let mut scratch = vec![0.0; p.scratch_len()];
            let result = p.run_with(&Serial, &input, Some(&residual), &mut view, &mut scratch);
            assert!(result.unwrap_err().to_string().starts_with("residual is"));
        }
    }
}
