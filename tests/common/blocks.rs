//! Blocks of every kind, their weights, their plans, and the composition of reference operations that each must equal.
#![allow(dead_code)] // every test binary uses a part of it

use crate::common::data::Random;
use lightconv::block::*;
use lightconv::parallel::Parallel;
use lightconv::{Activation, Conv2dShape, Cost, Dims, Error, Layout, Options, Pooling, View, ViewMut, reference};
use num_traits::{FromPrimitive, Zero};
use std::ops::{Add, Div, Mul};

/// A number that the reference composition computes with.
pub trait Number:
    Copy + Zero + Add<Output = Self> + Mul<Output = Self> + Div<Output = Self> + FromPrimitive + PartialOrd
{
    /// What follows a sum.
    fn activate(self, activation: Activation) -> Self;
}

impl Number for f32 {
    fn activate(self, activation: Activation) -> Self {
        activation.apply(self)
    }
}

/// Unit roundoff of `f32`.
const U: f64 = 1.0 / (1u64 << 24) as f64;

/// A number with a bound on what `f32` arithmetic, in any order and fused or not, may make of it.
///
/// While a sum grows, it keeps the number of its terms, their magnitudes, and the errors that they came with. The sum of K
/// products is within `gamma_K` of the magnitudes' sum (Higham, Accuracy and Stability of Numerical Algorithms, 3.1); what
/// the terms were off by comes on top. An activation stretches the error by its slope and adds roundings of its own.
#[derive(Clone, Copy, Debug)]
pub struct Bounded {
    pub value: f64,
    pub error: f64,
    magnitude: f64,
    terms: f64,
}

impl Bounded {
    pub fn exact(value: f64) -> Self {
        Bounded { value, error: 0.0, magnitude: value.abs(), terms: 0.0 }
    }

    /// The sum as stored.
    fn stored(self) -> Self {
        let ku = (self.terms + 2.0) * U;
        let error = self.error + ku / (1.0 - ku) * (self.magnitude + self.error);
        Bounded { value: self.value, error, magnitude: self.value.abs(), terms: 0.0 }
    }

    fn with_roundings(self, value: f64, slope: f64, roundings: f64) -> Self {
        let error = slope * self.error;
        // Where an exponential overflows, a quotient is 0 instead of some `|x| / f32::MAX`.
        let error = error + roundings * U * (value.abs() + error) + 1e-36;
        Bounded { value, error, magnitude: value.abs(), terms: 0.0 }
    }
}

impl Number for Bounded {
    fn activate(self, activation: Activation) -> Self {
        let x = self.stored();
        let (slope, roundings) = match activation {
            Activation::None | Activation::Relu | Activation::Relu6 | Activation::Clamp { .. } => (1.0, 0.0),
            Activation::HardSwish => (1.5, 4.0),
            Activation::HardSigmoid => (1.0 / 6.0, 3.0),
            Activation::Silu => (1.1, 8.0),
            Activation::Sigmoid => (0.25, 8.0),
            other => unreachable!("no bound is stated for {other:?}"),
        };
        x.with_roundings(activation.apply(x.value), slope, roundings)
    }
}

impl Add for Bounded {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Bounded {
            value: self.value + other.value,
            error: self.error + other.error,
            magnitude: self.magnitude + other.magnitude,
            terms: self.terms + other.terms + 1.0,
        }
    }
}

impl Mul for Bounded {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let (a, b) = (self.stored_if_sum(), other.stored_if_sum());
        let value = a.value * b.value;
        let error = a.value.abs() * b.error + b.value.abs() * a.error + a.error * b.error;
        Bounded { value, error, magnitude: value.abs(), terms: 1.0 }
    }
}

impl Bounded {
    fn stored_if_sum(self) -> Self {
        if self.terms > 0.0 { self.stored() } else { self }
    }
}

impl Div for Bounded {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        let x = self.stored();
        x.with_roundings(x.value / other.value, 1.0 / other.value, 1.0)
    }
}

impl Zero for Bounded {
    fn zero() -> Self {
        Bounded::exact(0.0)
    }
    fn is_zero(&self) -> bool {
        self.value == 0.0
    }
}

