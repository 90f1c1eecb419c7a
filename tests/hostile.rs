//! Arguments that are wrong: always an `Err` that names the argument, the value and what was expected; never a panic.

use crate::common::strategy::config;
use lightconv::parallel::Serial;
use lightconv::{
    Activation, Conv2dPlan, Conv2dShape, Cost, Dims, Epilogue, Error, Isa, Layout, Options, Padding, Residual, Strides,
    View, ViewMut, registry,
};
use proptest::prelude::*;

/// A depthwise layer that is right in everything; each test breaks one thing.
fn shape() -> Conv2dShape {
    Conv2dShape::new(2, 6, 5, 8, 8, [3, 3]).groups(8).pad(1)
}

const WEIGHTS: [f32; 8 * 9] = [0.5; 8 * 9];
const BIAS: [f32; 8] = [0.25; 8];

fn plan_of(shape: &Conv2dShape, weights: &[f32], bias: Option<&[f32]>) -> Result<Conv2dPlan, Error> {
    Conv2dPlan::new(shape, Layout::Nhwc, weights, bias, Epilogue::NONE, &Options::new())
}

fn plan() -> Conv2dPlan {
    plan_of(&shape(), &WEIGHTS, Some(&BIAS)).unwrap()
}

/// The message holds all of the parts: argument, value, expectation.
#[track_caller]
fn says<T>(result: Result<T, Error>, parts: &[&str]) {
    let message = result.err().expect("an error").to_string();
    for part in parts.iter().chain(&["expected"]) {
        assert!(message.contains(part), "`{message}` does not say `{part}`");
    }
}

#[test]
fn the_example_that_the_others_break_is_right() {
    let plan = plan();
    let (input, mut output) = (vec![1.0; 2 * 6 * 5 * 8], vec![f32::NAN; 2 * 6 * 5 * 8]);
    let dims = Dims::new(2, 6, 5, 8);
    let mut scratch = vec![0.0; plan.scratch_len()];
    let mut out = ViewMut::dense(Layout::Nhwc, dims, &mut output).unwrap();
    plan.run(&View::dense(Layout::Nhwc, dims, &input).unwrap(), &mut out, &mut scratch).unwrap();
    assert_eq!((output[0], output[(5 + 1) * 8]), (2.25, 4.75));
}

#[test]
fn zeros() {
    type Change = fn(&mut Conv2dShape);
    let changes: [(&str, Change); 12] = [
        ("n is 0", |s| s.n = 0),
        ("c_in is 0", |s| s.c_in = 0),
        ("h is 0", |s| s.h = 0),
        ("w is 0", |s| s.w = 0),
        ("c_out is 0", |s| s.c_out = 0),
        ("kh is 0", |s| s.kh = 0),
        ("kw is 0", |s| s.kw = 0),
        ("stride of rows is 0", |s| s.stride[0] = 0),
        ("stride of columns is 0", |s| s.stride[1] = 0),
        ("dilation of rows is 0", |s| s.dilation[0] = 0),
        ("dilation of columns is 0", |s| s.dilation[1] = 0),
        ("groups is 0", |s| s.groups = 0),
    ];
    for (what, change) in changes {
        let mut s = shape();
        change(&mut s);
        says(s.check(), &[what, "at least 1"]);
        says(s.multiplies(), &[what]);
        says(s.weight_len(), &[what]);
        says(Cost::of(&s), &[what]);
        says(plan_of(&s, &WEIGHTS, None), &[what]);
        says(plan_of(&s, &[], None), &[what]);
        assert!(registry::kernels().all(|k| k.refuses(&s).is_some()), "a row takes a shape where {what}");
    }
}

