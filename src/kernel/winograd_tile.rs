//! The micro-kernels of [`super::winograd`]: a tile's input and output transforms, and the products between them.

use super::winograd_points::{MOST_POINTS, group, input as input_1d, output as output_1d};
use crate::vector::Vector;
use core::mem::MaybeUninit;

/// Groups of points on both axes: see [`group`].
pub(crate) const KINDS: usize = 9;

/// The kind of the point in row `i` and column `j`.
#[inline(always)]
pub(crate) const fn kind(i: usize, j: usize) -> usize {
    group(i) * 3 + group(j)
}

/// The pointers of the three groups on one axis, from those of all kinds.
#[inline(always)]
fn of_groups<P: Copy>(all: &[P; KINDS], first: usize, step: usize) -> [P; 3] {
    [all[first], all[first + step], all[first + 2 * step]]
}

/// Values between the two passes of a transform.
type Between<V> = [[MaybeUninit<V>; MOST_POINTS]; MOST_POINTS];

/// The input transform of one tile.
pub(crate) struct Input {
    /// A pointer for each pixel of the tile, rows of [`MOST_POINTS`], where some are outside the image.
    pub pixels: *const *const f32,
    /// Else the first pixel, and the distances between rows and columns.
    pub from: *const f32,
    pub row: usize,
    pub pixel: usize,
    /// Rows and columns of outputs to compute: 2, 4 or 6, at most the tile's.
    pub size: [usize; 2],
    /// Channels, a multiple of `LANES`.
    pub channels: usize,
    /// Where the tile lies among the transformed inputs of point 0, for each kind of point.
    pub to: [*mut f32; KINDS],
    /// Distance between points.
    pub point: usize,
}

/// A function for [`Input`].
pub(crate) type InputFn = unsafe fn(&Input);

/// One 1-D input transform for each `j`: of the outputs that `size` says, by the code for that many.
macro_rules! each_input {
    ($V:ident, $M:ident, $size:expr, $j:ident < $count:expr, let $at:ident = $base:expr, |$n:ident, $i:ident| $load:expr, $store:expr) => {
        match $size {
            2 => each_input!(@ $V, $M, 2, $j < $count, let $at = $base, |$n, $i| $load, $store),
            4 if $M >= 4 => each_input!(@ $V, $M, 4, $j < $count, let $at = $base, |$n, $i| $load, $store),
            _ => each_input!(@ $V, $M, $M, $j < $count, let $at = $base, |$n, $i| $load, $store),
        }
    };
    (@ $V:ident, $M:ident, $size:tt, $j:ident < $count:expr, let $at:ident = $base:expr, |$n:ident, $i:ident| $load:expr, $store:expr) => {
        for $j in 0..$count {
            let $at = $base;
            let mut d = [$V::zero(); MOST_POINTS];
            for $i in 0..$size + 2 {
                d[$i] = $load;
            }
            let o = input_1d::<$V, $M, $size>(d);
            for $i in 0..$size + 2 {
                let $n = o[$i];
                $store;
            }
        }
    };
}

/// The input transform of a tile, for the weights of the tile of `M x M`.
///
/// # Safety
/// The CPU has the tier of `V`; the pointers are valid for what their documentation says: reads of `channels` floats at as
/// many pixels on each axis as outputs and two more, and writes of as many at the points of those rows and columns.
#[inline(always)]
pub(crate) unsafe fn input<V: Vector, const M: usize, const POINTED: bool>(t: &Input) {
    let ([r, c], row, point) = (t.size, t.row, t.point);
    let mut at = 0;
    while at < t.channels {
        // SAFETY: as the caller promises; what is read of `between` has been written.
        unsafe {
            let mut between: Between<V> = [[const { MaybeUninit::uninit() }; MOST_POINTS]; MOST_POINTS];
            each_input!(
                V,
                M,
                r,
                j < c + 2,
                let from = if POINTED { t.from } else { t.from.add(j * t.pixel + at) },
                |o, i| {
                    V::load(if POINTED { (*t.pixels.add(i * MOST_POINTS + j)).add(at) } else { from.add(i * row) })
                },
                between[i][j].write(o)
            );
            each_input!(
                V,
                M,
                c,
                i < r + 2,
                let to = of_groups(&t.to, group(i) * 3, 1),
                |o, j| between[i][j].assume_init(),
                o.store(to[group(j)].add((i * (M + 2) + j) * point + at))
            );
        }
        at += V::LANES;
    }
}

/// The products of some tiles at some points with one panel of weights.
pub(crate) struct Product {
    /// Transformed inputs: a row of `k` a tile.
    pub a: *const f32,
    pub a_tile: usize,
    pub a_point: usize,
    /// The panel, `[points][k][NV]`.
    pub b: *const f32,
    pub out: *mut f32,
    pub out_tile: usize,
    pub out_point: usize,
    /// A multiple of 4.
    pub k: usize,
    /// Points, one after the other.
    pub points: usize,
}

/// A function for [`Product`], for one `MR` and `NV`.
pub(crate) type ProductFn = unsafe fn(&Product);

