//! Eight lanes in two `q` registers, which one instruction loads or stores: for kernels whose loads serve few multiplies.

use super::vector::F32x4;
use crate::vector::Vector;
use core::arch::aarch64::*;

/// Two `q` registers.
#[derive(Clone, Copy)]
pub(crate) struct F32x8(F32x4, F32x4);

impl F32x8 {
    /// The method of the halves.
    #[inline(always)]
    fn each(self, b: Self, f: impl Fn(F32x4, F32x4) -> F32x4) -> Self {
        F32x8(f(self.0, b.0), f(self.1, b.1))
    }
}

// SAFETY: loads and stores are of eight lanes, or of those that are asked for.
unsafe impl Vector for F32x8 {
    const LANES: usize = 8;

    const SHIFTS: bool = false;

    const TAKES_LANES: bool = true;

    type Quad = float32x4_t;

    type Rest = Self;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the CPU has NEON.
        unsafe { F32x8(F32x4::zero(), F32x4::zero()) }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the CPU has NEON.
        unsafe { F32x8(F32x4::splat(x), F32x4::splat(x)) }
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: eight floats are readable, by contract.
        unsafe { F32x8(F32x4::load(p), F32x4::load(p.add(4))) }
    }

    #[inline(always)]
    unsafe fn load_range(p: *const f32, lo: usize, hi: usize) -> Self {
        let (low, high) = ((lo.min(4), hi.min(4)), (lo.max(4) - 4, hi.max(4) - 4));
        // SAFETY: lanes `lo..hi` are readable, by contract.
        unsafe { F32x8(F32x4::load_range(p, low.0, low.1), F32x4::load_range(p.wrapping_add(4), high.0, high.1)) }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: eight floats are writable, by contract.
        unsafe {
            self.0.store(p);
            self.1.store(p.add(4));
        }
    }

    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, n: usize) {
        // SAFETY: `n` floats are writable, by contract.
        unsafe {
            self.0.store_first(p, n.min(4));
            if n > 4 {
                self.1.store_first(p.add(4), n - 4);
            }
        }
    }

    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        // SAFETY: the CPU has NEON.
        unsafe { F32x8(self.0.mul_add(a.0, b.0), self.1.mul_add(a.1, b.1)) }
    }

    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        // SAFETY: the CPU has NEON.
        self.each(b, |x, y| unsafe { x.add(y) })
    }

    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        // SAFETY: the CPU has NEON.
        self.each(b, |x, y| unsafe { x.sub(y) })
    }

    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        // SAFETY: the CPU has NEON.
        self.each(b, |x, y| unsafe { x.mul(y) })
    }

    #[inline(always)]
    unsafe fn div(self, b: Self) -> Self {
        // SAFETY: the CPU has NEON.
        self.each(b, |x, y| unsafe { x.div(y) })
    }

    #[inline(always)]
    unsafe fn at_least(self, lo: Self) -> Self {
        // SAFETY: the CPU has NEON.
        self.each(lo, |x, y| unsafe { x.at_least(y) })
    }

    #[inline(always)]
    unsafe fn at_most(self, hi: Self) -> Self {
        // SAFETY: the CPU has NEON.
        self.each(hi, |x, y| unsafe { x.at_most(y) })
    }

    #[inline(always)]
    unsafe fn maximum(self, b: Self) -> Self {
        // SAFETY: the CPU has NEON.
        self.each(b, |x, y| unsafe { x.maximum(y) })
    }

    #[inline(always)]
    unsafe fn scale_by_power_of_two(self, n: Self) -> Self {
        // SAFETY: the CPU has NEON; the whole numbers are as the contract says.
        self.each(n, |x, y| unsafe { x.scale_by_power_of_two(y) })
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        // SAFETY: the CPU has NEON.
        self.each(self, |x, _| unsafe { x.round() })
    }

    #[inline(always)]
    unsafe fn deinterleave(self, high: Self) -> (Self, Self) {
        // SAFETY: the CPU has NEON.
        unsafe {
            let (low, high) = (self.0.deinterleave(self.1), high.0.deinterleave(high.1));
            (F32x8(low.0, high.0), F32x8(low.1, high.1))
        }
    }

    #[inline(always)]
    unsafe fn shift_in<const N: i32>(self, next: Self) -> Self {
        // SAFETY: the CPU has NEON.
        unsafe {
            match N {
                1..=4 => F32x8(self.0.shift_in::<N>(self.1), self.1.shift_in::<N>(next.0)),
                5 => F32x8(self.1.shift_in::<1>(next.0), next.0.shift_in::<1>(next.1)),
                6 => F32x8(self.1.shift_in::<2>(next.0), next.0.shift_in::<2>(next.1)),
                7 => F32x8(self.1.shift_in::<3>(next.0), next.0.shift_in::<3>(next.1)),
                8 => next,
                _ => self,
            }
        }
    }

    #[inline(always)]
    unsafe fn permute(self, index: Self) -> Self {
        // SAFETY: the CPU has NEON. `indices` made byte numbers of both registers.
        unsafe {
            let bytes = |x: F32x4| vreinterpretq_u8_f32(x.raw());
            let table = uint8x16x2_t(bytes(self.0), bytes(self.1));
            let lookup = |i: F32x4| F32x4::from_raw(vreinterpretq_f32_u8(vqtbl2q_u8(table, bytes(i))));
            F32x8(lookup(index.0), lookup(index.1))
        }
    }

    #[inline(always)]
    unsafe fn indices(p: *const u32) -> Self {
        // SAFETY: eight integers are readable, by contract.
        unsafe { F32x8(F32x4::indices(p), F32x4::indices(p.add(4))) }
    }

    #[inline(always)]
    unsafe fn quad(p: *const f32) -> float32x4_t {
        // SAFETY: four floats are readable, by contract.
        unsafe { vld1q_f32(p) }
    }

    #[inline(always)]
    unsafe fn mul_add_lane<const I: i32>(self, b: Self, q: float32x4_t) -> Self {
        // SAFETY: the CPU has NEON.
        unsafe { F32x8(self.0.mul_add_lane::<I>(b.0, q), self.1.mul_add_lane::<I>(b.1, q)) }
    }
}
