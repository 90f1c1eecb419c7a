//! Depthwise 3x3, NHWC, by sliding: the driver of [`crate::kernel::depthwise_nhwc`], micro-kernels of this tier alone.
//!
//! The nine weights of eight channels stay in registers while a window of one or two output rows slides along the pixels of a
//! tile. A column of inputs is loaded once, serves all output columns whose windows hold it, and is forgotten, so that no
//! more than three columns of sums exist at a time, whatever the width of the tile:
//!
//! ```text
//! for each eight channels
//!     w[3][3] = weights
//!     for each column of the window that is inside the image
//!         if an output column begins here: its sums = bias
//!         for each input row of the window that is inside the image
//!             x = input[row][column]
//!             sums += x * w[ky][kx]   of all outputs that see it
//!         if an output column ends here: clamp, store
//! ```
//!
//! Registers, two each for eight channels: nine weights, six sums and one input (four and three with stride 2): all 32. That is
//! why it is assembly: the compiler spills. It also lets loads and stores of two registers move their addresses on. Loads per
//! multiply-add, two rows, stride 1: 4 / 36; instructions of a column: 47 for 36 multiply-adds.
//!
//! Columns at the ends of the window may be outside the image, and rows too, for which there is code of its own. Windows that
//! stick out further, as with more than one pixel of padding, and fewer than eight channels are computed output by output. Channels
//! after the last eight are computed together with some before them, once more.
//!
//! For in-order cores the same with bias copied from register to register, stores in pairs, and with stride 2 four of ten loads in
//! halves. Estimated with llvm-mca 22 on 24 November 2026, whole layers of 56 x 56 pixels and 128 channels: 54 % of a Cortex-A55's
//! peak instead of 51, with stride 2 48 instead of 38.

use super::vector::F32x4;
use crate::kernel::NO_CLAMP;
use crate::kernel::depthwise_nhwc::{DepthwiseNhwc, Tile, Width};
use crate::vector::Vector;
use core::arch::asm;

/// Channels of a block.
pub(super) const LANES: usize = 8;

/// Kernel rows and columns.
const K: usize = 3;

/// Floats of a block's bias and weights.
const BLOCK: usize = (1 + K * K) * LANES;

/// Registers of a weight and of sums.
#[rustfmt::skip]
macro_rules! w {
    (0 0 0) => { "0" }; (0 0 1) => { "1" }; (0 1 0) => { "2" }; (0 1 1) => { "3" }; (0 2 0) => { "4" }; (0 2 1) => { "5" };
    (1 0 0) => { "6" }; (1 0 1) => { "7" }; (1 1 0) => { "8" }; (1 1 1) => { "9" }; (1 2 0) => { "10" }; (1 2 1) => { "11" };
    (2 0 0) => { "12" }; (2 0 1) => { "13" }; (2 1 0) => { "14" }; (2 1 1) => { "15" }; (2 2 0) => { "16" }; (2 2 1) => { "17" };
}
#[rustfmt::skip]
macro_rules! sum {
    (A 0 0) => { "18" }; (A 0 1) => { "19" }; (A 1 0) => { "20" }; (A 1 1) => { "21" };
    (B 0 0) => { "22" }; (B 0 1) => { "23" }; (B 1 0) => { "24" }; (B 1 1) => { "25" };
    (C 0 0) => { "26" }; (C 0 1) => { "27" }; (C 1 0) => { "28" }; (C 1 1) => { "29" };
}

/// Multiply-adds of an input with kernel row `$ky` into output row `$r`, of output columns and their kernel columns.
macro_rules! add {
    ($r:tt $ky:tt; $($to:tt)*) => { add!(@ "30" "31" $r $ky; $($to)*) };
    (@ $x:literal $y:literal $r:tt $ky:tt; $([$s:tt $kx:tt])*) => {
        concat!($(
            "fmla v", sum!($s $r 0), ".4s, v", $x, ".4s, v", w!($ky $kx 0), ".4s\n",
            "fmla v", sum!($s $r 1), ".4s, v", $y, ".4s, v", w!($ky $kx 1), ".4s\n"
        ),*)
    };
}
macro_rules! load {
    ($p:tt) => { load!(@ "30" "31" $p) };
    (@ $x:literal $y:literal $p:tt) => { concat!("ld1 {{v", $x, ".4s, v", $y, ".4s}}, [{", $p, "}], {pixel}\n") };
}

