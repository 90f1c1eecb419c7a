//! Four lanes in a `q` register. Multiply-adds take a lane of a register as operand, so four scalars cost one load.

use crate::vector::Vector;
use core::arch::aarch64::*;

/// A `q` register of four lanes.
#[derive(Clone, Copy)]
pub(crate) struct F32x4(float32x4_t);

// SAFETY: loads and stores are of four lanes, or of those that are asked for.
unsafe impl Vector for F32x4 {
    const LANES: usize = 4;

    const TAKES_LANES: bool = true;

    type Quad = float32x4_t;

    type Rest = Self;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the CPU has NEON.
        unsafe { F32x4(vdupq_n_f32(0.0)) }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: the CPU has NEON.
        unsafe { F32x4(vdupq_n_f32(x)) }
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: four floats are readable, by contract.
        unsafe { F32x4(vld1q_f32(p)) }
    }

    #[inline(always)]
    unsafe fn load_range(p: *const f32, lo: usize, hi: usize) -> Self {
        // SAFETY: lanes `lo..hi` are readable, by contract; addresses are computed only where they are.
        unsafe {
            let mut x = vdupq_n_f32(0.0);
            if lo == 0 && hi >= 4 {
                return F32x4(vld1q_f32(p));
            }
            if lo == 0 && hi > 0 {
                x = vld1q_lane_f32::<0>(p, x);
            }
            if lo <= 1 && hi > 1 {
                x = vld1q_lane_f32::<1>(p.wrapping_add(1), x);
            }
            if lo <= 2 && hi > 2 {
                x = vld1q_lane_f32::<2>(p.wrapping_add(2), x);
            }
            if lo <= 3 && hi > 3 {
                x = vld1q_lane_f32::<3>(p.wrapping_add(3), x);
            }
            F32x4(x)
        }
    }

    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: four floats are writable, by contract.
        unsafe { vst1q_f32(p, self.0) }
    }

    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, n: usize) {
        // SAFETY: `n` floats are writable, by contract.
        unsafe {
            if n >= 4 {
                return vst1q_f32(p, self.0);
            }
            if n & 2 != 0 {
                vst1_f32(p, vget_low_f32(self.0));
                if n & 1 != 0 {
                    vst1q_lane_f32::<2>(p.add(2), self.0);
                }
            } else if n & 1 != 0 {
                vst1q_lane_f32::<0>(p, self.0);
            }
        }
    }

    #[inline(always)]
    unsafe fn mul_add(self, a: Self, b: Self) -> Self {
        // SAFETY: the CPU has NEON.
        unsafe { F32x4(vfmaq_f32(self.0, a.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn add(self, b: Self) -> Self {
        // SAFETY: the CPU has NEON.
        unsafe { F32x4(vaddq_f32(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn sub(self, b: Self) -> Self {
        // SAFETY: the CPU has NEON.
        unsafe { F32x4(vsubq_f32(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn mul(self, b: Self) -> Self {
        // SAFETY: the CPU has NEON.
        unsafe { F32x4(vmulq_f32(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn div(self, b: Self) -> Self {
        // SAFETY: the CPU has NEON.
        unsafe { F32x4(vdivq_f32(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn at_least(self, lo: Self) -> Self {
        // SAFETY: the CPU has NEON. The instruction keeps a NaN.
        unsafe { F32x4(vmaxq_f32(lo.0, self.0)) }
    }

    #[inline(always)]
    unsafe fn at_most(self, hi: Self) -> Self {
        // SAFETY: the CPU has NEON. The instruction keeps a NaN.
        unsafe { F32x4(vminq_f32(hi.0, self.0)) }
    }

    #[inline(always)]
    unsafe fn maximum(self, b: Self) -> Self {
        // SAFETY: the CPU has NEON. The instruction gives NaN if either operand is one.
        unsafe { F32x4(vmaxq_f32(self.0, b.0)) }
    }

    #[inline(always)]
    unsafe fn scale_by_power_of_two(self, n: Self) -> Self {
        // SAFETY: the CPU has NEON. The exponent field of 2^n is n + 127.
        unsafe {
            let e = vaddq_s32(vcvtnq_s32_f32(n.0), vdupq_n_s32(127));
            F32x4(vmulq_f32(self.0, vreinterpretq_f32_s32(vshlq_n_s32::<23>(e))))
        }
    }

    #[inline(always)]
    unsafe fn round(self) -> Self {
        // SAFETY: the CPU has NEON.
        unsafe { F32x4(vrndnq_f32(self.0)) }
    }

    #[inline(always)]
    unsafe fn deinterleave(self, high: Self) -> (Self, Self) {
        // SAFETY: the CPU has NEON.
        unsafe { (F32x4(vuzp1q_f32(self.0, high.0)), F32x4(vuzp2q_f32(self.0, high.0))) }
    }

    #[inline(always)]
    unsafe fn interleave(self, other: Self) -> (Self, Self) {
        // SAFETY: the CPU has NEON.
        unsafe { (F32x4(vzip1q_f32(self.0, other.0)), F32x4(vzip2q_f32(self.0, other.0))) }
    }

    #[inline(always)]
    unsafe fn shift_in<const N: i32>(self, next: Self) -> Self {
        // SAFETY: the CPU has NEON.
        unsafe {
            match N {
                1 => F32x4(vextq_f32::<1>(self.0, next.0)),
                2 => F32x4(vextq_f32::<2>(self.0, next.0)),
                3 => F32x4(vextq_f32::<3>(self.0, next.0)),
                4 => next,
                _ => self,
            }
        }
    }

    #[inline(always)]
    unsafe fn permute(self, index: Self) -> Self {
        // SAFETY: the CPU has NEON. `indices` made byte numbers.
        unsafe {
            let bytes = vreinterpretq_u8_f32(index.0);
            F32x4(vreinterpretq_f32_u8(vqtbl1q_u8(vreinterpretq_u8_f32(self.0), bytes)))
        }
    }

    #[inline(always)]
    unsafe fn indices(p: *const u32) -> Self {
        // SAFETY: four integers are readable, by contract. Lane i is bytes 4 i to 4 i + 3, the least first.
        unsafe {
            let first = vmulq_n_u32(vld1q_u32(p), 0x0404_0404);
            F32x4(vreinterpretq_f32_u32(vaddq_u32(first, vdupq_n_u32(0x0302_0100))))
        }
    }

    #[inline(always)]
    unsafe fn quad(p: *const f32) -> float32x4_t {
        // SAFETY: four floats are readable, by contract.
        unsafe { vld1q_f32(p) }
    }

    #[inline(always)]
    unsafe fn mul_add_lane<const I: i32>(self, b: Self, q: float32x4_t) -> Self {
        // SAFETY: the CPU has NEON.
        unsafe { F32x4(vfmaq_laneq_f32::<I>(self.0, b.0, q)) }
    }
}