impl FromPrimitive for Bounded {
    fn from_i64(n: i64) -> Option<Self> {
        Some(Bounded::exact(n as f64))
    }
    fn from_u64(n: u64) -> Option<Self> {
        Some(Bounded::exact(n as f64))
    }
}

impl PartialEq for Bounded {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl PartialOrd for Bounded {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

/// Weights and bias of a convolution.
#[derive(Clone, Debug)]
pub struct Weights<T = f32> {
    pub weights: Vec<T>,
    pub bias: Option<Vec<T>>,
}

impl Weights {
    pub fn filter(&self) -> Filter<'_> {
        Filter { weights: &self.weights, bias: self.bias.as_deref() }
    }
}

/// A dense tensor.
#[derive(Clone, Debug)]
pub struct Tensor<T> {
    pub dims: Dims,
    pub data: Vec<T>,
}

/// Runs reference operations, all in one layout.
pub struct Reference {
    pub layout: Layout,
}

impl Reference {
    fn make<T: Number>(&self, dims: Dims, f: impl FnOnce(&mut ViewMut<'_, T>) -> Result<(), Error>) -> Tensor<T> {
        let mut data = vec![T::zero(); dims.elements().unwrap()];
        f(&mut ViewMut::dense(self.layout, dims, &mut data).unwrap()).unwrap();
        Tensor { dims, data }
    }

    fn view<'a, T>(&self, t: &'a Tensor<T>) -> View<'a, T> {
        View::dense(self.layout, t.dims, &t.data).unwrap()
    }

    fn conv<T: Number>(&self, s: &Conv2dShape, w: &Weights<T>, a: Activation, x: &Tensor<T>) -> Tensor<T> {
        let (oh, ow) = s.check().unwrap();
        let mut y = self.make(Dims::new(s.n, oh, ow, s.c_out), |y| {
            reference::conv2d(s, &self.view(x), &w.weights, w.bias.as_deref(), y)
        });
        y.data.iter_mut().for_each(|v| *v = v.activate(a));
        y
    }

    fn pool<T: Number>(&self, pooling: Pooling, s: &Conv2dShape, x: &Tensor<T>) -> Tensor<T> {
        let (oh, ow) = s.check_pool().unwrap();
        self.make(Dims::new(s.n, oh, ow, s.c_in), |y| match pooling {
            Pooling::Max => reference::max_pool(s, &self.view(x), y),
            _ => reference::average_pool(s, &self.view(x), y),
        })
    }

    fn add<T: Number>(&self, a: &Tensor<T>, b: &Tensor<T>, activation: Activation) -> Tensor<T> {
        let mut y = self.make(a.dims, |y| reference::add(&self.view(a), &self.view(b), y));
        y.data.iter_mut().for_each(|v| *v = v.activate(activation));
        y
    }

    fn shuffle<T: Number>(&self, groups: usize, x: &Tensor<T>) -> Tensor<T> {
        self.make(x.dims, |y| reference::channel_shuffle(groups, &self.view(x), y))
    }

    fn channels<T: Number>(&self, x: &Tensor<T>, first: usize, count: usize) -> Tensor<T> {
        let part = self.view(x).channels(first, count).unwrap();
        self.make(part.dims(), |y| {
            each(part.dims(), |[n, h, w, c]| y.set(n, h, w, c, part.at(n, h, w, c)));
            Ok(())
        })
    }

    fn concat<T: Number>(&self, parts: &[&Tensor<T>]) -> Tensor<T> {
        let dims = Dims { c: parts.iter().map(|p| p.dims.c).sum(), ..parts[0].dims };
        self.make(dims, |y| {
            let mut first = 0;
            for part in parts {
                let (view, mut to) = (self.view(part), y.channels(first, part.dims.c)?);
                each(part.dims, |[n, h, w, c]| to.set(n, h, w, c, view.at(n, h, w, c)));
                first += part.dims.c;
            }
            Ok(())
        })
    }

