//! The micro-kernel of [`super::igemm_nhwc`]: a tile of `MR` pixels by `NV` vectors of output channels, whose prose is there.
//!
//! What it does beside multiplying is kept short, since a tile of few channels takes some hundred cycles: pixels that follow
//! each other, and those of one row, are found by additions; only a tile that spans rows has a table of pointers. In a row,
//! taps at its sides see padding in the first or last pixels, which are left out.

use super::igemm_taps::RowTap;
use super::tile_end::{Even, STEPS, Steps, finish, finish_by_rows, spreads_stores};
use super::{in_order, in_order_if, opaque};
use crate::vector::Vector;
use core::ops::Range;

/// A tile for the micro-kernel, or several at the same distance from each other.
pub(crate) struct Tile {
    /// Tiles, one if there are pointers; floats from the inputs and outputs of a tile to those of the next one.
    pub tiles: usize,
    pub next: [usize; 2],
    /// If not null, where the runs of each segment are: `MR` pointers to them, and the element of K at which its weights start.
    pub pointers: *const *const f32,
    pub offsets: *const usize,
    /// Else, if not null, the same for pixels that are `input_step` apart. If both are null, there is one run per pixel, the
    /// first at `input`.
    pub row: *const RowTap,
    /// Floats from where the pointers point to the runs: the channels of groups before this one.
    pub shift: usize,
    /// Where the pointers of pixels in the padding point: as many zeros as the input has channels, and as a run is long.
    pub zeros: *const f32,
    pub input: *const f32,
    pub input_step: usize,
    /// Without pointers: the first output pixel, and floats to the next.
    pub output: *mut f32,
    pub output_step: usize,
    pub segments: usize,
    pub run: usize,
    /// Bias and weights of the first panel; how many there are, one after the other; their length.
    pub panel: *const f32,
    pub panels: usize,
    pub panel_len: usize,
    /// `MR` pointers to the first channel of the output pixels.
    pub out: *const *mut f32,
    /// The first panel's first output channel.
    pub channel: usize,
    /// Lanes to store of the last vector of each panel.
    pub last: usize,
    pub clamp: (f32, f32),
}

/// Rows that a tile leaves out at most, at one end.
const MOST_SKIPPED: usize = 3;

/// Accumulators that hide the latency of the multiply-add: four cycles, with two ports for vectors of up to 256 bits and, where
/// this was measured, one for longer ones; there, one more pays.
pub(super) const fn enough(lanes: usize) -> usize {
    if lanes > 8 { 5 } else { 8 }
}

/// How many first or last rows in the padding a tile leaves out: as many as leave it [`enough`] accumulators.
pub(super) const fn skips(mr: usize, nv: usize, lanes: usize) -> usize {
    let spare = mr.saturating_sub(enough(lanes).div_ceil(nv));
    if spare < MOST_SKIPPED { spare } else { MOST_SKIPPED }
}

/// A micro-kernel for one `MR` and `NV`.
pub(crate) type Micro = unsafe fn(&Tile);

/// The micro-kernel.
///
/// # Safety
/// The CPU has the tier of `V`. All pointers of the tile are valid for what their documentation says, and the outputs of
/// the rows do not overlap.
#[inline(always)]
pub(crate) unsafe fn micro<V: Vector, const MR: usize, const NV: usize>(t: &Tile) {
    if !t.pointers.is_null() {
        for j in 0..t.panels {
            // SAFETY: as the caller promises, for each panel.
            unsafe { scattered::<V, MR, NV>(t, t.panel.add(j * t.panel_len), t.channel + j * NV * V::LANES) };
        }
        return;
    }
    for i in 0..t.tiles {
        let mut j = 0;
        if const { MR == 1 && !V::TAKES_LANES } && t.row.is_null() {
            while t.panels - j > 1 {
                // SAFETY: as the caller promises, for each tile and panel.
                unsafe {
                    let panel = t.panel.add(j * t.panel_len);
                    let output = t.output.add(i * t.next[1] + t.channel + j * NV * V::LANES);
                    let input = t.input.add(i * t.next[0] + t.shift);
                    // Never four of five, which would leave one by itself.
                    j += match t.panels - j {
                        4 | 6.. if NV <= 2 => one_pixel::<V, NV, 4>(t, input, panel, output),
                        3.. if NV <= 3 => one_pixel::<V, NV, 3>(t, input, panel, output),
                        _ => one_pixel::<V, NV, 2>(t, input, panel, output),
                    }
                }
            }
        }
        for j in j..t.panels {
            // SAFETY: as the caller promises, for each tile and panel.
            unsafe {
                let panel = t.panel.add(j * t.panel_len);
                let output = t.output.add(i * t.next[1] + t.channel + j * NV * V::LANES);
                if V::TAKES_LANES || t.row.is_null() {
                    in_line::<V, MR, NV>(t, t.input.add(i * t.next[0]), panel, output);
                } else {
                    in_row::<V, MR, NV>(t, i * t.next[0], panel, output);
                }
            }
        }
    }
}

