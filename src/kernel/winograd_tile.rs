//! The micro-kernels of [`super::winograd`]: a tile's input and output transforms, and the products between them.

use super::NO_CLAMP;
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
    /// Channels, a multiple of `LANES`.
    pub channels: usize,
    /// Where the tile lies among the transformed inputs of point 0, for each kind of point.
    pub to: [*mut f32; KINDS],
    /// Distance between points.
    pub point: usize,
}

/// A function for [`Input`].
pub(crate) type InputFn = unsafe fn(&Input);

/// The input transform of a tile of `R x C` outputs, for the weights of the tile of `M x M`.
///
/// # Safety
/// The CPU has the tier of `V`; the pointers are valid for what their documentation says: reads of `channels` floats at
/// `(R + 2) x (C + 2)` pixels, and writes of as many at the points of those rows and columns.
#[inline(always)]
pub(crate) unsafe fn input<V: Vector, const M: usize, const R: usize, const C: usize, const POINTED: bool>(t: &Input) {
    let mut c = 0;
    while c < t.channels {
        // SAFETY: as the caller promises; what is read of `between` has been written.
        unsafe {
            let mut between: Between<V> = [[const { MaybeUninit::uninit() }; MOST_POINTS]; MOST_POINTS];
            for j in 0..C + 2 {
                let mut d = [V::zero(); MOST_POINTS];
                for i in 0..R + 2 {
                    let p =
                        if POINTED { *t.pixels.add(i * MOST_POINTS + j) } else { t.from.add(i * t.row + j * t.pixel) };
                    d[i] = V::load(p.add(c));
                }
                let o = input_1d::<V, M, R>(d);
                for i in 0..R + 2 {
                    between[i][j].write(o[i]);
                }
            }
            for i in 0..R + 2 {
                let mut d = [V::zero(); MOST_POINTS];
                for j in 0..C + 2 {
                    d[j] = between[i][j].assume_init();
                }
                let o = input_1d::<V, M, C>(d);
                for j in 0..C + 2 {
                    o[j].store(t.to[kind(i, j)].add((i * (M + 2) + j) * t.point + c));
                }
            }
        }
        c += V::LANES;
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
            let from = t.a.add(point * t.a_point);
            let mut b_at = t.b.add(point * t.k * nr);
            let mut a = [from; MR];
            for m in 1..MR {
                a[m] = from.add(m * t.a_tile);
            }
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
            let mut k = 0;
            while k < t.k {
                let mut q = [V::quad(a[0].add(k)); MR];
                for m in 1..MR {
                    q[m] = V::quad(a[m].add(k));
                }
                step!(0, q);
                step!(1, q);
                step!(2, q);
                step!(3, q);
                b_at = b_at.add(4 * nr);
                k += 4;
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

/// The output transform of a tile of `R x C` outputs, of points numbered as those of the tile of `M x M` are.
///
/// # Safety
/// The CPU has the tier of `V`; the pointers are valid for what their documentation says.
#[inline(always)]
pub(crate) unsafe fn output<V: Vector, const M: usize, const R: usize, const C: usize>(t: &Output) {
    for v in 0..t.vectors {
        // SAFETY: as the caller promises; what is read of `between` and `aside` has been written.
        unsafe {
            let c = v * V::LANES;
            let mut between: Between<V> = [[const { MaybeUninit::uninit() }; MOST_POINTS]; MOST_POINTS];
            for j in 0..C + 2 {
                let mut m = [V::zero(); MOST_POINTS];
                for i in 0..R + 2 {
                    m[i] = V::load(t.from[kind(i, j)].add((i * (M + 2) + j) * t.point + c));
                }
                let y = output_1d::<V, R>(m);
                for i in 0..R {
                    between[i][j].write(y[i]);
                }
            }
            let bias = V::load(t.bias.add(c));
            let lanes = if v + 1 == t.vectors { t.last } else { V::LANES };
            let whole = lanes == V::LANES && t.rows == R && t.columns == C;
            let mut aside = [[MaybeUninit::<V>::uninit(); C]; R];
            let (to, row, pixel) = if whole {
                (t.out.add(c), t.row, t.pixel)
            } else {
                (aside.as_mut_ptr().cast::<f32>(), C * V::LANES, V::LANES)
            };
            for i in 0..R {
                let mut m = [V::zero(); MOST_POINTS];
                for j in 0..C + 2 {
                    m[j] = between[i][j].assume_init();
                }
                let mut y = output_1d::<V, C>(m);
                for j in 0..C {
                    y[j] = y[j].add(bias);
                    if t.clamp != NO_CLAMP {
                        y[j] = y[j].at_least(V::splat(t.clamp.0)).at_most(V::splat(t.clamp.1));
                    }
                    y[j].store(to.add(i * row + j * pixel));
                }
            }
            if !whole {
                for i in 0..t.rows {
                    for j in 0..t.columns {
                        V::load(to.add(i * row + j * pixel))
                            .store_first(t.out.add(i * t.row + j * t.pixel + c), lanes);
                    }
                }
            }
        }
    }
}
