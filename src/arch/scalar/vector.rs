//! One lane: plain Rust. Multiplies and adds round separately, since a fused multiply-add without the instruction is a
//! slow library call.

use crate::vector::Vector;
use num_traits::Float;

/// One lane.
#[derive(Clone, Copy)]
pub(crate) struct F32x1(f32);

// SAFETY: one lane is loaded and stored.
unsafe impl Vector for F32x1 {
    const LANES: usize = 1;

    const TAKES_LANES: bool = false;

    type Quad = *const f32;

    type Rest = Self;

    #[inline(always)]
    unsafe fn zero() -> Self {
        F32x1(0.0)
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        F32x1(x)
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: readable, by contract.
        unsafe { F32x1(*p) }
    }

    #[inline(always)]
    unsafe fn load_range(p: *const f32, lo: usize, hi: usize) -> Self {
        // SAFETY: readable if the lane is asked for.
        unsafe { F32x1(if lo == 0 && hi > 0 { *p } else { 0.0 }) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: writable, by contract.
        unsafe { *p = self.0 }
    }

    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, n: usize) {
        if n > 0 {
            // SAFETY: writable, by contract.
            unsafe { *p = self.0 }
        }
    }

    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        F32x1(a.0 * b.0 + self.0)
    }

    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        F32x1(self.0 + b.0)
    }

    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        F32x1(self.0 - b.0)
    }

    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        F32x1(self.0 * b.0)
    }

    #[inline(always)]
    unsafe fn div(self, b: Self) -> Self {
        F32x1(self.0 / b.0)
    }

    #[inline(always)]
    unsafe fn at_least(self, lo: Self) -> Self {
        if self.0 < lo.0 { lo } else { self }
    }

    #[inline(always)]
    unsafe fn at_most(self, hi: Self) -> Self {
        if self.0 > hi.0 { hi } else { self }
    }

    #[inline(always)]
    unsafe fn maximum(self, b: Self) -> Self {
        // With a NaN the comparison is false and `b` is taken: right for one in `b`, wrong for one in `self`.
        if self.0 > b.0 || self.0.is_nan() { self } else { b }
    }

    #[inline(always)]
    unsafe fn scale_by_power_of_two(self, n: Self) -> Self {
        // A NaN becomes 0 in the cast, and the product NaN all the same.
        F32x1(self.0 * f32::from_bits(((n.0 as i32 + 127) << 23) as u32))
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        F32x1(Float::round(self.0))
    }

    #[inline(always)]
    unsafe fn deinterleave(self, high: Self) -> (Self, Self) {
        (self, high)
    }

    #[inline(always)]
    unsafe fn interleave(self, other: Self) -> (Self, Self) {
        (self, other)
    }

    #[inline(always)]
    unsafe fn shift_in<const N: i32>(self, next: Self) -> Self {
        if N == 0 { self } else { next }
    }

    #[inline(always)]
    unsafe fn permute(self, _index: Self) -> Self {
        self
    }

    #[inline(always)]
    unsafe fn indices(_p: *const u32) -> Self {
        F32x1(0.0)
    }

    #[inline(always)]
    unsafe fn quad(p: *const f32) -> *const f32 {
        p
    }

    #[inline(always)]
    unsafe fn mul_add_lane<const I: i32>(self, b: Self, q: *const f32) -> Self {
        // SAFETY: four floats are readable at `q`, by contract of `quad`.
        unsafe { self.mul_add(b, Self::splat(*q.add(I as usize))) }
    }
}