/// Jumps over what follows up to label 20 if that row is outside; none is in a tile that is `inner`.
macro_rules! unless_outside {
    (edge $bit:literal) => {
        concat!("tbz {ends:w}, #", $bit, ", 20f\n")
    };
    (inner $bit:literal) => {
        ""
    };
    (edge_in_order $bit:literal) => {
        unless_outside!(edge $bit)
    };
    (inner_in_order $bit:literal) => {
        ""
    };
}

/// A column of inputs: whether rows may be outside, stride, output rows, the output columns that see it.
macro_rules! column {
    ($kind:tt 1 1; $($to:tt)*) => {
        concat!(unless_outside!($kind 0), load!("p0"), add!(0 0; $($to)*), "20:\n", load!("p1"), add!(0 1; $($to)*),
            unless_outside!($kind 1), load!("p2"), add!(0 2; $($to)*), "20:\n")
    };
    ($kind:tt 1 2; $($to:tt)*) => {
        concat!(unless_outside!($kind 0), load!("p0"), add!(0 0; $($to)*), "20:\n", load!("p1"), add!(0 1; $($to)*),
            add!(1 0; $($to)*), load!("p2"), add!(0 2; $($to)*), add!(1 1; $($to)*),
            unless_outside!($kind 1), load!("p3"), add!(1 2; $($to)*), "20:\n")
    };
    ($kind:tt 2 1; $($to:tt)*) => { column!($kind 1 1; $($to)*) };
    ($kind:tt 2 2; $($to:tt)*) => {
        concat!(unless_outside!($kind 0), load!("p0"), add!(0 0; $($to)*), "20:\n", load!("p1"), add!(0 1; $($to)*),
            load!("p2"), add!(0 2; $($to)*), add!(1 0; $($to)*), load!("p3"), add!(1 1; $($to)*),
            unless_outside!($kind 1), load!("p4"), add!(1 2; $($to)*), "20:\n")
    };
}

/// With stride 2 and two rows inside the image there are registers for three inputs: the first three of a column have been loaded,
/// the other two are, and the first two of the next column where there is one.
macro_rules! column_ahead {
    ($next:tt; $($to:tt)*) => {
        concat!(
            add!(@ "26" "27" 0 0; $($to)*), load!(@ "26" "27" "p3"), add!(@ "28" "29" 0 1; $($to)*), load!(@ "28" "29" "p4"),
            add!(@ "30" "31" 0 2; $($to)*), add!(@ "30" "31" 1 0; $($to)*), add!(@ "26" "27" 1 1; $($to)*),
            column_ahead!(@ $next "26" "27" "p0"), add!(@ "28" "29" 1 2; $($to)*), column_ahead!(@ $next "28" "29" "p1")
        )
    };
    (@ last $($load:tt)*) => { "" };
    (@ next $($load:tt)*) => { load!(@ $($load)*) };
}

