//! The transforms of [`super::winograd`] along one axis.
//!
//! `F(m, 3)` computes `m` outputs of a filter of three taps from `m + 2` products: input, filter and output are taken for
//! polynomials, evaluated at `m + 2` points, multiplied point by point, and interpolated (Winograd 1980; Toom and Cook
//! before him; in the transposed form that Lavin and Gray 2016 brought to convolution). Per axis:
//!
//! ```text
//! y = A^T ((G w) * (B^T d))
//! A^T[i][p] = p^i, and 1 in the last row of the point at infinity
//! G[p]      = (1, p, p^2) / N(p), (0, 0, 1) at infinity       N(p) = product of p - q over the other finite points q
//! B^T[p]    = coefficients of the product of x - q over the other finite points q; of all of them at infinity
//! ```
//!
//! The points are 0, 1, -1, infinity, 2, -2, 1/2, -1/2, in this order: of `F(m, 3)` the first `m + 2`. So the points of a
//! smaller tile are the first ones of a larger tile, and with `B^T[p]` scaled by the quotient of both `N(p)` the smaller
//! tile can use the larger one's transformed weights. That is how tiles at the bottom and right edge, of which only two or
//! four rows or columns are inside the output, leave out the products of the other points.

use crate::vector::Vector;

/// Most points of an axis: those of `F(6, 3)`.
pub(crate) const MOST_POINTS: usize = 8;

/// The finite points; infinity stands at index 3.
const POINTS: [f64; MOST_POINTS] = [0.0, 1.0, -1.0, f64::INFINITY, 2.0, -2.0, 0.5, -0.5];

/// `1 / N(p)` of the tile of `m` outputs, but for signs that [`input`] has as well.
fn factors(m: usize) -> [f64; MOST_POINTS] {
    match m {
        2 => [1.0, 0.5, 0.5, 1.0, 0.0, 0.0, 0.0, 0.0],
        4 => [0.25, -1.0 / 6.0, -1.0 / 6.0, 1.0, 1.0 / 24.0, 1.0 / 24.0, 0.0, 0.0],
        _ => [1.0, -2.0 / 9.0, -2.0 / 9.0, 1.0, 1.0 / 90.0, 1.0 / 90.0, 32.0 / 45.0, 32.0 / 45.0],
    }
}

/// The group of a point: 0 for the four points of `F(2, 3)`, 1 for those that `F(4, 3)` adds, 2 for those of `F(6, 3)`.
#[inline(always)]
pub(crate) const fn group(point: usize) -> usize {
    if point < 4 { 0 } else { point / 2 - 1 }
}

/// `G w` of three taps.
fn weights_1d(m: usize, w: [f64; 3]) -> [f64; MOST_POINTS] {
    let factors = factors(m);
    core::array::from_fn(|i| if i == 3 { w[2] } else { factors[i] * (w[0] + POINTS[i] * (w[1] + POINTS[i] * w[2])) })
}

/// `G w G^T` of a 3 x 3 kernel, rounded once.
pub(crate) fn weights(m: usize, w: [[f32; 3]; 3]) -> [[f32; MOST_POINTS]; MOST_POINTS] {
    let mut half = [[0.0; 3]; MOST_POINTS];
    for x in 0..3 {
        let column = weights_1d(m, [0, 1, 2].map(|y| f64::from(w[y][x])));
        (0..MOST_POINTS).for_each(|i| half[i][x] = column[i]);
    }
    half.map(|row| weights_1d(m, row).map(|v| v as f32))
}

/// Multiplies of [`input`] and of [`output`].
pub(crate) const fn multiplies(m: usize, c: usize) -> (usize, usize) {
    match (m, c) {
        (2, 2) => (0, 0),
        (4, 2) => (3, 0),
        (_, 2) => (2, 0),
        (4, 4) => (8, 3),
        (_, 4) => (10, 3),
        _ => (16, 10),
    }
}

