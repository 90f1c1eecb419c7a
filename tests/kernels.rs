//! Every row of the registry against the reference, on every tier that this machine can run.

use crate::common::case::{Case, Placement};
use crate::common::data::{Data, Expected, Kind, check};
use crate::common::rows::{cases, for_each_row, record, record_tiers, rows, runs_here, say, why_not_row};
use crate::common::strategy::{accepted_cases, any_case, runner};
use crate::common::winograd;
use lightconv::registry::{self, Kernel};
use lightconv::{Activation, Conv2dPlan, Conv2dShape, Epilogue, Isa, Layout, Options, Residual, Tuning};
use proptest::test_runner::TestCaseError;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

/// Multiplies per case: what the naive loops of the reference do in about a millisecond.
const BUDGET: u64 = 150_000;

/// Rows for groups of whole vectors of output channels.
const WHOLE_GROUPS: [&str; 4] = [
    "grouped_f32_nhwc_k3s1r1p10g8_avx2",
    "grouped_f32_nhwc_k3s2r1p8g8_avx2",
    "transposed_f32_nchw_k3s1r1p10g8_avx2",
    "transposed_f32_nchw_k3s2r1p8g8_avx2",
];

/// What the cases of a row had in them.
fn traits(case: &Case, row: &Kernel, parts: usize) -> Vec<&'static str> {
    let s = &case.shape;
    let fill = row.lanes() == 1 || WHOLE_GROUPS.contains(&row.name());
    let strided = |p: &Placement| !p.exact || p.before + p.after + p.row_slack + p.outer_slack + p.offset > 0;
    [
        ("channels that do not fill a vector", fill || !s.c_out.is_multiple_of(row.lanes())),
        ("several images", s.n > 1),
        ("strided input", strided(&case.input)),
        ("strided output", strided(&case.output)),
        ("a residual", case.epilogue.residual != Residual::None),
        ("no residual", case.epilogue.residual == Residual::None),
        ("a clamp", matches!(case.epilogue.activation, Activation::Relu6 | Activation::Clamp { .. })),
        ("an exponential", matches!(case.epilogue.activation, Activation::Silu | Activation::Sigmoid)),
        ("a hard activation", matches!(case.epilogue.activation, Activation::HardSwish | Activation::HardSigmoid)),
        ("bias", case.bias),
        ("no bias", !case.bias),
        ("several parts", parts > 1),
    ]
    .into_iter()
    .filter_map(|(name, has)| has.then_some(name))
    .collect()
}

const TRAITS: usize = 12;

fn prove(row: &'static Kernel, kinds: &[Kind], cases: u32) -> Result<u32, String> {
    let ran = Cell::new(0);
    let seen = RefCell::new(BTreeSet::new());
    let result = runner(cases).run(&accepted_cases(row, BUDGET), |case| {
        for &kind in kinds {
            let plan = check(&case, kind, row.isa(), Some(row.name())).map_err(TestCaseError::fail)?;
            if (plan.kernel_name(), plan.isa()) != (row.name(), row.isa()) {
                let (name, isa) = (plan.kernel_name(), plan.isa());
                return Err(TestCaseError::fail(format!("the plan says that its kernel is {name}, tier {isa}")));
            }
            seen.borrow_mut().extend(traits(&case, row, plan.threads()));
        }
        ran.set(ran.get() + 1);
        Ok(())
    });
    result.map_err(|e| e.to_string())?;
    if ran.get() < cases {
        return Err(format!("only {} of {cases} cases ran", ran.get()));
    }
    // With fewer cases it would be no surprise.
    if cases >= 60 && seen.borrow().len() < TRAITS {
        return Err(format!("the {cases} cases had only {:?} in them", seen.borrow()));
    }
    Ok(ran.get())
}

#[test]
fn every_row_is_exact_on_integers_and_within_its_bound_on_reals() {
    let (here, elsewhere) = rows();
    // The rows of this architecture, whether they run here or not: the union over machines must have run them all.
    record(&here.iter().chain(&elsewhere).map(|k| format!("row {} {}", k.name(), k.isa())).collect::<Vec<_>>());
    record_tiers(registry::kernels().map(|k| k.isa()));
    for row in elsewhere {
        say(&format!("not run here: {} ({})", row.name(), why_not_row(row)));
        if runs_here(row.isa()) {
            record(&[format!("left {}", row.name())]);
        }
    }
    for_each_row(|row| {
        let ran = prove(row, &[Kind::Integers, Kind::Reals], cases())?;
        say(&format!("ran: {} ({ran} cases)", row.name()));
        record(&[format!("ran {}", row.name())]);
        Ok(())
    });
}

