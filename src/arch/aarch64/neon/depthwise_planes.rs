//! Depthwise 3x3, NCHW: the micro-kernels of [`crate::kernel::depthwise_planes_nchw`], in assembly.
//!
//! With stride 1 every tap is a load of its own, not aligned, since one instruction loads up to four vectors; only zeros at the
//! ends of a row are shifted in. With stride 2 one instruction loads eight columns, the even and the odd ones apart, and one
//! tap is a shift. Weights are lanes of three registers.
//!
//! Registers: 3 x 7 sums (2 x 7 with stride 2), three of weights, seven of inputs (six and two of taps), and one of zeros or of
//! neighbours. Instructions of a row of 28 outputs: 80 for 63 multiply-adds with stride 1, of two rows 85 with stride 2.
//!
//! It is assembly since sums in three generations fill the registers, and since loads and stores move addresses on.

use super::vector::F32x4;
use crate::kernel::NO_CLAMP;
use crate::kernel::depthwise_planes_nchw::{DepthwisePlanes, Strip};
use crate::kernel::direct_nchw::{self, DirectNchw};
use core::arch::asm;

/// Registers, as operands of a load or store of them all; `none` for none.
macro_rules! list {
    ([$first:tt $($more:tt)*]) => { concat!("{{v", $first, ".4s" $(, ", v", $more, ".4s")*, "}}") };
}

/// Loads or stores consecutive registers and moves the address on: nothing for none.
macro_rules! move_on {
    ($what:literal [] $at:literal $by:literal) => {
        ""
    };
    ($what:literal $registers:tt $at:literal $by:literal) => {
        concat!($what, " ", list!($registers), ", [{", $at, "}], ", $by, "\n")
    };
}

pub(super) use {list, move_on};

/// The lane that holds the weight of a kernel row and column: the bias comes first, and the last four overlap.
#[rustfmt::skip]
macro_rules! weight {
    (0 0) => { "v21.s[1]" }; (0 1) => { "v21.s[2]" }; (0 2) => { "v21.s[3]" };
    (1 0) => { "v22.s[0]" }; (1 1) => { "v22.s[1]" }; (1 2) => { "v22.s[2]" };
    (2 0) => { "v22.s[3]" }; (2 1) => { "v23.s[2]" }; (2 2) => { "v23.s[3]" };
}

/// Multiply-adds of inputs and sums in step, by one weight.
macro_rules! taps {
    ([$($sum:tt)*] [$($x:tt)*] $ky:tt $kx:tt) => {
        concat!("" $(, "fmla v", $sum, ".4s, v", $x, ".4s, ", weight!($ky $kx), "\n")*)
    };
}

/// Sums of a row begin with the bias, which lies at `bias` four times over for each of four registers.
macro_rules! begin {
    ({[$a:tt $b:tt $c:tt $d:tt] [] $last:tt}) => {
        concat!("ld1 ", list!([$a $b $c $d]), ", [{bias}]\n", "ldr q", $last, ", [{bias}]\n")
    };
    ({[$($a:tt)*] [] $last:tt}) => { concat!("ld1 ", list!([$($a)* $last]), ", [{bias}]\n") };
    ({$a:tt [$($b:tt)*] $last:tt}) => {
        concat!("ld1 ", list!($a), ", [{bias}]\n", "ld1 ", list!([$($b)* $last]), ", [{bias}]\n")
    };
}

/// Sums of a row are clamped, where there is a clamp, and stored.
macro_rules! end {
    ({[$($a:tt)*] [$($b:tt)*] $last:tt} $by:literal) => {
        concat!(
            "cbz {bounds}, 39f\n", "ld2r {{v24.4s, v25.4s}}, [{bounds}]\n",
            end!(@ $($a)* $($b)* $last), "39:\n",
            move_on!("st1" [$($a)*] "out" $by), move_on!("st1" [$($b)*] "out" "{out_rest}"),
            "st1 {{v", $last, ".4s}}, [{out_last}], {out_row}\n"
        )
    };
    (@ $($sum:tt)*) => {
        concat!($("fmax v", $sum, ".4s, v", $sum, ".4s, v24.4s\n", "fmin v", $sum, ".4s, v", $sum, ".4s, v25.4s\n"),*)
    };
}

