//! Activations that are more than a clamp, and the residual add, on outputs just stored.
//!
//! Kernels end with bias and clamp in registers: that is ReLU and ReLU6, nearly all layers. Anything else is applied by a
//! second, short pass over the tile that has just been written and still sits in the first cache: one load and one store
//! per vector beside at least nine multiply-adds, and it keeps every micro-kernel free of polynomials.

use super::Job;
use crate::epilogue::{Activation, Epilogue, Residual};
use crate::tensor::Strides;
use crate::vector::Vector;
use core::ops::Range;

/// `out[0..n] = epilogue(out[0..n], residual[0..n])`
pub(crate) type FinishFn = unsafe fn(out: *mut f32, residual: *const f32, n: usize, epilogue: &Epilogue);

/// The second pass of a job.
#[derive(Clone, Copy)]
pub(crate) struct Finish {
    pub function: FinishFn,
    pub epilogue: Epilogue,
    /// First element of the residual, null where there is none.
    pub residual: *const f32,
    pub residual_strides: Strides,
}

impl Finish {
    /// Applies it to `n` outputs that lie next to each other, the first at image `i`, row `y`, column `x`, channel `c`.
    ///
    /// # Safety
    /// `out` points to `n` initialised outputs; the position is inside the residual tensor, and so are the `n` elements
    /// from it on along the innermost axis. The CPU has the tier that `function` was instantiated for.
    pub(crate) unsafe fn apply(&self, out: *mut f32, at: [usize; 4], n: usize) {
        let s = self.residual_strides;
        let [i, y, x, c] = at;
        // SAFETY: null stays null with zero strides (there is no residual then); else the position is inside by contract.
        unsafe {
            let residual = self.residual.wrapping_add(i * s.image + y * s.row + x * s.pixel + c * s.channel);
            (self.function)(out, if self.residual.is_null() { core::ptr::null() } else { residual }, n, &self.epilogue);
        }
    }

    /// Applies it to channels of pixels of an image; channels last.
    ///
    /// # Safety
    /// As [`apply`](Self::apply), for these channels of each pixel of the job's output.
    pub(super) unsafe fn apply_to(&self, job: &Job<'_>, image: usize, pixels: Range<usize>, channels: Range<usize>) {
        let (o, ow, c, width) = (job.output_strides, job.problem.ow, channels.start, channels.len());
        // Pixels without gaps between them are one run.
        let dense = |s: Strides| s.pixel == width && s.row == ow * width;
        let all = dense(o) && (self.residual.is_null() || dense(self.residual_strides));
        let (mut y, mut x, mut left) = (pixels.start / ow, pixels.start % ow, pixels.len());
        while left > 0 {
            let count = if all { left } else { 1 };
            // SAFETY: these pixels are inside the image, and lie one after the other if they are several.
            unsafe {
                let out = job.output.add(image * o.image + y * o.row + x * o.pixel + c);
                self.apply(out, [image, y, x, c], count * width);
            }
            left -= count;
            x += 1;
            if x == ow {
                (y, x) = (y + 1, 0);
            }
        }
    }
}

