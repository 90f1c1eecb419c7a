//! Runs one block a given number of times between two marker instructions, for instruction counters, as `count_layer` does
//! one layer.
//!
//! `count_block 'inverted h56 c24 e144 o24 k3 s1 nhwc' 10`
//!
//! The first word is `separable`, `inverted`, `ghost`, `shuffle1` (three groups) or `shuffle2`; then `h` rows and columns, `c`
//! input channels, `e` channels between, `o` output channels, `k` kernel of the depthwise part, `s` stride, `nhwc` or
//! `nchw`, and `separate` if whole tensors are to stand between the block's operations. What does not apply is ignored;
//! what is left out is 1, the kernel 3, layout `nhwc`.

#[path = "common/markers.rs"]
mod markers;

use lightconv::block::*;
use lightconv::{Activation, Conv2dShape, Dims, Error, Layout, Options, View, ViewMut};
use markers::{fill, start_marker, stop_marker};
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

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [spec, iterations] = arguments.as_slice() else {
        return Err("usage: count_block BLOCK ITERATIONS".into());
    };
    let iterations: u32 = iterations.parse()?;
    let mut words = spec.split_whitespace();
    let kind = words.next().ok_or("a block is missing")?;
    let (mut h, mut c, mut e, mut o, mut k, mut s) = (1, 1, 1, 1, 3, 1);
    let (mut layout, mut options) = (Layout::Nhwc, Options::new());
    for word in words {
        match word {
            "nhwc" => layout = Layout::Nhwc,
            "nchw" => layout = Layout::Nchw,
            "separate" => options = options.fused(false),
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
            let w = SeparableWeights { depthwise: Filter::new(&a), pointwise: Filter::new(&b) };
            count!(SeparablePlan::new(&shape, layout, &w, &options)?, layout, iterations);
        }
        "inverted" => {
            let shape = InvertedResidualShape::new(input, e, o, k, s, Activation::Relu6)?;
            let (d, p) = (weights(shape.depthwise())?, weights(shape.project())?);
            let e = shape.expand().map(weights).transpose()?;
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
            let w = GhostWeights { primary: Filter::new(&a), cheap: Filter::new(&b) };
            count!(GhostPlan::new(&shape, layout, &w, &options)?, layout, iterations);
        }
        "shuffle1" => {
            let shape = ShuffleV1Shape::basic(input, c / 4, 3, relu)?;
            let [a, b, c] = shape.convolutions();
            let (a, b, c) = (weights(a)?, weights(b)?, weights(c)?);
            let w = ShuffleV1Weights { reduce: Filter::new(&a), depthwise: Filter::new(&b), expand: Filter::new(&c) };
            count!(ShuffleV1Plan::new(&shape, layout, &w, &options)?, layout, iterations);
        }
        "shuffle2" => {
            let shape = ShuffleV2Shape::basic(input, k, relu)?;
            let [a, b, c] = shape.convolutions();
            let (a, b, c) = (weights(a)?, weights(b)?, weights(c)?);
            let (expand, depthwise, project) = (Filter::new(&a), Filter::new(&b), Filter::new(&c));
            let w = ShuffleV2Weights { expand, depthwise, project, left: None };
            count!(ShuffleV2Plan::new(&shape, layout, &w, &options)?, layout, iterations);
        }
        _ => return Err(format!("`{kind}` is no block").into()),
    }
    Ok(())
}