/// Stride 1. An input row: registers of the first up to four vectors but the first of them, and of those after them but the
/// last, how far addresses move on after the first of the vectors; then the sums that see it, with their kernel rows.
///
/// `single`: the strip is all of a row; `part`: columns before and after it may be inside the image.
macro_rules! row1 {
    ({$kind:tt [$($a:tt)*] [$($b:tt)*] $by:tt $left_by:tt}; $($sums:tt)*) => {
        concat!(
            move_on!("ld1" [24 $($a)*] "middle" $by), move_on!("ld1" [$($b)*] "middle" "{rest}"),
            "ldur q30, [{last}, #4]\n",
            row1!(@first 1 [24 $($a)*]; $($sums)*),
            "ext v24.16b, v31.16b, v24.16b, #12\n",
            row1!(@neighbour $kind 3 "ldur q24, [{left}, #-16]\n"),
            move_on!("ld1" [$($a)*] "left" $left_by),
            row1!(@second 1 [$($b)* 30]; $($sums)*),
            "ext v30.16b, v30.16b, v31.16b, #4\n",
            row1!(@neighbour $kind 4 "ldur q30, [{last}, #8]\n"),
            row1!(@ahead [$($b)*]),
            row1!(@first 0 [24 $($a)*]; $($sums)*),
            move_on!("ld1" [24 $($a)*] "right" "{row}"),
            row1!(@second 2 [$($b)* 30]; $($sums)*),
            move_on!("ld1" [$($b)*] "left" "{left_rest}"),
            "ld1 {{v30.4s}}, [{last}], {row}\n",
            row1!(@first 2 [24 $($a)*]; $($sums)*),
            row1!(@second 0 [$($b)* 30]; $($sums)*)
        )
    };
    (@first $kx:tt $x:tt; $({$a:tt $b:tt $last:tt} $ky:tt),*) => { concat!($(taps!($a $x $ky $kx)),*) };
    (@second $kx:tt $x:tt; $({$a:tt [$($b:tt)*] $last:tt} $ky:tt),*) => { concat!($(taps!([$($b)* $last] $x $ky $kx)),*) };
    (@neighbour single $bit:tt $load:literal) => { "" };
    (@neighbour part $bit:tt $load:literal) => { concat!("tbz {flags}, #", $bit, ", 38f\n", $load, "38:\n") };
    (@ahead []) => { "" };
    (@ahead [$x:tt]) => { concat!("ldr q", $x, ", [{right}, #64]\n") };
    (@ahead [$x:tt $y:tt]) => { concat!("ldp q", $x, ", q", $y, ", [{right}, #64]\n") };
}

/// Stride 1: a plane, from three generations of sums.
macro_rules! plane1 {
    ($c:tt $by:tt $x:tt $y:tt $z:tt) => {
        concat!(
            begin!($x), "tbnz {flags}, #0, 21f\n", row1!($c; $x 0),
            "21:\n", begin!($y), row1!($c; $x 1, $y 0), "subs {n}, {n}, #2\n", "b.lo 27f\n", "b.eq 24f\n",
            "23:\n", begin!($z), row1!($c; $x 2, $y 1, $z 0), end!($x $by), "subs {n}, {n}, #1\n", "b.eq 25f\n",
            begin!($x), row1!($c; $y 2, $z 1, $x 0), end!($y $by), "subs {n}, {n}, #1\n", "b.eq 26f\n",
            begin!($y), row1!($c; $z 2, $x 1, $y 0), end!($z $by), "subs {n}, {n}, #1\n", "b.ne 23b\n",
            "24:\n", row1!($c; $x 2, $y 1), end!($x $by), "tbnz {flags}, #1, 28f\n", row1!($c; $y 2),
            "28:\n", end!($y $by), "b 29f\n",
            "25:\n", row1!($c; $y 2, $z 1), end!($y $by), "tbnz {flags}, #1, 28f\n", row1!($c; $z 2),
            "28:\n", end!($z $by), "b 29f\n",
            "26:\n", row1!($c; $z 2, $x 1), end!($z $by),
            "27:\n", "tbnz {flags}, #1, 28f\n", row1!($c; $x 2),
            "28:\n", end!($x $by),
            "29:\n"
        )
    };
}

