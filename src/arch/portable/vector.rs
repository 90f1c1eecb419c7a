//! Four lanes by the `wide` crate: SSE2, NEON, simd128, or plain code, as the target's baseline gives.

use crate::vector::Vector;
use wide::{f32x4, i32x4};

/// Four lanes of `wide`.
#[derive(Clone, Copy)]
pub(crate) struct F32x4(f32x4);

// SAFETY: loads and stores are of four lanes, or of those that are asked for.
unsafe impl Vector for F32x4 {
    const LANES: usize = 4;

    const TAKES_LANES: bool = false;

    type Quad = *const f32;

    type Rest = Self;

    #[inline(always)]
    unsafe fn zero() -> Self {
        F32x4(f32x4::ZERO)
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        F32x4(f32x4::splat(x))
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: four floats are readable, by contract, at any alignment of a float.
        unsafe { F32x4(f32x4::new(p.cast::<[f32; 4]>().read_unaligned())) }
    }

    #[inline(always)]
    unsafe fn load_range(p: *const f32, lo: usize, hi: usize) -> Self {
        let mut x = [0.0; 4];
        for (i, x) in x.iter_mut().enumerate().take(hi).skip(lo) {
            // SAFETY: lanes `lo..hi` are readable, by contract; the address is computed only where they are.
            *x = unsafe { *p.wrapping_add(i) };
        }
        F32x4(f32x4::new(x))
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: four floats are writable, by contract, at any alignment of a float.
        unsafe { p.cast::<[f32; 4]>().write_unaligned(self.0.to_array()) }
    }

    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, n: usize) {
        let x = self.0.to_array();
        for (i, x) in x.iter().enumerate().take(n) {
            // SAFETY: `n` floats are writable, by contract.
            unsafe { *p.add(i) = *x }
        }
    }

    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        // Fused where the target's baseline is (NEON), rounded twice elsewhere.
        F32x4(a.0.mul_add(b.0, self.0))
    }

    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        F32x4(self.0 + b.0)
    }

    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        F32x4(self.0 - b.0)
    }

    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        F32x4(self.0 * b.0)
    }

    #[inline(always)]
    unsafe fn div(self, b: Self) -> Self {
        F32x4(self.0 / b.0)
    }

    #[inline(always)]
    unsafe fn at_least(self, lo: Self) -> Self {
        // By comparison: `wide`'s `max` makes no promise about NaN that holds on every target.
        F32x4(self.0.simd_lt(lo.0).select(lo.0, self.0))
    }

    #[inline(always)]
    unsafe fn at_most(self, hi: Self) -> Self {
        F32x4(self.0.simd_gt(hi.0).select(hi.0, self.0))
    }

    #[inline(always)]
    unsafe fn maximum(self, b: Self) -> Self {
        // A comparison with a NaN is false: the first selection then takes `b`, and the second puts one in `self` back.
        let greater = self.0.simd_gt(b.0).select(self.0, b.0);
        F32x4(self.0.simd_eq(self.0).select(greater, self.0))
    }

    #[inline(always)]
    unsafe fn scale_by_power_of_two(self, n: Self) -> Self {
        let e: i32x4 = n.0.fast_trunc_int() + i32x4::splat(127);
        let bits = (e << 23_i32).to_array().map(|b| f32::from_bits(b as u32));
        F32x4(self.0 * f32x4::new(bits))
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        F32x4(self.0.round())
    }

    #[inline(always)]
    unsafe fn deinterleave(self, high: Self) -> (Self, Self) {
        let ([a, b, c, d], [e, f, g, h]) = (self.0.to_array(), high.0.to_array());
        (F32x4(f32x4::new([a, c, e, g])), F32x4(f32x4::new([b, d, f, h])))
    }

    #[inline(always)]
    unsafe fn interleave(self, other: Self) -> (Self, Self) {
        let ([a, b, c, d], [e, f, g, h]) = (self.0.to_array(), other.0.to_array());
        (F32x4(f32x4::new([a, e, b, f])), F32x4(f32x4::new([c, g, d, h])))
    }

    #[inline(always)]
    unsafe fn shift_in<const N: i32>(self, next: Self) -> Self {
        let (a, b) = (self.0.to_array(), next.0.to_array());
        let lane = |i: usize| if i < 4 { a[i] } else { b[i & 3] };
        F32x4(f32x4::new([lane(N as usize), lane(N as usize + 1), lane(N as usize + 2), lane(N as usize + 3)]))
    }

    #[inline(always)]
    unsafe fn permute(self, index: Self) -> Self {
        let x = self.0.to_array();
        F32x4(f32x4::new(index.0.to_array().map(|i| x[i.to_bits() as usize & 3])))
    }

    #[inline(always)]
    unsafe fn indices(p: *const u32) -> Self {
        // SAFETY: four integers are readable, by contract.
        unsafe { F32x4(f32x4::new(p.cast::<[u32; 4]>().read_unaligned().map(f32::from_bits))) }
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