/// `out[m][v] = sum over k of a[m][k] * b[k][v]` of `MR` tiles and `NV` vectors of output channels, at each point.
///
/// # Safety
/// The CPU has the tier of `V`; the pointers are valid for what their documentation says, and the rows of `out` do not
/// overlap.
#[inline(always)]
pub(crate) unsafe fn product<V: Vector, const MR: usize, const NV: usize>(t: &Product) {
    let nr = NV * V::LANES;
    for point in 0..t.points {
        // SAFETY: as the caller promises.
        unsafe {
            let mut a_at = t.a.add(point * t.a_point);
            let mut b_at = t.b.add(point * t.k * nr);
            let mut acc = [[V::zero(); NV]; MR];
            macro_rules! step {
                ($lane:literal, $q:ident) => {
                    let mut b = [V::zero(); NV];
                    for v in 0..NV {
                        b[v] = V::load(b_at.add($lane * nr + v * V::LANES));
                    }
                    unroll!(m < MR => {
                        for v in 0..NV {
                            acc[m][v] = acc[m][v].mul_add_lane::<$lane>(b[v], $q[m]);
                        }
                    });
                };
            }
            // One pointer for all tiles: with one for each, some compilers put sums on the stack.
            for _ in 0..t.k / 4 {
                let mut q = [V::quad(a_at); MR];
                unroll!(m < MR => {
                    q[m] = V::quad(a_at.add(m * t.a_tile));
                });
                step!(0, q);
                step!(1, q);
                step!(2, q);
                step!(3, q);
                a_at = a_at.add(4);
                b_at = b_at.add(4 * nr);
            }
            let out = t.out.add(point * t.out_point);
            unroll!(m < MR => {
                for v in 0..NV {
                    acc[m][v].store(out.add(m * t.out_tile + v * V::LANES));
                }
            });
        }
    }
}

/// The output transform of one tile.
pub(crate) struct Output {
    /// Where the tile lies among the products of point 0, for each kind of point.
    pub from: [*const f32; KINDS],
    /// Distance between points.
    pub point: usize,
    pub bias: *const f32,
    /// Vectors of channels, and lanes to store of the last one.
    pub vectors: usize,
    pub last: usize,
    /// Rows and columns of outputs to compute: 2, 4 or 6, at most the tile's.
    pub size: [usize; 2],
    /// The first pixel, and the distances between rows and columns.
    pub out: *mut f32,
    pub row: usize,
    pub pixel: usize,
    /// Rows and columns that are inside the output.
    pub rows: usize,
    pub columns: usize,
    pub clamp: (f32, f32),
}

/// A function for [`Output`].
pub(crate) type OutputFn = unsafe fn(&Output);

/// One 1-D output transform for each `j`: see `each_input`.
macro_rules! each_output {
    ($V:ident, $M:ident, $size:expr, $j:ident < $count:expr, let $at:ident = $base:expr, |$y:ident, $i:ident| $load:expr, $store:expr) => {
        match $size {
            2 => each_output!(@ $V, 2, $j < $count, let $at = $base, |$y, $i| $load, $store),
            4 if $M >= 4 => each_output!(@ $V, 4, $j < $count, let $at = $base, |$y, $i| $load, $store),
            _ => each_output!(@ $V, $M, $j < $count, let $at = $base, |$y, $i| $load, $store),
        }
    };
    (@ $V:ident, $size:tt, $j:ident < $count:expr, let $at:ident = $base:expr, |$y:ident, $i:ident| $load:expr, $store:expr) => {
        for $j in 0..$count {
            let $at = $base;
            let mut m = [$V::zero(); MOST_POINTS];
            for $i in 0..$size + 2 {
                m[$i] = $load;
            }
            let o = output_1d::<$V, $size>(m);
            for $i in 0..$size {
                let $y = o[$i];
                $store;
            }
        }
    };
}

/// The output transform of a tile, of points numbered as those of the tile of `M x M` are.
///
/// # Safety
/// The CPU has the tier of `V`; the pointers are valid for what their documentation says.
#[inline(always)]
pub(crate) unsafe fn output<V: Vector, const M: usize>(t: &Output) {
    let ([r, c], point) = (t.size, t.point);
    // SAFETY: as the caller promises; what is read of `between` and `aside` has been written.
    unsafe {
        let (lo, hi) = (V::splat(t.clamp.0), V::splat(t.clamp.1));
        for v in 0..t.vectors {
            let at = v * V::LANES;
            let mut between: Between<V> = [[const { MaybeUninit::uninit() }; MOST_POINTS]; MOST_POINTS];
            each_output!(
                V,
                M,
                r,
                j < c + 2,
                let from = of_groups(&t.from, group(j), 3),
                |y, i| V::load(from[group(i)].add((i * (M + 2) + j) * point + at)),
                between[i][j].write(y)
            );
            let bias = V::load(t.bias.add(at));
            let lanes = if v + 1 == t.vectors { t.last } else { V::LANES };
            let whole = lanes == V::LANES && [t.rows, t.columns] == t.size;
            let mut aside = [[MaybeUninit::<V>::uninit(); M]; M];
            let (to, row, pixel) = if whole {
                (t.out.add(at), t.row, t.pixel)
            } else {
                (aside.as_mut_ptr().cast::<f32>(), M * V::LANES, V::LANES)
            };
            // The clamp is two instructions; to leave it out would take a branch.
            each_output!(
                V,
                M,
                c,
                i < r,
                let to = to.add(i * row),
                |y, j| between[i][j].assume_init(),
                y.add(bias).at_least(lo).at_most(hi).store(to.add(j * pixel))
            );
            if !whole {
                for i in 0..t.rows {
                    for j in 0..t.columns {
                        V::load(to.add(i * row + j * pixel))
                            .store_first(t.out.add(i * t.row + j * t.pixel + at), lanes);
                    }
                }
            }
        }
    }
}
