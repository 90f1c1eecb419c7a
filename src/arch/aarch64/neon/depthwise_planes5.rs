//! Depthwise 5x5, NCHW: the micro-kernels of [`crate::kernel::depthwise_planes_nchw`], in assembly, as
//! [`super::depthwise_planes`].
//!
//! Registers: 5 x 4 sums with stride 1, 3 x 5 with stride 2; seven of weights, whose lanes are operands; with stride 1 four of
//! inputs and one of zeros, with stride 2 six of inputs, two of taps and two of neighbours. Instructions of a row of 16 outputs
//! with stride 1: 118 for 100 multiply-adds. The last rows of a plane are multiplied for outputs below it too, which are not
//! stored: that costs less than code for each way in which a plane can end.

use super::depthwise_planes::{general, list, move_on};
use crate::kernel::NO_CLAMP;
use crate::kernel::depthwise_planes_nchw::{DepthwisePlanes, Strip};
use crate::kernel::direct_nchw::DirectNchw;
use core::arch::asm;

/// The lane that holds the weight of a kernel row and column: the bias comes first, and the last four overlap.
#[rustfmt::skip]
macro_rules! weight {
    (0 0) => { "v20.s[1]" }; (0 1) => { "v20.s[2]" }; (0 2) => { "v20.s[3]" }; (0 3) => { "v21.s[0]" }; (0 4) => { "v21.s[1]" };
    (1 0) => { "v21.s[2]" }; (1 1) => { "v21.s[3]" }; (1 2) => { "v22.s[0]" }; (1 3) => { "v22.s[1]" }; (1 4) => { "v22.s[2]" };
    (2 0) => { "v22.s[3]" }; (2 1) => { "v23.s[0]" }; (2 2) => { "v23.s[1]" }; (2 3) => { "v23.s[2]" }; (2 4) => { "v23.s[3]" };
    (3 0) => { "v24.s[0]" }; (3 1) => { "v24.s[1]" }; (3 2) => { "v24.s[2]" }; (3 3) => { "v24.s[3]" }; (3 4) => { "v25.s[0]" };
    (4 0) => { "v25.s[1]" }; (4 1) => { "v25.s[2]" }; (4 2) => { "v25.s[3]" }; (4 3) => { "v26.s[2]" }; (4 4) => { "v26.s[3]" };
}

/// Multiply-adds of inputs and sums in step, by one weight.
macro_rules! taps {
    ([$($sum:tt)*] [$($x:tt)*] $ky:tt $kx:tt) => {
        concat!("" $(, "fmla v", $sum, ".4s, v", $x, ".4s, ", weight!($ky $kx), "\n")*)
    };
}

/// Sums of a row begin with the bias, which lies at `bias` four times over for each of four registers.
macro_rules! begin {
    ({[$a:tt $b:tt $c:tt $d:tt] $last:tt}) => {
        concat!("ld1 ", list!([$a $b $c $d]), ", [{bias}]\n", "ldr q", $last, ", [{bias}]\n")
    };
    ({[$($a:tt)*] $last:tt}) => { concat!("ld1 ", list!([$($a)* $last]), ", [{bias}]\n") };
}

/// Sums of a row are clamped, where there is a clamp, and stored.
macro_rules! end {
    ({[$($a:tt)*] $last:tt}) => {
        concat!(
            "cbz {bounds}, 49f\n", "ld2r {{v28.4s, v29.4s}}, [{bounds}]\n", end!(@ $($a)* $last), "49:\n",
            move_on!("st1" [$($a)*] "out" "{out_row}"), "st1 {{v", $last, ".4s}}, [{out_last}], {out_row}\n"
        )
    };
    (@ $($sum:tt)*) => {
        concat!($("fmax v", $sum, ".4s, v", $sum, ".4s, v28.4s\n", "fmin v", $sum, ".4s, v", $sum, ".4s, v29.4s\n"),*)
    };
}

