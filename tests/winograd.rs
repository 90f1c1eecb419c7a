//! Winograd's algorithm: chosen only where the caller allows it, within its bound on data made to break it, the same bits
//! for any number of threads, and as many multiplies as it says.

use crate::common::case::{Backwards, Case, Placement};
use crate::common::data::{Data, Expected, Kind, Random, check};
use crate::common::rows::{cases, rows, runs_here};
use crate::common::strategy::{accepted_cases, runner};
use crate::common::winograd;
use lightconv::{Conv2dPlan, Conv2dShape, Epilogue, Isa, Layout, Options, Padding, registry};
use proptest::test_runner::TestCaseError;

fn plan(shape: &Conv2dShape, layout: Layout, options: &Options<'_>) -> Conv2dPlan {
    let weights = vec![0.5; shape.weight_len().unwrap()];
    Conv2dPlan::new(shape, layout, &weights, None, Epilogue::NONE, options).unwrap()
}

fn layer(size: usize, c_in: usize, c_out: usize) -> Conv2dShape {
    Conv2dShape::new(1, size, size, c_in, c_out, [3, 3]).pad(1)
}

fn case(shape: Conv2dShape, layout: Layout, parts: usize) -> Case {
    let dense = Placement { exact: true, ..Placement::default() };
    let (epilogue, seed) = (Epilogue::NONE, 11);
    Case { shape, layout, epilogue, bias: true, input: dense, output: dense, residual: dense, parts, seed }
}

#[test]
fn it_is_chosen_only_where_it_is_allowed_and_pays() {
    for isa in Isa::available().filter(|&i| runs_here(i)) {
        for layout in [Layout::Nhwc, Layout::Nchw] {
            let shape = layer(28, 64, 64);
            let not = plan(&shape, layout, &Options::new().isa(isa));
            assert_eq!(winograd::tile_of(not.kernel_name()), None, "{}", not.kernel_name());
            assert_eq!(not.cost().performed_multiplies, not.cost().multiplies);
            let told = not.why();
            let reason = told.iter().find(|w| w.0.starts_with("winograd") && w.0.ends_with(isa.name())).unwrap();
            assert!(reason.1.contains("allowed") || reason.1.contains("layout"), "{reason:?}");
            let allowed = Options::new().isa(isa).winograd(true);
            let yes = plan(&shape, layout, &allowed);
            assert!(winograd::tile_of(yes.kernel_name()).is_some(), "{}", yes.kernel_name());
            assert_eq!(yes.isa(), isa);
            let cost = yes.cost();
            assert!(2 * cost.performed_multiplies < cost.multiplies, "{cost:?}");
            let grouped = plan(&layer(28, 256, 256).groups(8), layout, &allowed);
            assert!(winograd::tile_of(grouped.kernel_name()).is_some(), "{}", grouped.kernel_name());
            for other in [
                layer(28, 64, 64).stride(2),
                layer(28, 64, 64).dilation(2),
                layer(28, 64, 64).groups(64),
                layer(28, 64, 64).groups(16),
                Conv2dShape::new(1, 28, 28, 64, 64, [1, 1]),
                Conv2dShape::new(1, 28, 28, 64, 64, [3, 1]),
                layer(28, 1, 64),
            ] {
                let name = plan(&other, layout, &allowed).kernel_name();
                assert_eq!(winograd::tile_of(name), None, "{name} for {other:?}");
            }
        }
    }
}