/// The column that two output columns see, for in-order cores. A load of 128 bits keeps a Cortex-A55 from issuing anything else
/// for two cycles; a load of 64, one into a general register, and its insertion as the upper half each issue with a multiply-add
/// after it. So those of the column's last two inputs and of the next column's third go among its multiply-adds. No more
/// than these would find enough of them.
macro_rules! column_woven {
    ($a:tt $b:tt) => {
        concat!(
            woven!("26" "27" 0 0 $a $b; _ _ _ _),
            woven!("28" "29" 0 1 $a $b; [h 0 "p3"] [h 1 "p3"] [l "26" 0 "p3"] [l "27" 1 "p3"]), "add {p3}, {p3}, {pixel}\n",
            woven!("30" "31" 0 2 $a $b; [i 0 "26"] [i 1 "27"] [h 0 "p4"] [h 1 "p4"]),
            woven!("30" "31" 1 0 $a $b; [l "28" 0 "p4"] [l "29" 1 "p4"] [on "p4"] _),
            woven!("26" "27" 1 1 $a $b; [i 0 "28"] [i 1 "29"] [h 0 "p2"] [h 1 "p2"]),
            woven!("28" "29" 1 2 $a $b; [l "30" 0 "p2"] [l "31" 1 "p2"] [on "p2"] _),
            load_in_order!("26" "27" "p0"), part!([i 0 "30"]), part!([i 1 "31"])
        )
    };
}
/// The column that one output column sees: there is work for the halves of one input.
macro_rules! column_half_woven {
    ($next:tt $a:tt) => {
        concat!(
            woven!("26" "27" 0 0 $a; _ _), woven!("28" "29" 0 1 $a; [h 0 "p3"] [h 1 "p3"]),
            woven!("30" "31" 0 2 $a; [l "26" 0 "p3"] [l "27" 1 "p3"]), part!([on "p3"]), load_in_order!("28" "29" "p4"),
            woven!("30" "31" 1 0 $a; [i 0 "26"] [i 1 "27"]), column_half_woven!(@ $next "30" "31" "p2"),
            woven!("26" "27" 1 1 $a; _ _), column_half_woven!(@ $next "26" "27" "p0"),
            woven!("28" "29" 1 2 $a; _ _), column_half_woven!(@ $next "28" "29" "p1")
        )
    };
    (@ last $($load:tt)*) => { "" };
    (@ next $($load:tt)*) => { load_in_order!($($load)*) };
}
macro_rules! woven {
    ($x:literal $y:literal $r:tt $ky:tt [$s:tt $kx:tt]; $p0:tt $p1:tt) => {
        concat!(
            part!($p0), "fmla v", sum!($s $r 0), ".4s, v", $x, ".4s, v", w!($ky $kx 0), ".4s\n",
            part!($p1), "fmla v", sum!($s $r 1), ".4s, v", $y, ".4s, v", w!($ky $kx 1), ".4s\n"
        )
    };
    ($x:literal $y:literal $r:tt $ky:tt [$s:tt $kx:tt] [$t:tt $kt:tt]; $p0:tt $p1:tt $p2:tt $p3:tt) => {
        concat!(
            part!($p0), "fmla v", sum!($s $r 0), ".4s, v", $x, ".4s, v", w!($ky $kx 0), ".4s\n",
            part!($p1), "fmla v", sum!($t $r 0), ".4s, v", $x, ".4s, v", w!($ky $kt 0), ".4s\n",
            part!($p2), "fmla v", sum!($s $r 1), ".4s, v", $y, ".4s, v", w!($ky $kx 1), ".4s\n",
            part!($p3), "fmla v", sum!($t $r 1), ".4s, v", $y, ".4s, v", w!($ky $kt 1), ".4s\n"
        )
    };
}
/// A part of a load: the upper half (`h`), the lower (`l`), the insertion (`i`), the address of the next column (`on`).
#[rustfmt::skip]
macro_rules! part {
    (_) => { "" };
    ([h 0 $p:literal]) => { concat!("ldr {t0}, [{", $p, "}, #8]\n") };
    ([h 1 $p:literal]) => { concat!("ldr {t1}, [{", $p, "}, #24]\n") };
    ([l $x:literal 0 $p:literal]) => { concat!("ldr d", $x, ", [{", $p, "}]\n") };
    ([l $x:literal 1 $p:literal]) => { concat!("ldr d", $x, ", [{", $p, "}, #16]\n") };
    ([i $half:tt $x:literal]) => { concat!("ins v", $x, ".d[1], {t", $half, "}\n") };
    ([on $p:literal]) => { concat!("add {", $p, "}, {", $p, "}, {pixel}\n") };
}
macro_rules! load_in_order {
    ($x:literal $y:literal $p:literal) => {
        concat!("ldr q", $x, ", [{", $p, "}]\n", "ldr q", $y, ", [{", $p, "}, #16]\n", part!([on $p]))
    };
}