    fn squeeze_excite<T: Number>(&self, se: &SqueezeExcite, w: &[Weights<T>], x: &Tensor<T>) -> Tensor<T> {
        let [reduce, expand] = se.convolutions(x.dims).unwrap();
        let averages = self.make(Dims { h: 1, w: 1, ..x.dims }, |y| reference::global_average_pool(&self.view(x), y));
        let squeezed = self.conv(&reduce, &w[0], se.activation, &averages);
        let factors = self.conv(&expand, &w[1], se.gate, &squeezed);
        let mut y = self.make(x.dims, |y| reference::scale(&self.view(x), &self.view(&factors), y));
        y.data.iter_mut().for_each(|v| *v = v.activate(Activation::None));
        y
    }

    fn ghost<T: Number>(&self, s: &GhostShape, w: &[Weights<T>], x: &Tensor<T>) -> Tensor<T> {
        let [primary, cheap] = s.convolutions();
        let first = self.conv(&primary, &w[0], s.activation(), x);
        // One cheap filter after the other, as many as channels are missing.
        let (taps, each) = (cheap.kh * cheap.kw, cheap.c_out / cheap.c_in);
        let one = Conv2dShape { c_in: 1, c_out: 1, groups: 1, ..cheap };
        let others = (0..s.output_dims().c - primary.c_out).map(|o| {
            let weights = w[1].weights[o * taps..][..taps].to_vec();
            let w = Weights { weights, bias: w[1].bias.as_ref().map(|b| vec![b[o]]) };
            self.conv(&one, &w, s.activation(), &self.channels(&first, o / each, 1))
        });
        let others: Vec<_> = others.collect();
        self.concat(&[&first].into_iter().chain(&others).collect::<Vec<_>>())
    }
}

pub fn each(d: Dims, mut f: impl FnMut([usize; 4])) {
    for n in 0..d.n {
        for y in 0..d.h {
            for x in 0..d.w {
                (0..d.c).for_each(|c| f([n, y, x, c]));
            }
        }
    }
}

/// What the plans of all blocks have in common.
pub trait Plan: Send + Sync {
    fn run(&self, x: &View<'_>, y: &mut ViewMut<'_>, scratch: &mut [f32]) -> Result<(), Error>;
    fn run_with(
        &self,
        pool: &dyn Parallel,
        x: &View<'_>,
        y: &mut ViewMut<'_>,
        scratch: &mut [f32],
    ) -> Result<(), Error>;
    fn scratch_len(&self) -> usize;
    fn cost(&self) -> Cost;
    fn threads(&self) -> usize;
    fn describe(&self) -> String;
}

/// A block of any kind.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // few at a time
pub enum Block {
    Separable(SeparableShape),
    InvertedResidual(InvertedResidualShape),
    Ghost(GhostShape),
    GhostBottleneck(GhostBottleneckShape),
    ShuffleV1(ShuffleV1Shape),
    ShuffleV2(ShuffleV2Shape),
    Bottleneck(BottleneckShape),
    Concat(ConcatShape),
}

macro_rules! for_all {
    ($block:expr, $s:ident => $body:expr) => {
        match $block {
            Block::Separable($s) => $body,
            Block::InvertedResidual($s) => $body,
            Block::Ghost($s) => $body,
            Block::GhostBottleneck($s) => $body,
            Block::ShuffleV1($s) => $body,
            Block::ShuffleV2($s) => $body,
            Block::Bottleneck($s) => $body,
            Block::Concat($s) => $body,
        }
    };
}

macro_rules! plans {
    ($($plan:ident)*) => {
        $(impl Plan for $plan {
            fn run(&self, x: &View<'_>, y: &mut ViewMut<'_>, scratch: &mut [f32]) -> Result<(), Error> {
                $plan::run(self, x, y, scratch)
            }
            fn run_with(
                &self,
                pool: &dyn Parallel,
                x: &View<'_>,
                y: &mut ViewMut<'_>,
                scratch: &mut [f32],
            ) -> Result<(), Error> {
                $plan::run_with(self, pool, x, y, scratch)
            }
            fn scratch_len(&self) -> usize {
                $plan::scratch_len(self)
            }
            fn cost(&self) -> Cost {
                $plan::cost(self)
            }
            fn threads(&self) -> usize {
                $plan::threads(self)
            }
            fn describe(&self) -> String {
                $plan::describe(self)
            }
        })*
    };
}
plans! { SeparablePlan InvertedResidualPlan GhostPlan GhostBottleneckPlan ShuffleV1Plan ShuffleV2Plan BottleneckPlan ConcatPlan }

