//! Runs one block a given number of times between two marker instructions, for instruction counters, as `count_layer` does
//! one layer.
//!
//! `count_block 'inverted h56 c24 e144 o24 k3 s1 nhwc' 10`
//!
//! The first word is `separable`, `inverted`, `ghost`, `shuffle1` (three groups) or `shuffle2`; then `h` rows and columns, `c`
//! input channels, `e` channels between, `o` output channels, `k` kernel of the depthwise part, `s` stride, `nhwc` or
//! `nchw`. What does not apply is ignored; what is left out is 1, the kernel 3, layout `nhwc`. With `unfused` whole tensors stand
//! between the block's operations; with `separate` there is no block, but a plan for each operation, shuffles among them,
//! and copies where channels are concatenated.

#[path = "common/markers.rs"]
mod markers;
#[path = "common/separate.rs"]
mod separate;

use lightconv::block::*;
use lightconv::{Activation, Conv2dShape, Dims, Error, Layout, Options, Residual, View, ViewMut};
use markers::{fill, start_marker, stop_marker};
use separate::Separate;
use std::hint::black_box;

/// Runs a plan, and tells its multiplies.
macro_rules! count {
    ($plan:expr, $layout:expr, $iterations:expr) => {{
        let plan = $plan;
        let input = fill(plan.input_dims().elements()?);
        let mut output = vec![0.0; plan.output_dims().elements()?];
        let mut scratch = vec![0.0; plan.scratch_len()];
        let input = View::dense($layout, plan.input_dims(), &input)?;
        let mut output = ViewMut::dense($layout, plan.output_dims(), &mut output)?;
        start_marker();
        for _ in 0..$iterations {
            plan.run(black_box(&input), black_box(&mut output), &mut scratch)?;
        }
        stop_marker();
        println!("{} {}", plan.cost().multiplies, output.as_view().at(0, 0, 0, 0));
    }};
}

/// The same with plans of single operations.
macro_rules! count_separate {
    ($shape:expr, $layout:expr, $iterations:expr, |$all:ident, $input:ident, $output:ident| $steps:block) => {{
        let mut $all = Separate::new($layout, $shape.input_dims(), $shape.output_dims())?;
        let ($input, $output) = ((0, 0, $shape.input_dims().c), (1, 0, $shape.output_dims().c));
        $steps
        start_marker();
        for _ in 0..$iterations {
            black_box(&mut $all).run()?;
        }
        stop_marker();
        println!("{} {}", $shape.cost()?.multiplies, $all.first());
    }};
}