#[test]
fn sizes_beyond_all_memory() {
    type Change = fn(&mut Conv2dShape);
    let changes: [(&str, Change); 14] = [
        ("n", |s| s.n = usize::MAX),
        ("c_in", |s| (s.c_in, s.c_out, s.groups) = (usize::MAX, usize::MAX, 1)),
        ("h", |s| s.h = usize::MAX),
        ("w", |s| s.w = usize::MAX),
        ("w - 1", |s| s.w = usize::MAX - 1),
        ("c_out", |s| s.c_out = usize::MAX - 7),
        ("kh", |s| s.kh = usize::MAX),
        ("kw", |s| s.kw = usize::MAX),
        ("dilation of rows", |s| s.dilation[0] = usize::MAX),
        ("dilation of columns", |s| s.dilation[1] = usize::MAX),
        ("padding.top", |s| s.padding.top = usize::MAX),
        ("padding.right", |s| s.padding.right = usize::MAX),
        ("product", |s| (s.n, s.h, s.w) = (1 << 20, 1 << 22, 1 << 22)),
        ("everything", |s| {
            (s.n, s.c_in, s.h, s.w, s.c_out, s.groups) = (1 << 16, 1 << 16, 1 << 16, 1 << 16, 1 << 16, 1 << 16);
        }),
    ];
    for (what, change) in changes {
        let mut s = shape();
        change(&mut s);
        let error = s.check().expect_err(what);
        says(Err::<(), _>(error), &[]);
        assert_eq!(plan_of(&s, &WEIGHTS, None).unwrap_err(), error, "{what}");
        assert!(Cost::of(&s).is_err() && registry::kernels().all(|k| k.refuses(&s).is_some()), "{what}");
    }
    // A stride that large is a legal way to ask for one output.
    let mut s = shape();
    s.stride = [usize::MAX, usize::MAX];
    assert_eq!(s.check(), Ok((1, 1)));
    assert_eq!(plan_of(&s, &WEIGHTS, None).unwrap().output_dims(), Dims::new(2, 1, 1, 8));
}

#[test]
fn groups_that_do_not_divide() {
    says(plan_of(&shape().groups(3), &WEIGHTS, None), &["c_in is 8", "multiple of 3"]);
    let mut s = shape();
    s.c_out = 9;
    says(plan_of(&s, &WEIGHTS, None), &["c_out is 9", "multiple of 8"]);
    says(plan_of(&shape().groups(usize::MAX), &WEIGHTS, None), &["c_in is 8", &format!("multiple of {}", usize::MAX)]);
}

#[test]
fn padding_beyond_reach_and_kernels_beyond_the_image() {
    let side = |p: Padding| plan_of(&shape().padding(p), &WEIGHTS, None);
    says(side(Padding { top: 3, ..Padding::default() }), &["padding.top is 3", "at most 2"]);
    says(side(Padding { left: 9, ..Padding::default() }), &["padding.left is 9", "at most 2"]);
    says(side(Padding { bottom: 3, ..Padding::default() }), &["padding.bottom is 3", "at most 2"]);
    says(side(Padding { right: 3, ..Padding::default() }), &["padding.right is 3", "at most 2"]);
    says(plan_of(&shape().pad(0).dilation(3), &WEIGHTS, None), &["kh is 3", "at most 2"]);
    says(plan_of(&Conv2dShape::new(1, 9, 2, 1, 1, [1, 3]), &[0.0; 3], None), &["kw is 3", "at most 2"]);
}

#[test]
fn weights_and_bias_of_another_length() {
    for len in [0, 1, 71] {
        says(plan_of(&shape(), &WEIGHTS[..len], None), &["weights length", &len.to_string(), "72"]);
    }
    says(plan_of(&shape(), &[0.0; 73], None), &["weights length is 73", "72"]);
    for len in [0, 7] {
        says(plan_of(&shape(), &WEIGHTS, Some(&BIAS[..len])), &["bias length", &len.to_string(), "8"]);
    }
    says(plan_of(&shape(), &WEIGHTS, Some(&[0.0; 9])), &["bias length is 9", "8"]);
}

