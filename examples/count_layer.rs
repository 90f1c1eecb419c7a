//! Runs one layer a given number of times between two marker instructions, for instruction counters.
//!
//! `count_layer 'n1 c64 h56 w56 o64 k3x3 s1 p1 d1 g1 nhwc' 10`
//!
//! Words of the layer: `n` images, `c` input channels, `h` rows, `w` columns, `o` output channels, `k` kernel, `s` stride,
//! `p` padding, `d` dilation (`k`, `s`, `p` and `d` take one number or rows x columns), `g` groups, then `nhwc` or
//! `nchw`, `winograd` if its changed arithmetic is allowed, `inorder` for kernels for in-order cores, and, if one kernel and no
//! other is wanted, `kernel=NAME`.
//! What is left out is 1, padding 0, layout `nhwc`.
//!
//! The markers are those of `common/markers.rs`.

#[path = "common/markers.rs"]
mod markers;

use lightconv::{Conv2dPlan, Conv2dShape, Epilogue, Layout, Options, Tuning, View, ViewMut};
use markers::{fill, start_marker, stop_marker};
use std::error::Error;
use std::hint::black_box;

struct Layer {
    shape: Conv2dShape,
    layout: Layout,
    winograd: bool,
    tuning: Tuning,
    kernel: Option<String>,
}

/// `3` or `3x5`.
fn pair(text: &str) -> Option<[usize; 2]> {
    let (rows, columns) = text.split_once('x').unwrap_or((text, text));
    Some([rows.parse().ok()?, columns.parse().ok()?])
}

fn parse(spec: &str) -> Result<Layer, String> {
    let mut shape = Conv2dShape::new(1, 1, 1, 1, 1, [1, 1]);
    let mut layout = Layout::Nhwc;
    let mut kernel = None;
    let mut winograd = false;
    let mut tuning = Tuning::OutOfOrder;
    for word in spec.split_whitespace() {
        let bad =
            || format!("`{word}` is no part of a layer; an example of one: n1 c64 h56 w56 o64 k3x3 s1 p1 g1 nhwc");
        match word {
            "nhwc" => layout = Layout::Nhwc,
            "nchw" => layout = Layout::Nchw,
            "winograd" => winograd = true,
            "inorder" => tuning = Tuning::InOrder,
            _ => {
                if let Some(name) = word.strip_prefix("kernel=") {
                    kernel = Some(name.to_owned());
                    continue;
                }
                let (key, value) = word.split_at_checked(1).ok_or_else(bad)?;
                let number = || value.parse::<usize>().map_err(|_| bad());
                let two = || pair(value).ok_or_else(bad);
                match key {
                    "n" => shape.n = number()?,
                    "c" => shape.c_in = number()?,
                    "h" => shape.h = number()?,
                    "w" => shape.w = number()?,
                    "o" => shape.c_out = number()?,
                    "g" => shape.groups = number()?,
                    "k" => [shape.kh, shape.kw] = two()?,
                    "s" => shape.stride = two()?,
                    "d" => shape.dilation = two()?,
                    "p" => {
                        let [rows, columns] = two()?;
                        shape = shape.pad_hw(rows, columns);
                    }
                    _ => return Err(bad()),
                }
            }
        }
    }
    Ok(Layer { shape, layout, winograd, tuning, kernel })
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [spec, iterations] = arguments.as_slice() else {
        return Err("usage: count_layer LAYER ITERATIONS".into());
    };
    let iterations: u32 = iterations.parse()?;
    let Layer { shape, layout, winograd, tuning, kernel } = parse(spec)?;
    let mut options = Options::new().winograd(winograd).tuning(tuning);
    if let Some(name) = &kernel {
        options = options.kernel(name);
    }
    shape.check()?;
    let plan = Conv2dPlan::new(
        &shape,
        layout,
        &fill(shape.weight_len()?),
        Some(&fill(shape.c_out)),
        Epilogue::NONE,
        &options,
    )?;
    let input = fill(plan.input_dims().elements()?);
    let mut output = vec![0.0; plan.output_dims().elements()?];
    let mut scratch = vec![0.0; plan.scratch_len()];
    let input = View::dense(layout, plan.input_dims(), &input)?;
    let mut output = ViewMut::dense(layout, plan.output_dims(), &mut output)?;

    start_marker();
    for _ in 0..iterations {
        plan.run(black_box(&input), black_box(&mut output), &mut scratch)?;
    }
    stop_marker();

    println!("{} {} {}", plan.kernel_name(), plan.cost().multiplies, output.as_view().at(0, 0, 0, 0));
    Ok(())
}
