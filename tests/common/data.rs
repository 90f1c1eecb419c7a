//! Data for a case, the run, and the comparison with the reference. Used by the fuzz target as well.

use super::case::{Backwards, Case, Geometry};
use super::winograd;
use lightconv::{Activation, Conv2dPlan, Epilogue, Isa, Residual, View, ViewMut, reference};

/// What the tensors hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Small whole numbers: every order of summation is exact in `f32`.
    Integers,
    /// Numbers of mixed magnitude.
    Reals,
    /// Small whole numbers, and here and there a NaN or an infinity in the input.
    Specials,
}

/// Fills slices around and between elements: a NaN, so that reading it spoils a result, with bits of its own, so that
/// writing over it shows.
pub const SENTINEL: u32 = 0x7fc5_eed5;

/// SplitMix64 (Steele, Lea, Flood 2014): a seed gives the same data everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A whole number in `-most..=most`.
    pub fn integer(&mut self, most: u64) -> f32 {
        (self.next() % (2 * most + 1)) as f32 - most as f32
    }

    /// A number in `-8..8` with 24 significant bits, of mixed magnitude.
    pub fn real(&mut self) -> f32 {
        let bits = self.next();
        let mantissa = (bits >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
        mantissa * [8.0, 1.0, 1.0, 1.0, 0.25, 0.25, 0.03125, 0.0009765625][(bits & 7) as usize]
    }
}

/// The caller's side of a run.
pub struct Data {
    pub kind: Kind,
    /// Of the Winograd kernel that the data is for.
    pub tile: Option<usize>,
    pub input: Vec<f32>,
    pub weights: Vec<f32>,
    pub bias: Option<Vec<f32>>,
    pub residual: Option<Vec<f32>>,
}

impl Data {
    pub fn new(case: &Case, kind: Kind) -> Self {
        Self::for_kernel(case, kind, None)
    }

    /// Data for the kernel of this name. Winograd's algorithm divides weights by 2 (tiles of 2) or by 4, 6 and 24 (tiles
    /// of 4) on each axis; whole numbers stay whole in it if the weights are multiples of 4 or of 576, and so small that no
    /// sum passes 2^24. Tiles of 6 have points of one half and divisors of 45: there is no such data for them.
    pub fn for_kernel(case: &Case, kind: Kind, kernel: Option<&str>) -> Self {
        let tile = kernel.and_then(winograd::tile_of);
        let (most_input, most_weight, factor) = match tile {
            Some(2) => (4, 3, 4.0),
            Some(4) => (1, 1, 576.0),
            _ => (4, 3, 1.0),
        };
        let mut random = Random(case.seed);
        let mut fill = |g: &Geometry, value: &mut dyn FnMut(&mut Random) -> f32| {
            let mut data = vec![f32::from_bits(SENTINEL); g.len];
            g.each(|[n, y, x, c]| data[g.index(n, y, x, c)] = value(&mut random));
            data
        };
        // Infinities times weights of both signs make NaNs, which is right, but through an exponential they would be
        // compared by a bound.
        let infinities = !matches!(case.epilogue.activation, Activation::Silu | Activation::Sigmoid);
        let mut input_value = |r: &mut Random| match kind {
            Kind::Integers => r.integer(most_input),
            Kind::Reals => r.real(),
            Kind::Specials => match r.next() % 64 {
                0 => f32::NAN,
                1 if infinities => f32::INFINITY,
                2 if infinities => f32::NEG_INFINITY,
                _ => r.integer(most_input),
            },
        };
        let input = fill(&case.input(), &mut input_value);
        let mut value = |r: &mut Random| if kind == Kind::Reals { r.real() } else { r.integer(8) };
        let residual = case.residual().map(|g| fill(&g, &mut value));
        let bias = case.bias.then(|| (0..case.shape.c_out).map(|_| value(&mut random)).collect());
        let value = |r: &mut Random| if kind == Kind::Reals { r.real() } else { factor * r.integer(most_weight) };
        let weights = (0..case.weight_len()).map(|_| value(&mut random)).collect();
        Data { kind, tile, input, weights, bias, residual }
    }