/// Loads of all weights. The model of a Cortex-A55 charges three cycles for each register of a pair, two for one alone.
#[rustfmt::skip]
macro_rules! weights {
    (edge_in_order) => {
        weights!(@ "0" "32" "1" "48" "2" "64" "3" "80" "4" "96" "5" "112" "6" "128" "7" "144" "8" "160"
            "9" "176" "10" "192" "11" "208" "12" "224" "13" "240" "14" "256" "15" "272" "16" "288" "17" "304")
    };
    (inner_in_order) => { weights!(edge_in_order) };
    (@ $($x:literal $at:literal)*) => { concat!($("ldr q", $x, ", [{w}, #", $at, "]\n"),*) };
    ($kind:tt) => {
        concat!(
            "ldp q0, q1, [{w}, #32]\n", "ldp q2, q3, [{w}, #64]\n", "ldp q4, q5, [{w}, #96]\n",
            "ldp q6, q7, [{w}, #128]\n", "ldp q8, q9, [{w}, #160]\n", "ldp q10, q11, [{w}, #192]\n",
            "ldp q12, q13, [{w}, #224]\n", "ldp q14, q15, [{w}, #256]\n", "ldp q16, q17, [{w}, #288]\n"
        )
    };
}

/// An output column begins. On in-order cores a copy takes one cycle, a load two.
macro_rules! begin {
    (edge_in_order $rows:tt $s:tt) => { begin!(inner_in_order $rows $s) };
    (inner_in_order 1 $s:tt) => {
        concat!("ldr q", sum!($s 0 0), ", [{w}]\n", "ldr q", sum!($s 0 1), ", [{w}, #16]\n")
    };
    (inner_in_order 2 $s:tt) => {
        concat!(begin!(inner_in_order 1 $s), "mov v", sum!($s 1 0), ".16b, v", sum!($s 0 0), ".16b\n",
            "mov v", sum!($s 1 1), ".16b, v", sum!($s 0 1), ".16b\n")
    };
    ($kind:tt 1 $s:tt) => { concat!("ldp q", sum!($s 0 0), ", q", sum!($s 0 1), ", [{w}]\n") };
    ($kind:tt 2 $s:tt) => { concat!(begin!($kind 1 $s), "ldp q", sum!($s 1 0), ", q", sum!($s 1 1), ", [{w}]\n") };
}

/// An output column ends. An input's registers hold the bounds of the clamp.
macro_rules! end {
    ($kind:tt $rows:tt $s:tt) => { end!(@ "30" "31" $kind $rows $s) };
    (@ $lo:literal $hi:literal $kind:tt $rows:tt $s:tt) => {
        concat!("tbz {ends:w}, #4, 21f\n", "ld2r {{v", $lo, ".4s, v", $hi, ".4s}}, [{bounds}]\n",
            end!(@clamp $lo $hi $rows $s), "21:\n", end!(@store $kind $rows $s))
    };
    (@clamp $lo:literal $hi:literal 1 $s:tt) => {
        concat!(end!(@bound $lo $hi sum!($s 0 0)), end!(@bound $lo $hi sum!($s 0 1)))
    };
    (@clamp $lo:literal $hi:literal 2 $s:tt) => {
        concat!(end!(@clamp $lo $hi 1 $s), end!(@bound $lo $hi sum!($s 1 0)), end!(@bound $lo $hi sum!($s 1 1)))
    };
    (@bound $lo:literal $hi:literal $v:expr) => {
        concat!("fmax v", $v, ".4s, v", $v, ".4s, v", $lo, ".4s\n", "fmin v", $v, ".4s, v", $v, ".4s, v", $hi, ".4s\n")
    };
    (@store edge_in_order $rows:tt $s:tt) => { end!(@store inner_in_order $rows $s) };
    (@store inner_in_order 1 $s:tt) => {
        concat!("stp q", sum!($s 0 0), ", q", sum!($s 0 1), ", [{o0}]\n", "add {o0}, {o0}, {out_pixel}\n")
    };
    (@store inner_in_order 2 $s:tt) => {
        concat!(end!(@store inner_in_order 1 $s),
            "stp q", sum!($s 1 0), ", q", sum!($s 1 1), ", [{o1}]\n", "add {o1}, {o1}, {out_pixel}\n")
    };
    (@store $kind:tt 1 $s:tt) => { concat!("st1 {{v", sum!($s 0 0), ".4s, v", sum!($s 0 1), ".4s}}, [{o0}], {out_pixel}\n") };
    (@store $kind:tt 2 $s:tt) => {
        concat!(end!(@store $kind 1 $s), "st1 {{v", sum!($s 1 0), ".4s, v", sum!($s 1 1), ".4s}}, [{o1}], {out_pixel}\n")
    };
}

