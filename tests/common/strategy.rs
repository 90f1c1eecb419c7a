//! Random cases: shapes with awkward remainders, uneven padding, strided views, every epilogue.

use super::case::{Case, Placement};
use lightconv::registry::Kernel;
use lightconv::{Activation, Conv2dShape, Epilogue, Layout, Padding, Residual};
use proptest::prelude::*;
use proptest::strategy::{Union, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestRunner};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// This many cases. The seed is fixed, so that a failure in one place can be seen in another; set `PROPTEST_RNG_SEED` for
/// others.
pub fn config(cases: u32) -> Config {
    let mut config = Config {
        cases,
        failure_persistence: None,
        max_global_rejects: 1 << 20,
        max_local_rejects: 1 << 20,
        ..Config::default()
    };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(0x6c69_6768_7463_6f6e);
    }
    config
}

/// A runner with this many cases.
pub fn runner(cases: u32) -> TestRunner {
    TestRunner::new(config(cases))
}

/// Kinds of convolution, as light networks use them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    Standard,
    Pointwise,
    Depthwise,
    Multiplier,
    Grouped,
    GroupedPointwise,
    SmallGroups,
    FirstLayer,
    OneRow,
    OnePixel,
}

pub const FAMILIES: [Family; 10] = [
    Family::Standard,
    Family::Pointwise,
    Family::Depthwise,
    Family::Multiplier,
    Family::Grouped,
    Family::GroupedPointwise,
    Family::SmallGroups,
    Family::FirstLayer,
    Family::OneRow,
    Family::OnePixel,
];

/// Channel counts: few, any, and one around every multiple of the vector.
fn channels(lanes: usize) -> impl Strategy<Value = usize> + Clone {
    let blocks = (72 / lanes).max(2);
    prop_oneof![
        2 => 1..=9usize,
        2 => 1..=70usize,
        3 => (1..=blocks, 0..=2usize).prop_map(move |(k, d)| (k * lanes + d).saturating_sub(1).max(1)),
    ]
}

/// Channels in, channels out and groups.
fn channel_counts(family: Family, lanes: usize) -> BoxedStrategy<(usize, usize, usize)> {
    let c = channels(lanes);
    match family {
        Family::Standard | Family::Pointwise | Family::OneRow => (c.clone(), c).prop_map(|(i, o)| (i, o, 1)).boxed(),
        Family::FirstLayer => (prop_oneof![2 => Just(3usize), 3 => 1..=4usize], c).prop_map(|(i, o)| (i, o, 1)).boxed(),
        Family::OnePixel => {
            (prop_oneof![c.clone(), 1..=300usize], prop_oneof![c, 1..=300usize]).prop_map(|(i, o)| (i, o, 1)).boxed()
        }
        Family::Depthwise => c.prop_map(|c| (c, c, c)).boxed(),
        Family::Multiplier => (c, 2..=4usize).prop_map(|(c, m)| (c, c * m, c)).boxed(),
        Family::Grouped | Family::GroupedPointwise => {
            (2..=8usize, 1..=24usize, 1..=24usize).prop_map(|(g, i, o)| (g * i, g * o, g)).boxed()
        }
        Family::SmallGroups => {
            let small = prop_oneof![3 => Just(4usize), 2 => Just(2usize), 1 => Just(8usize), 2 => 1..=8usize];
            (1..=20usize, small.clone(), small, any::<bool>())
                .prop_map(|(g, i, o, same)| (g * i, g * if same { i } else { o }, g))
                .boxed()
        }
    }
}

fn kernel_size(family: Family) -> BoxedStrategy<[usize; 2]> {
    match family {
        Family::Pointwise | Family::GroupedPointwise | Family::OnePixel => Just([1, 1]).boxed(),
        Family::OneRow => (1..=9usize).prop_map(|k| [1, k]).boxed(),
        Family::Depthwise => prop_oneof![
            6 => Just([3, 3]),
            4 => Just([5, 5]),
            1 => Just([7, 7]),
            3 => [1..=7usize, 1..=7usize],
            4 => (1..=11usize, 1..=5usize).prop_map(|(rows, k)| [rows, 2 * k + 1]),
        ]
        .boxed(),
        _ => prop_oneof![
            6 => Just([3, 3]),
            4 => Just([5, 5]),
            1 => Just([7, 7]),
            1 => Just([1, 1]),
            3 => [1..=7usize, 1..=7usize],
        ]
        .boxed(),
    }
}