impl Block {
    pub fn input_dims(&self) -> Dims {
        for_all!(self, s => s.input_dims())
    }

    pub fn output_dims(&self) -> Dims {
        for_all!(self, s => s.output_dims())
    }

    pub fn cost(&self) -> Cost {
        for_all!(self, s => s.cost().unwrap())
    }

    /// Whether an average or an exponential makes numbers that are not whole, so that sums after it depend on their order.
    pub fn is_exact_on_integers(&self) -> bool {
        let whole = |a: Activation| {
            matches!(a, Activation::None | Activation::Relu | Activation::Relu6 | Activation::Clamp { .. })
        };
        match self {
            Block::Separable(s) => s.convolutions().iter().all(|c| whole(c.1)),
            Block::InvertedResidual(s) => s.squeeze().is_none() && whole(s.activation()),
            Block::Ghost(s) => whole(s.activation()),
            Block::GhostBottleneck(s) => s.squeeze().is_none(),
            Block::ShuffleV1(s) => whole(s.activation()),
            Block::ShuffleV2(s) => whole(s.activation()),
            Block::Bottleneck(s) => whole(s.activation()),
            Block::Concat(s) => s.branches().iter().all(|b| {
                b.iter().enumerate().all(|(i, op)| match op {
                    Branch::Conv(_, a) => whole(*a),
                    Branch::Pool(Pooling::Average, _) => i + 1 == b.len(),
                    _ => true,
                })
            }),
        }
    }

    /// Its convolutions, in the order of their weights.
    pub fn convolutions(&self) -> Vec<Conv2dShape> {
        let se =
            |se: Option<SqueezeExcite>, dims: Dims| se.into_iter().flat_map(move |s| s.convolutions(dims).unwrap());
        match self {
            Block::Separable(s) => s.convolutions().map(|c| c.0).to_vec(),
            Block::InvertedResidual(s) => {
                let p = s.project();
                let mut all: Vec<_> = s.expand().into_iter().collect();
                all.push(s.depthwise());
                all.extend(se(s.squeeze(), Dims::new(p.n, p.h, p.w, p.c_in)));
                all.push(p);
                all
            }
            Block::Ghost(s) => s.convolutions().to_vec(),
            Block::GhostBottleneck(s) => {
                let mut all = s.expand().convolutions().to_vec();
                all.extend(s.depthwise());
                all.extend(se(s.squeeze(), s.project().input_dims()));
                all.extend(s.project().convolutions());
                all.extend(s.shortcut().into_iter().flatten());
                all
            }
            Block::ShuffleV1(s) => s.convolutions().to_vec(),
            Block::ShuffleV2(s) => s.convolutions().into_iter().chain(s.left().into_iter().flatten()).collect(),
            Block::Bottleneck(s) => s.convolutions().into_iter().chain(s.shortcut()).collect(),
            Block::Concat(s) => {
                let conv = |b: &Branch| match b {
                    Branch::Conv(s, _) => Some(*s),
                    _ => None,
                };
                s.branches().iter().flatten().filter_map(conv).collect()
            }
        }
    }

    /// Weights and biases that the block does not use: of cheap filters beyond its channels.
    pub fn unused_parameters(&self) -> usize {
        let of = |s: &GhostShape| {
            let [primary, cheap] = s.convolutions();
            (primary.c_out + cheap.c_out - s.output_dims().c) * (cheap.kh * cheap.kw + 1)
        };
        match self {
            Block::Ghost(s) => of(s),
            Block::GhostBottleneck(s) => of(&s.expand()) + of(&s.project()),
            _ => 0,
        }
    }