/// A tile of at least two pixels, from the weights in registers on: stride, output rows, whether rows may be outside.
macro_rules! slide {
    (1 $rows:tt $kind:tt) => {
        concat!(
            begin!($kind $rows A), begin!($kind $rows B),
            "tbz {ends:w}, #2, 2f\n", column!($kind 1 $rows; [A 0]),
            "2:\n", column!($kind 1 $rows; [A 1] [B 0]),
            "subs {n}, {n}, #2\n", "b.eq 4f\n",
            "3:\n", begin!($kind $rows C), column!($kind 1 $rows; [A 2] [B 1] [C 0]), end!($kind $rows A), "subs {n}, {n}, #1\n", "b.eq 5f\n",
            begin!($kind $rows A), column!($kind 1 $rows; [B 2] [C 1] [A 0]), end!($kind $rows B), "subs {n}, {n}, #1\n", "b.eq 6f\n",
            begin!($kind $rows B), column!($kind 1 $rows; [C 2] [A 1] [B 0]), end!($kind $rows C), "subs {n}, {n}, #1\n", "b.ne 3b\n",
            "4:\n", slide!(@last $rows $kind A B), "b 8f\n",
            "5:\n", slide!(@last $rows $kind B C), "b 8f\n",
            "6:\n", slide!(@last $rows $kind C A),
            "8:\n"
        )
    };
    (@last $rows:tt $kind:tt $x:tt $y:tt) => {
        concat!(column!($kind 1 $rows; [$x 2] [$y 1]), end!($kind $rows $x),
            "tbz {ends:w}, #3, 7f\n", column!($kind 1 $rows; [$y 2]), "7:\n", end!($kind $rows $y))
    };
    // After an input column that a single output column sees, there may be no other: nothing ahead is loaded there, so that the
    // branch stands between whole columns of multiply-adds and not among loads.
    (2 2 inner) => {
        concat!(
            begin!(inner 2 A), "tbz {ends:w}, #2, 2f\n", column!(inner 2 2; [A 0]),
            "2:\n", slide!(@three), column_ahead!(last; [A 1]), "sub {n}, {n}, #1\n",
            "3:\n", slide!(@three), begin!(inner 2 B), column_ahead!(next; [A 2] [B 0]), end!(inner 2 A), load!("p2"),
            column_ahead!(last; [B 1]), "subs {n}, {n}, #1\n", "b.eq 5f\n",
            slide!(@three), begin!(inner 2 A), column_ahead!(next; [B 2] [A 0]), end!(inner 2 B), load!("p2"),
            column_ahead!(last; [A 1]), "subs {n}, {n}, #1\n", "b.ne 3b\n",
            "tbz {ends:w}, #3, 4f\n", column!(inner 2 2; [A 2]), "4:\n", end!(inner 2 A), "b 8f\n",
            "5:\n", "tbz {ends:w}, #3, 7f\n", column!(inner 2 2; [B 2]), "7:\n", end!(inner 2 B),
            "8:\n"
        )
    };
    (@three) => { concat!(load!(@ "26" "27" "p0"), load!(@ "28" "29" "p1"), load!("p2")) };
    (2 2 inner_in_order) => {
        concat!(
            begin!(inner_in_order 2 A), "tbz {ends:w}, #2, 2f\n", column!(inner 2 2; [A 0]),
            "2:\n", load!(@ "26" "27" "p0"), load!(@ "28" "29" "p1"), load!("p2"),
            column_half_woven!(next [A 1]), "sub {n}, {n}, #1\n",
            "3:\n", begin!(inner_in_order 2 B), column_woven!([A 2] [B 0]), end!(@ "28" "29" inner_in_order 2 A),
            load_in_order!("28" "29" "p1"),
            "subs {n}, {n}, #1\n", "b.eq 5f\n", column_half_woven!(next [B 1]),
            begin!(inner_in_order 2 A), column_woven!([B 2] [A 0]), end!(@ "28" "29" inner_in_order 2 B),
            load_in_order!("28" "29" "p1"),
            "subs {n}, {n}, #1\n", "b.eq 6f\n", column_half_woven!(next [A 1]), "b 3b\n",
            "5:\n", column_half_woven!(last [B 1]), "tbz {ends:w}, #3, 7f\n", column!(inner 2 2; [B 2]), "7:\n",
            end!(inner_in_order 2 B), "b 8f\n",
            "6:\n", column_half_woven!(last [A 1]), "tbz {ends:w}, #3, 7f\n", column!(inner 2 2; [A 2]), "7:\n",
            end!(inner_in_order 2 A),
            "8:\n"
        )
    };
    (2 $rows:tt $kind:tt) => {
        concat!(
            begin!($kind $rows A), "tbz {ends:w}, #2, 2f\n", column!($kind 2 $rows; [A 0]),
            "2:\n", column!($kind 2 $rows; [A 1]), "subs {n}, {n}, #1\n",
            "3:\n", begin!($kind $rows B), column!($kind 2 $rows; [A 2] [B 0]), end!($kind $rows A), column!($kind 2 $rows; [B 1]),
            "subs {n}, {n}, #1\n", "b.eq 5f\n",
            begin!($kind $rows A), column!($kind 2 $rows; [B 2] [A 0]), end!($kind $rows B), column!($kind 2 $rows; [A 1]),
            "subs {n}, {n}, #1\n", "b.ne 3b\n",
            "tbz {ends:w}, #3, 4f\n", column!($kind 2 $rows; [A 2]), "4:\n", end!($kind $rows A), "b 8f\n",
            "5:\n", "tbz {ends:w}, #3, 6f\n", column!($kind 2 $rows; [B 2]), "6:\n", end!($kind $rows B),
            "8:\n"
        )
    };
}

