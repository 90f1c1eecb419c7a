//! Windows along one axis: which taps fall into the image, by arithmetic instead of visiting them.
//!
//! Uses nothing else of the crate, so that its tests compile it alone.

/// The taps of one output that are in the image: the element of the first, and their number.
pub(crate) fn taps(o: usize, stride: usize, k: usize, before: usize, len: usize) -> (usize, usize) {
    let start = o * stride;
    let first = start.saturating_sub(before);
    (first, (start + k).saturating_sub(before).min(len) - first)
}

/// Outputs `first..end` whose taps are all in the image.
pub(crate) fn inner(out: usize, stride: usize, k: usize, before: usize, len: usize) -> (usize, usize) {
    let first = before.div_ceil(stride).min(out);
    let end = if len + before >= k { ((len + before - k) / stride + 1).min(out) } else { 0 };
    (first, end.max(first))
}

/// Pairs of an output `o < out` and a tap `k < taps` with `before <= o * stride + k * dilation < before + len`.
pub(crate) fn valid_pairs(out: usize, stride: usize, taps: usize, dilation: usize, before: usize, len: usize) -> u128 {
    let (o, s, k, d) = (out as u128, stride as u128, taps as u128, dilation as u128);
    let (before, len) = (before as u128, len as u128);
    pairs_below(before + len, o, s, k, d) - pairs_below(before, o, s, k, d)
}

/// Pairs of `o < out` and `k < taps` with `o * stride + k * dilation < limit`, without visiting them.
///
/// Tap `k` has `ceil((limit - k * dilation) / stride)` such outputs, but at most `out`, and none from `limit` on.
fn pairs_below(limit: u128, out: u128, stride: u128, taps: u128, dilation: u128) -> u128 {
    // The first taps see all outputs, the last ones none; between them the number falls linearly.
    let some = taps.min(limit.div_ceil(dilation));
    let all = some.min(limit.saturating_sub((out - 1) * stride).div_ceil(dilation));
    if some == all {
        return all * out;
    }
    let least = limit - (some - 1) * dilation;
    all * out + floor_sum(some - all, stride, dilation, least + stride - 1)
}

/// Sum of `floor((a * i + b) / m)` for `i < n`, in a logarithmic number of steps (Euclid's algorithm on `a` and `m`).
fn floor_sum(mut n: u128, mut m: u128, mut a: u128, mut b: u128) -> u128 {
    let mut total = 0;
    loop {
        total += n * (n - 1) / 2 * (a / m) + n * (b / m);
        (a, b) = (a % m, b % m);
        let last = a * n + b;
        if last < m {
            return total;
        }
        // Count the same lattice points column by column instead of row by row.
        (n, b) = (last / m, last % m);
        (m, a) = (a, m);
    }
}