    /// Weights from a seed. On whole numbers, all sums stay exact in `f32`.
    pub fn weights(&self, seed: u64, whole: bool) -> Vec<Weights> {
        let mut random = Random(seed);
        let each = |(i, s): (usize, Conv2dShape)| {
            let terms = (s.c_in / s.groups * s.kh * s.kw) as u64;
            // Most weights are zero where there are many.
            let mut value = |_: usize| match whole {
                true if !random.next().is_multiple_of(1 + terms / 8) => 0.0,
                true => random.integer(2),
                false => random.real() / (terms as f32).sqrt(),
            };
            let weights = (0..s.weight_len().unwrap()).map(&mut value).collect();
            let mut value = |_: usize| if whole { random.integer(5) } else { random.real() };
            let bias = (i % 3 != 2).then(|| (0..s.c_out).map(&mut value).collect());
            Weights { weights, bias }
        };
        self.convolutions().into_iter().enumerate().map(each).collect()
    }

    pub fn plan(&self, layout: Layout, w: &[Weights], options: &Options<'_>) -> Result<Box<dyn Plan>, Error> {
        let f = |i: usize| w[i].filter();
        let se = |i: usize| SqueezeExciteWeights { reduce: f(i), expand: f(i + 1) };
        Ok(match self {
            Block::Separable(s) => {
                let w = SeparableWeights { depthwise: f(0), pointwise: f(1) };
                Box::new(SeparablePlan::new(s, layout, &w, options)?)
            }
            Block::InvertedResidual(s) => {
                let e = usize::from(s.expand().is_some());
                let q = 2 * usize::from(s.squeeze().is_some());
                let w = InvertedResidualWeights {
                    expand: (e == 1).then(|| f(0)),
                    depthwise: f(e),
                    squeeze_excite: (q == 2).then(|| se(e + 1)),
                    project: f(e + q + 1),
                };
                Box::new(InvertedResidualPlan::new(s, layout, &w, options)?)
            }
            Block::Ghost(s) => {
                let w = GhostWeights { primary: f(0), cheap: f(1) };
                Box::new(GhostPlan::new(s, layout, &w, options)?)
            }
            Block::GhostBottleneck(s) => {
                let d = 2 + usize::from(s.depthwise().is_some());
                let q = d + 2 * usize::from(s.squeeze().is_some());
                let w = GhostBottleneckWeights {
                    expand: GhostWeights { primary: f(0), cheap: f(1) },
                    depthwise: (d == 3).then(|| f(2)),
                    squeeze_excite: (q > d).then(|| se(d)),
                    project: GhostWeights { primary: f(q), cheap: f(q + 1) },
                    shortcut: s.shortcut().map(|_| GhostShortcut { depthwise: f(q + 2), pointwise: f(q + 3) }),
                };
                Box::new(GhostBottleneckPlan::new(s, layout, &w, options)?)
            }
            Block::ShuffleV1(s) => {
                let w = ShuffleV1Weights { reduce: f(0), depthwise: f(1), expand: f(2) };
                Box::new(ShuffleV1Plan::new(s, layout, &w, options)?)
            }
            Block::ShuffleV2(s) => {
                let left = s.left().map(|_| ShuffleV2Left { depthwise: f(3), project: f(4) });
                let w = ShuffleV2Weights { expand: f(0), depthwise: f(1), project: f(2), left };
                Box::new(ShuffleV2Plan::new(s, layout, &w, options)?)
            }
            Block::Bottleneck(s) => {
                let shortcut = s.shortcut().map(|_| f(3));
                let w = BottleneckWeights { reduce: f(0), spatial: f(1), expand: f(2), shortcut };
                Box::new(BottleneckPlan::new(s, layout, &w, options)?)
            }
            Block::Concat(s) => {
                let filters: Vec<_> = w.iter().map(Weights::filter).collect();
                Box::new(ConcatPlan::new(s, layout, &filters, options)?)
            }
        })
    }

