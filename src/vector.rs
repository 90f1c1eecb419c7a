//! The smallest vector trait that the kernels need.
//!
//! Every algorithm in [`crate::kernel`] is written once over [`Vector`] and instantiated per instruction set in
//! `crate::arch`. Methods are `#[inline(always)]` and carry no `#[target_feature]` of their own: they become the right
//! instructions only once inlined into a function that has the feature, which is why every one of them is unsafe.

/// A register of `f32` lanes.
///
/// # Safety
/// Implementations must load and store exactly the lanes that the methods say, and `LANES` must be true.
/// Callers of any method must run on a CPU with the instructions of the implementing tier.
pub(crate) unsafe trait Vector: Copy {
    /// Lanes in a register.
    const LANES: usize;

    /// Whether there are 16 registers, not 32.
    const FEW_REGISTERS: bool = false;

    /// Whether multiply-adds take a lane of a register as operand, so that one load serves four of them.
    const TAKES_LANES: bool;

    /// Whether stores that follow each other hold up multiply-adds, so that the last steps of a tile are taken for some rows at a time.
    const SPREADS_STORES: bool = false;

    /// Whether [`Vector::permute`] takes more time than [`Vector::permute_in_quads`] or a load of one scalar into all lanes.
    const PERMUTES_DEARLY: bool = false;

    /// Four scalars `p[0..4]`, each of which can multiply a whole vector. Where instructions take a lane of a register
    /// as operand (NEON), this is one loaded register; where they broadcast from memory (x86), it is the address.
    type Quad: Copy;

    /// A register of half as many lanes, for the last channels of a pixel, where the tier has one that computes in half the
    /// time; else the type itself.
    type Rest: Vector;

    /// All lanes zero.
    unsafe fn zero() -> Self;

    /// All lanes `x`.
    unsafe fn splat(x: f32) -> Self;

    /// Lanes `p[0..LANES]`.
    unsafe fn load(p: *const f32) -> Self;

    /// Lanes `p[i]` for `i` in `lo..hi`, zero elsewhere. Memory outside `p[lo..hi]` is not touched.
    unsafe fn load_range(p: *const f32, lo: usize, hi: usize) -> Self;

    /// Writes all lanes to `p[0..LANES]`.
    unsafe fn store(self, p: *mut f32);

    /// Writes the first `n` lanes, and nothing else.
    unsafe fn store_first(self, p: *mut f32, n: usize);

    /// `a * b + self`, fused where the tier has it.
    unsafe fn mul_add(self, a: Self, b: Self) -> Self;

    /// `self + b`
    unsafe fn add(self, b: Self) -> Self;

    /// `self - b`
    unsafe fn sub(self, b: Self) -> Self;

    /// `self * b`
    unsafe fn mul(self, b: Self) -> Self;

    /// `self / b`
    unsafe fn div(self, b: Self) -> Self;

    /// `if self < lo { lo } else { self }`, NaN kept.
    unsafe fn at_least(self, lo: Self) -> Self;

    /// `if self > hi { hi } else { self }`, NaN kept.
    unsafe fn at_most(self, hi: Self) -> Self;

    /// The greater one; NaN if either is.
    unsafe fn maximum(self, b: Self) -> Self;

    /// `self * 2^n`, where `n` is a whole number in -126..=127 in each lane.
    unsafe fn scale_by_power_of_two(self, n: Self) -> Self;

    /// Nearest whole number, for magnitudes below 2^22.
    unsafe fn round(self) -> Self;

    /// The even and the odd ones of the `2 * LANES` lanes of `self` and then `high`.
    unsafe fn deinterleave(self, high: Self) -> (Self, Self);

    /// The lanes of `self` and `other` in turn, `2 * LANES` of them.
    unsafe fn interleave(self, other: Self) -> (Self, Self);

    /// Lanes `N..` of `self`, then the first `N` of `next`; `N` is at most `LANES`.
    unsafe fn shift_in<const N: i32>(self, next: Self) -> Self;

    /// Lanes `self[index[i]]`. The indices are whole numbers below `LANES`, as [`Vector::indices`] made them.
    unsafe fn permute(self, index: Self) -> Self;

    /// [`Vector::permute`] where each lane stays among the four that it lies with.
    #[inline(always)]
    unsafe fn permute_in_quads(self, index: Self) -> Self {
        // SAFETY: a special case of it.
        unsafe { self.permute(index) }
    }

    /// Packs lane numbers `p[0..LANES]` for [`Vector::permute`].
    unsafe fn indices(p: *const u32) -> Self;

    /// Loads four scalars.
    unsafe fn quad(p: *const f32) -> Self::Quad;

    /// `b * q[I] + self`
    unsafe fn mul_add_lane<const I: i32>(self, b: Self, q: Self::Quad) -> Self;

    /// [`Vector::mul_add_lane`] of each of a row's vectors.
    #[inline(always)]
    unsafe fn mul_add_row<const I: i32, const NV: usize>(row: &mut [Self; NV], b: &[Self; NV], q: Self::Quad) {
        for v in 0..NV {
            // SAFETY: as the caller promises.
            row[v] = unsafe { row[v].mul_add_lane::<I>(b[v], q) };
        }
    }
}

/// Vectors with masks that are kept in a register, made once for many loads and stores.
///
/// # Safety
/// As [`Vector`].
#[cfg(all(target_arch = "x86_64", feature = "avx512"))]
pub(crate) unsafe trait Masked: Vector {
    /// Some lanes in a row.
    type Mask: Copy;

    /// Lanes `lo..hi`; both are at most `LANES`.
    unsafe fn mask(lo: usize, hi: usize) -> Self::Mask;

    /// Lanes of the mask from `p` on, zero elsewhere. Memory of other lanes is not touched.
    unsafe fn load_masked(p: *const f32, mask: Self::Mask) -> Self;

    /// Writes the lanes of the mask, and nothing else.
    unsafe fn store_masked(self, p: *mut f32, mask: Self::Mask);
}
