//! Criterion over the registry: every kernel that this machine can run, on a few shapes that fit it.
//!
//! `cargo bench --bench kernels -- dw_` measures those whose name contains `dw_`. Throughput counts multiplies.

// `criterion_group!` makes a public function without documentation.
#![allow(missing_docs)]

#[allow(dead_code)]
#[path = "speedup/buffer.rs"]
mod buffer;

use buffer::{Buffer, Random};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lightconv::registry::{self, Kernel};
use lightconv::{Conv2dPlan, Conv2dShape, Epilogue, Options, View, ViewMut};
use std::error::Error;
use std::time::Duration;

/// Shapes measured of each kernel.
const SHAPES: usize = 3;

/// Layers of light networks, and what they are called here.
fn candidates() -> [(&'static str, Conv2dShape); 22] {
    let square = |pixels, c_in, c_out, k: usize| Conv2dShape::new(1, pixels, pixels, c_in, c_out, [k, k]).pad(k / 2);
    let depthwise = |pixels, c: usize, k: usize| square(pixels, c, c, k).groups(c);
    [
        ("pw_28_256_256", square(28, 256, 256, 1)),
        ("pw_56_24_144", square(56, 24, 144, 1)),
        ("pw_1_1024_1000", square(1, 1024, 1000, 1)),
        ("dw3x3_56_128", depthwise(56, 128, 3)),
        ("dw3x3_14_512", depthwise(14, 512, 3)),
        ("dw3x3s2_56_128", depthwise(56, 128, 3).stride(2)),
        ("dw5x5_28_120", depthwise(28, 120, 5)),
        ("dw5x5s2_56_72", depthwise(56, 72, 5).stride(2)),
        ("dw7x7_14_96", depthwise(14, 96, 7)),
        ("dw7x7_56_96", depthwise(56, 96, 7)),
        ("dw3x3_28_64_m2", square(28, 64, 128, 3).groups(64)),
        ("g3x3_28_128_g32", square(28, 128, 128, 3).groups(32)),
        ("g3x3_28_256_g32", square(28, 256, 256, 3).groups(32)),
        ("g3x3s2_28_256_g32", square(28, 256, 256, 3).groups(32).stride(2)),
        ("g3x3_28_256_g16", square(28, 256, 256, 3).groups(16)),
        ("g3x3s2_28_256_g16", square(28, 256, 256, 3).groups(16).stride(2)),
        ("gpw_28_240_60_g3", square(28, 240, 60, 1).groups(3)),
        ("std3x3s2_224_3_32", square(224, 3, 32, 3).stride(2)),
        ("std7x7s4_224_3_64", square(224, 3, 64, 7).stride(4)),
        ("std3x3_32_3_64", square(32, 3, 64, 3)),
        ("std3x3_28_64_64", square(28, 64, 64, 3)),
        ("std3x3_28_64_64_d2", square(28, 64, 64, 3).dilation(2).pad(2)),
    ]
}

fn plan(kernel: &Kernel, shape: &Conv2dShape, options: &Options<'_>) -> Result<Conv2dPlan, lightconv::Error> {
    let mut random = Random::new(1);
    let mut fill = |len| (0..len).map(|_| random.next()).collect::<Vec<f32>>();
    let (weights, bias) = (fill(shape.weight_len()?), fill(shape.c_out));
    Conv2dPlan::new(shape, kernel.layout(), &weights, Some(&bias), Epilogue::NONE, options)
}

/// Whether a plan of the kernel's tier would choose it for the shape.
fn is_choice(kernel: &Kernel, shape: &Conv2dShape) -> bool {
    let choice = plan(kernel, shape, &Options::new().isa(kernel.isa()));
    choice.is_ok_and(|p| p.kernel_name() == kernel.name())
}

fn bench_kernel(c: &mut Criterion, kernel: &'static Kernel) -> Result<(), Box<dyn Error>> {
    let mut shapes: Vec<_> = candidates().into_iter().filter(|(_, shape)| kernel.refuses(shape).is_none()).collect();
    shapes.sort_by_key(|(_, shape)| !is_choice(kernel, shape));
    if shapes.is_empty() {
        return Err("no shape fits it".into());
    }
    let mut group = c.benchmark_group(kernel.name());
    for (name, shape) in &shapes[..SHAPES.min(shapes.len())] {
        let plan = plan(kernel, shape, &Options::new().kernel(kernel.name()))?;
        let mut random = Random::new(2);
        let input = Buffer::new(plan.input_dims().elements()?, || random.next())?;
        let mut output = Buffer::zeros(plan.output_dims().elements()?)?;
        let mut scratch = Buffer::zeros(plan.scratch_len())?;
        let input = View::dense(kernel.layout(), plan.input_dims(), input.get())?;
        let mut output = ViewMut::dense(kernel.layout(), plan.output_dims(), output.get_mut())?;
        group.throughput(Throughput::Elements(plan.cost().multiplies));
        group.bench_function(BenchmarkId::from_parameter(name), |b| {
            b.iter(|| plan.run(&input, &mut output, scratch.get_mut()).expect("a plan runs on what it was made for"));
        });
    }
    group.finish();
    Ok(())
}

fn kernels(c: &mut Criterion) {
    for kernel in registry::kernels().filter(|k| k.isa().is_available()) {
        if let Err(e) = bench_kernel(c, kernel) {
            panic!("{}: {e}", kernel.name());
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600));
    targets = kernels
}
criterion_main!(benches);
