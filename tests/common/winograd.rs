//! What tests need to know of Winograd's algorithm: which kernels use it, their error bound, and which outputs a value
//! reaches. Written from the definition, with nothing of the kernels. Used by the fuzz target as well.

use super::case::Case;

/// Outputs on an axis of a tile, if the kernel of this name is a Winograd kernel.
pub fn tile_of(kernel: &str) -> Option<usize> {
    let rest = kernel.strip_prefix("winograd_f32_")?;
    let (_, tile) = rest.split_once("_f")?;
    let end = tile.find('r')?;
    Some(tile[..end].parse().expect("a Winograd kernel's name tells its tile"))
}

/// The finite points, in the order in which tiles take them.
const POINTS: [f64; 7] = [0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5];

/// `A^T`, `G` and `B^T` of a tile of `m` outputs; the point at infinity is the last.
#[derive(Clone)]
pub struct Matrices {
    pub a: Vec<Vec<f64>>,
    pub g: Vec<[f64; 3]>,
    pub b: Vec<Vec<f64>>,
}

impl Matrices {
    pub fn new(m: usize) -> Self {
        let points = &POINTS[..m + 1];
        // Coefficients of the product of `x - q`, the lowest first.
        let product = |without: Option<f64>| {
            let mut c = vec![0.0; m + 2];
            c[0] = 1.0;
            for &q in points.iter().filter(|q| Some(**q) != without) {
                for i in (0..m + 2).rev() {
                    c[i] = if i > 0 { c[i - 1] } else { 0.0 } - q * c[i];
                }
            }
            c
        };
        let mut b: Vec<_> = points.iter().map(|&p| product(Some(p))).collect();
        b.push(product(None));
        let mut g: Vec<_> = points
            .iter()
            .map(|&p| {
                let n: f64 = points.iter().filter(|q| **q != p).map(|q| p - q).product();
                [1.0 / n, p / n, p * p / n]
            })
            .collect();
        g.push([0.0, 0.0, 1.0]);
        let a = (0..m)
            .map(|i| {
                let mut row: Vec<_> = points.iter().map(|p| p.powi(i as i32)).collect();
                row.push(if i + 1 == m { 1.0 } else { 0.0 });
                row
            })
            .collect();
        Matrices { a, g, b }
    }

    /// With the magnitudes of all elements.
    pub fn magnitudes(mut self) -> Self {
        self.a.iter_mut().chain(&mut self.b).flatten().for_each(|v| *v = v.abs());
        self.g.iter_mut().flatten().for_each(|v| *v = v.abs());
        self
    }
}

/// `L x R^T`
fn both_sides<L: AsRef<[f64]>, R: AsRef<[f64]>, X: AsRef<[f64]>>(l: &[L], x: &[X], r: &[R]) -> Vec<Vec<f64>> {
    l.iter()
        .map(|l| {
            r.iter()
                .map(|r| {
                    let row = |x: &X| x.as_ref().iter().zip(r.as_ref()).map(|(x, r)| x * r).sum::<f64>();
                    l.as_ref().iter().zip(x).map(|(l, x)| l * row(x)).sum::<f64>()
                })
                .collect()
        })
        .collect()
}

/// Roundings on the longest way from an input to an output, beside the sum over the input channels: one of the weights, of
/// the product and of the bias, and those of the input and output transforms on two axes, of unfused operations.
pub fn roundings(tile: usize) -> usize {
    let (input, output) = match tile {
        2 => (1, 2),
        4 => (3, 3),
        6 => (5, 4),
        other => unreachable!("no bound is stated for tiles of {other}"),
    };
    3 + 2 * input + 2 * output
}

/// A tile: its first output and how many it computes, on each axis.
struct Tile {
    first: [usize; 2],
    size: [usize; 2],
}

/// The tiles of an output map. The last one of an axis computes 2, 4 or 6 outputs, the fewest that suffice.
fn tiles(oh: usize, ow: usize, tile: usize) -> Vec<Tile> {
    let axis = |len: usize| {
        (0..len).step_by(tile).map(move |at| (at, (len - at).min(tile).next_multiple_of(2))).collect::<Vec<_>>()
    };
    let columns = axis(ow);
    axis(oh)
        .into_iter()
        .flat_map(|(y, r)| columns.iter().map(move |&(x, c)| Tile { first: [y, x], size: [r, c] }))
        .collect()
}

