//! The oracle itself: against a formulation that shares nothing with it, against results worked out by hand, and with
//! arguments that are wrong.

use crate::common::strategy::config;
use lightconv::reference;
use lightconv::{Activation, Conv2dShape, Dims, Epilogue, Error, Layout, Padding, Residual, Strides, View, ViewMut};
use proptest::prelude::*;

/// What the elements between strides hold; no operation may touch it.
const GAP: i64 = -7_777_777;

/// Strides with `slack` extra elements between the neighbours of every axis but the innermost.
fn strides(layout: Layout, d: Dims, slack: [usize; 3]) -> Strides {
    match layout {
        Layout::Nhwc => {
            let pixel = d.c + slack[0];
            let row = d.w * pixel + slack[1];
            Strides { channel: 1, pixel, row, image: d.h * row + slack[2] }
        }
        Layout::Nchw => {
            let row = d.w + slack[0];
            let channel = d.h * row + slack[1];
            Strides { pixel: 1, row, channel, image: d.c * channel + slack[2] }
        }
    }
}

/// A tensor of `value(n, y, x, c)` with the given strides, and its slice.
fn filled(d: Dims, s: Strides, offset: usize, value: impl Fn(usize, usize, usize, usize) -> i64) -> Vec<i64> {
    let mut data = vec![GAP; offset + d.n * s.image.max(d.c * s.channel).max(d.h * s.row) + d.c];
    for n in 0..d.n {
        for y in 0..d.h {
            for x in 0..d.w {
                for c in 0..d.c {
                    data[offset + n * s.image + y * s.row + x * s.pixel + c * s.channel] = value(n, y, x, c);
                }
            }
        }
    }
    data
}

/// The convolution turned round: every element of the input is added to the outputs that it takes part in. Output in
/// NHWC.
fn scatter(shape: &Conv2dShape, input: impl Fn([usize; 4]) -> i64, weights: &[i64], bias: &[i64]) -> Vec<i64> {
    let (oh, ow) = shape.check().unwrap();
    let (p, groups) = (shape.padding, shape.groups);
    let (group_in, group_out) = (shape.c_in / groups, shape.c_out / groups);
    let mut out: Vec<i64> = (0..shape.n * oh * ow).flat_map(|_| bias.iter().copied()).collect();
    for n in 0..shape.n {
        for y in 0..shape.h {
            for x in 0..shape.w {
                for c in 0..shape.c_in {
                    let value = input([n, y, x, c]);
                    for (i, &weight) in weights.iter().enumerate() {
                        // OIHW, from the innermost axis outwards.
                        let (kx, rest) = (i % shape.kw, i / shape.kw);
                        let (ky, rest) = (rest % shape.kh, rest / shape.kh);
                        let (ci, co) = (rest % group_in, rest / group_in);
                        let (sy, sx) = (
                            (y + p.top).checked_sub(ky * shape.dilation[0]),
                            (x + p.left).checked_sub(kx * shape.dilation[1]),
                        );
                        let (Some(sy), Some(sx)) = (sy, sx) else { continue };
                        let (oy, ox) = (sy / shape.stride[0], sx / shape.stride[1]);
                        let on_grid = sy % shape.stride[0] == 0 && sx % shape.stride[1] == 0 && oy < oh && ox < ow;
                        if on_grid && c == co / group_out * group_in + ci {
                            out[((n * oh + oy) * ow + ox) * shape.c_out + co] += weight * value;
                        }
                    }
                }
            }
        }
    }
    out
}

fn axis() -> impl Strategy<Value = (usize, usize, usize, usize, usize, usize)> {
    (1..=4usize, 1..=3usize, 1..=3usize, 0..5usize, any::<[prop::sample::Index; 2]>()).prop_map(
        |(k, stride, dilation, extra, pads)| {
            let reach = (k - 1) * dilation;
            let [before, after] = pads.map(|pad| pad.index(reach + 1));
            let len = (reach + 1).saturating_sub(before + after).max(1) + extra;
            (len, k, stride, dilation, before, after)
        },
    )
}

fn shapes() -> impl Strategy<Value = Conv2dShape> {
    (1..3usize, [1..4usize, 1..4, 1..4], axis(), axis()).prop_map(|(n, [g, ci, co], rows, columns)| {
        let (h, kh, sh, dh, top, bottom) = rows;
        let (w, kw, sw, dw, left, right) = columns;
        Conv2dShape::new(n, h, w, g * ci, g * co, [kh, kw])
            .groups(g)
            .stride_hw(sh, sw)
            .dilation_hw(dh, dw)
            .padding(Padding { top, left, bottom, right })
    })
}