/// One pixel and `J` panels together, as in a fully connected layer, so that it has the accumulators that hide the latency of the
/// multiply-add, and is bound by how fast the weights come in. Gives `J`.
///
/// # Safety
/// As [`micro`], for so many panels.
#[inline(always)]
unsafe fn one_pixel<V: Vector, const NV: usize, const J: usize>(
    t: &Tile,
    input: *const f32,
    panel: *const f32,
    output: *mut f32,
) -> usize {
    let nr = NV * V::LANES;
    // SAFETY: by the contract of `Tile`.
    unsafe {
        let (mut acc, mut out, mut w) = ([[V::zero(); NV]; J], [output; J], [panel; J]);
        for j in 0..J {
            let panel = panel.add(j * t.panel_len);
            (acc[j], w[j], out[j]) = (bias::<V, 1, NV>(panel)[0], opaque(panel.add(nr)), output.add(j * nr));
        }
        for k in 0..t.run {
            let x = V::splat(*input.add(k));
            for j in 0..J {
                for v in 0..NV {
                    acc[j][v] = acc[j][v].mul_add(x, V::load(w[j].add(k * nr + v * V::LANES)));
                }
            }
        }
        finish(acc, t.clamp, &out, t.last);
    }
    J
}

/// A tile of one panel whose pixels are one run each, a step apart. Of few channels it takes some fifty cycles: what it does
/// beside multiplying is kept short.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn in_line<V: Vector, const MR: usize, const NV: usize>(
    t: &Tile,
    input: *const f32,
    panel: *const f32,
    output: *mut f32,
) {
    // SAFETY: by the contract of `Tile`.
    unsafe {
        let mut acc = bias::<V, MR, NV>(panel);
        let mut a = [input; MR];
        for m in 1..MR {
            a[m] = opaque(a[m - 1].add(t.input_step));
        }
        let by_rows = takes_rows::<V, MR, NV>(t);
        let end = t.shift + t.run - if by_rows { STEPS } else { 0 };
        let w = run::<V, MR, NV, 0, 0>(&mut acc, &a, panel.add(NV * V::LANES), t.shift..end);
        let mut out = [output; MR];
        for m in 1..MR {
            out[m] = out[m - 1].add(t.output_step);
        }
        if by_rows {
            finish_by_rows(acc, &steps::<V, MR, NV>(&a, end, w), t.clamp, &out, t.last);
        } else {
            finish(acc, t.clamp, &out, t.last);
        }
    }
}

/// Whether a tile's last steps are taken for some rows at a time. With more than three vectors two rows have no registers left; of
/// 28 sums the compiler keeps one in memory, in all loops, where the function does this too.
#[inline(always)]
fn takes_rows<V: Vector, const MR: usize, const NV: usize>(t: &Tile) -> bool {
    spreads_stores::<V>(NV) && NV <= 3 && MR * NV <= 24 && t.run >= STEPS
}

/// The last steps of a tile: elements from `end` on of the rows' runs, weights from `w` on.
#[inline(always)]
fn steps<V: Vector, const MR: usize, const NV: usize>(
    a: &[*const f32; MR],
    end: usize,
    w: *const f32,
) -> Steps<MR, Even> {
    let mut scalars = *a;
    for m in 0..MR {
        scalars[m] = a[m].wrapping_add(end);
    }
    Steps { scalars, scalar_step: 1, vectors: Even(w, NV * V::LANES) }
}