/// Stride 1. An input row: registers of all vectors but the first and the last; then the sums that see it, with their kernel
/// rows.
///
/// `single`: the strip is all of a row; `part`: columns before and after it may be inside the image.
macro_rules! row1 {
    ({$kind:tt [$($a:tt)*]}; $($sums:tt)*) => {
        concat!(
            "ld1 ", list!([27 $($a)*]), ", [{middle}]\n", "ldur q30, [{last}, #8]\n",
            row1!(@taps 2 [27 $($a)* 30]; $($sums)*),
            "ext v30.16b, v30.16b, v31.16b, #4\n",
            row1!(@neighbour $kind 5 "ldur q30, [{last}, #12]\n"),
            move_on!("ld1" [27 $($a)*] "a" "{row}"),
            row1!(@taps 3 [27 $($a)* 30]; $($sums)*),
            "ext v30.16b, v30.16b, v31.16b, #4\n",
            row1!(@neighbour $kind 5 "ldr q30, [{last}, #16]\n"),
            move_on!("ld1" [27 $($a)*] "b" "{row}"),
            row1!(@taps 4 [27 $($a)* 30]; $($sums)*),
            "ldr q27, [{middle}]\n", "ext v27.16b, v31.16b, v27.16b, #12\n",
            row1!(@neighbour $kind 4 "ldur q27, [{middle}, #-4]\n"),
            move_on!("ld1" [$($a)*] "c" "{row}"), "ldur q30, [{last}, #4]\n",
            row1!(@taps 1 [27 $($a)* 30]; $($sums)*),
            "ext v27.16b, v31.16b, v27.16b, #12\n",
            row1!(@neighbour $kind 4 "ldur q27, [{middle}, #-8]\n"),
            move_on!("ld1" [$($a)*] "d" "{row}"),
            "ld1 {{v30.4s}}, [{last}], {row}\n", "add {middle}, {middle}, {row}\n",
            row1!(@taps 0 [27 $($a)* 30]; $($sums)*)
        )
    };
    (@taps $kx:tt $x:tt; $({[$($a:tt)*] $last:tt} $ky:tt),*) => { concat!($(taps!([$($a)* $last] $x $ky $kx)),*) };
    (@neighbour single $bit:tt $load:literal) => { "" };
    (@neighbour part $bit:tt $load:literal) => { concat!("tbz {flags}, #", $bit, ", 48f\n", $load, "48:\n") };
}

/// Stride 1: a plane, from five generations of sums. Each of the first four rows may be outside above or below; `bottom` is how
/// many outputs end in rows that are outside.
macro_rules! plane1 {
    ($c:tt $v:tt $w:tt $x:tt $y:tt $z:tt) => {
        concat!(
            begin!($v), "tbz {flags}, #0, 21f\n", row1!($c; $v 0),
            "21:\n", begin!($w), "tbz {flags}, #1, 22f\n", row1!($c; $v 1, $w 0),
            "22:\n", begin!($x), "tbz {flags}, #2, 23f\n", row1!($c; $v 2, $w 1, $x 0),
            "23:\n", begin!($y), "tbz {flags}, #3, 24f\n", row1!($c; $v 3, $w 2, $x 1, $y 0),
            "24:\n", "cbz {n}, 35f\n",
            "30:\n", begin!($z), row1!($c; $v 4, $w 3, $x 2, $y 1, $z 0), end!($v), "subs {n}, {n}, #1\n", "b.eq 36f\n",
            begin!($v), row1!($c; $w 4, $x 3, $y 2, $z 1, $v 0), end!($w), "subs {n}, {n}, #1\n", "b.eq 37f\n",
            begin!($w), row1!($c; $x 4, $y 3, $z 2, $v 1, $w 0), end!($x), "subs {n}, {n}, #1\n", "b.eq 38f\n",
            begin!($x), row1!($c; $y 4, $z 3, $v 2, $w 1, $x 0), end!($y), "subs {n}, {n}, #1\n", "b.eq 39f\n",
            begin!($y), row1!($c; $z 4, $v 3, $w 2, $x 1, $y 0), end!($z), "subs {n}, {n}, #1\n", "b.ne 30b\n",
            "35:\n", plane1!(@end $v $w), "36:\n", plane1!(@end $w $x), "37:\n", plane1!(@end $x $y),
            "38:\n", plane1!(@end $y $z), "39:\n", plane1!(@end $z $v), "29:\n"
        )
    };
    (@end $x:tt $y:tt) => {
        concat!("cbz {bottom}, 29f\n", end!($x), "tbz {bottom}, #1, 29f\n", end!($y), "b 29f\n")
    };
}