    pub fn plan(&self, case: &Case, isa: Isa, kernel: Option<&str>) -> Result<Conv2dPlan, String> {
        case.plan(isa, kernel, &self.weights, self.bias.as_deref()).map_err(|e| format!("no plan: {e}"))
    }

    /// Runs the plan and gives the whole output slice. The slack around the output was left alone.
    pub fn run(&self, case: &Case, plan: &Conv2dPlan) -> Result<Vec<f32>, String> {
        let g = case.output();
        let mut output = vec![f32::from_bits(SENTINEL); g.len];
        let mut scratch = vec![f32::from_bits(SENTINEL); plan.scratch_len()];
        let input = case.input().view(&self.input).map_err(|e| format!("input view: {e}"))?;
        let residual_geometry = case.residual();
        let residual = match (&residual_geometry, &self.residual) {
            (Some(g), Some(data)) => Some(g.view(data).map_err(|e| format!("residual view: {e}"))?),
            _ => None,
        };
        g.with_view_mut(&mut output, |out| {
            plan.run_with(&Backwards(case.parts), &input, residual.as_ref(), out, &mut scratch)
        })
        .map_err(|e| format!("run: {e}"))?;
        let mut inside = vec![false; g.len];
        g.each(|[n, y, x, c]| inside[g.index(n, y, x, c)] = true);
        let written = (0..g.len).find(|&i| !inside[i] && output[i].to_bits() != SENTINEL);
        match written {
            Some(i) => {
                Err(format!("element {i} of the output slice is outside the view and was written: {}", output[i]))
            }
            None => Ok(output),
        }
    }
}

/// Converts the elements of a view, dense in the case's layout.
fn converted<T>(g: &Geometry, data: &[f32], f: impl Fn(f32) -> T) -> (Geometry, Vec<T>)
where
    T: Copy + Default,
{
    let dense = Geometry::dense(g.layout, g.dims);
    let mut out = vec![T::default(); dense.len];
    g.each(|[n, y, x, c]| out[dense.index(n, y, x, c)] = f(data[g.index(n, y, x, c)]));
    (dense, out)
}

/// The reference's sums, bias included, dense in the case's layout, of `f` of every number.
fn sums<T>(case: &Case, data: &Data, f: impl Fn(f32) -> T + Copy) -> Result<Vec<T>, String>
where
    T: num_traits::Float + Default,
{
    let (input_geometry, input) = converted(&case.input(), &data.input, f);
    let weights: Vec<T> = data.weights.iter().map(|&v| f(v)).collect();
    let bias: Option<Vec<T>> = data.bias.as_ref().map(|b| b.iter().map(|&v| f(v)).collect());
    let g = Geometry::dense(case.layout, case.output_dims());
    let mut output = vec![T::nan(); g.len];
    let input: View<'_, T> = input_geometry.view(&input).map_err(|e| format!("reference input: {e}"))?;
    g.with_view_mut(&mut output, |out: &mut ViewMut<'_, T>| {
        reference::conv2d(&case.shape, &input, &weights, bias.as_deref(), out)
    })
    .map_err(|e| format!("reference: {e}"))?;
    Ok(output)
}

/// Unit roundoff of `f32`.
const U: f64 = 1.0 / (1u64 << 24) as f64;

/// Greatest slope of an activation, and its own rounding errors in units of the roundoff of its result.
fn conditioning(activation: Activation) -> (f64, f64) {
    match activation {
        Activation::None | Activation::Relu | Activation::Relu6 | Activation::Clamp { .. } => (1.0, 0.0),
        // Sum, product, quotient.
        Activation::HardSwish => (1.5, 4.0),
        Activation::HardSigmoid => (1.0 / 6.0, 3.0),
        // An exponential within 2 units in the last place (4 of the roundoff), sum, quotient.
        Activation::Silu => (1.1, 8.0),
        Activation::Sigmoid => (0.25, 8.0),
        other => unreachable!("no bound is stated for {other:?}"),
    }
}

/// Where the exponential overflows, the quotient is 0 instead of some `|x| / f32::MAX`.
const EXPONENTIAL_FLOOR: f64 = 1e-36;