/// Inputs and weights of a case, by position: row, column and channel; output and input channel, row and column.
type Values = (&'static str, fn([usize; 3]) -> f32, fn([usize; 4]) -> f32);

fn sign(n: usize) -> f32 {
    if n.is_multiple_of(2) { 1.0 } else { -1.0 }
}

/// Data on which transforms lose most: sums that are large where the result is small.
const ADVERSARIAL: [Values; 6] = [
    ("ones", |_| 1.0, |_| 1.0),
    ("a checkerboard", |[y, x, _]| 8.0 * sign(y + x), |[_, _, y, x]| sign(y + x) / 3.0),
    (
        "channels that cancel",
        |[y, x, c]| sign(c) * (1.0 + ((y * 7 + x) % 5) as f32 / 7.0),
        |[_, _, y, x]| 1.0 + (y * 3 + x) as f32 / 11.0,
    ),
    (
        "one large pixel",
        |[y, x, _]| if (y % 7, x % 7) == (3, 4) { 3e6 } else { 1.0 / 3.0 },
        |[o, i, y, x]| sign(o + i) + (y + x) as f32 / 9.0,
    ),
    (
        "weights that cancel",
        |[y, x, c]| 1000.0 + (y + 2 * x + c) as f32 / 3.0,
        |[_, _, y, x]| [[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]][y][x] / 3.0,
    ),
    (
        "tiny and huge rows",
        |[y, x, _]| if y % 2 == 0 { 1e-18 * (x as f32 + 0.1) } else { 1e15 / (x as f32 + 3.0) },
        |[_, i, y, x]| sign(y + x + i) * 0.7,
    ),
];

#[test]
fn adversarial_data_stays_within_the_bound() {
    let kernels: Vec<_> = rows().0.into_iter().filter(|k| k.op() == "winograd").collect();
    assert!(!kernels.is_empty());
    // Remainders of 1 to 6 rows and columns.
    let padding = Padding { top: 1, bottom: 1, left: 0, right: 2 };
    let shapes = [
        layer(13, 19, 9),
        layer(16, 5, 17).padding(padding),
        Conv2dShape::new(2, 11, 17, 33, 5, [3, 3]),
        layer(13, 40, 34).groups(2),
    ];
    for row in kernels {
        for shape in shapes {
            for (name, input, weight) in ADVERSARIAL {
                let case = case(shape, row.layout(), 1);
                let mut data = Data::for_kernel(&case, Kind::Reals, Some(row.name()));
                let g = case.input();
                g.each(|[n, y, x, c]| data.input[g.index(n, y, x, c)] = input([y, x, c]));
                let of_group = shape.c_in / shape.groups;
                for (at, w) in data.weights.iter_mut().enumerate() {
                    *w = weight([at / 9 / of_group, at / 9 % of_group, at / 3 % 3, at % 3]);
                }
                let result = data
                    .plan(&case, row.isa(), Some(row.name()))
                    .and_then(|plan| data.run(&case, &plan))
                    .and_then(|output| Expected::new(&case, &data)?.compare(&output));
                result.unwrap_or_else(|e| panic!("{}, {name}, {shape:?}: {e}", row.name()));
            }
        }
    }
}

/// Few random layers have groups of so many channels that it computes them: here all have, with the views, epilogues and parts
/// of other cases.
#[test]
fn groups_are_exact_on_integers_and_within_the_bound_on_reals() {
    for row in rows().0.into_iter().filter(|k| k.op() == "winograd") {
        let result = runner((cases() / 4).max(5)).run(&accepted_cases(row, 60_000), |mut case| {
            let s = &mut case.shape;
            (s.n, s.h, s.w, s.groups) = (s.n.min(2), s.h.min(12), s.w.min(12), 2 + s.c_in % 2);
            (s.c_in, s.c_out) = (s.groups * (16 + s.c_in % 9), s.groups * (16 + s.c_out % 9));
            for kind in [Kind::Integers, Kind::Reals, Kind::Specials] {
                let plan = check(&case, kind, row.isa(), Some(row.name())).map_err(TestCaseError::fail)?;
                assert_eq!((plan.kernel_name(), plan.isa()), (row.name(), row.isa()));
            }
            Ok(())
        });
        result.unwrap_or_else(|e| panic!("{}: {e}", row.name()));
    }
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    for row in rows().0.into_iter().filter(|k| k.op() == "winograd") {
        // Cut by tiles, by output channels, and by groups.
        for shape in [layer(40, 24, 40), layer(12, 40, 200), layer(20, 100, 80).groups(5)] {
            let run = |parts: usize| {
                let case = case(shape, row.layout(), parts);
                let data = Data::for_kernel(&case, Kind::Reals, Some(row.name()));
                let plan = data.plan(&case, row.isa(), Some(row.name())).unwrap();
                (plan.threads(), data.run(&case, &plan).unwrap())
            };
            let (_, want) = run(1);
            for parts in [2, 3, 7] {
                let (threads, got) = run(parts);
                assert!(threads > 1, "{}: {shape:?} is not cut", row.name());
                let same = want.iter().zip(&got).all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same, "{} in {threads} parts, {shape:?}", row.name());
            }
        }
    }
    // The pool of `Data::run` has as many threads as parts; it runs them backwards.
    assert_eq!(lightconv::parallel::Parallel::threads(&Backwards(3)), 3);
}

#[test]
fn the_multiplies_are_those_of_the_points() {
    for (tile, size, points) in [(2, 8, 16 * 16), (4, 8, 12 * 12), (6, 12, 16 * 16), (6, 14, 20 * 20), (4, 14, 22 * 22)]
    {
        for row in registry::kernels().filter(|k| winograd::tile_of(k.name()) == Some(tile) && runs_here(k.isa())) {
            let cost =
                plan(&layer(size, 10, 12), row.layout(), &Options::new().isa(row.isa()).kernel(row.name())).cost();
            let products = points * 10 * 12;
            let transforms = cost.performed_multiplies - products;
            // A few per point and channel, none at all for tiles of 2.
            assert!(transforms <= points * 4 * 22 && (tile > 2) == (transforms > 0), "{} {transforms}", row.name());
        }
    }
}

/// Worst error beside that of the direct form's `sum |x w|`, in units of the roundoff, over data of unit magnitude: what
/// `docs/design.md` states as measured. Run with `--nocapture` to see the figures.
#[test]
fn the_error_on_random_data_is_a_small_multiple_of_the_roundoff() {
    for (tile, most) in [(2, 3.0), (4, 40.0), (6, 80.0)] {
        let mut worst = 0.0f64;
        for row in rows().0.into_iter().filter(|k| winograd::tile_of(k.name()) == Some(tile)) {
            let case = case(layer(24, 64, 8), row.layout(), 1);
            let mut data = Data::for_kernel(&case, Kind::Reals, Some(row.name()));
            let mut random = Random(5);
            let mut fill = |v: &mut Vec<f32>| {
                v.iter_mut().for_each(|v| *v = (random.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0);
            };
            fill(&mut data.input);
            fill(&mut data.weights);
            let plan = data.plan(&case, row.isa(), Some(row.name())).unwrap();
            let output = data.run(&case, &plan).unwrap();
            worst = worst.max(Expected::new(&case, &data).unwrap().worst_error(&output));
        }
        eprintln!("tiles of {tile}: at most {worst:.2} units");
        assert!(worst > 0.0 && worst < most, "tiles of {tile}: {worst} units");
    }
}