/// Stride 2. An input row: sums by vector, with their kernel rows. `$e $o`: even and odd columns of a vector; the registers of
/// the next vector, of the one after, and of the one before.
macro_rules! row2 {
    ({single}; $($sums:tt)*) => {
        concat!("ld2 {{v15.4s, v16.4s}}, [{middle}], #32\n", row2!(@after), row2!(@ 15 16 17 18 27 28 31 31; $($sums)*))
    };
    ({part}; $($sums:tt)*) => {
        concat!(
            "ld2 {{v15.4s, v16.4s}}, [{middle}], #32\n", "ld2 {{v27.s, v28.s}}[3], [{a}], {a_row}\n", row2!(@after),
            "ld1 {{v30.s}}[1], [{c}], {c_row}\n", row2!(@ 15 16 17 18 27 28 27 28; $($sums)*)
        )
    };
    // The last two columns that the last vector reads beyond eight, and the one after.
    (@after) => { concat!("ldr s30, [{last}, #32]\n", "ld1 {{v31.s}}[0], [{b}], {b_row}\n") };
    // The last vector: its first column is the first tap's.
    (@ $e:tt $o:tt $p:tt $q:tt $r:tt $s:tt $t:tt $u:tt; $({[$sum:tt] $last:tt} $ky:tt),*) => {
        concat!(
            "ld1 {{v", $p, ".s}}[0], [{middle}], {rest}\n", row2!(@taps $e $o $p $t $u; $($sum $ky),*),
            "ld2 {{v", $p, ".4s, v", $q, ".4s}}, [{last}], {row}\n"
            $(, taps!([$last] [$p] $ky 0), taps!([$last] [$q] $ky 1))*,
            "ext v19.16b, v", $p, ".16b, v30.16b, #4\n", "ext v29.16b, v", $q, ".16b, v31.16b, #4\n"
            $(, taps!([$last] [19] $ky 2), taps!([$last] [29] $ky 3))*,
            "ext v19.16b, v", $p, ".16b, v30.16b, #8\n"
            $(, taps!([$last] [19] $ky 4))*
        )
    };
    (@ $e:tt $o:tt $p:tt $q:tt $r:tt $s:tt $t:tt $u:tt; $({[$sum:tt $($next:tt)*] $last:tt} $ky:tt),*) => {
        concat!(
            "ld2 {{v", $p, ".4s, v", $q, ".4s}}, [{middle}], #32\n",
            row2!(@taps $e $o $p $t $u; $($sum $ky),*), row2!(@ $p $q $r $s $e $o $e $o; $({[$($next)*] $last} $ky),*)
        )
    };
    (@taps $e:tt $o:tt $next:tt $t:tt $u:tt; $($sum:tt $ky:tt),*) => {
        concat!(
            "ext v19.16b, v", $t, ".16b, v", $e, ".16b, #12\n", "ext v29.16b, v", $u, ".16b, v", $o, ".16b, #12\n"
            $(, taps!([$sum] [$e] $ky 2), taps!([$sum] [$o] $ky 3))* $(, taps!([$sum] [19] $ky 0), taps!([$sum] [29] $ky 1))*,
            "ext v19.16b, v", $e, ".16b, v", $next, ".16b, #4\n"
            $(, taps!([$sum] [19] $ky 4))*
        )
    };
}

/// Stride 2: a plane, from three generations of sums. Each of the first four rows may be outside; `bottom` is the number of rows
/// outside below.
macro_rules! plane2 {
    (@end $c:tt $x:tt) => {
        concat!("cbz {bottom}, 29f\n", "tbnz {bottom}, #1, 28f\n", row2!($c; $x 3), "28:\n", end!($x), "b 29f\n")
    };
    ($c:tt $x:tt $y:tt $z:tt) => {
        concat!(
            begin!($x), "tbz {flags}, #0, 21f\n", row2!($c; $x 0),
            "21:\n", "tbz {flags}, #1, 22f\n", row2!($c; $x 1),
            "22:\n", begin!($y), "tbz {flags}, #2, 23f\n", row2!($c; $x 2, $y 0),
            "23:\n", "tbz {flags}, #3, 24f\n", row2!($c; $x 3, $y 1),
            "24:\n", "cbz {n}, 35f\n",
            "30:\n", begin!($z), row2!($c; $x 4, $y 2, $z 0), end!($x), "subs {n}, {n}, #1\n", "b.eq 36f\n", row2!($c; $y 3, $z 1),
            begin!($x), row2!($c; $y 4, $z 2, $x 0), end!($y), "subs {n}, {n}, #1\n", "b.eq 37f\n", row2!($c; $z 3, $x 1),
            begin!($y), row2!($c; $z 4, $x 2, $y 0), end!($z), "subs {n}, {n}, #1\n", "b.eq 34f\n", row2!($c; $x 3, $y 1),
            "b 30b\n",
            "36:\n", plane2!(@end $c $y), "37:\n", plane2!(@end $c $z),
            "34:\n", "cbz {bottom}, 29f\n", "tbnz {bottom}, #1, 35f\n", row2!($c; $x 3), "35:\n", end!($x), "29:\n"
        )
    };
}

