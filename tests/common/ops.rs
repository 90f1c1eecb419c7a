//! Cases of the operations beside convolution: strategy, data, run, and the comparison with the reference.
#![allow(dead_code)] // every test binary uses a part of it

use super::case::{Geometry, Placement};
use super::data::{Kind, Random, SENTINEL};
use super::strategy::placement;
use lightconv::parallel::Parallel;
use lightconv::{
    Activation, ChannelShufflePlan, Conv2dShape, Cost, Dims, Elementwise, ElementwisePlan, Epilogue, Error,
    FullyConnectedPlan, Isa, Layout, Options, Padding, PoolPlan, Pooling, Residual, View, ViewMut, reference,
};
use proptest::prelude::*;

/// Operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    MaxPool,
    AveragePool,
    GlobalAverage,
    Shuffle,
    Add,
    Multiply,
    Scale,
    FullyConnected,
}

pub const FAMILIES: [Family; 8] = [
    Family::MaxPool,
    Family::AveragePool,
    Family::GlobalAverage,
    Family::Shuffle,
    Family::Add,
    Family::Multiply,
    Family::Scale,
    Family::FullyConnected,
];

/// An operation with its sizes.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    Pool(Pooling, Conv2dShape),
    GlobalAverage(Dims),
    Shuffle(usize, Dims),
    Elementwise(Elementwise, Dims),
    FullyConnected { n: usize, c_in: usize, c_out: usize, epilogue: Epilogue, bias: bool },
}

/// An operation, where its tensors lie, and how it is run.
#[derive(Clone, Debug)]
pub struct OpCase {
    pub op: Op,
    pub layout: Layout,
    pub input: Placement,
    /// Of the second input, the factors, or the residual.
    pub second: Placement,
    pub output: Placement,
    pub parts: usize,
    pub seed: u64,
}

/// A plan of any kind.
pub enum Plan {
    Pool(PoolPlan),
    Shuffle(ChannelShufflePlan),
    Elementwise(ElementwisePlan),
    FullyConnected(FullyConnectedPlan),
}

impl Plan {
    pub fn name(&self) -> &'static str {
        match self {
            Plan::Pool(p) => p.kernel_name(),
            Plan::Shuffle(p) => p.kernel_name(),
            Plan::Elementwise(p) => p.kernel_name(),
            Plan::FullyConnected(p) => p.kernel_name(),
        }
    }

    pub fn isa(&self) -> Isa {
        match self {
            Plan::Pool(p) => p.isa(),
            Plan::Shuffle(p) => p.isa(),
            Plan::Elementwise(p) => p.isa(),
            Plan::FullyConnected(p) => p.isa(),
        }
    }

    pub fn threads(&self) -> usize {
        match self {
            Plan::Pool(p) => p.threads(),
            Plan::Shuffle(p) => p.threads(),
            Plan::Elementwise(p) => p.threads(),
            Plan::FullyConnected(p) => p.threads(),
        }
    }

    pub fn scratch_len(&self) -> usize {
        match self {
            Plan::FullyConnected(p) => p.scratch_len(),
            Plan::Pool(_) | Plan::Shuffle(_) | Plan::Elementwise(_) => 0,
        }
    }

    pub fn cost(&self) -> Cost {
        match self {
            Plan::Pool(p) => p.cost(),
            Plan::Shuffle(p) => p.cost(),
            Plan::Elementwise(p) => p.cost(),
            Plan::FullyConnected(p) => p.cost(),
        }
    }

    pub fn dims(&self) -> (Dims, Dims) {
        match self {
            Plan::Pool(p) => (p.input_dims(), p.output_dims()),
            Plan::Shuffle(p) => (p.input_dims(), p.output_dims()),
            Plan::Elementwise(p) => (p.input_dims(), p.output_dims()),
            Plan::FullyConnected(p) => (p.input_dims(), p.output_dims()),
        }
    }

    pub fn run_with(
        &self,
        pool: &dyn Parallel,
        input: &View<'_>,
        second: Option<&View<'_>>,
        output: &mut ViewMut<'_>,
        scratch: &mut [f32],
    ) -> Result<(), Error> {
        match self {
            Plan::Pool(p) => p.run_with(pool, input, output),
            Plan::Shuffle(p) => p.run_with(pool, input, output),
            Plan::Elementwise(p) => p.run_with(pool, input, second.expect("a second input"), output),
            Plan::FullyConnected(p) => p.run_with(pool, input, second, output, scratch),
        }
    }
}