fn uses_exponential(activation: Activation) -> bool {
    matches!(activation, Activation::Silu | Activation::Sigmoid)
}

/// The reference's sums for a case, to compare any number of outputs with.
pub struct Expected<'a> {
    case: &'a Case,
    data: &'a Data,
    sums: Sums,
    /// Roundings on the way to a sum.
    roundings: usize,
    /// Where a tile of a Winograd kernel read a NaN or an infinity.
    reached: Option<Vec<Reach>>,
}

/// What special inputs mean for an output of a Winograd kernel.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Its tile read none: it is as any other.
    Not,
    /// Its tile read some: it may be anything.
    Tile,
    /// There is a NaN among the inputs that it is a sum of: it is a NaN.
    Nan,
}

/// [`Reach`] of every output, dense in the case's layout.
fn reaches(case: &Case, data: &Data, tile: usize) -> Result<Vec<Reach>, String> {
    let nans = sums(case, data, |v| if v.is_infinite() { 0.0 } else { v })?;
    let g = case.input();
    let dense = Geometry::dense(case.layout, case.output_dims());
    let mut out = vec![Reach::Not; dense.len];
    let special = |[n, y, x]: [usize; 3]| (0..g.dims.c).any(|c| !data.input[g.index(n, y, x, c)].is_finite());
    winograd::reached(case, tile, special, |[n, y, x], any| {
        for c in 0..dense.dims.c {
            let i = dense.index(n, y, x, c);
            out[i] = match (any, nans[i].is_nan()) {
                (_, true) => Reach::Nan,
                (true, false) => Reach::Tile,
                (false, false) => Reach::Not,
            };
        }
    });
    Ok(out)
}

/// The magnitudes that the bound of a sum is relative to, dense in the case's layout.
fn magnitudes(case: &Case, data: &Data) -> Result<Vec<f64>, String> {
    let Some(tile) = data.tile else { return sums(case, data, |v| f64::from(v.abs())) };
    let g = case.input();
    let dense = Geometry::dense(case.layout, case.output_dims());
    let mut out = vec![f64::NAN; dense.len];
    let input = |[n, y, x, c]: [usize; 4]| f64::from(data.input[g.index(n, y, x, c)]);
    winograd::magnitudes(case, tile, input, &data.weights, data.bias.as_deref(), |[n, y, x, c], m| {
        out[dense.index(n, y, x, c)] = m;
    });
    Ok(out)
}

enum Sums {
    /// Exact in `f32`, to be met bit for bit.
    Bits(Vec<f32>),
    /// In `f64`, with the sums of the magnitudes unless the `f32` sums are exact too.
    Bound(Vec<f64>, Option<Vec<f64>>),
}

impl<'a> Expected<'a> {
    pub fn new(case: &'a Case, data: &'a Data) -> Result<Self, String> {
        // See `Data::for_kernel`.
        let whole = data.kind != Kind::Reals && data.tile != Some(6);
        let sums = match (whole, uses_exponential(case.epilogue.activation)) {
            (true, false) => Sums::Bits(sums(case, data, |v| v)?),
            (true, true) => Sums::Bound(sums(case, data, f64::from)?, None),
            (false, _) => Sums::Bound(sums(case, data, f64::from)?, Some(magnitudes(case, data)?)),
        };
        let roundings =
            data.tile.map_or(case.terms() + 3, |t| case.shape.c_in / case.shape.groups + winograd::roundings(t) + 1);
        let reached = data.tile.filter(|_| data.kind == Kind::Specials).map(|t| reaches(case, data, t)).transpose()?;
        Ok(Expected { case, data, sums, roundings, reached })
    }

    /// Largest error of an output without epilogue, in units of the roundoff of the direct form's `sum |x w|`.
    pub fn worst_error(&self, output: &[f32]) -> f64 {
        let Sums::Bound(sums_f64, _) = &self.sums else { panic!("only where there is a bound") };
        let direct = sums(self.case, self.data, |v| f64::from(v.abs())).expect("the reference takes every shape");
        let (g, dense) = (self.case.output(), Geometry::dense(self.case.layout, self.case.output_dims()));
        let mut worst = 0.0f64;
        g.each(|[n, y, x, c]| {
            let i = dense.index(n, y, x, c);
            worst = worst.max((f64::from(output[g.index(n, y, x, c)]) - sums_f64[i]).abs() / (U * direct[i]));
        });
        worst
    }