/// Rows and columns.
fn map_size(family: Family) -> BoxedStrategy<[usize; 2]> {
    if family == Family::OneRow {
        return (1..=150usize).prop_map(|w| [1, w]).boxed();
    }
    if family == Family::OnePixel {
        return Just([1, 1]).boxed();
    }
    prop_oneof![
        8 => [1..=20usize, 1..=20usize],
        2 => [1..=4usize, 21..=140usize],
        1 => [21..=60usize, 1..=4usize],
        // Blocks of several rows of several tiles.
        u32::from(family == Family::Depthwise) => [5..=16usize, 17..=100usize],
    ]
    .boxed()
}

/// A valid shape with at most about `budget` multiplies.
pub fn shape(family: Family, lanes: usize, budget: u64) -> impl Strategy<Value = Conv2dShape> {
    // A stride of four is one of first layers.
    let four = u32::from(family == Family::FirstLayer);
    let three = u32::from(family == Family::Depthwise);
    let strides = prop_oneof![
        4 => Just([1usize, 1]),
        3 => Just([2, 2]),
        three => Just([3, 3]),
        3 * four => Just([4, 4]),
        2 => [1..=3usize, 1..=3usize],
    ];
    let dilations = prop_oneof![6 => Just([1usize, 1]), 1 => Just([2, 2]), 2 => [1..=3usize, 1..=3usize]];
    let pads = prop_oneof![
        2 => Just(None), // as much as keeps the size
        1 => Just(Some([0usize; 4])),
        3 => [0..=18usize, 0..=18usize, 0..=18usize, 0..=18usize].prop_map(Some),
    ];
    let counts = channel_counts(family, lanes);
    (1..=3usize, counts, kernel_size(family), map_size(family), strides, dilations, pads).prop_map(
        move |(n, (c_in, c_out, groups), [kh, kw], [h, w], [sh, sw], [dh, dw], pads)| {
            let reach = [(kh - 1) * dh, (kw - 1) * dw];
            let [top, bottom, left, right] = match pads {
                None => [reach[0] / 2, reach[0].div_ceil(2), reach[1] / 2, reach[1].div_ceil(2)],
                Some([a, b, c, d]) => [a.min(reach[0]), b.min(reach[0]), c.min(reach[1]), d.min(reach[1])],
            };
            let least = [
                (reach[0] + 1).saturating_sub(top + bottom).max(1),
                (reach[1] + 1).saturating_sub(left + right).max(1),
            ];
            let mut s = Conv2dShape::new(n, h.max(least[0]), w.max(least[1]), c_in, c_out, [kh, kw])
                .groups(groups)
                .stride_hw(sh, sw)
                .dilation_hw(dh, dw)
                .padding(Padding { top, bottom, left, right });
            while s.multiplies().expect("a valid shape") > budget {
                if s.n > 1 {
                    s.n = 1;
                } else if s.h > least[0] || s.w > least[1] {
                    s.h = (s.h * 2 / 3).max(least[0]);
                    s.w = (s.w * 4 / 5).max(least[1]);
                } else if s.c_out > s.groups {
                    s.c_out = s.c_out / s.groups / 2 * s.groups;
                    s.c_out = s.c_out.max(s.groups);
                } else {
                    break;
                }
            }
            s
        },
    )
}

fn activation() -> impl Strategy<Value = Activation> {
    prop_oneof![
        2 => Just(Activation::None),
        2 => Just(Activation::Relu),
        2 => Just(Activation::Relu6),
        1 => Just(Activation::Clamp { lo: -2.5, hi: 3.75 }),
        1 => Just(Activation::Clamp { lo: 1.0, hi: f32::INFINITY }),
        2 => Just(Activation::HardSwish),
        1 => Just(Activation::HardSigmoid),
        2 => Just(Activation::Silu),
        1 => Just(Activation::Sigmoid),
    ]
}

fn residual() -> impl Strategy<Value = Residual> {
    prop_oneof![
        2 => Just(Residual::None),
        1 => Just(Residual::BeforeActivation),
        1 => Just(Residual::AfterActivation),
    ]
}