impl OpCase {
    pub fn input_dims(&self) -> Dims {
        match self.op {
            Op::Pool(_, s) => Dims::new(s.n, s.h, s.w, s.c_in),
            Op::GlobalAverage(d) | Op::Shuffle(_, d) | Op::Elementwise(_, d) => d,
            Op::FullyConnected { n, c_in, .. } => Dims::new(n, 1, 1, c_in),
        }
    }

    pub fn output_dims(&self) -> Dims {
        match self.op {
            Op::Pool(_, s) => {
                let (oh, ow) = s.check().expect("a valid shape");
                Dims::new(s.n, oh, ow, s.c_in)
            }
            Op::GlobalAverage(d) => Dims::new(d.n, 1, 1, d.c),
            Op::Shuffle(_, d) | Op::Elementwise(_, d) => d,
            Op::FullyConnected { n, c_out, .. } => Dims::new(n, 1, 1, c_out),
        }
    }

    pub fn second_dims(&self) -> Option<Dims> {
        match self.op {
            Op::Elementwise(Elementwise::Scale, d) => Some(Dims::new(d.n, 1, 1, d.c)),
            Op::Elementwise(_, d) => Some(d),
            Op::FullyConnected { epilogue, .. } if epilogue.residual != Residual::None => Some(self.output_dims()),
            _ => None,
        }
    }

    pub fn input(&self) -> Geometry {
        Geometry::new(self.layout, self.input_dims(), &self.input)
    }

    pub fn second(&self) -> Option<Geometry> {
        self.second_dims().map(|d| Geometry::new(self.layout, d, &self.second))
    }

    pub fn output(&self) -> Geometry {
        Geometry::new(self.layout, self.output_dims(), &self.output)
    }

    pub fn plan(&self, isa: Isa, weights: &[f32], bias: Option<&[f32]>) -> Result<Plan, Error> {
        let options = Options::new().isa(isa).threads(self.parts);
        let layout = self.layout;
        Ok(match self.op {
            Op::Pool(kind, shape) => Plan::Pool(PoolPlan::new(kind, &shape, layout, &options)?),
            Op::GlobalAverage(d) => Plan::Pool(PoolPlan::global_average(d, layout, &options)?),
            Op::Shuffle(groups, d) => Plan::Shuffle(ChannelShufflePlan::new(groups, d, layout, &options)?),
            Op::Elementwise(kind, d) => Plan::Elementwise(ElementwisePlan::new(kind, d, layout, &options)?),
            Op::FullyConnected { n, c_in, c_out, epilogue, .. } => Plan::FullyConnected(FullyConnectedPlan::new(
                n, c_in, c_out, layout, weights, bias, epilogue, &options,
            )?),
        })
    }
}

/// The caller's side of a run.
pub struct OpData {
    pub kind: Kind,
    pub input: Vec<f32>,
    pub second: Option<Vec<f32>>,
    pub weights: Vec<f32>,
    pub bias: Option<Vec<f32>>,
}