    /// Compares an output of [`Data::run`]: bit for bit on whole numbers, within the derived bound on real ones and where
    /// an exponential is involved.
    pub fn compare(&self, output: &[f32]) -> Result<(), String> {
        let Expected { case, data, sums, roundings, reached } = self;
        let dense = Geometry::dense(case.layout, case.output_dims());
        let residuals = case.residual().zip(data.residual.as_ref());
        let g = case.output();
        g.try_each(|[n, y, x, c]| {
            let got = output[g.index(n, y, x, c)];
            let residual = residuals.map_or(0.0, |(g, r)| r[g.index(n, y, x, c)]);
            let i = dense.index(n, y, x, c);
            let reach = reached.as_ref().map_or(Reach::Not, |r| r[i]);
            let fault = if got.to_bits() == SENTINEL {
                Some("which was not written".to_string())
            } else if reach == Reach::Tile {
                None
            } else if reach == Reach::Nan {
                (!got.is_nan()).then(|| "expected a NaN".to_string())
            } else {
                match sums {
                    Sums::Bits(sums) => {
                        let want = case.epilogue.apply(sums[i], residual);
                        let same = got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan());
                        (!same).then(|| format!("expected exactly {want}"))
                    }
                    Sums::Bound(sums, magnitudes) => {
                        let residual = f64::from(residual);
                        let want = case.epilogue.apply(sums[i], residual);
                        let bound =
                            bound(&case.epilogue, *roundings, sums[i], magnitudes.as_ref().map(|m| m[i]), residual);
                        let error = (f64::from(got) - want).abs();
                        let same = error <= bound || (got.is_nan() && want.is_nan());
                        (!same).then(|| format!("expected {want:e} within {bound:e}, but the error is {error:e}"))
                    }
                }
            };
            match fault {
                Some(fault) => Err(format!("image {n}, row {y}, column {x}, channel {c} is {got}, {fault}")),
                None => Ok(()),
            }
        })
    }
}

/// `|computed - exact|` of a sum with `k` roundings on the way, and of what follows it.
///
/// The sum of K products, in any order and fused or not, is within `gamma_K * sum |x * w|` of the exact one, where
/// `gamma_K = K u / (1 - K u)` (Higham, Accuracy and Stability of Numerical Algorithms, 3.1). Bias and residual are terms
/// more: `k` is K + 3. Winograd's algorithm is a sum of products as well, of other terms and with other roundings: see
/// [`winograd`]. An activation stretches the error by its slope at most and adds its own. Without `magnitude` the sum is exact.
fn bound(epilogue: &Epilogue, k: usize, sum: f64, magnitude: Option<f64>, residual: f64) -> f64 {
    let before = if epilogue.residual == Residual::BeforeActivation { residual } else { 0.0 };
    let ku = k as f64 * U;
    let linear = magnitude.map_or(0.0, |m| ku / (1.0 - ku) * (m + before.abs()));
    let (slope, roundings) = conditioning(epilogue.activation);
    let activated = epilogue.activation.apply(sum + before);
    let mut error = slope * linear;
    error += roundings * U * (activated.abs() + error);
    if uses_exponential(epilogue.activation) {
        error += EXPONENTIAL_FLOOR;
    }
    if epilogue.residual == Residual::AfterActivation {
        error += U * (activated.abs() + residual.abs() + error);
    }
    error
}

/// Plans, runs and compares one kernel, or the one that the plan chooses.
pub fn check(case: &Case, kind: Kind, isa: Isa, kernel: Option<&str>) -> Result<Conv2dPlan, String> {
    let data = Data::for_kernel(case, kind, kernel);
    let plan = data.plan(case, isa, kernel)?;
    let output = data.run(case, &plan)?;
    Expected::new(case, &data)?.compare(&output).map_err(|e| format!("{} on {kind:?}: {e}", plan.kernel_name()))?;
    Ok(plan)
}