#[test]
fn clamps_that_bound_nothing() {
    let plan = |lo, hi| {
        let epilogue = Epilogue::activation(Activation::Clamp { lo, hi });
        Conv2dPlan::new(&shape(), Layout::Nhwc, &WEIGHTS, None, epilogue, &Options::new())
    };
    says(plan(f32::NAN, 1.0), &["clamp lo is NaN", "lo <= hi"]);
    says(plan(0.0, f32::NAN), &["clamp hi is NaN", "lo <= hi"]);
    says(plan(1.0, -1.5), &["clamp hi is -1.5", "lo <= hi"]);
    assert!(plan(f32::NEG_INFINITY, f32::INFINITY).is_ok() && plan(1.0, 1.0).is_ok());
}

#[test]
fn options_that_cannot_be_had() {
    let plan =
        |layout, options: Options<'_>| Conv2dPlan::new(&shape(), layout, &WEIGHTS, None, Epilogue::NONE, &options);
    says(plan(Layout::Nhwc, Options::new().threads(0)), &["threads is 0", "at least 1"]);
    assert!(plan(Layout::Nhwc, Options::new().threads(usize::MAX)).is_ok());
    for name in ["", "dw", "no such kernel", "dw_f32_nhwc_r2p4c8_avx9"] {
        says(plan(Layout::Nhwc, Options::new().kernel(name)), &["kernel", "registry"]);
    }
    let mut absent = 0;
    for isa in Isa::ALL.into_iter().filter(|i| !i.is_available()) {
        says(plan(Layout::Nhwc, Options::new().isa(isa)), &[isa.name()]);
        says(isa.require(), &[isa.name()]);
        absent += 1;
    }
    assert!(absent > 0, "no machine has the tiers of all architectures");
    says(Isa::from_name("sse9"), &["one of"]);
    assert!(Isa::ALL.into_iter().all(|isa| Isa::from_name(isa.name()) == Ok(isa)));
    let (mut above, mut other_layout, mut refused) = (0, 0, 0);
    for row in registry::kernels() {
        let options = Options::new().kernel(row.name());
        let other = if row.layout() == Layout::Nhwc { Layout::Nchw } else { Layout::Nhwc };
        if row.isa() > Isa::Scalar {
            says(plan(row.layout(), options.isa(Isa::Scalar)), &[row.isa().name()]);
            above += 1;
        }
        if row.isa().is_available() {
            says(plan(other, options.isa(row.isa())), &[row.name(), "layout"]);
            other_layout += 1;
            if row.refuses(&shape()).is_some() {
                says(plan(row.layout(), options.isa(row.isa())), &[row.name()]);
                refused += 1;
            }
        }
    }
    assert!(above > 0 && other_layout > 0 && refused > 0);
}

#[test]
fn tensors_of_other_sizes_or_layout() {
    let plan = plan();
    let data = vec![0.0f32; 4096];
    let good = Dims::new(2, 6, 5, 8);
    let attempt = |layout: (Layout, Layout), input: Dims, output: Dims, scratch: usize| {
        let mut out = vec![7.0f32; 4096];
        let mut memory = vec![0.0; scratch];
        let input = View::dense(layout.0, input, &data).unwrap();
        let result = plan.run(&input, &mut ViewMut::dense(layout.1, output, &mut out).unwrap(), &mut memory);
        assert!(result.is_ok() || out.iter().all(|&v| v == 7.0), "something was written before the error");
        result
    };
    let n = Layout::Nhwc;
    let len = plan.scratch_len();
    attempt((n, n), good, good, len).unwrap();
    says(attempt((Layout::Nchw, n), good, good, len), &["input layout", "nchw", "nhwc"]);
    says(attempt((n, Layout::Nchw), good, good, len), &["output layout", "nchw", "nhwc"]);
    for (bad, name, value, want) in [
        (Dims { n: 1, ..good }, "n", "1", "2"),
        (Dims { h: 7, ..good }, "h", "7", "6"),
        (Dims { w: 4, ..good }, "w", "4", "5"),
        (Dims { c: 9, ..good }, "c", "9", "8"),
    ] {
        says(attempt((n, n), bad, good, len), &[&format!("input {name} is {value}"), want]);
        says(attempt((n, n), good, bad, len), &[&format!("output {name} is {value}"), want]);
    }
}