impl OpData {
    pub fn new(case: &OpCase, kind: Kind) -> Self {
        let mut random = Random(case.seed);
        let value = |r: &mut Random| match kind {
            Kind::Reals => r.real(),
            _ => r.integer(8),
        };
        let special = |r: &mut Random| match (kind, r.next() % 64) {
            (Kind::Specials, 0) => f32::NAN,
            (Kind::Specials, 1) => f32::INFINITY,
            (Kind::Specials, 2..=5) => f32::NEG_INFINITY,
            _ => value(r),
        };
        let mut fill = |g: &Geometry, value: &dyn Fn(&mut Random) -> f32| {
            let mut data = vec![f32::from_bits(SENTINEL); g.len];
            g.each(|[n, y, x, c]| data[g.index(n, y, x, c)] = value(&mut random));
            data
        };
        let input = fill(&case.input(), &special);
        let second = case.second().map(|g| fill(&g, &value));
        let (mut weights, mut bias) = (Vec::new(), None);
        if let Op::FullyConnected { c_in, c_out, bias: has_bias, .. } = case.op {
            weights = (0..c_in * c_out).map(|_| value(&mut random)).collect();
            bias = has_bias.then(|| (0..c_out).map(|_| value(&mut random)).collect());
        }
        OpData { kind, input, second, weights, bias }
    }

    pub fn plan(&self, case: &OpCase, isa: Isa) -> Result<Plan, String> {
        case.plan(isa, &self.weights, self.bias.as_deref()).map_err(|e| format!("no plan: {e}"))
    }

    /// Runs the plan and gives the whole output slice. The slack around the output was left alone.
    pub fn run(&self, case: &OpCase, plan: &Plan, pool: &dyn Parallel) -> Result<Vec<f32>, String> {
        let g = case.output();
        let mut output = vec![f32::from_bits(SENTINEL); g.len];
        let mut scratch = vec![f32::from_bits(SENTINEL); plan.scratch_len()];
        let input = case.input().view(&self.input).map_err(|e| format!("input view: {e}"))?;
        let second_geometry = case.second();
        let second = match second_geometry.as_ref().zip(self.second.as_ref()) {
            Some((g, data)) => Some(g.view(data).map_err(|e| format!("second view: {e}"))?),
            None => None,
        };
        g.with_view_mut(&mut output, |out| plan.run_with(pool, &input, second.as_ref(), out, &mut scratch))
            .map_err(|e| format!("run: {e}"))?;
        let mut inside = vec![false; g.len];
        g.each(|[n, y, x, c]| inside[g.index(n, y, x, c)] = true);
        match (0..g.len).find(|&i| inside[i] == (output[i].to_bits() == SENTINEL)) {
            Some(i) if inside[i] => Err(format!("element {i} of the output slice was not written")),
            Some(i) => Err(format!("element {i} of the output slice is outside the view and was written")),
            None => Ok(output),
        }
    }

    /// The reference's result on `f` of every number, dense.
    fn expected<T>(&self, case: &OpCase, f: impl Fn(f32) -> T + Copy) -> Result<Vec<T>, Error>
    where
        T: num_traits::Float + num_traits::FromPrimitive + Default,
    {
        let map = |data: &[f32]| data.iter().map(|&v| f(v)).collect::<Vec<T>>();
        let (input, weights) = (map(&self.input), map(&self.weights));
        let (second, bias) = (self.second.as_deref().map(map), self.bias.as_deref().map(map));
        let input = case.input().view(&input)?;
        let second_geometry = case.second();
        let second = match second_geometry.as_ref().zip(second.as_ref()) {
            Some((g, data)) => Some(g.view(data)?),
            None => None,
        };
        let g = Geometry::dense(case.layout, case.output_dims());
        let mut output = vec![T::nan(); g.len];
        g.with_view_mut(&mut output, |out| match case.op {
            Op::Pool(Pooling::Max, s) => reference::max_pool(&s, &input, out),
            Op::Pool(_, s) => reference::average_pool(&s, &input, out),
            Op::GlobalAverage(_) => reference::global_average_pool(&input, out),
            Op::Shuffle(groups, _) => reference::channel_shuffle(groups, &input, out),
            Op::Elementwise(kind, _) => {
                let second = second.as_ref().expect("a second input");
                match kind {
                    Elementwise::Add => reference::add(&input, second, out),
                    Elementwise::Multiply => reference::multiply(&input, second, out),
                    Elementwise::Scale => reference::scale(&input, second, out),
                    other => unreachable!("no reference for {other:?}"),
                }
            }
            Op::FullyConnected { epilogue, .. } => {
                reference::fully_connected(&input, &weights, bias.as_deref(), out)?;
                reference::epilogue(&epilogue, second.as_ref(), out)
            }
        })?;
        Ok(output)
    }
}

