//! Parts of micro-kernels that hold a tile of an NHWC image in registers: depthwise tiles and strips, grouped convolution.
//!
//! Loops inside unrolled loops are `unroll!`ed too, each in a function of its own. Left to the compiler, they make the time that
//! it takes grow with the square of the kernel; nested macros in one function would multiply its text.

use super::depthwise_nhwc::Tile;
use super::{NO_CLAMP, opaque};
use crate::vector::Vector;

/// How [`window_row`] takes the lanes of a pixel.
pub(super) const AS_THEY_ARE: u8 = 0;
/// Permuted by an index.
pub(super) const PERMUTED: u8 = 1;
/// Permuted by an index that leaves each lane among the four that it lies with.
pub(super) const PERMUTED_IN_QUADS: u8 = 2;
/// The first one in all lanes.
pub(super) const FIRST_IN_ALL: u8 = 3;

/// Adds what input row `y` of the window contributes to a tile. Its pixels have `lanes` channels from `row` on, taken as
/// `TAKEN` says, by `index` if that is permuted; the weights of a kernel row are `pitch[0]` floats after those of the one
/// before, those of a kernel column `pitch[1]`.
///
/// # Safety
/// As [`super::depthwise_nhwc::micro`].
#[inline(always)]
#[rustfmt::skip]
#[allow(clippy::too_many_arguments)]
pub(super) unsafe fn window_row<
    V: Vector, const K: usize, const S: usize, const R: usize, const P: usize, const EDGE: bool, const TAIL: bool,
    const TAKEN: u8,
>(
    t: &Tile,
    mut acc: [[V; P]; R],
    y: usize,
    row: *const f32,
    lanes: usize,
    weights: *const f32,
    pitch: [usize; 2],
    index: V,
) -> [[V; P]; R] {
    // SAFETY: as the caller promises.
    unsafe {
        // Kernel rows that meet this input row, one per output row at most.
        let mut w = [[V::zero(); K]; R];
        unroll!(r < R => {
            if y >= r * S && y - r * S < K {
                w[r] = load_all(weights.wrapping_add((y - r * S) * pitch[0]), pitch[1]);
            }
        });
        let mut columns = Columns::new(row, t.pixel);
        unroll!(j < (P - 1) * S + K => {
            let from = columns.next(j);
            if !EDGE || inside::<K, S, P>(t, j) {
                let pixel = || if TAIL { V::load_range(from, 0, lanes) } else { V::load(from) };
                let x = match TAKEN {
                    AS_THEY_ARE => pixel(),
                    PERMUTED => pixel().permute(index),
                    PERMUTED_IN_QUADS => pixel().permute_in_quads(index),
                    _ => V::splat(*from),
                };
                add_pixel::<V, K, S, R, P>(&mut acc, &w, x, y, j);
            }
        });
        acc
    }
}

/// Whether column `j` of the window is inside of the image. Padding does not reach beyond a kernel, so that of a row of outputs
/// only the columns before the last of the first window and after the first of the last may be outside; the others need no test.
#[inline(always)]
pub(super) fn inside<const K: usize, const S: usize, const P: usize>(t: &Tile, j: usize) -> bool {
    (j + 1 >= K || j >= t.columns.0) && (j <= (P - 1) * S || j < t.columns.1)
}

/// Addresses of pixels side by side. On x86-64 every fourth one is computed, and those between from it by two distances that stay
/// in registers; left to itself, the compiler keeps an address for each, on the stack. Other architectures have the registers.
pub(super) struct Columns {
    row: *const f32,
    /// The address of every fourth pixel.
    quad: *const f32,
    pixel: usize,
}

impl Columns {
    /// Of a row that begins at `row`, pixels `pixel` floats apart.
    #[inline(always)]
    pub(super) fn new(row: *const f32, pixel: usize) -> Self {
        Columns { row, quad: opaque(row), pixel }
    }

    /// That of pixel `j`; of use only if it is called for each pixel before. Outside of an image it may lie anywhere.
    #[inline(always)]
    pub(super) fn next(&mut self, j: usize) -> *const f32 {
        if !cfg!(target_arch = "x86_64") {
            return self.row.wrapping_add(self.pixel.wrapping_mul(j));
        }
        if j > 0 && j.is_multiple_of(4) {
            self.quad = opaque(self.quad.wrapping_add(self.pixel.wrapping_mul(4)));
        }
        self.quad.wrapping_add(self.pixel.wrapping_mul(j % 4))
    }
}

/// Vectors from `p` on, `pitch` floats apart.
///
/// # Safety
/// The CPU has the tier of `V`, and they are readable.
#[inline(always)]
pub(super) unsafe fn load_all<V: Vector, const N: usize>(p: *const f32, pitch: usize) -> [V; N] {
    // SAFETY: as the caller promises.
    unsafe {
        let mut x = [V::zero(); N];
        unroll!(n < N => { x[n] = V::load(p.wrapping_add(n * pitch)); });
        x
    }
}

/// Adds pixel `x` of column `j` of row `y` of the window to the outputs that it belongs to, with the weights `w` of the kernel
/// row that meets each output row.
///
/// # Safety
/// The CPU has the tier of `V`.
#[inline(always)]
unsafe fn add_pixel<V: Vector, const K: usize, const S: usize, const R: usize, const P: usize>(
    acc: &mut [[V; P]; R],
    w: &[[V; K]; R],
    x: V,
    y: usize,
    j: usize,
) {
    unroll!(r < R => {
        if y >= r * S && y - r * S < K {
            // SAFETY: as the caller promises.
            unsafe { add_to_row::<V, K, S, P>(&mut acc[r], &w[r], x, j) };
        }
    });
}

/// Adds pixel `x` of the window's column `j` to a row of outputs, with the weights `w` of a kernel row.
///
/// # Safety
/// The CPU has the tier of `V`.
#[inline(always)]
pub(super) unsafe fn add_to_row<V: Vector, const K: usize, const S: usize, const P: usize>(
    acc: &mut [V; P],
    w: &[V; K],
    x: V,
    j: usize,
) {
    unroll!(kx < K => {
        if j >= kx && (j - kx).is_multiple_of(S) && (j - kx) / S < P {
            // SAFETY: as the caller promises.
            acc[(j - kx) / S] = unsafe { acc[(j - kx) / S].mul_add(x, w[kx]) };
        }
    });
}

/// Clamps and stores a tile, whose first output is `out`.
///
/// # Safety
/// As [`super::depthwise_nhwc::micro`].
#[inline(always)]
pub(super) unsafe fn finish_tile<V: Vector, const R: usize, const P: usize>(
    t: &Tile,
    mut acc: [[V; P]; R],
    out: *mut f32,
    lanes: usize,
) {
    // SAFETY: as the caller promises.
    unsafe {
        if t.clamp != NO_CLAMP {
            let (lo, hi) = (V::splat(t.clamp.0), V::splat(t.clamp.1));
            for row in &mut acc {
                for y in row {
                    *y = y.at_least(lo).at_most(hi);
                }
            }
        }
        for r in 0..R {
            unroll!(p < P => {
                let out = out.add(r * t.out_row + p * t.out_pixel);
                if lanes == V::LANES {
                    acc[r][p].store(out);
                } else {
                    acc[r][p].store_first(out, lanes);
                }
            });
        }
    }
}