/// Stride 2. An input row: how far the address moves on after the first vector; then sums by vector, with their kernel rows.
/// `$e $o`: even and odd columns of a vector; the registers of the next vector, and the odd columns of the one before.
macro_rules! row2 {
    ({$kind:tt $by:tt}; $($sums:tt)*) => {
        concat!(
            "ld2 {{v14.4s, v15.4s}}, [{middle}], ", $by, "\n",
            row2!(@neighbour $kind), "ld1 {{v31.s}}[0], [{after}], {after_row}\n",
            row2!(@ 14 15 16 17 18 19 31; $($sums)*)
        )
    };
    (@neighbour single) => { "" };
    (@neighbour part) => { "ld1 {{v31.s}}[3], [{before}], {before_row}\n" };
    // The last vector: its first column is the first tap's.
    (@ $e:tt $o:tt $p:tt $q:tt $r:tt $s:tt $t:tt; $({[$sum:tt] $last:tt} $ky:tt),*) => {
        concat!(
            "ld2 {{v", $p, ".4s, v", $q, ".4s}}, [{last}], {row}\n",
            row2!(@taps $e $o $t; $($sum $ky),*)
            $(, taps!([$last] [$p] $ky 0), taps!([$last] [$q] $ky 1))*,
            "ext v29.16b, v", $p, ".16b, v31.16b, #4\n"
            $(, taps!([$last] [29] $ky 2))*
        )
    };
    (@ $e:tt $o:tt $p:tt $q:tt $r:tt $s:tt $t:tt; $({[$sum:tt $next:tt] $last:tt} $ky:tt),*) => {
        concat!(
            "ld2 {{v", $p, ".4s, v", $q, ".4s}}, [{middle}], {rest}\n",
            row2!(@taps $e $o $t; $($sum $ky),*), row2!(@ $p $q $r $s $e $o $o; $({[$next] $last} $ky),*)
        )
    };
    (@ $e:tt $o:tt $p:tt $q:tt $r:tt $s:tt $t:tt; $({[$sum:tt $($next:tt)*] $last:tt} $ky:tt),*) => {
        concat!(
            "ld2 {{v", $p, ".4s, v", $q, ".4s}}, [{middle}], #32\n",
            row2!(@taps $e $o $t; $($sum $ky),*), row2!(@ $p $q $r $s $e $o $o; $({[$($next)*] $last} $ky),*)
        )
    };
    (@taps $e:tt $o:tt $t:tt; $($sum:tt $ky:tt),*) => {
        concat!(
            "ext v28.16b, v", $t, ".16b, v", $o, ".16b, #12\n"
            $(, taps!([$sum] [$e] $ky 1))* $(, taps!([$sum] [$o] $ky 2))* $(, taps!([$sum] [28] $ky 0))*
        )
    };
}

/// Stride 2: a plane, from two generations of sums, each as loads and stores, and as rows of multiply-adds have them.
macro_rules! plane2 {
    ($c:tt $by:tt $x:tt $rx:tt $y:tt $ry:tt) => {
        concat!(
            begin!($x), "tbnz {flags}, #0, 23f\n", row2!($c; $rx 0),
            "23:\n", row2!($c; $rx 1), "subs {n}, {n}, #1\n", "b.eq 25f\n",
            begin!($y), row2!($c; $rx 2, $ry 0), end!($x $by),
            row2!($c; $ry 1), "subs {n}, {n}, #1\n", "b.eq 26f\n",
            begin!($x), row2!($c; $ry 2, $rx 0), end!($y $by), "b 23b\n",
            "25:\n", "tbnz {flags}, #1, 28f\n", row2!($c; $rx 2),
            "28:\n", end!($x $by), "b 29f\n",
            "26:\n", "tbnz {flags}, #1, 28f\n", row2!($c; $ry 2),
            "28:\n", end!($y $by),
            "29:\n"
        )
    };
}