#[test]
fn short_scratch() {
    // Some kernel or other needs scratch; all that do are asked.
    let mut asked = 0;
    for row in registry::kernels().filter(|k| k.isa().is_available()) {
        for s in [
            shape(),
            Conv2dShape::new(1, 9, 9, 3, 40, [3, 3]).pad(1),
            Conv2dShape::new(1, 4, 4, 12, 12, [3, 3]).groups(3).pad(1),
        ] {
            let weights = vec![0.0; s.weight_len().unwrap()];
            let options = Options::new().isa(row.isa()).kernel(row.name()).threads(2);
            let Ok(plan) = Conv2dPlan::new(&s, row.layout(), &weights, None, Epilogue::NONE, &options) else {
                continue;
            };
            if plan.scratch_len() == 0 {
                continue;
            }
            let (data, mut out) = (vec![0.0f32; 4096], vec![0.0f32; 4096]);
            let input = View::dense(row.layout(), plan.input_dims(), &data).unwrap();
            let mut output = ViewMut::dense(row.layout(), plan.output_dims(), &mut out).unwrap();
            for short in [0, plan.scratch_len() - 1] {
                let result = plan.run(&input, &mut output, &mut vec![0.0; short]);
                says(result, &[&format!("scratch length is {short}"), &format!("at least {}", plan.scratch_len())]);
            }
            plan.run(&input, &mut output, &mut vec![0.0; plan.scratch_len()]).unwrap();
            asked += 1;
        }
    }
    assert!(asked > 0, "no kernel needed scratch");
}

#[test]
fn residuals_missing_or_not_expected() {
    let dims = Dims::new(2, 6, 5, 8);
    let data = vec![0.0f32; 4096];
    for (residual, given) in
        [(Residual::None, true), (Residual::BeforeActivation, false), (Residual::AfterActivation, false)]
    {
        let epilogue = Epilogue::NONE.with_residual(residual);
        let plan = Conv2dPlan::new(&shape(), Layout::Nhwc, &WEIGHTS, None, epilogue, &Options::new()).unwrap();
        let mut out = vec![0.0f32; 4096];
        let mut scratch = vec![0.0; plan.scratch_len()];
        let input = View::dense(Layout::Nhwc, dims, &data).unwrap();
        let mut output = ViewMut::dense(Layout::Nhwc, dims, &mut out).unwrap();
        let view = given.then_some(input);
        let result = plan.run_with(&Serial, &input, view.as_ref(), &mut output, &mut scratch);
        says(result, &["residual", if given { "none" } else { "a view" }]);
        if given {
            plan.run(&input, &mut output, &mut scratch).unwrap();
            continue;
        }
        says(plan.run(&input, &mut output, &mut scratch), &["residual is `none`", "a view"]);
        let other = View::dense(Layout::Nhwc, Dims { c: 7, ..dims }, &data).unwrap();
        says(plan.run_with(&Serial, &input, Some(&other), &mut output, &mut scratch), &["residual c is 7", "8"]);
        let other = View::dense(Layout::Nchw, dims, &data).unwrap();
        says(
            plan.run_with(&Serial, &input, Some(&other), &mut output, &mut scratch),
            &["residual layout", "nchw", "nhwc"],
        );
        plan.run_with(&Serial, &input, Some(&input), &mut output, &mut scratch).unwrap();
    }
}