#[test]
fn nans_and_infinities_pass_through() {
    for_each_row(|row| prove(row, &[Kind::Specials], (cases() / 3).max(5)).map(|_| ()));
}

/// Layers of real size, where blocking over channels and rows sets in.
fn layers() -> Vec<Conv2dShape> {
    let s = |h, w, i, o, k| Conv2dShape::new(1, h, w, i, o, [k, k]);
    vec![
        s(14, 14, 512, 512, 3).groups(512).pad(1),
        s(28, 28, 120, 120, 5).groups(120).stride(2).pad(2),
        s(7, 7, 960, 160, 1),
        s(28, 28, 128, 128, 3).groups(32).pad(1),
        s(28, 28, 240, 60, 1).groups(3),
        s(112, 112, 3, 32, 3).stride(2).pad(1),
        s(14, 14, 128, 136, 3).pad(1),
        s(112, 112, 40, 40, 3).groups(40).stride(2).pad(1),
        s(1, 1, 1024, 1000, 1),
        s(56, 56, 24, 144, 1),
        s(7, 7, 300, 640, 3).pad(1),
        // Rows that do not divide into full tiles.
        s(13, 13, 32, 40, 3).pad(1),
        s(9, 20, 24, 24, 3).stride(2).pad(1),
        s(15, 14, 24, 32, 5).pad(2),
        Conv2dShape::new(1, 17, 17, 32, 40, [1, 7]).pad_hw(0, 3),
        s(14, 28, 40, 33, 5).dilation(2).pad(4),
        s(14, 14, 128, 128, 3).groups(8).pad(1),
        s(61, 57, 9, 9, 5).groups(9).pad(2),
        s(7, 7, 90, 90, 3).groups(90).pad(1),
        s(13, 14, 70, 70, 3).groups(70).stride(2).pad(1),
        s(30, 29, 21, 21, 3).groups(21).pad(1),
        s(45, 83, 11, 11, 3).groups(11).pad(1),
        s(60, 67, 8, 8, 3).groups(8).dilation(3).pad(3),
        s(50, 52, 5, 5, 7).groups(5).pad(3),
        // Last panels whose pixels share vectors: in rows, where pointers say, in lines.
        s(11, 13, 20, 20, 3).pad(1),
        s(12, 15, 17, 23, 3).dilation(2).pad(2),
        s(14, 28, 18, 36, 3).pad(1),
        s(21, 9, 13, 50, 1).stride(2),
        s(21, 9, 13, 24, 1).stride(2),
        s(17, 9, 30, 39, 1),
        s(17, 9, 30, 35, 1),
        // Taps far beyond the image.
        s(5, 7, 9, 9, 3).groups(9).dilation(usize::MAX / 64).pad(usize::MAX / 64),
        // Rows of more tiles, and more blocks, than are kept in a list.
        s(40, 300, 3, 3, 3).groups(3).dilation(18).pad(18),
        s(150, 33, 17, 17, 3).groups(17).pad_hw(0, 2),
        // Several chunks of groups where layers go by way of channels last, the last one larger.
        s(14, 14, 300, 300, 7).groups(300).pad(3),
        s(20, 20, 168, 84, 3).groups(21).stride(2).pad(1),
        s(13, 26, 264, 264, 3).groups(11).pad(1),
        Conv2dShape::new_1d(1, 3000, 80, 96, 5).stride_hw(1, 2).pad_hw(0, 2),
    ]
}