/// Whether an operation rounds once at most, so that real numbers too give the bits of the reference.
fn rounds_once(op: &Op) -> bool {
    matches!(op, Op::Pool(Pooling::Max, _) | Op::Shuffle(..) | Op::Elementwise(..))
}

/// Compares an output with the reference: bit for bit on whole numbers and where an operation rounds at most once, else
/// within the bound of its sum, whose order is free.
pub fn compare(case: &OpCase, data: &OpData, output: &[f32]) -> Result<(), String> {
    let failed = |e: Error| format!("reference: {e}");
    let (g, dense) = (case.output(), Geometry::dense(case.layout, case.output_dims()));
    if data.kind != Kind::Reals || rounds_once(&case.op) {
        let want = data.expected(case, |v| v).map_err(failed)?;
        return g.try_each(|[n, y, x, c]| {
            let (got, want) = (output[g.index(n, y, x, c)], want[dense.index(n, y, x, c)]);
            if got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan()) {
                return Ok(());
            }
            Err(format!("image {n}, row {y}, column {x}, channel {c} is {got}, expected exactly {want}"))
        });
    }
    // Higham, Accuracy and Stability of Numerical Algorithms, 3.1: a sum of k terms, each of one rounding at most, in any
    // order, is within gamma_k of the sum of magnitudes. With every sign positive the reference gives that sum (for an
    // average, that of the averages of the magnitudes); the clamps used here only lessen an error.
    let want = data.expected(case, f64::from).map_err(failed)?;
    let mut magnitudes = case.clone();
    if let Op::FullyConnected { epilogue, .. } = &mut magnitudes.op {
        epilogue.activation = Activation::None;
    }
    let absolute = data.expected(&magnitudes, |v| f64::from(v.abs())).map_err(failed)?;
    let k = match case.op {
        Op::Pool(_, s) => s.kh * s.kw,
        Op::GlobalAverage(d) => d.h * d.w,
        // Products, bias, residual.
        Op::FullyConnected { c_in, .. } => c_in + 2,
        _ => unreachable!("compared by bits"),
    };
    // One more for the division.
    let ku = (k + 1) as f64 / (1u64 << 24) as f64;
    g.try_each(|[n, y, x, c]| {
        let i = dense.index(n, y, x, c);
        let (got, want, bound) = (f64::from(output[g.index(n, y, x, c)]), want[i], ku / (1.0 - ku) * absolute[i]);
        // Not `error > bound`: a NaN must fail.
        let within = (got - want).abs() <= bound;
        if within {
            return Ok(());
        }
        Err(format!("image {n}, row {y}, column {x}, channel {c} is {got}, expected {want:e} within {bound:e}"))
    })
}

fn channels() -> impl Strategy<Value = usize> {
    prop_oneof![
        2 => 1..=9usize,
        2 => 1..=70usize,
        3 => (1..=9usize, 0..=2usize).prop_map(|(k, d)| k * 16 + d - 1),
    ]
}

fn map_size() -> impl Strategy<Value = [usize; 2]> {
    prop_oneof![
        8 => [1..=20usize, 1..=20usize],
        2 => [1..=4usize, 21..=140usize],
        1 => [21..=60usize, 1..=4usize],
    ]
}

/// Elements of a tensor that is worth cutting into parts.
const LARGE: usize = 140_000;