/// Rows outside above and below, and columns inside before and after the strip.
const TOP: usize = 1;
const BOTTOM: usize = 2;
const BEFORE: usize = 8;
const AFTER: usize = 16;

/// Zeros in place of a column outside.
static ZERO: [f32; 1] = [0.0];

/// Moves the pointers that one stride alone has on to the next plane.
#[rustfmt::skip]
macro_rules! next_plane {
    (1) => { "add {left}, {left}, {next}\nadd {right}, {right}, {next}" };
    (2) => { "add {before}, {before}, {before_next}\nadd {after}, {after}, {after_next}" };
}

/// Defines the function of a stride and number of vectors.
macro_rules! planes {
    ($name:ident $stride:tt $vectors:literal $plane:expr) => {
        /// # Safety
        /// As [`micro`], for strips of this many vectors.
        #[target_feature(enable = "neon")]
        unsafe fn $name(s: &Strip) {
            const F: usize = size_of::<f32>();
            let mut bias = [0.0f32; 16];
            let bounds = [s.clamp.0, s.clamp.1];
            let flags = if s.top > 0 { TOP } else { 0 }
                | if s.bottom > 0 { BOTTOM } else { 0 }
                | if s.begins { 0 } else { BEFORE }
                | if s.ends { 0 } else { AFTER };
            let (row, out_row) = (s.in_row.wrapping_mul(F), s.out_row.wrapping_mul(F));
            let rows_read = (s.rows - 1) * $stride + 3 - s.top - s.bottom;
            // What addresses have moved on by at the end of a row but for its last step, and at the end of a plane.
            let whole = ($vectors - 1) * 16;
            let (first, first_left) = if $vectors > 5 { (64, 48) } else { (0, 0) };
            let rest = if $stride == 1 { row.wrapping_sub(first) } else { row.wrapping_sub(2 * (whole - 16)) };
            let next = s.in_channel.wrapping_mul(F).wrapping_sub(row.wrapping_mul(rows_read));
            let (before, before_row, before_next) =
                if s.begins { (ZERO.as_ptr(), 0, 0) } else { (s.input.wrapping_sub(1), row, next) };
            let (after, after_row, after_next) =
                if s.beyond > 0 { (ZERO.as_ptr(), 0, 0) } else { (s.last.wrapping_add(8), row, next) };
            // SAFETY: as the caller promises; columns outside are not read, and those inside are read once per row.
            unsafe {
                asm!(
                    "movi v31.4s, #0",
                    "20:",
                    "ldp q21, q22, [{w}]", "ldr q23, [{w}, #24]", "add {w}, {w}, #40",
                    "dup v24.4s, v21.s[0]", "stp q24, q24, [{bias}]", "stp q24, q24, [{bias}, #32]",
                    "mov {n}, {rows}",
                    $plane,
                    "add {middle}, {middle}, {next}", "add {last}, {last}, {next}", next_plane!($stride),
                    "add {out}, {out}, {out_next}", "add {out_last}, {out_last}, {out_next}",
                    "subs {channels}, {channels}, #1",
                    "b.ne 20b",
                    // Not all of them have all of these.
                    "/* {rest} {left_rest} {out_rest} {flags} {left} {right} {before} {before_row} {before_next} {after} {after_row} {after_next} */",
                    w = inout(reg) s.weights => _,
                    bias = in(reg) bias.as_mut_ptr(),
                    middle = inout(reg) s.input => _,
                    left = inout(reg) s.input.wrapping_add(3) => _,
                    right = inout(reg) s.input.wrapping_add(1) => _,
                    last = inout(reg) s.last => _,
                    before = inout(reg) before => _,
                    after = inout(reg) after => _,
                    out = inout(reg) s.out => _,
                    out_last = inout(reg) s.out_last => _,
                    n = out(reg) _,
                    rows = in(reg) s.rows,
                    channels = inout(reg) s.channels => _,
                    row = in(reg) row,
                    rest = in(reg) rest,
                    left_rest = in(reg) row.wrapping_sub(first_left),
                    out_row = in(reg) out_row,
                    out_rest = in(reg) out_row.wrapping_sub(first),
                    next = in(reg) next,
                    out_next = in(reg) s.out_channel.wrapping_mul(F).wrapping_sub(out_row.wrapping_mul(s.rows)),
                    before_row = in(reg) before_row,
                    before_next = in(reg) before_next,
                    after_row = in(reg) after_row,
                    after_next = in(reg) after_next,
                    flags = in(reg) flags,
                    bounds = in(reg) if s.clamp == NO_CLAMP { core::ptr::null() } else { bounds.as_ptr() },
                    out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _,
                    out("v7") _, out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _,
                    out("v14") _, out("v15") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _,
                    out("v20") _, out("v21") _, out("v22") _, out("v23") _, out("v24") _, out("v25") _,
                    out("v26") _, out("v27") _, out("v28") _, out("v29") _, out("v30") _, out("v31") _,
                    options(nostack)
                );
            }
        }
    };
}
planes!(s1v2_single 1 2 plane1!({single [] [] "{row}" "{row}"} "{out_row}" {[0] [] 1} {[2] [] 3} {[4] [] 5}));
planes!(s1v3_single 1 3 plane1!({single [25] [] "{row}" "{row}"} "{out_row}" {[0 1] [] 2} {[3 4] [] 5} {[6 7] [] 8}));
planes!(s1v4_single 1 4 plane1!({single [25 26] [] "{row}" "{row}"} "{out_row}" {[0 1 2] [] 3} {[4 5 6] [] 7} {[8 9 10] [] 11}));
planes!(s1v5_single 1 5 plane1!({single [25 26 27] [] "{row}" "{row}"} "{out_row}" {[0 1 2 3] [] 4} {[5 6 7 8] [] 9} {[10 11 12 13] [] 14}));
planes!(s1v6_single 1 6 plane1!({single [25 26 27] [28] "#64" "#48"} "#64" {[0 1 2 3] [4] 5} {[6 7 8 9] [10] 11} {[12 13 14 15] [16] 17}));
planes!(s1v7_single 1 7 plane1!({single [25 26 27] [28 29] "#64" "#48"} "#64" {[0 1 2 3] [4 5] 6} {[7 8 9 10] [11 12] 13} {[14 15 16 17] [18 19] 20}));
planes!(s1v4_part 1 4 plane1!({part [25 26] [] "{row}" "{row}"} "{out_row}" {[0 1 2] [] 3} {[4 5 6] [] 7} {[8 9 10] [] 11}));
planes!(s1v5_part 1 5 plane1!({part [25 26 27] [] "{row}" "{row}"} "{out_row}" {[0 1 2 3] [] 4} {[5 6 7 8] [] 9} {[10 11 12 13] [] 14}));
planes!(s1v6_part 1 6 plane1!({part [25 26 27] [28] "#64" "#48"} "#64" {[0 1 2 3] [4] 5} {[6 7 8 9] [10] 11} {[12 13 14 15] [16] 17}));
planes!(s1v7_part 1 7 plane1!({part [25 26 27] [28 29] "#64" "#48"} "#64" {[0 1 2 3] [4 5] 6} {[7 8 9 10] [11 12] 13} {[14 15 16 17] [18 19] 20}));
planes!(s2v2_single 2 2 plane2!({single "{rest}"} "{out_row}" {[0] [] 1} {[0] 1} {[2] [] 3} {[2] 3}));
planes!(s2v3_single 2 3 plane2!({single "#32"} "{out_row}" {[0 1] [] 2} {[0 1] 2} {[3 4] [] 5} {[3 4] 5}));
planes!(s2v4_single 2 4 plane2!({single "#32"} "{out_row}" {[0 1 2] [] 3} {[0 1 2] 3} {[4 5 6] [] 7} {[4 5 6] 7}));
planes!(s2v5_single 2 5 plane2!({single "#32"} "{out_row}" {[0 1 2 3] [] 4} {[0 1 2 3] 4} {[5 6 7 8] [] 9} {[5 6 7 8] 9}));
planes!(s2v6_single 2 6 plane2!({single "#32"} "#64" {[0 1 2 3] [4] 5} {[0 1 2 3 4] 5} {[6 7 8 9] [10] 11} {[6 7 8 9 10] 11}));
planes!(s2v7_single 2 7 plane2!({single "#32"} "#64" {[0 1 2 3] [4 5] 6} {[0 1 2 3 4 5] 6} {[7 8 9 10] [11 12] 13} {[7 8 9 10 11 12] 13}));
planes!(s2v4_part 2 4 plane2!({part "#32"} "{out_row}" {[0 1 2] [] 3} {[0 1 2] 3} {[4 5 6] [] 7} {[4 5 6] 7}));
planes!(s2v5_part 2 5 plane2!({part "#32"} "{out_row}" {[0 1 2 3] [] 4} {[0 1 2 3] 4} {[5 6 7 8] [] 9} {[5 6 7 8] 9}));
planes!(s2v6_part 2 6 plane2!({part "#32"} "#64" {[0 1 2 3] [4] 5} {[0 1 2 3 4] 5} {[6 7 8 9] [10] 11} {[6 7 8 9 10] 11}));
planes!(s2v7_part 2 7 plane2!({part "#32"} "#64" {[0 1 2 3] [4 5] 6} {[0 1 2 3 4 5] 6} {[7 8 9 10] [11 12] 13} {[7 8 9 10 11 12] 13}));

