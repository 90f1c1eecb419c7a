//! Blocks of light networks, fused against plans of their own for every convolution: `cargo bench --bench blocks --
//! [NETWORK] [--threads N] [--nchw] [--seconds S]`.
//!
//! The contenders take turns; times are the least of all turns. `separate` runs plans of their own for every convolution
//! with dense tensors between them where the block is nothing but convolutions; else the block's operations one after the
//! other, with whole tensors between them. Throughput counts multiplies.
//!
//! With `--realised` each block also runs against what its paper compares it with: the standard convolution that it replaces,
//! or, of units of ShuffleNet V1, the bottleneck of ResNet of the same width. The realised fraction is the measured speed-up
//! over that of the multiplies.

use lightconv::block::*;
use lightconv::parallel::{Parallel, Rayon};
use lightconv::{Activation, Conv2dPlan, Conv2dShape, Dims, Epilogue, Error, Layout, Options, Residual, View, ViewMut};
use std::time::{Duration, Instant};

#[allow(dead_code)]
#[path = "speedup/buffer.rs"]
mod buffer;

use buffer::{Buffer, Random};

/// A block under a name.
enum Block {
    Separable(SeparableShape),
    Inverted(InvertedResidualShape),
    Ghost(GhostShape),
    ShuffleV1(ShuffleV1Shape),
    ShuffleV2(ShuffleV2Shape),
}

/// Blocks of MobileNetV1 1.0 at 224 pixels.
fn mobilenet_v1() -> Result<Vec<(String, Block)>, Error> {
    let rows = [
        (112, 32, 64, 1),
        (112, 64, 128, 2),
        (56, 128, 128, 1),
        (56, 128, 256, 2),
        (28, 256, 256, 1),
        (28, 256, 512, 2),
        (14, 512, 512, 1),
        (14, 512, 512, 1),
        (14, 512, 512, 1),
        (14, 512, 512, 1),
        (14, 512, 512, 1),
        (14, 512, 1024, 2),
        (7, 1024, 1024, 1),
    ];
    let block = |(size, c, c_out, s): (usize, usize, usize, usize)| {
        let shape = SeparableShape::new(Dims::new(1, size, size, c), c_out, 3, s, Activation::Relu)?;
        Ok((format!("{size}x{size} {c} to {c_out}, stride {s}"), Block::Separable(shape)))
    };
    rows.into_iter().map(block).collect()
}

fn inverted(
    (size, c, wide, c_out, k, s): (usize, usize, usize, usize, usize, usize),
    se: Option<usize>,
    activation: Activation,
) -> Result<(String, Block), Error> {
    let mut shape = InvertedResidualShape::new(Dims::new(1, size, size, c), wide, c_out, k, s, activation)?;
    if let Some(squeeze) = se {
        shape = shape.squeeze_excite(SqueezeExcite::hard(squeeze))?;
    }
    let se = if se.is_some() { ", SE" } else { "" };
    Ok((format!("{size}x{size} {c}-{wide}-{c_out}, {k}x{k}, stride {s}{se}"), Block::Inverted(shape)))
}