/// Whether the first and the last row and column of the window are inside, and whether outputs are clamped.
const TOP: u32 = 1;
const BOTTOM: u32 = 2;
const LEFT: u32 = 4;
const RIGHT: u32 = 8;
const CLAMPED: u32 = 16;

/// Defines the function of a stride and number of rows for some blocks of eight channels from `c` on.
macro_rules! block {
    ($name:ident $stride:tt $rows:tt $kind:tt [$($t:ident)*]; $($p:ident $y:literal)*) => {
        /// # Safety
        /// As [`slide`]; the tile has two pixels or more and nothing of the window but what `ends` tells is outside.
        #[target_feature(enable = "neon")]
        unsafe fn $name(t: &Tile, ends: u32, pixels: usize, c: usize, blocks: usize, mut weights: *const f32) {
            let skip = if ends & LEFT == 0 { t.pixel } else { 0 };
            // SAFETY: rows of the window, or null; only those inside are read.
            $(let mut $p = unsafe { (*t.rows.add($y)).wrapping_add(c + skip) };)*
            let mut out = t.out.wrapping_add(c);
            let bounds = [t.clamp.0, t.clamp.1];
            for _ in 0..blocks {
                // SAFETY: as the caller promises; weights and bias are eight floats per tap.
                unsafe {
                    asm!(
                        weights!($kind),
                        slide!($stride $rows $kind),
                        // Not all of them have a second row, or load halves.
                        concat!("/* {o1}", $(" {", stringify!($t), "}",)* " */"),
                        w = in(reg) weights,
                        $($t = out(reg) _,)*
                        $($p = inout(reg) $p => _,)*
                        o0 = inout(reg) out => _,
                        o1 = inout(reg) out.wrapping_add(t.out_row) => _,
                        n = inout(reg) pixels => _,
                        pixel = in(reg) t.pixel * size_of::<f32>(),
                        out_pixel = in(reg) t.out_pixel * size_of::<f32>(),
                        ends = in(reg) ends,
                        bounds = in(reg) bounds.as_ptr(),
                        out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _,
                        out("v7") _, out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _,
                        out("v14") _, out("v15") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _,
                        out("v20") _, out("v21") _, out("v22") _, out("v23") _, out("v24") _, out("v25") _,
                        out("v26") _, out("v27") _, out("v28") _, out("v29") _, out("v30") _, out("v31") _,
                        options(nostack)
                    );
                }
                $($p = $p.wrapping_add(LANES);)*
                out = out.wrapping_add(LANES);
                weights = weights.wrapping_add(BLOCK);
            }
        }
    };
}
block!(s1r1 1 1 edge []; p0 0 p1 1 p2 2);
block!(s1r1_in_order 1 1 edge_in_order []; p0 0 p1 1 p2 2);
block!(s1r2 1 2 edge []; p0 0 p1 1 p2 2 p3 3);
block!(s1r2_in_order 1 2 edge_in_order []; p0 0 p1 1 p2 2 p3 3);
block!(s1r2_inner 1 2 inner []; p0 0 p1 1 p2 2 p3 3);
block!(s1r2_inner_in_order 1 2 inner_in_order []; p0 0 p1 1 p2 2 p3 3);
block!(s2r1 2 1 edge []; p0 0 p1 1 p2 2);
block!(s2r1_in_order 2 1 edge_in_order []; p0 0 p1 1 p2 2);
block!(s2r2 2 2 edge []; p0 0 p1 1 p2 2 p3 3 p4 4);
block!(s2r2_in_order 2 2 edge_in_order []; p0 0 p1 1 p2 2 p3 3 p4 4);
block!(s2r2_inner 2 2 inner []; p0 0 p1 1 p2 2 p3 3 p4 4);
block!(s2r2_inner_in_order 2 2 inner_in_order [t0 t1]; p0 0 p1 1 p2 2 p3 3 p4 4);