/// Calls `f` for every output with the largest magnitude that Winograd's algorithm handles on the way to it, which stands
/// in the place of `|bias| + sum |x w|`: `|A^T| (sum over c of its group of (|G| |w| |G^T|) * (|B^T| |d| |B|)) |A| + |bias|`.
///
/// `input` gives the magnitude of an input at image, row, column and channel; `f` gets that of an output.
pub fn magnitudes(
    case: &Case,
    tile: usize,
    input: impl Fn([usize; 4]) -> f64,
    weights: &[f32],
    bias: Option<&[f32]>,
    mut f: impl FnMut([usize; 4], f64),
) {
    let s = &case.shape;
    let dims = case.output_dims();
    let matrices: Vec<_> = (0..=tile).map(|m| (m > 0).then(|| Matrices::new(m).magnitudes())).collect();
    let of = |m: usize| matrices[m].as_ref().expect("a tile's size");
    let mut tiles = tiles(dims.h, dims.w, tile);
    // All tiles of a size at a time, so that weights are transformed once for them.
    tiles.sort_by_key(|t| t.size);
    for group in tiles.chunk_by(|a, b| a.size == b.size) {
        let [r, c] = group[0].size;
        let (down, across) = (of(r), of(c));
        let patch = |n: usize, t: &Tile, channel: usize| -> Vec<Vec<f64>> {
            let at = |i: usize, j: usize| {
                let y = (t.first[0] + i).checked_sub(s.padding.top).filter(|&y| y < s.h)?;
                let x = (t.first[1] + j).checked_sub(s.padding.left).filter(|&x| x < s.w)?;
                Some(input([n, y, x, channel]).abs())
            };
            (0..r + 2).map(|i| (0..c + 2).map(|j| at(i, j).unwrap_or(0.0)).collect()).collect()
        };
        let places: Vec<_> = (0..s.n).flat_map(|n| group.iter().map(move |t| (n, t))).collect();
        let inputs: Vec<Vec<_>> = (0..s.c_in)
            .map(|ch| places.iter().map(|&(n, t)| both_sides(&down.b, &patch(n, t, ch), &across.b)).collect())
            .collect();
        for o in 0..s.c_out {
            let mut sums = vec![vec![vec![0.0; c + 2]; r + 2]; places.len()];
            let of_group = s.c_in / s.groups;
            let first = o / (s.c_out / s.groups) * of_group;
            for (ch, inputs) in inputs[first..first + of_group].iter().enumerate() {
                let w = &weights[(o * of_group + ch) * 9..][..9];
                let w: Vec<_> = w.chunks(3).map(|w| [0, 1, 2].map(|i| f64::from(w[i].abs()))).collect();
                let u = both_sides(&down.g, &w, &across.g);
                for (sum, v) in sums.iter_mut().zip(inputs) {
                    for i in 0..r + 2 {
                        for j in 0..c + 2 {
                            sum[i][j] += u[i][j] * v[i][j];
                        }
                    }
                }
            }
            let bias = bias.map_or(0.0, |b| f64::from(b[o].abs()));
            for (&(n, t), sum) in places.iter().zip(&sums) {
                for (i, row) in both_sides(&down.a, sum, &across.a).iter().enumerate() {
                    for (j, &value) in row.iter().enumerate() {
                        let [y, x] = [t.first[0] + i, t.first[1] + j];
                        if y < dims.h && x < dims.w {
                            f([n, y, x, o], value + bias);
                        }
                    }
                }
            }
        }
    }
}

/// Calls `f` for every output pixel with whether one of the inputs that its tile reads is special.
pub fn reached(case: &Case, tile: usize, special: impl Fn([usize; 3]) -> bool, mut f: impl FnMut([usize; 3], bool)) {
    let s = &case.shape;
    let dims = case.output_dims();
    for n in 0..s.n {
        for t in tiles(dims.h, dims.w, tile) {
            let inside = |first: usize, size: usize, before: usize, len: usize| {
                first.saturating_sub(before)..(first + size + 2).saturating_sub(before).min(len)
            };
            let rows = inside(t.first[0], t.size[0], s.padding.top, s.h);
            let columns = inside(t.first[1], t.size[1], s.padding.left, s.w);
            let any = rows.flat_map(|y| columns.clone().map(move |x| [n, y, x])).any(&special);
            for y in t.first[0]..(t.first[0] + t.size[0]).min(dims.h) {
                for x in t.first[1]..(t.first[1] + t.size[1]).min(dims.w) {
                    f([n, y, x], any);
                }
            }
        }
    }
}