/// The pass, for a tier. `n` is any length. What networks use most has loops without a choice in them.
///
/// # Safety
/// As [`FinishFn`]: `out` is valid for `n` floats, and so is `residual` if the epilogue has one. The CPU has the tier.
#[inline(always)]
pub(crate) unsafe fn finish<V: Vector>(out: *mut f32, residual: *const f32, n: usize, epilogue: &Epilogue) {
    let Epilogue { activation, residual: add } = *epilogue;
    let mut i = 0;
    // `$value` of the output `$x` and, if `$adds`, of the residual `$r`, `$many` vectors at a time: where little is computed,
    // addresses and branches of one alone would be half of the instructions.
    macro_rules! pass {
        ($many:literal, $adds:literal, |$x:ident, $r:ident| $value:expr) => {{
            while $many > 1 && i + $many * V::LANES <= n {
                let (mut xs, mut rs) = ([V::zero(); $many], [V::zero(); $many]);
                for k in 0..$many {
                    xs[k] = V::load(out.add(i + k * V::LANES));
                    if $adds {
                        rs[k] = V::load(residual.add(i + k * V::LANES));
                    }
                }
                for k in 0..$many {
                    let ($x, $r) = (xs[k], rs[k]);
                    V::store($value, out.add(i + k * V::LANES));
                }
                i += $many * V::LANES;
            }
            while i + V::LANES <= n {
                let $r = if $adds { V::load(residual.add(i)) } else { V::zero() };
                let $x = V::load(out.add(i));
                V::store($value, out.add(i));
                i += V::LANES;
            }
            if i < n {
                let $r = if $adds { V::load_range(residual.add(i), 0, n - i) } else { V::zero() };
                let $x = V::load_range(out.add(i), 0, n - i);
                V::store_first($value, out.add(i), n - i);
            }
        }};
    }
    // SAFETY: no element from `n` on is touched; the residual is there if the epilogue has one.
    unsafe {
        match (activation, add) {
            (Activation::HardSwish, Residual::None) => pass!(4, false, |x, _r| activate(x, Activation::HardSwish)),
            (_, Residual::None) => pass!(1, false, |x, _r| activate(x, activation)),
            (Activation::None, _) => pass!(4, true, |x, r| x.add(r)),
            (Activation::Relu, Residual::BeforeActivation) => pass!(4, true, |x, r| x.add(r).at_least(V::zero())),
            (_, Residual::BeforeActivation) => pass!(1, true, |x, r| activate(x.add(r), activation)),
            (_, Residual::AfterActivation) => pass!(1, true, |x, r| activate(x, activation).add(r)),
        }
    }
}

/// One vector through an activation.
///
/// # Safety
/// The CPU has the tier.
#[inline(always)]
pub(crate) unsafe fn activate<V: Vector>(x: V, activation: Activation) -> V {
    // SAFETY: as the caller promises.
    unsafe {
        // `relu6(x + 3)`, the numerator of the hard functions.
        let six = V::splat(6.0);
        let hard = |x: V| x.add(V::splat(3.0)).at_least(V::zero()).at_most(six);
        match activation {
            Activation::HardSwish => x.mul(hard(x)).div(six),
            Activation::HardSigmoid => hard(x).div(six),
            Activation::Silu => x.div(V::splat(1.0).add(exp(x.mul(V::splat(-1.0))))),
            Activation::Sigmoid => V::splat(1.0).div(V::splat(1.0).add(exp(x.mul(V::splat(-1.0))))),
            clamp => match clamp.as_clamp() {
                Some((lo, hi)) => x.at_least(V::splat(lo)).at_most(V::splat(hi)),
                None => x,
            },
        }
    }
}

/// `exp(x)`, within 2 units in the last place where the result is a normal number; NaN stays NaN.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`; `exp(r)` by its Taylor polynomial of degree 7 (error below 1e-8 of the
/// result); the power of two in two steps, so that results down to the subnormals and up to infinity come out.
///
/// # Safety
/// The CPU has the tier.
#[inline(always)]
unsafe fn exp<V: Vector>(x: V) -> V {
    // SAFETY: as the caller promises.
    unsafe {
        // Beyond these the result is 0 or infinity whatever the rest.
        let x = x.at_least(V::splat(-104.0)).at_most(V::splat(89.0));
        let n = x.mul(V::splat(core::f32::consts::LOG2_E)).round();
        // ln 2 in two pieces, the first with trailing zeros, so that the difference is exact.
        let r = x.mul_add(n, V::splat(-0.693_359_4)).mul_add(n, V::splat(2.121_944_4e-4));
        let mut p = V::splat(1.0 / 5040.0);
        for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
            p = V::splat(c).mul_add(p, r);
        }
        let half = n.mul(V::splat(0.5)).round();
        p.scale_by_power_of_two(half).scale_by_power_of_two(n.add(half.mul(V::splat(-1.0))))
    }
}