/// Blocks of MobileNetV2 1.0 at 224 pixels.
fn mobilenet_v2() -> Result<Vec<(String, Block)>, Error> {
    let (mut size, mut c, mut all) = (112, 32, Vec::new());
    for (t, c_out, n, s) in
        [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    {
        for i in 0..n {
            let stride = if i == 0 { s } else { 1 };
            all.push(inverted((size, c, c * t, c_out, 3, stride), None, Activation::Relu6)?);
            (size, c) = (size / stride, c_out);
        }
    }
    Ok(all)
}

/// Blocks of MobileNetV3-large at 224 pixels.
fn mobilenet_v3() -> Result<Vec<(String, Block)>, Error> {
    let (re, hs) = (Activation::Relu, Activation::HardSwish);
    let rows = [
        (3, 16, 16, false, re, 1),
        (3, 64, 24, false, re, 2),
        (3, 72, 24, false, re, 1),
        (5, 72, 40, true, re, 2),
        (5, 120, 40, true, re, 1),
        (5, 120, 40, true, re, 1),
        (3, 240, 80, false, hs, 2),
        (3, 200, 80, false, hs, 1),
        (3, 184, 80, false, hs, 1),
        (3, 184, 80, false, hs, 1),
        (3, 480, 112, true, hs, 1),
        (3, 672, 112, true, hs, 1),
        (5, 672, 160, true, hs, 2),
        (5, 960, 160, true, hs, 1),
        (5, 960, 160, true, hs, 1),
    ];
    let (mut size, mut c, mut all) = (112, 16, Vec::new());
    for (k, wide, c_out, se, activation, s) in rows {
        all.push(inverted((size, c, wide, c_out, k, s), se.then_some(wide.div_ceil(32) * 8), activation)?);
        (size, c) = (size / s, c_out);
    }
    Ok(all)
}

/// The modules that expand and project in GhostNet 1.0.
fn ghostnet() -> Result<Vec<(String, Block)>, Error> {
    let rows = [
        (112, 16, 16),
        (112, 16, 48),
        (56, 48, 24),
        (56, 24, 72),
        (56, 72, 24),
        (28, 72, 40),
        (28, 40, 120),
        (28, 120, 40),
        (28, 40, 240),
        (14, 240, 80),
        (14, 80, 200),
        (14, 200, 80),
        (14, 80, 184),
        (14, 184, 80),
        (14, 80, 480),
        (14, 480, 112),
        (14, 112, 672),
        (14, 672, 112),
        (7, 672, 160),
        (7, 160, 960),
        (7, 960, 160),
    ];
    let block = |(size, c, c_out): (usize, usize, usize)| {
        let shape = GhostShape::new(Dims::new(1, size, size, c), c_out, 2, 1, 3, 1, Activation::Relu)?;
        Ok((format!("{size}x{size} {c} to {c_out}"), Block::Ghost(shape)))
    };
    rows.into_iter().map(block).collect()
}

/// Units of ShuffleNet V1 (three groups) and V2, each with and without its shuffle.
fn shufflenet() -> Result<Vec<(String, Block)>, Error> {
    let mut all = Vec::new();
    for (size, c) in [(28, 240), (14, 480), (7, 960)] {
        let shape = ShuffleV1Shape::basic(Dims::new(1, size, size, c), c / 4, 3, Activation::Relu)?;
        all.push((format!("V1 {size}x{size} {c}"), Block::ShuffleV1(shape)));
        all.push((format!("V1 {size}x{size} {c}, no shuffle"), Block::ShuffleV1(shape.without_shuffle())));
    }
    for (size, c) in [(28, 116), (14, 232), (7, 464)] {
        let shape = ShuffleV2Shape::basic(Dims::new(1, size, size, c), 3, Activation::Relu)?;
        all.push((format!("V2 {size}x{size} {c}"), Block::ShuffleV2(shape)));
        all.push((format!("V2 {size}x{size} {c}, no shuffle"), Block::ShuffleV2(shape.without_shuffle())));
    }
    Ok(all)
}

/// Convolutions with plans and dense tensors of their own, as a caller without blocks has them.
struct Chain {
    plans: Vec<Conv2dPlan>,
    residual: bool,
}

impl Plan for Chain {
    fn run(&self, pool: &dyn Parallel, x: &View<'_>, y: &mut ViewMut<'_>, scratch: &mut [f32]) -> Result<(), Error> {
        let most = self.plans.iter().map(|p| p.scratch_len()).max().unwrap_or(0).next_multiple_of(16);
        let (own, mut rest) = scratch.split_at_mut(most);
        let mut from = *x;
        let (last, others) = self.plans.split_last().expect("a chain has plans");
        for plan in others {
            let dims = plan.output_dims();
            let (to, more) = rest.split_at_mut(dims.elements()?.next_multiple_of(16));
            rest = more;
            plan.run_with(pool, &from, None, &mut ViewMut::dense(plan.layout(), dims, to)?, own)?;
            from = View::dense(plan.layout(), dims, to)?;
        }
        last.run_with(pool, &from, self.residual.then_some(x), y, own)
    }

    fn scratch_len(&self) -> usize {
        let tensors = self.plans.iter().map(|p| p.output_dims().elements().unwrap_or(0).next_multiple_of(16));
        let scratch = self.plans.iter().map(|p| p.scratch_len()).max().unwrap_or(0);
        tensors.sum::<usize>() + scratch.next_multiple_of(16)
    }

    fn describe(&self) -> String {
        self.plans.iter().map(|p| format!("  {}\n", p.kernel_name())).collect()
    }
}

impl Chain {
    fn new(
        layers: &[(Conv2dShape, &[f32], Activation)],
        residual: bool,
        layout: Layout,
        options: &Options<'_>,
    ) -> Result<Self, Error> {
        let mut plans = Vec::new();
        for (i, (shape, weights, activation)) in layers.iter().enumerate() {
            let adds = residual && i + 1 == layers.len();
            let residual = if adds { Residual::AfterActivation } else { Residual::None };
            let epilogue = Epilogue::activation(*activation).with_residual(residual);
            plans.push(Conv2dPlan::new(shape, layout, weights, None, epilogue, options)?);
        }
        Ok(Chain { plans, residual })
    }
}

/// What a block replaces.
struct Standard {
    plan: Box<dyn Plan>,
    multiplies: u64,
    least: Duration,
}

/// Plans of one block, and what they share.
struct Contest {
    name: String,
    plans: Vec<Box<dyn Plan>>,
    standard: Option<Standard>,
    dims: [Dims; 2],
    layout: Layout,
    multiplies: u64,
    buffers: [Buffer; 3],
    least: Vec<Duration>,
}

trait Plan {
    fn run(&self, pool: &dyn Parallel, x: &View<'_>, y: &mut ViewMut<'_>, scratch: &mut [f32]) -> Result<(), Error>;
    fn scratch_len(&self) -> usize;
    fn describe(&self) -> String;
}

macro_rules! plans {
    ($($plan:ident)*) => {
        $(impl Plan for $plan {
            fn run(
                &self,
                pool: &dyn Parallel,
                x: &View<'_>,
                y: &mut ViewMut<'_>,
                scratch: &mut [f32],
            ) -> Result<(), Error> {
                self.run_with(pool, x, y, scratch)
            }
            fn scratch_len(&self) -> usize {
                $plan::scratch_len(self)
            }
            fn describe(&self) -> String {
                $plan::describe(self)
            }
        })*
    };
}
plans! { SeparablePlan InvertedResidualPlan GhostPlan ShuffleV1Plan ShuffleV2Plan BottleneckPlan }

fn numbers(len: usize) -> Vec<f32> {
    let mut random = Random::new(len as u64);
    (0..len).map(|_| random.next() * 0.1).collect()
}

impl Contest {
    fn new(
        name: String,
        block: &Block,
        layout: Layout,
        options: &[Options<'_>],
        realised: bool,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let standard = if realised { standard(block, layout, &options[0])? } else { None };
        let mut plans: Vec<Box<dyn Plan>> = Vec::new();
        let weights = |s: Conv2dShape| s.weight_len().map(numbers);
        let (dims, cost) = match block {
            Block::Separable(s) => {
                let [(first, after), (second, last)] = s.convolutions();
                let (a, b) = (weights(first)?, weights(second)?);
                let w = SeparableWeights { depthwise: Filter::new(&a), pointwise: Filter::new(&b) };
                for o in options {
                    plans.push(Box::new(SeparablePlan::new(s, layout, &w, o)?));
                }
                let chain = [(first, a.as_slice(), after), (second, b.as_slice(), last)];
                plans.push(Box::new(Chain::new(&chain, false, layout, &options[0])?));
                ([s.input_dims(), s.output_dims()], s.cost()?)
            }
            Block::Inverted(s) => {
                let (d, p) = (weights(s.depthwise())?, weights(s.project())?);
                let e = s.expand().map(weights).transpose()?;
                let narrow = Dims { c: s.project().c_in, ..s.output_dims() };
                let q = s.squeeze().map(|q| q.convolutions(narrow)).transpose()?;
                let q = q.map(|[a, b]| weights(a).and_then(|a| Ok((a, weights(b)?)))).transpose()?;
                let w = InvertedResidualWeights {
                    expand: e.as_deref().map(Filter::new),
                    depthwise: Filter::new(&d),
                    squeeze_excite: q
                        .as_ref()
                        .map(|(a, b)| SqueezeExciteWeights { reduce: Filter::new(a), expand: Filter::new(b) }),
                    project: Filter::new(&p),
                };
                for o in options {
                    plans.push(Box::new(InvertedResidualPlan::new(s, layout, &w, o)?));
                }
                if s.squeeze().is_none() {
                    let mut chain = Vec::new();
                    if let (Some(expand), Some(e)) = (s.expand(), &e) {
                        chain.push((expand, e.as_slice(), s.activation()));
                    }
                    chain.push((s.depthwise(), d.as_slice(), s.activation()));
                    chain.push((s.project(), p.as_slice(), Activation::None));
                    plans.push(Box::new(Chain::new(&chain, s.has_residual(), layout, &options[0])?));
                }
                ([s.input_dims(), s.output_dims()], s.cost()?)
            }
            Block::Ghost(s) => {
                let [a, b] = s.convolutions();
                let (a, b) = (weights(a)?, weights(b)?);
                let w = GhostWeights { primary: Filter::new(&a), cheap: Filter::new(&b) };
                for o in options {
                    plans.push(Box::new(GhostPlan::new(s, layout, &w, o)?));
                }
                ([s.input_dims(), s.output_dims()], s.cost()?)
            }
            Block::ShuffleV1(s) => {
                let [a, b, c] = s.convolutions();
                let (a, b, c) = (weights(a)?, weights(b)?, weights(c)?);
                let w =
                    ShuffleV1Weights { reduce: Filter::new(&a), depthwise: Filter::new(&b), expand: Filter::new(&c) };
                for o in options {
                    plans.push(Box::new(ShuffleV1Plan::new(s, layout, &w, o)?));
                }
                ([s.input_dims(), s.output_dims()], s.cost()?)
            }
            Block::ShuffleV2(s) => {
                let [a, b, c] = s.convolutions();
                let (a, b, c) = (weights(a)?, weights(b)?, weights(c)?);
                let (expand, depthwise, project) = (Filter::new(&a), Filter::new(&b), Filter::new(&c));
                let w = ShuffleV2Weights { expand, depthwise, project, left: None };
                for o in options {
                    plans.push(Box::new(ShuffleV2Plan::new(s, layout, &w, o)?));
                }
                ([s.input_dims(), s.output_dims()], s.cost()?)
            }
        };
        let scratch = plans.iter().chain(standard.iter().map(|s| &s.plan)).map(|p| p.scratch_len()).max().unwrap_or(0);
        let mut random = Random::new(7);
        let input = Buffer::new(dims[0].elements()?, || random.next())?;
        let buffers = [input, Buffer::zeros(dims[1].elements()?)?, Buffer::zeros(scratch)?];
        let least = vec![Duration::MAX; plans.len()];
        Ok(Contest { name, plans, standard, dims, layout, multiplies: cost.multiplies, buffers, least })
    }

    /// A few calls of each contender in turn.
    fn round(&mut self, pool: &dyn Parallel) -> Result<(), Error> {
        let [input, output, scratch] = &mut self.buffers;
        let x = View::dense(self.layout, self.dims[0], input.get())?;
        let standard = self.standard.iter_mut().map(|s| (&s.plan, &mut s.least));
        for (plan, least) in self.plans.iter().zip(&mut self.least).chain(standard) {
            let mut y = ViewMut::dense(self.layout, self.dims[1], output.get_mut())?;
            for _ in 0..4 {
                let start = Instant::now();
                plan.run(pool, &x, &mut y, scratch.get_mut())?;
                *least = start.elapsed().min(*least);
            }
        }
        Ok(())
    }
}

/// What a block replaces, and its multiplies; none where the papers have nothing of the same sizes.
fn standard(block: &Block, layout: Layout, options: &Options<'_>) -> Result<Option<Standard>, Error> {
    let some = |plan: Box<dyn Plan>, multiplies| Ok(Some(Standard { plan, multiplies, least: Duration::MAX }));
    let one = |shape: Conv2dShape, activation| {
        let weights = numbers(shape.weight_len()?);
        let chain = Chain::new(&[(shape, weights.as_slice(), activation)], false, layout, options)?;
        some(Box::new(chain), shape.multiplies()?)
    };
    match block {
        Block::Separable(s) => one(s.standard(), s.convolutions()[1].1),
        Block::Ghost(s) => one(s.standard(), s.activation()),
        Block::ShuffleV1(s) if s.pool().is_none() && s.shuffle_groups() > 1 => {
            let width = s.convolutions()[0].c_out;
            let shape = BottleneckShape::new(s.input_dims(), width, s.output_dims().c, 3, 1, 1, s.activation())?;
            let [a, b, c] = shape.convolutions();
            let (a, b, c) = (numbers(a.weight_len()?), numbers(b.weight_len()?), numbers(c.weight_len()?));
            let (reduce, spatial, expand) = (Filter::new(&a), Filter::new(&b), Filter::new(&c));
            let weights = BottleneckWeights { reduce, spatial, expand, shortcut: None };
            let plan = BottleneckPlan::new(&shape, layout, &weights, options)?;
            some(Box::new(plan), shape.cost()?.multiplies)
        }
        _ => Ok(None),
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let value = |name: &str| args.iter().position(|a| a == name).and_then(|i| args.get(i + 1));
    let threads: usize = value("--threads").map_or(Ok(1), |v| v.parse())?;
    let seconds: f64 = value("--seconds").map_or(Ok(10.0), |v| v.parse())?;
    let layout = if args.iter().any(|a| a == "--nchw") { Layout::Nchw } else { Layout::Nhwc };
    let realised = args.iter().any(|a| a == "--realised");
    let explain = args.iter().any(|a| a == "--explain");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let pool = Rayon::in_pool(&pool);
    let networks = [
        ("mobilenet-v1", mobilenet_v1()?),
        ("mobilenet-v2", mobilenet_v2()?),
        ("mobilenet-v3", mobilenet_v3()?),
        ("ghostnet", ghostnet()?),
        ("shufflenet", shufflenet()?),
    ];
    let wanted = |name: &str| !networks.iter().any(|n| args.iter().any(|a| a == n.0)) || args.iter().any(|a| a == name);
    let mut options = vec![Options::new().threads(threads), Options::new().threads(threads).fused(false)];
    if let Some(rows) = value("--rows") {
        options[0] = options[0].strip_rows(rows.parse()?);
    }
    for (name, blocks) in networks.iter().filter(|n| wanted(n.0)) {
        let mut contests = Vec::new();
        for (block_name, block) in blocks {
            contests.push(Contest::new(block_name.clone(), block, layout, &options, realised)?);
        }
        let start = Instant::now();
        while start.elapsed().as_secs_f64() < seconds {
            contests.iter_mut().try_for_each(|c| c.round(&pool))?;
        }
        println!("{name}, {threads} threads, {}", layout.name());
        println!("{:>44}  {:>9}  {:>9}  {:>6}  {:>9}  {:>9}", "", "fused us", "separate", "ratio", "GMAC/s", "scratch");
        let (mut ratios, mut sums, mut multiplies) = (Vec::new(), [0.0f64; 2], 0u64);
        for c in &contests {
            let us = [c.least[0], c.least[c.least.len() - 1]].map(|d| d.as_secs_f64() * 1e6);
            let ratio = us[1] / us[0];
            ratios.push(ratio);
            sums = [sums[0] + us[0], sums[1] + us[1]];
            multiplies += c.multiplies;
            let rate = c.multiplies as f64 / us[0] / 1e3;
            let scratch = c.plans[0].scratch_len() as f64 / c.plans[c.plans.len() - 1].scratch_len() as f64;
            println!("{:>44}  {:>9.1}  {:>9.1}  {ratio:>6.3}  {rate:>9.1}  {scratch:>9.2}", c.name, us[0], us[1]);
            if explain {
                println!("{}", c.plans[0].describe());
            }
        }
        let mean = geometric_mean(&ratios);
        let rate = multiplies as f64 / sums[0] / 1e3;
        println!("{:>44}  {:>9.1}  {:>9.1}  {mean:>6.3}  {rate:>9.1}", "all, geometric mean", sums[0], sums[1]);
        print_realised(&contests);
    }
    Ok(())
}

/// What each block realises of the speed-up that its multiplies promise, the geometric mean and the least.
fn print_realised(contests: &[Contest]) {
    let mut all: Vec<f64> = Vec::new();
    for c in contests {
        let Some(standard) = &c.standard else { continue };
        if all.is_empty() {
            println!("{:>44}  {:>9}  {:>9}  {:>9}  {:>9}", "", "standard", "theory", "measured", "realised");
        }
        let us = standard.least.as_secs_f64() * 1e6;
        let (theory, measured) =
            (standard.multiplies as f64 / c.multiplies as f64, us / (c.least[0].as_secs_f64() * 1e6));
        all.push(measured / theory);
        println!("{:>44}  {us:>9.1}  {theory:>9.2}  {measured:>9.2}  {:>9.3}", c.name, measured / theory);
    }
    if !all.is_empty() {
        let mean = geometric_mean(&all);
        let least = all.iter().copied().fold(f64::INFINITY, f64::min);
        println!("{:>44}  {:>9}  {:>9}  {mean:>9.3}  {least:>9.3}", "realised: geometric mean, least", "", "");
    }
}

fn geometric_mean(values: &[f64]) -> f64 {
    (values.iter().map(|v| v.ln()).sum::<f64>() / values.len() as f64).exp()
}