/// A tile of one panel, tap by tap, whose pixels lie in one row; its inputs lie `offset` floats after those that the taps tell.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn in_row<V: Vector, const MR: usize, const NV: usize>(
    t: &Tile,
    offset: usize,
    panel: *const f32,
    output: *mut f32,
) {
    let nr = NV * V::LANES;
    let skips = const { skips(MR, NV, V::LANES) };
    // SAFETY: by the contract of `Tile`.
    unsafe {
        let mut acc = bias::<V, MR, NV>(panel);
        let by_rows = takes_rows::<V, MR, NV>(t);
        let (mut a, mut w, mut end) = ([t.zeros; MR], panel, 0);
        for s in 0..t.segments {
            let tap = &*t.row.add(s);
            w = panel.add(nr + tap.offset * nr);
            a = [tap.input.wrapping_add(offset); MR];
            for m in 1..MR {
                a[m] = opaque(a[m - 1].wrapping_add(t.input_step));
            }
            end = t.shift + t.run - if by_rows && s + 1 == t.segments { STEPS } else { 0 };
            let k = t.shift..end;
            w = match (tap.first, tap.last) {
                (0, 0) => run::<V, MR, NV, 0, 0>(&mut acc, &a, w, k),
                (1, 0) if skips >= 1 => run::<V, MR, NV, 1, 0>(&mut acc, &a, w, k),
                (0, 1) if skips >= 1 => run::<V, MR, NV, 0, 1>(&mut acc, &a, w, k),
                (2, 0) if skips >= 2 => run::<V, MR, NV, 2, 0>(&mut acc, &a, w, k),
                (0, 2) if skips >= 2 => run::<V, MR, NV, 0, 2>(&mut acc, &a, w, k),
                (3, 0) if skips >= 3 => run::<V, MR, NV, 3, 0>(&mut acc, &a, w, k),
                (0, 3) if skips >= 3 => run::<V, MR, NV, 0, 3>(&mut acc, &a, w, k),
                (first, last) => {
                    for m in 0..MR {
                        if m < first || m >= MR - last {
                            a[m] = t.zeros;
                        }
                    }
                    run::<V, MR, NV, 0, 0>(&mut acc, &a, w, k)
                }
            };
        }
        let mut out = [output; MR];
        for m in 1..MR {
            out[m] = out[m - 1].add(t.output_step);
        }
        if by_rows && t.segments > 0 {
            let tap = &*t.row.add(t.segments - 1);
            // Rows that leave the last tap out take the few last steps of it with zeros.
            for m in 0..MR {
                if m < tap.first || m >= MR - tap.last {
                    a[m] = t.zeros;
                }
            }
            finish_by_rows(acc, &steps::<V, MR, NV>(&a, end, w), t.clamp, &out, t.last);
        } else {
            finish(acc, t.clamp, &out, t.last);
        }
    }
}

/// A tile of one panel that finds its pixels by pointers.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn scattered<V: Vector, const MR: usize, const NV: usize>(t: &Tile, panel: *const f32, channel: usize) {
    let nr = NV * V::LANES;
    // SAFETY: by the contract of `Tile`: runs have `run` elements, the panel `nr * (K + 1)`, outputs `nr` but for the
    // last vector, of which `last` lanes are written.
    unsafe {
        let mut acc = bias::<V, MR, NV>(panel);
        let by_rows = takes_rows::<V, MR, NV>(t);
        let (mut a, mut w, mut end) = ([t.zeros; MR], panel, 0);
        for s in 0..t.segments {
            w = panel.add(nr + *t.offsets.add(s) * nr);
            for (m, a) in a.iter_mut().enumerate() {
                *a = *t.pointers.add(s * MR + m);
            }
            // Small tiles are those that often span rows: a twentieth of the time on a map of 7 x 7.
            let skips = if V::TAKES_LANES || MR > 6 { 0 } else { skips(MR, NV, V::LANES) };
            let first = |n: usize| n <= skips && (0..n).all(|m| a[m] == t.zeros);
            let last = |n: usize| n <= skips && (0..n).all(|m| a[MR - 1 - m] == t.zeros);
            end = t.shift + t.run - if by_rows && s + 1 == t.segments { STEPS } else { 0 };
            let k = t.shift..end;
            w = if first(2) {
                run::<V, MR, NV, 2, 0>(&mut acc, &a, w, k)
            } else if first(1) {
                run::<V, MR, NV, 1, 0>(&mut acc, &a, w, k)
            } else if last(2) {
                run::<V, MR, NV, 0, 2>(&mut acc, &a, w, k)
            } else if last(1) {
                run::<V, MR, NV, 0, 1>(&mut acc, &a, w, k)
            } else {
                run::<V, MR, NV, 0, 0>(&mut acc, &a, w, k)
            };
        }
        let mut out = [core::ptr::null_mut::<f32>(); MR];
        for (m, out) in out.iter_mut().enumerate() {
            *out = (*t.out.add(m)).add(channel);
        }
        if by_rows && t.segments > 0 {
            finish_by_rows(acc, &steps::<V, MR, NV>(&a, end, w), t.clamp, &out, t.last);
        } else {
            finish(acc, t.clamp, &out, t.last);
        }
    }
}