/// The micro-kernel for `pixels` pixels of `rows` rows.
///
/// # Safety
/// As [`crate::kernel::depthwise_nhwc::micro`].
#[target_feature(enable = "neon")]
unsafe fn slide(t: &Tile, stride: usize, rows: usize, pixels: usize, in_order: bool) {
    let (reach, span) = ((rows - 1) * stride + K, (pixels - 1) * stride + K);
    // SAFETY: a word per row of the window.
    let inside = |y: usize| unsafe { !(*t.rows.add(y)).is_null() };
    let ends_at_most = t.columns.0 <= 1 && t.columns.1 + 1 >= span && (1..reach - 1).all(inside);
    if !ends_at_most || t.channels < LANES || pixels < 2 {
        // SAFETY: the caller's promise is the same.
        return unsafe { each_output(t, K, stride, rows, pixels) };
    }
    let bit = |set: bool, bit: u32| if set { bit } else { 0 };
    let ends = bit(inside(0), TOP)
        | bit(inside(reach - 1), BOTTOM)
        | bit(t.columns.0 == 0, LEFT)
        | bit(t.columns.1 >= span, RIGHT)
        | bit(t.clamp != NO_CLAMP, CLAMPED);
    let inner = ends & (TOP | BOTTOM) == TOP | BOTTOM;
    let block = match (stride, rows, inner, in_order) {
        (1, 1, _, false) => s1r1,
        (1, 1, _, true) => s1r1_in_order,
        (1, _, false, false) => s1r2,
        (1, _, false, true) => s1r2_in_order,
        (1, _, true, false) => s1r2_inner,
        (1, _, true, true) => s1r2_inner_in_order,
        (_, 1, _, false) => s2r1,
        (_, 1, _, true) => s2r1_in_order,
        (_, _, false, false) => s2r2,
        (_, _, false, true) => s2r2_in_order,
        (_, _, true, false) => s2r2_inner,
        (_, _, true, true) => s2r2_inner_in_order,
    };
    let (blocks, rest) = (t.channels / LANES, t.channels % LANES);
    // SAFETY: as the caller promises; the window sticks out by no more than its ends.
    unsafe { block(t, ends, pixels, 0, blocks, t.weights) };
    if rest > 0 {
        // SAFETY: as above, for the last eight channels.
        unsafe {
            let weights: [f32; BLOCK] = last_block(t, blocks, rest);
            block(t, ends, pixels, t.channels - LANES, 1, weights.as_ptr());
        }
    }
}