/// Sizes: mostly small, now and then worth cutting.
fn dims() -> impl Strategy<Value = Dims> {
    (1..=3usize, map_size(), channels(), 0..6u32).prop_map(|(n, [h, w], c, large)| {
        let mut d = Dims::new(n, h, w, c);
        let most = if large == 0 { LARGE } else { 12_000 };
        while large == 0 && d.n * d.h * d.w * d.c < LARGE {
            d.w += 1 + d.w / 2;
            d.h += d.h / 2;
        }
        while d.n * d.h * d.w * d.c > 2 * most && d.n * d.h * d.w > 1 {
            d = Dims::new(1, d.h.div_ceil(2), (d.w * 3 / 4).max(1), d.c);
        }
        d
    })
}

fn pool(kind: Pooling) -> impl Strategy<Value = Op> {
    let kernels = prop_oneof![
        4 => Just([3usize, 3]),
        2 => Just([2, 2]),
        1 => Just([5, 5]),
        4 => [1..=7usize, 1..=7usize],
    ];
    let strides = prop_oneof![3 => Just([1usize, 1]), 4 => Just([2, 2]), 3 => [1..=4usize, 1..=4usize]];
    (dims(), kernels, strides, [0..=6usize, 0..=6usize, 0..=6usize, 0..=6usize]).prop_map(
        move |(d, [kh, kw], [sh, sw], pads)| {
            let [top, bottom] = [pads[0], pads[1]].map(|p| p.min(kh - 1));
            let [left, right] = [pads[2], pads[3]].map(|p| p.min(kw - 1));
            let (h, w) = (d.h.max(kh.saturating_sub(top + bottom)), d.w.max(kw.saturating_sub(left + right)));
            let shape = Conv2dShape::new(d.n, h, w, d.c, d.c, [kh, kw])
                .groups(d.c)
                .stride_hw(sh, sw)
                .padding(Padding { top, bottom, left, right });
            Op::Pool(kind, shape)
        },
    )
}

fn fully_connected() -> impl Strategy<Value = Op> {
    let activations =
        prop_oneof![Just(Activation::None), Just(Activation::Relu6), Just(Activation::Clamp { lo: -2.5, hi: 3.75 })];
    let residuals = prop_oneof![2 => Just(Residual::None), 1 => Just(Residual::BeforeActivation), 1 => Just(Residual::AfterActivation)];
    let large = prop_oneof![5 => Just(1usize), 1 => Just(8usize)];
    (1..=9usize, channels(), channels(), large, activations, residuals, any::<bool>()).prop_map(
        |(n, c_in, c_out, times, activation, residual, bias)| {
            let epilogue = Epilogue::activation(activation).with_residual(residual);
            Op::FullyConnected { n, c_in: c_in * times, c_out: c_out * times, epilogue, bias }
        },
    )
}

fn op(family: Family) -> BoxedStrategy<Op> {
    match family {
        Family::MaxPool => pool(Pooling::Max).boxed(),
        Family::AveragePool => pool(Pooling::Average).boxed(),
        Family::GlobalAverage => dims().prop_map(Op::GlobalAverage).boxed(),
        Family::Shuffle => {
            let groups = prop_oneof![3 => 1..=4usize, 1 => Just(8usize), 2 => 5..=12usize];
            (dims(), groups)
                .prop_map(|(d, groups)| Op::Shuffle(groups, Dims { c: d.c.next_multiple_of(groups), ..d }))
                .boxed()
        }
        Family::Add => dims().prop_map(|d| Op::Elementwise(Elementwise::Add, d)).boxed(),
        Family::Multiply => dims().prop_map(|d| Op::Elementwise(Elementwise::Multiply, d)).boxed(),
        Family::Scale => dims().prop_map(|d| Op::Elementwise(Elementwise::Scale, d)).boxed(),
        Family::FullyConnected => fully_connected().boxed(),
    }
}

/// Cases of a family.
pub fn op_case(family: Family, layout: Layout) -> impl Strategy<Value = OpCase> {
    (op(family), (placement(), placement(), placement()), 1..=4usize, any::<u64>()).prop_map(
        move |(op, (input, second, output), parts, seed)| OpCase { op, layout, input, second, output, parts, seed },
    )
}