/// Accumulators that hold the bias of a panel.
///
/// # Safety
/// The CPU has the tier of `V`; the panel starts with `NV` vectors.
#[inline(always)]
pub(super) unsafe fn bias<V: Vector, const MR: usize, const NV: usize>(panel: *const f32) -> [[V; NV]; MR] {
    // SAFETY: as the caller promises; a panel starts with its bias.
    unsafe {
        let mut acc = [[V::zero(); NV]; MR];
        for v in 0..NV {
            let bias = V::load(panel.add(v * V::LANES));
            for row in &mut acc {
                row[v] = bias;
            }
        }
        acc
    }
}

/// Adds elements of the rows' runs times the weights from `w` on; leaves out `FIRST` rows and the `LAST` ones. Gives the weights
/// after these.
///
/// # Safety
/// As [`micro`].
#[inline(always)]
unsafe fn run<V: Vector, const MR: usize, const NV: usize, const FIRST: usize, const LAST: usize>(
    acc: &mut [[V; NV]; MR],
    a: &[*const f32; MR],
    mut w: *const f32,
    elements: Range<usize>,
) -> *const f32 {
    let nr = NV * V::LANES;
    let rows = FIRST..MR.saturating_sub(LAST);
    // SAFETY: as the caller promises.
    unsafe {
        // One step of K: `$lane` is the element of the quad in use.
        macro_rules! step {
            ($lane:literal, $q:expr) => {
                if V::FEW_REGISTERS && NV > MR {
                    // The fewer scalars stay in registers, and not the vectors.
                    for v in 0..NV {
                        let b = V::load(w.add($lane * nr + v * V::LANES));
                        for m in rows.clone() {
                            acc[m][v] = acc[m][v].mul_add_lane::<$lane>(b, $q[m]);
                        }
                        in_order::<V>();
                    }
                } else {
                    let mut b = [V::zero(); NV];
                    for v in 0..NV {
                        b[v] = V::load(w.add($lane * nr + v * V::LANES));
                    }
                    for m in rows.clone() {
                        V::mul_add_row::<$lane, NV>(&mut acc[m], &b, $q[m]);
                        in_order_if(const { MR * NV + NV + 1 >= if V::FEW_REGISTERS { 16 } else { 31 } });
                    }
                    in_order::<V>();
                }
            };
        }
        let Range { start: mut k, end } = elements;
        while k + 4 <= end {
            let mut q = [V::quad(a[0].add(k)); MR];
            for m in 1..MR {
                q[m] = V::quad(a[m].add(k));
            }
            step!(0, q);
            step!(1, q);
            step!(2, q);
            step!(3, q);
            w = w.add(4 * nr);
            k += 4;
        }
        while k < end {
            let mut b = [V::zero(); NV];
            for v in 0..NV {
                b[v] = V::load(w.add(v * V::LANES));
            }
            for m in rows.clone() {
                let x = V::splat(*a[m].add(k));
                for v in 0..NV {
                    acc[m][v] = acc[m][v].mul_add(x, b[v]);
                }
                in_order::<V>();
            }
            w = w.add(nr);
            k += 1;
        }
    }
    w
}