/// In NCHW, maps of a power of two, where the channels of a pixel share few sets of the first cache; and those that begin anywhere in a line
/// of it, with many output channels.
#[test]
fn channels_that_crowd_in_a_cache_or_lie_askew_are_exact() {
    let here = rows().0;
    // Pixels, elements between channels, channels in and out, groups.
    let layers = [
        (32, 32, 0, 48, 52, 1),
        (16, 48, 0, 32, 100, 2),
        (30, 31, 94, 33, 20, 1),
        (19, 13, 9, 40, 110, 2),
        (64, 64, 0, 5, 7, 1),
        (8, 97, 248, 9, 13, 1),
        (9, 13, 0, 40, 130, 1),
        (17, 11, 2, 64, 250, 2),
    ];
    for (h, w, outer_slack, c_in, c_out, groups) in layers {
        let shape = Conv2dShape::new(1, h, w, c_in, c_out, [1, 1]).groups(groups);
        let dense = Placement { exact: true, ..Placement::default() };
        let apart = Placement { exact: true, outer_slack, ..Placement::default() };
        let epilogue = Epilogue::activation(Activation::HardSwish).with_residual(Residual::AfterActivation);
        for (parts, output) in [(1, apart), (3, dense)] {
            let (layout, input, residual) = (Layout::Nchw, apart, dense);
            let case = Case { shape, layout, epilogue, bias: true, input, output, residual, parts, seed: 11 };
            let mut ran = 0;
            for row in here.iter().filter(|k| k.layout() == layout && k.refuses(&shape).is_none()) {
                check(&case, Kind::Integers, row.isa(), Some(row.name()))
                    .unwrap_or_else(|e| panic!("{shape:?}, {parts} parts, {}: {e}", row.name()));
                ran += 1;
            }
            assert!(ran > 0, "no row ran {shape:?}");
        }
    }
}

#[test]
fn layers_of_real_size_are_exact() {
    let here = rows().0;
    let layers = layers();
    // The naive reference takes seconds on these under an emulator.
    let some = if cases() < 60 { 5 } else { layers.len() };
    let epilogue = Epilogue::activation(Activation::HardSwish).with_residual(Residual::AfterActivation);
    for shape in &layers[..some] {
        for layout in [Layout::Nhwc, Layout::Nchw] {
            let case = Case { epilogue, parts: 3, ..Case::dense(*shape, layout) };
            let data = Data::new(&case, Kind::Integers);
            let expected = Expected::new(&case, &data).unwrap();
            let takers: Vec<_> = here.iter().filter(|k| k.layout() == layout && k.refuses(shape).is_none()).collect();
            for row in &takers {
                if winograd::tile_of(row.name()).is_some() {
                    // Exact with data of their own, or within their bound.
                    check(&case, Kind::Integers, row.isa(), Some(row.name()))
                        .unwrap_or_else(|e| panic!("{shape:?}: {e}"));
                    continue;
                }
                let result = data
                    .plan(&case, row.isa(), Some(row.name()))
                    .and_then(|plan| data.run(&case, &plan))
                    .and_then(|output| expected.compare(&output));
                result.unwrap_or_else(|e| panic!("{}, {shape:?}: {e}", row.name()));
            }
            for isa in Isa::available().filter(|&i| runs_here(i)) {
                assert!(takers.iter().any(|k| k.isa() == isa), "no row of {isa} and {layout:?} takes {shape:?}");
            }
        }
    }
}

#[test]
fn every_shape_has_a_kernel_on_every_tier_and_the_choice_is_explained() {
    let all: BTreeSet<_> = registry::kernels().map(|k| k.name()).collect();
    assert_eq!(all.len(), registry::kernels().count(), "names of kernels are unique");
    for isa in Isa::available().filter(|&i| runs_here(i)) {
        for layout in [Layout::Nhwc, Layout::Nchw] {
            let strategy = any_case(layout, 8, BUDGET);
            let result = runner(cases()).run(&strategy, |case| {
                let plan = check(&case, Kind::Integers, isa, None).map_err(TestCaseError::fail)?;
                let fail = |what: String| Err(TestCaseError::fail(what));
                if plan.isa() > isa || plan.layout() != layout || plan.shape() != &case.shape {
                    return fail(format!("the plan is for {}, {:?}, {:?}", plan.isa(), plan.layout(), plan.shape()));
                }
                let mut told: BTreeSet<_> = plan.why().iter().map(|w| w.0).collect();
                if let Some((name, _)) = plan.why().iter().find(|w| w.1.trim().is_empty()) {
                    return fail(format!("no reason is given for {name}"));
                }
                if told.contains(plan.kernel_name()) {
                    return fail(format!("{} is both chosen and refused", plan.kernel_name()));
                }
                told.insert(plan.kernel_name());
                if told != all {
                    return fail(format!("nothing is said of {:?}", all.difference(&told).collect::<Vec<_>>()));
                }
                Ok(())
            });
            result.unwrap_or_else(|e| panic!("{isa}, {layout:?}: {e}"));
        }
    }
}