#[test]
fn views_that_overlap_themselves_or_leave_their_slice() {
    let d = Dims::new(2, 3, 4, 5);
    let data = vec![0.0f32; 120];
    let dense = Strides::dense(Layout::Nhwc, d);
    let nhwc = |s: Strides| View::strided(Layout::Nhwc, d, s, 0, &data);
    says(nhwc(Strides { channel: 2, ..dense }), &["channel stride is 2", "1"]);
    says(nhwc(Strides { channel: 0, ..dense }), &["channel stride is 0", "1"]);
    says(nhwc(Strides { pixel: 4, ..dense }), &["pixel stride is 4", "at least 5"]);
    says(nhwc(Strides { row: 19, ..dense }), &["row stride is 19", "at least 20"]);
    says(nhwc(Strides { image: 59, ..dense }), &["image stride is 59", "at least 60"]);
    says(nhwc(Strides { image: 61, ..dense }), &["slice length is 120", "at least 121"]);
    says(nhwc(Strides { image: usize::MAX, ..dense }), &["image stride"]);
    says(nhwc(Strides { row: usize::MAX / 2, ..dense }), &["row stride"]);
    says(View::strided(Layout::Nhwc, d, dense, 1, &data), &["slice length is 120", "at least 121"]);
    says(View::strided(Layout::Nhwc, d, dense, usize::MAX, &data), &["offset", &usize::MAX.to_string()]);
    says(View::dense(Layout::Nhwc, d, &data[..119]), &["slice length is 119", "at least 120"]);
    says(View::dense(Layout::Nchw, d, &data[..0]), &["slice length is 0", "at least 120"]);
    says(View::dense(Layout::Nchw, Dims { h: 0, ..d }, &data), &["h is 0", "at least 1"]);
    says(View::dense(Layout::Nchw, Dims::new(1, usize::MAX, usize::MAX, 1), &data), &[]);
    let planes = Strides::dense(Layout::Nchw, d);
    let mut out = vec![0.0f32; 120];
    let mut nchw = |s: Strides| ViewMut::strided(Layout::Nchw, d, s, 0, &mut out).map(|_| ());
    says(nchw(Strides { pixel: 2, ..planes }), &["pixel stride is 2", "1"]);
    says(nchw(Strides { row: 3, ..planes }), &["row stride is 3", "at least 4"]);
    says(nchw(Strides { channel: 11, ..planes }), &["channel stride is 11", "at least 12"]);
    says(nchw(Strides { image: 12, ..planes }), &["image stride is 12", "at least 60"]);
    let view = View::dense(Layout::Nhwc, d, &data).unwrap();
    says(view.channels(5, 1), &["first channel is 5", "at most 4"]);
    says(view.channels(usize::MAX, 1), &["first channel"]);
    says(view.channels(2, 4), &["channel count is 4", "at most 3"]);
    says(view.channels(2, usize::MAX), &["channel count", "at most 3"]);
    says(view.channels(0, 0), &["channel count is 0", "at least 1"]);
}

/// Mostly small, now and then anything.
fn field() -> impl Strategy<Value = usize> {
    prop_oneof![
        12 => 0..=9usize,
        3 => 0..=300usize,
        1 => any::<u64>().prop_map(|v| v as usize),
        1 => (0..usize::BITS, 0..=2usize).prop_map(|(bit, d)| (1usize << bit).wrapping_add(d).wrapping_sub(1)),
        1 => Just(usize::MAX),
    ]
}

fn any_shape() -> impl Strategy<Value = Conv2dShape> {
    (
        [field(), field(), field(), field(), field(), field(), field()],
        [[field(), field()], [field(), field()]],
        [field(), field(), field(), field()],
    )
        .prop_map(|([n, c_in, h, w, c_out, kh, kw], [stride, dilation], [top, left, bottom, right])| Conv2dShape {
            n,
            c_in,
            h,
            w,
            c_out,
            kh,
            kw,
            stride,
            dilation,
            padding: Padding { top, left, bottom, right },
            groups: 1,
        })
}