    /// The composition of reference operations.
    pub fn reference<T: Number>(&self, layout: Layout, w: &[Weights<T>], x: &Tensor<T>) -> Tensor<T> {
        let r = Reference { layout };
        match self {
            Block::Separable(s) => {
                let [(dw, a), (pw, b)] = s.convolutions();
                r.conv(&pw, &w[1], b, &r.conv(&dw, &w[0], a, x))
            }
            Block::InvertedResidual(s) => {
                let (a, mut i) = (s.activation(), 0);
                let mut y = x.clone();
                if let Some(expand) = s.expand() {
                    y = r.conv(&expand, &w[0], a, &y);
                    i = 1;
                }
                y = r.conv(&s.depthwise(), &w[i], a, &y);
                if let Some(se) = s.squeeze() {
                    y = r.squeeze_excite(&se, &w[i + 1..], &y);
                    i += 2;
                }
                y = r.conv(&s.project(), &w[i + 1], Activation::None, &y);
                if s.has_residual() { r.add(&y, x, Activation::None) } else { y }
            }
            Block::Ghost(s) => r.ghost(s, w, x),
            Block::GhostBottleneck(s) => {
                let mut i = 2;
                let mut y = r.ghost(&s.expand(), w, x);
                if let Some(filter) = s.depthwise() {
                    y = r.conv(&filter, &w[i], Activation::None, &y);
                    i += 1;
                }
                if let Some(se) = s.squeeze() {
                    y = r.squeeze_excite(&se, &w[i..], &y);
                    i += 2;
                }
                y = r.ghost(&s.project(), &w[i..], &y);
                let shortcut = match s.shortcut() {
                    Some([filter, project]) => {
                        let filtered = r.conv(&filter, &w[i + 2], Activation::None, x);
                        r.conv(&project, &w[i + 3], Activation::None, &filtered)
                    }
                    None => x.clone(),
                };
                r.add(&y, &shortcut, Activation::None)
            }
            Block::ShuffleV1(s) => {
                let [reduce, filter, expand] = s.convolutions();
                let mut y = r.conv(&reduce, &w[0], s.activation(), x);
                y = r.shuffle(s.shuffle_groups(), &y);
                y = r.conv(&filter, &w[1], Activation::None, &y);
                match s.pool() {
                    Some(pool) => {
                        let y = r.conv(&expand, &w[2], s.activation(), &y);
                        r.concat(&[&r.pool(Pooling::Average, &pool, x), &y])
                    }
                    None => r.add(&r.conv(&expand, &w[2], Activation::None, &y), x, s.activation()),
                }
            }
            Block::ShuffleV2(s) => {
                let [expand, filter, project] = s.convolutions();
                let half = x.dims.c / 2;
                let (left, right) = match s.left() {
                    Some([filter, project]) => {
                        let y = r.conv(&filter, &w[3], Activation::None, x);
                        (r.conv(&project, &w[4], s.activation(), &y), x.clone())
                    }
                    None => (r.channels(x, 0, half), r.channels(x, half, half)),
                };
                let mut y = r.conv(&expand, &w[0], s.activation(), &right);
                y = r.conv(&filter, &w[1], Activation::None, &y);
                y = r.conv(&project, &w[2], s.activation(), &y);
                let y = r.concat(&[&left, &y]);
                if s.is_shuffled() { r.shuffle(2, &y) } else { y }
            }
            Block::Bottleneck(s) => {
                let [reduce, spatial, expand] = s.convolutions();
                let mut y = r.conv(&reduce, &w[0], s.activation(), x);
                y = r.conv(&spatial, &w[1], s.activation(), &y);
                y = r.conv(&expand, &w[2], Activation::None, &y);
                let shortcut = s.shortcut().map(|p| r.conv(&p, &w[3], Activation::None, x));
                r.add(&y, shortcut.as_ref().unwrap_or(x), s.activation())
            }
            Block::Concat(s) => {
                let mut filters = w.iter();
                let branch = |b: &Vec<Branch>| {
                    b.iter().fold(x.clone(), |y, op| match op {
                        Branch::Conv(s, a) => r.conv(s, filters.next().unwrap(), *a, &y),
                        Branch::Pool(p, s) => r.pool(*p, s, &y),
                        _ => unreachable!(),
                    })
                };
                let parts: Vec<Tensor<T>> = s.branches().iter().map(branch).collect();
                r.concat(&parts.iter().collect::<Vec<_>>())
            }
        }
    }
}