/// Kernels that copy planes or take strips of an image sum in another order than the others, and strips of an image must give the
/// bits of the whole: one that takes a shape takes it whatever its height.
#[cfg(target_arch = "x86_64")]
#[test]
fn how_planes_are_read_does_not_depend_on_the_height() {
    let mut found = BTreeSet::new();
    for isa in Isa::available().filter(|&i| runs_here(i)) {
        for (k, kw, stride) in [(3, 3, 1), (3, 3, 2), (3, 1, 1), (5, 5, 1), (5, 5, 2), (5, 9, 1), (7, 7, 1)] {
            for (dilation, w, c) in
                [1, 2, 3, 8, 20, 64].iter().flat_map(|d| [1, 5, 8, 9, 20, 57, 300].map(|w| (*d, w, 8 + w % 3)))
            {
                let kernels = [1, 2, 3, 7, 30, 100].map(|h| {
                    let shape = Conv2dShape::new(1, h, w, c, c, [k, kw]).groups(c).stride(stride).dilation(dilation);
                    let shape = shape.pad_hw(k / 2 * dilation, kw / 2 * dilation);
                    let weights = vec![1.0; shape.weight_len().unwrap()];
                    let options = Options::new().isa(isa);
                    let plan = Conv2dPlan::new(&shape, Layout::Nchw, &weights, None, Epilogue::NONE, &options).unwrap();
                    let name = plan.kernel_name();
                    ["dwpadded", "dwmasked", "dwstrip"].into_iter().find(|op| name.starts_with(op))
                });
                assert_eq!(
                    kernels, [kernels[0]; 6],
                    "{isa}, {k}x{kw}, {stride}, {dilation}, {c} channels of {w} columns"
                );
                found.extend(kernels[0]);
            }
        }
    }
    // Masks are for cores of one kind.
    found.remove("dwmasked");
    let expected = if runs_here(Isa::Avx2) && Isa::Avx2.is_available() { 2 } else { 0 };
    assert_eq!(found.len(), expected, "{found:?}");
}

#[test]
fn rows_for_one_kind_of_cores_are_chosen_for_it_alone() {
    let choose = |shape: &Conv2dShape, layout, options: &Options<'_>| {
        let weights = vec![0.5; shape.weight_len().unwrap()];
        let plan = Conv2dPlan::new(shape, layout, &weights, None, Epilogue::NONE, options).unwrap();
        registry::kernels().find(|k| k.name() == plan.kernel_name()).unwrap()
    };
    // `layers` has one of stride 2.
    let depthwise_5x5 = Conv2dShape::new(1, 28, 28, 120, 120, [5, 5]).groups(120).pad(2);
    for isa in Isa::available().filter(|&i| runs_here(i)) {
        for layout in [Layout::Nhwc, Layout::Nchw] {
            let options = Options::new().isa(isa);
            let mut chosen = BTreeSet::new();
            for shape in layers().into_iter().chain([depthwise_5x5]) {
                let usual = choose(&shape, layout, &options);
                assert_eq!(usual.tuning(), None, "{shape:?}");
                for tuning in Tuning::ALL {
                    let row = choose(&shape, layout, &options.tuning(tuning));
                    assert!(row.tuning().is_none_or(|own| own == tuning), "{} for {}", row.name(), tuning.name());
                    assert!(row.tuning().is_some() || row.name() == usual.name(), "{} for {shape:?}", row.name());
                    chosen.extend(row.tuning().map(|_| row.name()));
                }
            }
            let own = registry::kernels().filter(|k| k.isa() == isa && k.layout() == layout && k.tuning().is_some());
            assert_eq!(chosen, own.map(|k| k.name()).collect());
        }
    }
}