proptest! {
    #![proptest_config(config(4000))]

    #[test]
    fn no_shape_panics(mut s in any_shape(), groups in prop_oneof![3 => Just(1usize), 1 => Just(0), 2 => field()], layout in 0..2usize) {
        s.groups = groups;
        // Depthwise, so that such shapes get past the first checks.
        if groups == s.h {
            s.groups = s.c_in;
        }
        let layout = [Layout::Nhwc, Layout::Nchw][layout];
        let checked = s.check();
        let _ = s.multiplies();
        let _ = Cost::of(&s);
        for row in registry::kernels() {
            prop_assert!(checked.is_ok() || row.refuses(&s).is_some(), "{} takes a shape that is not valid", row.name());
        }
        let weight_len = s.weight_len().unwrap_or(0);
        let weights = vec![1.0f32; weight_len.min(1 << 16)];
        for isa in Isa::available() {
            let plan = Conv2dPlan::new(&s, layout, &weights, None, Epilogue::NONE, &Options::new().isa(isa).threads(4));
            match plan {
                Err(e) => prop_assert!(e.to_string().contains("expected"), "{}", e),
                Ok(plan) => {
                    prop_assert!(checked.is_ok() && weight_len == weights.len());
                    prop_assert_eq!(plan.output_dims().h, checked.unwrap().0);
                    // Tensors that do not exist are refused, whatever the plan thinks of their size.
                    let (data, mut out) = ([0.0f32; 1], [0.0f32; 1]);
                    let one = Dims::new(1, 1, 1, 1);
                    let input = View::dense(layout, one, &data).unwrap();
                    let mut output = ViewMut::dense(layout, one, &mut out).unwrap();
                    let result = plan.run(&input, &mut output, &mut []);
                    prop_assert!(result.is_err() || (plan.input_dims() == one && plan.output_dims() == one));
                }
            }
        }
    }

    #[test]
    fn no_view_panics(
        d in [field(), field(), field(), field()],
        s in [field(), field(), field(), field()],
        offset in field(),
        channels in [field(), field()],
        nchw in any::<bool>(),
    ) {
        let layout = if nchw { Layout::Nchw } else { Layout::Nhwc };
        let dims = Dims::new(d[0], d[1], d[2], d[3]);
        let mut strides = Strides { image: s[0], row: s[1], pixel: s[2], channel: s[3] };
        // Else nearly all would fail at the first check.
        if nchw { strides.pixel = 1 } else { strides.channel = 1 }
        let data = vec![1u8; 5000];
        let view = View::strided(layout, dims, strides, offset, &data);
        let dense = View::dense(layout, dims, &data);
        for v in [view, dense].into_iter().flatten() {
            // The corners are inside.
            prop_assert_eq!(v.at(d[0] - 1, d[1] - 1, d[2] - 1, d[3] - 1), 1);
            if let Ok(part) = v.channels(channels[0], channels[1]) {
                prop_assert_eq!(part.at(d[0] - 1, d[1] - 1, d[2] - 1, channels[1] - 1), 1);
            }
        }
        for e in [view.err(), dense.err()].into_iter().flatten() {
            prop_assert!(e.to_string().contains("expected"), "{}", e);
        }
    }
}

/// A plan must not look at each row, pixel or image: their number may be as large as an address allows.
#[test]
fn plans_of_images_as_large_as_memory_are_made_at_once() {
    type Change = fn(&mut Conv2dShape, usize);
    let grow: [(&str, Change); 4] = [
        ("n", |s, by| s.n = by),
        ("h", |s, by| s.h = by),
        ("w", |s, by| s.w = by),
        ("h and w", |s, by| (s.h, s.w) = (1 << (by.ilog2() / 2), 1 << (by.ilog2() / 2))),
    ];
    let s = |i, o, k| Conv2dShape::new(1, 9, 9, i, o, [k, k]).pad(k / 2);
    let small = [
        s(32, 32, 3).groups(32),
        s(32, 32, 3).groups(32).stride(2),
        s(32, 32, 5).groups(32),
        s(16, 32, 1),
        s(3, 8, 3).stride(2),
        s(16, 16, 3),
        s(16, 16, 3).groups(4),
        s(16, 16, 1).groups(2),
        s(8, 16, 3).groups(8),
        Conv2dShape::new(1, 1, 2, 6, 12, [1, 1]).stride(2),
    ];
    let (mut made, mut refused) = (0, 0);
    for (base, (what, grow)) in small.iter().flat_map(|s| grow.map(|g| (s, g))) {
        let weights = vec![1.0; base.weight_len().unwrap()];
        // As much as tensors with that many channels may have, and less.
        for bit in (12..usize::BITS - 8).step_by(4) {
            let mut shape = *base;
            grow(&mut shape, 1 << bit);
            let begun = std::time::Instant::now();
            for (layout, threads) in [(Layout::Nhwc, 1), (Layout::Nchw, 1), (Layout::Nhwc, 4), (Layout::Nchw, 4)] {
                let options = Options::new().threads(threads).winograd(true);
                let plan = Conv2dPlan::new(&shape, layout, &weights, None, Epilogue::NONE, &options);
                assert_eq!(plan.is_ok(), shape.check().is_ok() && shape.multiplies().is_ok(), "{shape:?}");
                *if plan.is_ok() { &mut made } else { &mut refused } += 1;
                for row in registry::kernels().filter(|r| r.isa().is_available() && r.layout() == layout) {
                    let options = options.isa(row.isa()).kernel(row.name());
                    let _ = Conv2dPlan::new(&shape, layout, &weights, None, Epilogue::NONE, &options);
                }
            }
            let time = begun.elapsed();
            assert!(time.as_secs() < 5, "{what} of {shape:?}: {time:?}");
        }
    }
    assert!(made > 100 && refused > 0, "{made} made, {refused} refused");
}