/// Columns inside before and after the strip; the four bits below tell which of the first rows are inside.
const BEFORE: usize = 16;
const AFTER: usize = 32;

/// Zeros in place of columns outside.
static ZERO: [f32; 2] = [0.0; 2];

/// Defines the function of a stride and number of vectors.
macro_rules! planes {
    ($name:ident $stride:literal $vectors:literal $plane:expr) => {
        /// # Safety
        /// As [`micro`], for strips of this many vectors.
        #[target_feature(enable = "neon")]
        unsafe fn $name(s: &Strip) {
            const F: usize = size_of::<f32>();
            let mut bias = [0.0f32; 16];
            let bounds = [s.clamp.0, s.clamp.1];
            let (row, out_row) = (s.in_row.wrapping_mul(F), s.out_row.wrapping_mul(F));
            // Rows of the windows, those inside, and outputs that end in rows inside.
            let inside = s.top..(s.rows - 1) * $stride + 5 - s.bottom;
            let ending = s.rows - if $stride == 1 { s.bottom.min(s.rows) } else { s.bottom.min(1) };
            let first_rows = (0..4).filter(|r| inside.contains(r)).fold(0, |bits, r| bits | 1 << r);
            let flags = first_rows | if s.begins { 0 } else { BEFORE } | if s.ends { 0 } else { AFTER };
            let next = s.in_channel.wrapping_mul(F).wrapping_sub(row.wrapping_mul(inside.len()));
            let from = |outside: bool, column: *const f32| {
                if outside { (ZERO.as_ptr(), 0, 0) } else { (column, row, next) }
            };
            // Pointers beside `middle` and `last`: where taps begin, or neighbours of the strip.
            let (a, b, c) = if $stride == 1 {
                (from(false, s.input.wrapping_add(1)), from(false, s.input.wrapping_add(2)), from(false, s.input.wrapping_add(3)))
            } else {
                let (before, after) = (s.input.wrapping_sub(2), s.last.wrapping_add(9));
                (from(s.begins, before), from(s.beyond > 1, after), from(s.beyond > 0, after.wrapping_add(1)))
            };
            // SAFETY: as the caller promises; columns outside are not read, and those inside are read once per row.
            unsafe {
                asm!(
                    "movi v31.4s, #0",
                    "20:",
                    "ldp q20, q21, [{w}]", "ldp q22, q23, [{w}, #32]", "ldp q24, q25, [{w}, #64]", "ldr q26, [{w}, #88]",
                    "add {w}, {w}, #104",
                    "dup v27.4s, v20.s[0]", "stp q27, q27, [{bias}]", "stp q27, q27, [{bias}, #32]",
                    "mov {n}, {ending}",
                    $plane,
                    "add {middle}, {middle}, {next}", "add {last}, {last}, {next}",
                    "add {a}, {a}, {a_next}", "add {b}, {b}, {b_next}", "add {c}, {c}, {c_next}", "add {d}, {d}, {next}",
                    "add {out}, {out}, {out_next}", "add {out_last}, {out_last}, {out_next}",
                    "subs {channels}, {channels}, #1",
                    "b.ne 20b",
                    // Not all of them have all of these.
                    "/* {rest} {row} {flags} {a_row} {b_row} {c_row} {bottom} */",
                    w = inout(reg) s.weights => _,
                    bias = in(reg) bias.as_mut_ptr(),
                    middle = inout(reg) s.input => _,
                    last = inout(reg) s.last => _,
                    a = inout(reg) a.0 => _,
                    b = inout(reg) b.0 => _,
                    c = inout(reg) c.0 => _,
                    d = inout(reg) s.input.wrapping_add(2) => _,
                    a_row = in(reg) a.1,
                    b_row = in(reg) b.1,
                    c_row = in(reg) c.1,
                    a_next = in(reg) a.2,
                    b_next = in(reg) b.2,
                    c_next = in(reg) c.2,
                    out = inout(reg) s.out => _,
                    out_last = inout(reg) s.out_last => _,
                    n = out(reg) _,
                    ending = in(reg) ending,
                    bottom = in(reg) if $stride == 1 { s.rows - ending } else { s.bottom },
                    channels = inout(reg) s.channels => _,
                    row = in(reg) row,
                    rest = in(reg) row.wrapping_sub(32 * ($vectors - 1)),
                    next = in(reg) next,
                    out_row = in(reg) out_row,
                    out_next = in(reg) s.out_channel.wrapping_mul(F).wrapping_sub(out_row.wrapping_mul(s.rows)),
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
planes!(s1v2_single 1 2 plane1!({single []} {[0] 1} {[2] 3} {[4] 5} {[6] 7} {[8] 9}));
planes!(s1v3_single 1 3 plane1!({single [28]} {[0 1] 2} {[3 4] 5} {[6 7] 8} {[9 10] 11} {[12 13] 14}));
planes!(s1v4_single 1 4 plane1!({single [28 29]} {[0 1 2] 3} {[4 5 6] 7} {[8 9 10] 11} {[12 13 14] 15} {[16 17 18] 19}));
planes!(s1v2_part 1 2 plane1!({part []} {[0] 1} {[2] 3} {[4] 5} {[6] 7} {[8] 9}));
planes!(s1v3_part 1 3 plane1!({part [28]} {[0 1] 2} {[3 4] 5} {[6 7] 8} {[9 10] 11} {[12 13] 14}));
planes!(s1v4_part 1 4 plane1!({part [28 29]} {[0 1 2] 3} {[4 5 6] 7} {[8 9 10] 11} {[12 13 14] 15} {[16 17 18] 19}));
planes!(s2v2_single 2 2 plane2!({single} {[0] 1} {[2] 3} {[4] 5}));
planes!(s2v3_single 2 3 plane2!({single} {[0 1] 2} {[3 4] 5} {[6 7] 8}));
planes!(s2v4_single 2 4 plane2!({single} {[0 1 2] 3} {[4 5 6] 7} {[8 9 10] 11}));
planes!(s2v5_single 2 5 plane2!({single} {[0 1 2 3] 4} {[5 6 7 8] 9} {[10 11 12 13] 14}));
planes!(s2v3_part 2 3 plane2!({part} {[0 1] 2} {[3 4] 5} {[6 7] 8}));
planes!(s2v4_part 2 4 plane2!({part} {[0 1 2] 3} {[4 5 6] 7} {[8 9 10] 11}));
planes!(s2v5_part 2 5 plane2!({part} {[0 1 2 3] 4} {[5 6 7 8] 9} {[10 11 12 13] 14}));

/// The micro-kernel.
///
/// # Safety
/// As [`crate::kernel::depthwise_planes_nchw::Strip`] says.
unsafe fn micro<const S: usize>(s: &Strip) {
    let run = match (S, s.vectors, s.begins && s.ends) {
        (1, 2, true) => s1v2_single,
        (1, 3, true) => s1v3_single,
        (1, _, true) => s1v4_single,
        (1, 2, _) => s1v2_part,
        (1, 3, _) => s1v3_part,
        (1, _, _) => s1v4_part,
        (_, 2, _) => s2v2_single,
        (_, 3, true) => s2v3_single,
        (_, 4, true) => s2v4_single,
        (_, _, true) => s2v5_single,
        (_, 3, _) => s2v3_part,
        (_, 4, _) => s2v4_part,
        _ => s2v5_part,
    };
    // SAFETY: the caller's promise is the same.
    unsafe { run(s) }
}

/// 5x5, stride 1: planes x 16 pixels.
pub(super) static K5S1: DepthwisePlanes = DepthwisePlanes {
    general: DirectNchw {
        lanes: 4,
        k: 5,
        stride: 1,
        rows: 4,
        micros: &[(1, general::<5, 1, 4>)],
        cost: 0.7,
        ..DirectNchw::COMMON
    },
    vectors: 4,
    micro: micro::<1>,
};

/// 5x5, stride 2: planes x 20 pixels.
pub(super) static K5S2: DepthwisePlanes = DepthwisePlanes {
    general: DirectNchw {
        lanes: 4,
        k: 5,
        stride: 2,
        rows: 2,
        micros: &[(1, general::<5, 2, 2>)],
        cost: 0.7,
        ..DirectNchw::COMMON
    },
    vectors: 5,
    micro: micro::<2>,
};