/// `B^T d` of the tile of `C` outputs, scaled for the weights of the tile of `M`. The first `C + 2` elements of both
/// arrays matter.
///
/// # Safety
/// The CPU has the tier.
#[inline(always)]
pub(crate) unsafe fn input<V: Vector, const M: usize, const C: usize>(d: [V; MOST_POINTS]) -> [V; MOST_POINTS] {
    // SAFETY: as the caller promises.
    unsafe {
        let k = |x: f32| V::splat(x);
        let mut o = [V::zero(); MOST_POINTS];
        match (M, C) {
            (_, 2) => {
                o[0] = d[0].sub(d[2]);
                o[1] = d[1].add(d[2]);
                o[3] = d[3].sub(d[1]);
                if M == 2 {
                    o[2] = d[2].sub(d[1]);
                } else {
                    let (s0, s1) = if M == 4 { (4.0, 3.0) } else { (1.0, 2.25) };
                    if M == 4 {
                        o[0] = o[0].mul(k(s0));
                    }
                    o[1] = o[1].mul(k(-s1));
                    o[2] = d[1].sub(d[2]).mul(k(s1));
                }
            }
            (4, 4) => {
                let (a, b) = (d[4].mul_add(d[2], k(-4.0)), d[3].mul_add(d[1], k(-4.0)));
                let (e, f) = (d[4].sub(d[2]), d[3].sub(d[1]));
                o[0] = d[4].mul_add(d[2], k(-5.0)).mul_add(d[0], k(4.0));
                o[1] = a.add(b);
                o[2] = a.sub(b);
                o[3] = d[5].mul_add(d[3], k(-5.0)).mul_add(d[1], k(4.0));
                o[4] = e.mul_add(f, k(2.0));
                o[5] = e.mul_add(f, k(-2.0));
            }
            (_, 4) => {
                let (a, b) = (d[4].mul(k(0.75)).mul_add(d[2], k(-3.0)), d[3].mul(k(0.75)).mul_add(d[1], k(-3.0)));
                let (e, f) = (d[4].sub(d[2]).mul(k(3.75)), d[3].sub(d[1]).mul(k(7.5)));
                o[0] = d[0].mul_add(d[2], k(-1.25)).mul_add(d[4], k(0.25));
                o[1] = a.add(b);
                o[2] = a.sub(b);
                o[3] = d[5].mul_add(d[3], k(-5.0)).mul_add(d[1], k(4.0));
                o[4] = e.add(f);
                o[5] = e.sub(f);
            }
            _ => {
                let even = |six: f32, four: f32| d[6].mul_add(d[4], k(six)).mul_add(d[2], k(four));
                let odd = |five: f32, three: f32| d[5].mul_add(d[3], k(five)).mul_add(d[1], k(three));
                o[0] = d[0].sub(d[6]).mul_add(d[4].sub(d[2]), k(5.25));
                let (a, b) = (d[6].add(d[2]).mul_add(d[4], k(-4.25)), d[5].add(d[1]).mul_add(d[3], k(-4.25)));
                o[1] = a.add(b);
                o[2] = a.sub(b);
                o[3] = d[7].sub(d[1]).mul_add(d[3].sub(d[5]), k(5.25));
                let (a, b) = (even(-1.25, 0.25), odd(-1.25, 0.25));
                o[4] = a.mul_add(b, k(2.0));
                o[5] = a.mul_add(b, k(-2.0));
                let (a, b) = (even(-5.0, 4.0), odd(-5.0, 4.0));
                o[6] = a.mul_add(b, k(0.5));
                o[7] = a.mul_add(b, k(-0.5));
            }
        }
        o
    }
}

/// `A^T m` of the tile of `C` outputs, from its `C + 2` points.
///
/// # Safety
/// The CPU has the tier.
#[inline(always)]
pub(crate) unsafe fn output<V: Vector, const C: usize>(m: [V; MOST_POINTS]) -> [V; MOST_POINTS] {
    // SAFETY: as the caller promises.
    unsafe {
        let k = |x: f32| V::splat(x);
        let mut y = [V::zero(); MOST_POINTS];
        let (a, b) = (m[1].add(m[2]), m[1].sub(m[2]));
        match C {
            2 => {
                y[0] = m[0].add(a);
                y[1] = b.add(m[3]);
            }
            4 => {
                let (c, d) = (m[4].add(m[5]), m[4].sub(m[5]));
                y[0] = m[0].add(a).add(c);
                y[1] = b.mul_add(d, k(2.0));
                y[2] = a.mul_add(c, k(4.0));
                y[3] = b.add(m[3]).mul_add(d, k(8.0));
            }
            _ => {
                let (c, d) = (m[4].add(m[5]), m[4].sub(m[5]));
                let (e, f) = (m[6].add(m[7]), m[6].sub(m[7]));
                y[0] = m[0].add(a).add(c.add(e));
                y[1] = b.mul_add(d, k(2.0)).mul_add(f, k(0.5));
                y[2] = a.mul_add(c, k(4.0)).mul_add(e, k(0.25));
                y[3] = b.mul_add(d, k(8.0)).mul_add(f, k(0.125));
                y[4] = a.mul_add(c, k(16.0)).mul_add(e, k(0.0625));
                y[5] = b.add(m[3]).mul_add(d, k(32.0)).mul_add(f, k(0.03125));
            }
        }
        y
    }
}