/// Strides and dilations far beyond the image are silly and allowed: one output per axis, most taps in the padding.
#[test]
fn strides_and_dilations_beyond_the_image_are_computed() {
    let far = [1usize << 12, 1 << 20, 1 << (usize::BITS / 2 + 6), 1 << (usize::BITS - 5), usize::MAX / 16];
    let mut ran = 0;
    for (groups, c_in, c_out) in [(1, 3, 5), (4, 4, 4), (4, 4, 8), (2, 8, 8)] {
        for (far, both) in far.into_iter().flat_map(|f| [(f, false), (f, true)]) {
            let near = Conv2dShape::new(1, 2, 3, c_in, c_out, [2, 2]).groups(groups);
            let padding = Padding { top: far, left: if both { far } else { 1 }, bottom: 0, right: 0 };
            let dilated = near.dilation_hw(far, if both { far } else { 1 }).padding(padding);
            let strided = near.stride_hw(far, if both { far } else { 1 });
            for shape in [dilated, strided] {
                for row in registry::kernels().filter(|r| r.isa().is_available() && r.refuses(&shape).is_none()) {
                    check_against_reference(&shape, row.layout(), &Options::new().isa(row.isa()).kernel(row.name()));
                    ran += 1;
                }
                for layout in [Layout::Nhwc, Layout::Nchw] {
                    check_against_reference(&shape, layout, &Options::new());
                }
            }
        }
    }
    assert!(ran > 0, "no kernel takes such shapes");
}

fn check_against_reference(shape: &Conv2dShape, layout: Layout, options: &Options<'_>) {
    let numbers = |n: usize| (0..n).map(|i| (i * 7 % 11) as f32 - 5.0).collect::<Vec<_>>();
    let weights = numbers(shape.weight_len().unwrap());
    let plan = Conv2dPlan::new(shape, layout, &weights, None, Epilogue::NONE, options).unwrap();
    let input = numbers(plan.input_dims().elements().unwrap());
    let input = View::dense(layout, plan.input_dims(), &input).unwrap();
    let (mut output, mut want) = (
        vec![f32::NAN; plan.output_dims().elements().unwrap()],
        vec![f32::NAN; plan.output_dims().elements().unwrap()],
    );
    let mut scratch = vec![f32::NAN; plan.scratch_len()];
    plan.run(&input, &mut ViewMut::dense(layout, plan.output_dims(), &mut output).unwrap(), &mut scratch).unwrap();
    let view = &mut ViewMut::dense(layout, plan.output_dims(), &mut want).unwrap();
    lightconv::reference::conv2d(shape, &input, &weights, None, view).unwrap();
    assert_eq!(output, want, "{shape:?} by {}", plan.kernel_name());
}