/// The micro-kernel.
///
/// # Safety
/// As [`crate::kernel::depthwise_planes_nchw::Strip`] says.
unsafe fn micro<const S: usize>(s: &Strip) {
    let run = match (S, s.vectors, s.begins && s.ends) {
        (1, 2, _) => s1v2_single,
        (1, 3, _) => s1v3_single,
        (1, 4, true) => s1v4_single,
        (1, 5, true) => s1v5_single,
        (1, 6, true) => s1v6_single,
        (1, _, true) => s1v7_single,
        (1, 4, _) => s1v4_part,
        (1, 5, _) => s1v5_part,
        (1, 6, _) => s1v6_part,
        (1, _, _) => s1v7_part,
        (_, 2, _) => s2v2_single,
        (_, 3, _) => s2v3_single,
        (_, 4, true) => s2v4_single,
        (_, 5, true) => s2v5_single,
        (_, 6, true) => s2v6_single,
        (_, _, true) => s2v7_single,
        (_, 4, _) => s2v4_part,
        (_, 5, _) => s2v5_part,
        (_, 6, _) => s2v6_part,
        _ => s2v7_part,
    };
    // SAFETY: the caller's promise is the same.
    unsafe { run(s) }
}

/// The general micro-kernel, for what these do not take.
///
/// # Safety
/// As [`direct_nchw::micro`].
#[target_feature(enable = "neon")]
pub(super) unsafe fn general<const K: usize, const S: usize, const R: usize>(t: &direct_nchw::Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { direct_nchw::micro::<F32x4, K, S, 1, R, 2>(t) }
}

/// 3x3, stride 1: planes x 28 pixels.
pub(super) static K3S1: DepthwisePlanes = DepthwisePlanes {
    general: DirectNchw {
        lanes: 4,
        k: 3,
        stride: 1,
        rows: 4,
        micros: &[(1, general::<3, 1, 4>)],
        cost: 0.7,
        ..DirectNchw::COMMON
    },
    vectors: 7,
    micro: micro::<1>,
};

/// 3x3, stride 2: planes x 28 pixels.
pub(super) static K3S2: DepthwisePlanes = DepthwisePlanes {
    general: DirectNchw {
        lanes: 4,
        k: 3,
        stride: 2,
        rows: 2,
        micros: &[(1, general::<3, 2, 2>)],
        cost: 0.7,
        ..DirectNchw::COMMON
    },
    vectors: 7,
    micro: micro::<2>,
};