/// What a convolution computes from an image.
fn output_of(s: &Conv2dShape) -> Result<Dims, Error> {
    let (h, w) = s.check()?;
    Ok(Dims::new(s.n, h, w, s.c_out))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [spec, iterations] = arguments.as_slice() else {
        return Err("usage: count_block BLOCK ITERATIONS".into());
    };
    let iterations: u32 = iterations.parse()?;
    let mut words = spec.split_whitespace();
    let kind = words.next().ok_or("a block is missing")?;
    let (mut h, mut c, mut e, mut o, mut k, mut s) = (1, 1, 1, 1, 3, 1);
    let (mut layout, mut options, mut separate) = (Layout::Nhwc, Options::new(), false);
    for word in words {
        match word {
            "nhwc" => layout = Layout::Nhwc,
            "nchw" => layout = Layout::Nchw,
            "unfused" => options = options.fused(false),
            "separate" => separate = true,
            _ => {
                let (key, value) = word.split_at_checked(1).ok_or("an empty word")?;
                let value: usize = value.parse().map_err(|_| format!("`{word}` is no part of a block"))?;
                match key {
                    "h" => h = value,
                    "c" => c = value,
                    "e" => e = value,
                    "o" => o = value,
                    "k" => k = value,
                    "s" => s = value,
                    _ => return Err(format!("`{word}` is no part of a block").into()),
                }
            }
        }
    }
    let (input, relu) = (Dims::new(1, h, h, c), Activation::Relu);
    let weights = |s: Conv2dShape| -> Result<Vec<f32>, Error> { Ok(fill(s.weight_len()?)) };
    match kind {
        "separable" => {
            let shape = SeparableShape::new(input, o, k, s, relu)?;
            let [(a, _), (b, _)] = shape.convolutions();
            let (a, b) = (weights(a)?, weights(b)?);
            if separate {
                let [(first, after), (second, last)] = shape.convolutions();
                count_separate!(shape, layout, iterations, |all, input, output| {
                    let between = all.tensor(output_of(&first)?)?;
                    all.conv((first, &a), after, input, None, between)?;
                    all.conv((second, &b), last, between, None, output)?;
                });
                return Ok(());
            }
            let w = SeparableWeights { depthwise: Filter::new(&a), pointwise: Filter::new(&b) };
            count!(SeparablePlan::new(&shape, layout, &w, &options)?, layout, iterations);
        }
        "inverted" => {
            let shape = InvertedResidualShape::new(input, e, o, k, s, Activation::Relu6)?;
            let (d, p) = (weights(shape.depthwise())?, weights(shape.project())?);
            let e = shape.expand().map(weights).transpose()?;
            if separate {
                count_separate!(shape, layout, iterations, |all, input, output| {
                    let mut wide = input;
                    if let (Some(expand), Some(e)) = (shape.expand(), &e) {
                        wide = all.tensor(output_of(&expand)?)?;
                        all.conv((expand, e), shape.activation(), input, None, wide)?;
                    }
                    let filtered = all.tensor(output_of(&shape.depthwise())?)?;
                    all.conv((shape.depthwise(), &d), shape.activation(), wide, None, filtered)?;
                    let residual = shape.has_residual().then_some((input, Residual::AfterActivation));
                    all.conv((shape.project(), &p), Activation::None, filtered, residual, output)?;
                });
                return Ok(());
            }
            let w = InvertedResidualWeights {
                expand: e.as_deref().map(Filter::new),
                depthwise: Filter::new(&d),
                squeeze_excite: None,
                project: Filter::new(&p),
            };
            count!(InvertedResidualPlan::new(&shape, layout, &w, &options)?, layout, iterations);
        }
        "ghost" => {
            let shape = GhostShape::new(input, o, 2, 1, k, s, relu)?;
            let [a, b] = shape.convolutions();
            let (a, b) = (weights(a)?, weights(b)?);
            if separate {
                // What the filters read and what they write cannot be borrowed from one tensor.
                let [primary, cheap] = shape.convolutions();
                count_separate!(shape, layout, iterations, |all, input, output| {
                    let first = all.tensor(output_of(&primary)?)?;
                    all.conv((primary, &a), relu, input, None, first)?;
                    all.conv(
                        (cheap, &b),
                        relu,
                        (first.0, 0, cheap.c_in),
                        None,
                        (output.0, primary.c_out, cheap.c_out),
                    )?;
                    all.copy(first, (output.0, 0, primary.c_out));
                });
                return Ok(());
            }
            let w = GhostWeights { primary: Filter::new(&a), cheap: Filter::new(&b) };
            count!(GhostPlan::new(&shape, layout, &w, &options)?, layout, iterations);
        }
        "shuffle1" => {
            let shape = ShuffleV1Shape::basic(input, c / 4, 3, relu)?;
            let [a, b, c] = shape.convolutions();
            let (a, b, c) = (weights(a)?, weights(b)?, weights(c)?);
            if separate {
                let [reduce, depthwise, expand] = shape.convolutions();
                count_separate!(shape, layout, iterations, |all, input, output| {
                    let dims = output_of(&reduce)?;
                    let (x, y, z) = (all.tensor(dims)?, all.tensor(dims)?, all.tensor(dims)?);
                    all.conv((reduce, &a), relu, input, None, x)?;
                    all.shuffle(3, x, y)?;
                    all.conv((depthwise, &b), Activation::None, y, None, z)?;
                    all.conv((expand, &c), relu, z, Some((input, Residual::BeforeActivation)), output)?;
                });
                return Ok(());
            }
            let w = ShuffleV1Weights { reduce: Filter::new(&a), depthwise: Filter::new(&b), expand: Filter::new(&c) };
            count!(ShuffleV1Plan::new(&shape, layout, &w, &options)?, layout, iterations);
        }
        "shuffle2" => {
            let shape = ShuffleV2Shape::basic(input, k, relu)?;
            let [a, b, c] = shape.convolutions();
            let (a, b, c) = (weights(a)?, weights(b)?, weights(c)?);
            if separate {
                let [expand, depthwise, project] = shape.convolutions();
                count_separate!(shape, layout, iterations, |all, input, output| {
                    let (half, dims) = (input.2 / 2, output_of(&expand)?);
                    let (x, y, z) = (all.tensor(dims)?, all.tensor(dims)?, all.tensor(shape.output_dims())?);
                    all.conv((expand, &a), relu, (input.0, half, half), None, x)?;
                    all.conv((depthwise, &b), Activation::None, x, None, y)?;
                    all.conv((project, &c), relu, y, None, (z.0, half, half))?;
                    all.copy((input.0, 0, half), (z.0, 0, half));
                    all.shuffle(2, z, output)?;
                });
                return Ok(());
            }
            let (expand, depthwise, project) = (Filter::new(&a), Filter::new(&b), Filter::new(&c));
            let w = ShuffleV2Weights { expand, depthwise, project, left: None };
            count!(ShuffleV2Plan::new(&shape, layout, &w, &options)?, layout, iterations);
        }
        _ => return Err(format!("`{kind}` is no block").into()),
    }
    Ok(())
}