fn layouts() -> impl Strategy<Value = Layout> {
    prop_oneof![Just(Layout::Nhwc), Just(Layout::Nchw)]
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn convolution_is_its_scatter(
        shape in shapes(),
        layouts in [layouts(), layouts()],
        slack in any::<[[bool; 3]; 2]>(),
        offsets in [0..3usize, 0..3usize],
        seed in 0..1000i64,
    ) {
        let value = |i: usize| (i as i64 * 37 + seed) % 19 - 9;
        let (oh, ow) = shape.check().unwrap();
        let (d_in, d_out) = (Dims::new(shape.n, shape.h, shape.w, shape.c_in), Dims::new(shape.n, oh, ow, shape.c_out));
        let slack = slack.map(|axes| axes.map(|wide| if wide { 2 } else { 0 }));
        let (s_in, s_out) = (strides(layouts[0], d_in, slack[0]), strides(layouts[1], d_out, slack[1]));
        let element = |[n, y, x, c]: [usize; 4]| value(((n * 5 + y) * 7 + x) * 3 + c);
        let data = filled(d_in, s_in, offsets[0], |n, y, x, c| element([n, y, x, c]));
        let input = View::strided(layouts[0], d_in, s_in, offsets[0], &data).unwrap();
        let weights: Vec<i64> = (0..shape.weight_len().unwrap()).map(|i| value(i + 5)).collect();
        let bias: Vec<i64> = (0..shape.c_out).map(|i| 100 * value(i + 2)).collect();

        let want = scatter(&shape, element, &weights, &bias);
        let want = filled(d_out, s_out, offsets[1], |n, y, x, c| want[((n * oh + y) * ow + x) * shape.c_out + c]);
        let mut found = vec![GAP; want.len()];
        let mut output = ViewMut::strided(layouts[1], d_out, s_out, offsets[1], &mut found).unwrap();
        reference::conv2d(&shape, &input, &weights, Some(&bias), &mut output).unwrap();
        prop_assert_eq!(&found, &want);

        // No bias is a bias of zeros.
        let mut output = ViewMut::strided(layouts[1], d_out, s_out, offsets[1], &mut found).unwrap();
        reference::conv2d(&shape, &input, &weights, None, &mut output).unwrap();
        let zeros = scatter(&shape, element, &weights, &vec![0; shape.c_out]);
        let zeros = filled(d_out, s_out, offsets[1], |n, y, x, c| zeros[((n * oh + y) * ow + x) * shape.c_out + c]);
        prop_assert_eq!(found, zeros);
    }

    /// An average is a depthwise convolution with ones, divided by the same convolution of ones.
    #[test]
    fn average_pool_is_a_convolution_with_ones(shape in shapes()) {
        let c = shape.c_in;
        let shape = Conv2dShape { c_out: c, groups: c, dilation: [1, 1], ..shape };
        prop_assume!(shape.check_pool().is_ok());
        let (oh, ow) = shape.check().unwrap();
        let (d_in, d_out) = (Dims::new(shape.n, shape.h, shape.w, c), Dims::new(shape.n, oh, ow, c));
        let data: Vec<f64> = (0..d_in.elements().unwrap()).map(|i| (i * 31 % 23) as f64 - 11.0).collect();
        let ones = vec![1.0; data.len()];
        let run = |data: &[f64], pool: bool| {
            let mut out = vec![0.0; d_out.elements().unwrap()];
            let input = View::dense(Layout::Nhwc, d_in, data).unwrap();
            let mut output = ViewMut::dense(Layout::Nhwc, d_out, &mut out).unwrap();
            if pool {
                reference::average_pool(&shape, &input, &mut output).unwrap();
            } else {
                let weights = vec![1.0; shape.weight_len().unwrap()];
                reference::conv2d(&shape, &input, &weights, None, &mut output).unwrap();
            }
            out
        };
        let want: Vec<f64> = run(&data, false).iter().zip(run(&ones, false)).map(|(sum, taps)| sum / taps).collect();
        prop_assert_eq!(run(&data, true), want);
    }

    #[test]
    fn two_shuffles_are_none(groups in 1..6usize, per_group in 1..6usize, pixels in 1..4usize, layout in layouts()) {
        let dims = Dims::new(1, 2, pixels, groups * per_group);
        let data: Vec<usize> = (0..dims.elements().unwrap()).collect();
        let (mut once, mut twice) = (vec![0; data.len()], vec![0; data.len()]);
        let input = View::dense(layout, dims, &data).unwrap();
        let mut middle = ViewMut::dense(layout, dims, &mut once).unwrap();
        reference::channel_shuffle(groups, &input, &mut middle).unwrap();
        let mut output = ViewMut::dense(layout, dims, &mut twice).unwrap();
        reference::channel_shuffle(per_group, &middle.as_view(), &mut output).unwrap();
        prop_assert_eq!(data, twice);
    }

    /// Any sizes, right or wrong: an `Err`, or a result; never a panic, and after an `Err` the output is untouched.
    #[test]
    fn wrong_arguments_are_refused(
        shape in shapes(),
        wrong in proptest::array::uniform8(prop_oneof![9 => Just(0usize), 1 => 1..3usize]),
        lengths in [prop_oneof![4 => Just(1usize), 1 => 0..3usize], prop_oneof![4 => Just(1usize), 1 => 0..3usize]],
        groups in 0..7usize,
    ) {
        let (oh, ow) = shape.check().unwrap();
        let d_in = Dims::new(shape.n + wrong[0], shape.h + wrong[1], shape.w + wrong[2], shape.c_in + wrong[3]);
        let d_out = Dims::new(shape.n + wrong[4], oh + wrong[5], ow + wrong[6], shape.c_out + wrong[7]);
        let data = vec![1i64; d_in.elements().unwrap()];
        let input = View::dense(Layout::Nhwc, d_in, &data).unwrap();
        let weights = vec![1; shape.weight_len().unwrap() - 1 + lengths[0]];
        let bias = vec![1; shape.c_out - 1 + lengths[1]];
        let full = vec![1; d_in.c * d_out.c];

        let one_pixel = |d: Dims| (d.h, d.w) == (1, 1);
        let same = d_in == d_out;
        let sized = wrong == [0; 8];
        let pool = sized && shape.check_pool().is_ok();
        let pooled = one_pixel(d_out) && (d_in.n, d_in.c) == (d_out.n, d_out.c);
        let connected = one_pixel(d_in) && one_pixel(d_out) && d_in.n == d_out.n;
        let divides = groups > 0 && d_in.c.is_multiple_of(groups);
        type Operation<'a> = &'a dyn Fn(&mut ViewMut<'_, i64>) -> Result<(), Error>;
        let operations: [(&str, bool, Operation<'_>); 9] = [
            ("conv2d", sized && lengths == [1, 1], &|o| reference::conv2d(&shape, &input, &weights, Some(&bias), o)),
            ("average_pool", pool, &|o| reference::average_pool(&shape, &input, o)),
            ("max_pool", pool, &|o| reference::max_pool(&shape, &input, o)),
            ("global_average_pool", pooled, &|o| reference::global_average_pool(&input, o)),
            ("channel_shuffle", same && divides, &|o| reference::channel_shuffle(groups, &input, o)),
            ("add", same, &|o| reference::add(&input, &input, o)),
            ("multiply", same, &|o| reference::multiply(&input, &input, o)),
            ("scale", same && one_pixel(d_in), &|o| reference::scale(&input, &input, o)),
            ("fully_connected", connected, &|o| reference::fully_connected(&input, &full, None, o)),
        ];
        for (name, right, operation) in operations {
            let mut out = vec![GAP; d_out.elements().unwrap()];
            let found = operation(&mut ViewMut::dense(Layout::Nhwc, d_out, &mut out).unwrap());
            prop_assert_eq!(found.is_ok(), right, "{} {:?}", name, found);
            prop_assert_eq!(out.iter().all(|&v| v == GAP), !right, "{}", name);
        }
    }
}

fn image(h: usize, w: usize, data: &[f32]) -> View<'_> {
    View::dense(Layout::Nchw, Dims::new(1, h, w, 1), data).unwrap()
}

#[test]
fn pools_by_hand() {
    let data = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
    let shape = Conv2dShape::new(1, 3, 3, 1, 1, [3, 3]).stride(2).pad(1);
    let mut out = [0.0; 4];
    let dims = Dims::new(1, 2, 2, 1);
    let run = |f: &dyn Fn(&mut ViewMut<'_>) -> Result<(), Error>, out: &mut [f32]| {
        f(&mut ViewMut::dense(Layout::Nchw, dims, out).unwrap()).unwrap();
    };
    // The corners see 4 of 9 taps and divide by 4.
    run(&|o| reference::average_pool(&shape, &image(3, 3, &data), o), &mut out);
    assert_eq!(out, [3.0, 4.0, 6.0, 7.0]);
    run(&|o| reference::max_pool(&shape, &image(3, 3, &data), o), &mut out);
    assert_eq!(out, [5.0, 6.0, 8.0, 9.0]);
    // Padding is not a zero that wins, and a NaN stays, wherever in the window it is.
    run(&|o| reference::max_pool(&shape, &image(3, 3, &data.map(|v| -v)), o), &mut out);
    assert_eq!(out, [-1.0, -2.0, -4.0, -5.0]);
    for at in [0, 1, 3, 4] {
        let mut holed = data;
        holed[at] = f32::NAN;
        run(&|o| reference::max_pool(&shape, &image(3, 3, &holed), o), &mut out);
        assert!(out[0].is_nan() && out[3].is_nan() == (at == 4), "{at}: {out:?}");
    }
    let mut mean = [0.0];
    let mut one = ViewMut::dense(Layout::Nchw, Dims::new(1, 1, 1, 1), &mut mean).unwrap();
    reference::global_average_pool(&image(3, 3, &data), &mut one).unwrap();
    assert_eq!(mean, [5.0]);
}

#[test]
fn an_average_that_the_type_cannot_divide_is_refused() {
    let data = vec![0i8; 200];
    let input = View::dense(Layout::Nhwc, Dims::new(1, 1, 200, 1), &data).unwrap();
    let mut out = [1i8];
    let mut output = ViewMut::dense(Layout::Nhwc, Dims::new(1, 1, 1, 1), &mut out).unwrap();
    let error = reference::global_average_pool(&input, &mut output).unwrap_err();
    assert_eq!(error.to_string(), "elements of a window is 200, expected a number that the element type can represent");
    let shape = Conv2dShape::new(1, 1, 200, 1, 1, [1, 200]);
    assert_eq!(reference::average_pool(&shape, &input, &mut output), Err(error));
}

#[test]
fn shuffle_by_hand() {
    let (data, mut out) = ([0, 1, 2, 3, 4, 5], [0; 6]);
    let dims = Dims::new(1, 1, 1, 6);
    let input = View::dense(Layout::Nhwc, dims, &data).unwrap();
    let mut output = ViewMut::dense(Layout::Nhwc, dims, &mut out).unwrap();
    reference::channel_shuffle(3, &input, &mut output).unwrap();
    // Groups 01, 23, 45: the first of each, then the second of each.
    assert_eq!(out, [0, 2, 4, 1, 3, 5]);
}

#[test]
fn fully_connected_and_scale_by_hand() {
    let dims = Dims::new(1, 1, 1, 2);
    let input = View::dense(Layout::Nhwc, dims, &[3, 5]).unwrap();
    let mut out = [0; 3];
    let mut output = ViewMut::dense(Layout::Nhwc, Dims::new(1, 1, 1, 3), &mut out).unwrap();
    reference::fully_connected(&input, &[1, 0, 0, 1, 2, 3], Some(&[100, 200, 300]), &mut output).unwrap();
    assert_eq!(out, [103, 205, 321]);

    let dims = Dims::new(1, 1, 2, 2);
    let pixels = View::dense(Layout::Nchw, dims, &[1, 2, 3, 4]).unwrap(); // channel 0: 1 2, channel 1: 3 4
    let mut out = [0; 4];
    reference::scale(&pixels, &input, &mut ViewMut::dense(Layout::Nchw, dims, &mut out).unwrap()).unwrap();
    assert_eq!(out, [3, 6, 15, 20]);
}

#[test]
fn epilogue_by_hand() {
    let sums = [-2.0f32, -0.5, 0.5, 7.0, f32::NAN];
    let other = [1.0f32, 1.0, 1.0, 1.0, 1.0];
    let dims = Dims::new(1, 1, 5, 1);
    let residual = View::dense(Layout::Nhwc, dims, &other).unwrap();
    let run = |epilogue: Epilogue, residual: Option<&View<'_>>| {
        let mut out = sums;
        let result =
            reference::epilogue(&epilogue, residual, &mut ViewMut::dense(Layout::Nhwc, dims, &mut out).unwrap());
        result.map(|()| out)
    };
    let relu6 = Epilogue::activation(Activation::Relu6);
    let (before, after) =
        (relu6.with_residual(Residual::BeforeActivation), relu6.with_residual(Residual::AfterActivation));
    for (epilogue, residual, want) in [
        (Epilogue::NONE, None, [-2.0, -0.5, 0.5, 7.0]),
        (relu6, None, [0.0, 0.0, 0.5, 6.0]),
        (before, Some(&residual), [0.0, 0.5, 1.5, 6.0]),
        (after, Some(&residual), [1.0, 1.0, 1.5, 7.0]),
    ] {
        let out = run(epilogue, residual).unwrap();
        assert_eq!(out[..4], want);
        assert!(out[4].is_nan());
    }

    let error = |result: Result<[f32; 5], Error>| result.unwrap_err().to_string();
    assert!(error(run(relu6, Some(&residual))).starts_with("residual is `some`"));
    assert!(error(run(after, None)).starts_with("residual is `none`"));
    let small = View::dense(Layout::Nhwc, Dims::new(1, 1, 4, 1), &other).unwrap();
    assert_eq!(error(run(before, Some(&small))), "residual columns is 4, expected 5");
    let clamp = Epilogue::activation(Activation::Clamp { lo: 1.0, hi: -1.0 });
    assert!(error(run(clamp, None)).starts_with("clamp hi is -1"));
}