/// Weights of the last eight channels, `rest` of them after the last of `blocks` whole blocks.
///
/// # Safety
/// The tile's weights are those blocks, of `BLOCK` floats each, and one more.
pub(super) unsafe fn last_block<const BLOCK: usize>(t: &Tile, blocks: usize, rest: usize) -> [f32; BLOCK] {
    let mut weights = [0.0f32; BLOCK];
    // SAFETY: as the caller promises.
    unsafe {
        let last = t.weights.add((blocks - 1) * BLOCK);
        for (tap, to) in weights.chunks_exact_mut(LANES).enumerate() {
            let from = last.add(tap * LANES);
            let to = to.as_mut_ptr();
            to.copy_from_nonoverlapping(from.add(rest), LANES - rest);
            to.add(LANES - rest).copy_from_nonoverlapping(from.add(BLOCK), rest);
        }
    }
    weights
}

/// A tile of a `k` x `k` kernel, one output after the other, whatever is outside.
///
/// # Safety
/// As [`slide`].
#[target_feature(enable = "neon")]
pub(super) unsafe fn each_output(t: &Tile, k: usize, stride: usize, rows: usize, pixels: usize) {
    let block = (1 + k * k) * LANES;
    for (r, p) in (0..rows).flat_map(|r| (0..pixels).map(move |p| (r, p))) {
        let mut c = 0;
        while c < t.channels {
            let lanes = (t.channels - c).min(F32x4::LANES);
            // SAFETY: as the caller promises: rows that are not null are readable for the columns inside. Weights are whole
            // blocks.
            unsafe {
                let weights = t.weights.add(c / LANES * block + c % LANES);
                let mut acc = F32x4::load(weights);
                for (ky, kx) in (0..k).flat_map(|ky| (0..k).map(move |kx| (ky, kx))) {
                    let (row, column) = (*t.rows.add(r * stride + ky), p * stride + kx);
                    if !row.is_null() && column >= t.columns.0 && column < t.columns.1 {
                        let x = F32x4::load_range(row.wrapping_add(column * t.pixel + c), 0, lanes);
                        acc = acc.mul_add(x, F32x4::load(weights.add((1 + ky * k + kx) * LANES)));
                    }
                }
                if t.clamp != NO_CLAMP {
                    acc = acc.at_least(F32x4::splat(t.clamp.0)).at_most(F32x4::splat(t.clamp.1));
                }
                acc.store_first(t.out.add(r * t.out_row + p * t.out_pixel + c), lanes);
            }
            c += lanes;
        }
    }
}

/// # Safety
/// As [`slide`].
unsafe fn micro<const S: usize, const R: usize, const P: usize, const IN_ORDER: bool>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { slide(t, S, R, P, IN_ORDER) }
}

/// The algorithm of a stride.
macro_rules! algorithm {
    ($s:literal $in_order:literal; $($p:literal)*) => {
        DepthwiseNhwc {
            lanes: LANES,
            overlaps: false,
            shares_rows: false,
            k: K,
            stride: $s,
            rows: 2,
            widths: &[$(Width {
                pixels: $p,
                micros: [[micro::<$s, 2, $p, $in_order>, micro::<$s, 1, $p, $in_order>]; 2],
            }),*],
            cost: [2.0; 2],
            ..DepthwiseNhwc::COMMON
        }
    };
}

/// Stride 1: 2 rows x up to 56 pixels x 8 channels.
pub(super) static K3S1: DepthwiseNhwc = algorithm!(1 false; 56 28 24 20 16 14 13 12 11 10 9 8 7 6 5 4 3 2 1);

/// Stride 2: 2 rows x up to 56 pixels x 8 channels.
pub(super) static K3S2: DepthwiseNhwc = algorithm!(2 false; 56 28 24 20 16 14 13 12 11 10 9 8 7 6 5 4 3 2 1);

/// Stride 1, for in-order cores.
pub(super) static K3S1_IN_ORDER: DepthwiseNhwc = algorithm!(1 true; 56 28 24 20 16 14 13 12 11 10 9 8 7 6 5 4 3 2 1);

/// Stride 2, for in-order cores.
pub(super) static K3S2_IN_ORDER: DepthwiseNhwc = algorithm!(2 true; 56 28 24 20 16 14 13 12 11 10 9 8 7 6 5 4 3 2 1);