pub fn placement() -> impl Strategy<Value = Placement> {
    let dense = Placement { exact: true, ..Placement::default() };
    let some = (0..=5usize, 0..=5usize, 0..=7usize, 0..=9usize, 0..=5usize, any::<bool>()).prop_map(
        |(before, after, row_slack, outer_slack, offset, exact)| Placement {
            before,
            after,
            row_slack,
            outer_slack,
            offset,
            exact,
            lone_stride: None,
        },
    );
    prop_oneof![
        4 => Just(dense),
        6 => some,
        1 => Just(Placement { lone_stride: Some(0), ..dense }),
        1 => Just(Placement { lone_stride: Some(usize::MAX), ..dense }),
    ]
}

/// Shapes of a few units of work, and now and then one that is worth cutting into parts.
fn shapes(family: Family, lanes: usize, budget: u64) -> impl Strategy<Value = Conv2dShape> {
    let large = shape(family, lanes, 6 * budget).prop_map(move |mut s| {
        let work = |s: &Conv2dShape| s.multiplies().expect("a valid shape");
        while family == Family::OnePixel && work(&s) < 3 * budget && s.c_in < 4000 {
            s.c_in += 1 + s.c_in / 2;
        }
        while family != Family::OnePixel && work(&s) < 3 * budget && s.w < 200 {
            s.w += 1 + s.w / 2;
            if s.kh > 1 || s.h > 1 {
                s.h += s.h / 2;
            }
        }
        s
    });
    prop_oneof![5 => shape(family, lanes, budget), 1 => large]
}

/// A case of these shapes.
fn case_of(shapes: impl Strategy<Value = Conv2dShape>, layout: Layout) -> impl Strategy<Value = Case> {
    let epilogue = (activation(), residual()).prop_map(|(a, r)| Epilogue::activation(a).with_residual(r));
    let places = (placement(), placement(), placement());
    (shapes, epilogue, any::<bool>(), places, 1..=4usize, any::<u64>()).prop_map(
        move |(shape, epilogue, bias, (input, output, residual), parts, seed)| Case {
            shape,
            layout,
            epilogue,
            bias,
            input,
            output,
            residual,
            parts,
            seed,
        },
    )
}

/// Cases of any family.
pub fn any_case(layout: Layout, lanes: usize, budget: u64) -> BoxedStrategy<Case> {
    case_of(Union::new(FAMILIES.map(|f| shapes(f, lanes, budget).boxed())), layout).boxed()
}

/// Shapes of a family, to see how many of them a row accepts.
fn probes(family: Family, lanes: usize, budget: u64) -> Arc<[Conv2dShape]> {
    type Made = BTreeMap<(Family, usize, u64), Arc<[Conv2dShape]>>;
    // They are the same for all rows, and drawing them takes longer than asking a row.
    static MADE: Mutex<Made> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(|e| e.into_inner());
    let draw = || {
        let strategy = shape(family, lanes, budget);
        let mut probe = runner(1);
        (0..400).map(|_| strategy.new_tree(&mut probe).expect("no filters").current()).collect()
    };
    made.entry((family, lanes, budget)).or_insert_with(draw).clone()
}

/// Cases that a row accepts: families as often as it accepts their shapes.
///
/// # Panics
/// A row that accepts nothing: it is dead, or the families above are too few.
pub fn accepted_cases(row: &'static Kernel, budget: u64) -> BoxedStrategy<Case> {
    let accepts = move |s: &Conv2dShape| row.refuses(s).is_none();
    let weighted = |family| {
        let accepted = probes(family, row.lanes(), budget).iter().filter(|s| accepts(s)).count();
        // Of shapes, which are drawn anew until one is accepted, not of whole cases.
        let shapes = shapes(family, row.lanes(), budget).prop_filter("refused by the row", accepts);
        (accepted > 0).then(|| (accepted as u32, shapes.boxed()))
    };
    let families: Vec<_> = FAMILIES.into_iter().filter_map(weighted).collect();
    assert!(!families.is_empty(), "{} accepts no shape of any family", row.name());
    case_of(Union::new_weighted(families), row.layout()).boxed()
}
