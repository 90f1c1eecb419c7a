//! The transforms of Winograd's algorithm: see [`crate::kernel::winograd_tile`].
//!
//! Eight channels at a time, in two registers, four where there are no more. Between the passes over columns and rows lies a
//! block of 8 x 8 points on the stack; all else stays in registers: up to 13 values of eight channels and, as lanes, 16
//! constants in four. Loads and stores are of both registers and move their address on to the next row, pixel or point, so that
//! a pass of eight points is 54 operations, 16 loads and stores and two instructions of the loop. Instructions per point and four
//! channels, with a map's edges: 9.6 of the input transform of tiles of 6 x 6, 8.1 of the output transform.
//!
//! Assembly, since from intrinsics the compiler kept up to 33 vectors on the stack in a loop, copied what multiply-adds overwrite
//! and computed an address per load: 0.086 instructions per multiply of the direct form instead of 0.076 with 64 channels on 56 x 56
//! pixels, counted under emulation of a Cortex-A76.
//!
//! The operations are those of [`crate::kernel::winograd_points`] in the same order, but that `a + 2 b` and `a - 2 b` are made from
//! one doubled `b`, which is exact, as halves are.

use crate::kernel::NO_CLAMP;
use crate::kernel::winograd_points::MOST_POINTS;
use crate::kernel::winograd_tile::{Input, KINDS, Output};
use core::arch::asm;
use core::mem::MaybeUninit;

/// Channels of a pass.
const LANES: usize = 8;

/// Values between two passes: of line `j` of the first, eight of eight channels.
type Between = [MaybeUninit<f32>; MOST_POINTS * MOST_POINTS * LANES];

/// What registers 26 to 31 hold.
#[rustfmt::skip]
static CONSTANTS: [f32; 24] = [
    8.0, 0.125, 16.0, 0.0625,  32.0, 0.03125, 0.0, 0.0,  2.0, 0.5, 4.0, 0.25,
    5.25, 4.25, 1.25, 5.0,  2.5, 0.75, 3.0, 3.75,  7.5, 2.25, -3.0, -2.25,
];

#[rustfmt::skip]
macro_rules! k {
    (8) => { "26.s[0]" }; (0.125) => { "26.s[1]" }; (16) => { "26.s[2]" }; (0.0625) => { "26.s[3]" };
    (32) => { "27.s[0]" }; (0.03125) => { "27.s[1]" };
    (2) => { "28.s[0]" }; (0.5) => { "28.s[1]" }; (4) => { "28.s[2]" }; (0.25) => { "28.s[3]" };
    (5.25) => { "29.s[0]" }; (4.25) => { "29.s[1]" }; (1.25) => { "29.s[2]" }; (5) => { "29.s[3]" };
    (2.5) => { "30.s[0]" }; (0.75) => { "30.s[1]" }; (3) => { "30.s[2]" }; (3.75) => { "30.s[3]" };
    (7.5) => { "31.s[0]" }; (2.25) => { "31.s[1]" }; (minus_3) => { "31.s[2]" }; (minus_2_25) => { "31.s[3]" };
}

/// The registers of a value: of four channels, and of the next four.
#[rustfmt::skip]
macro_rules! low {
    (0) => { "0" }; (1) => { "2" }; (2) => { "4" }; (3) => { "6" }; (4) => { "8" }; (5) => { "10" }; (6) => { "12" };
    (7) => { "14" }; (8) => { "16" }; (9) => { "18" }; (10) => { "20" }; (11) => { "22" }; (12) => { "24" };
}
#[rustfmt::skip]
macro_rules! high {
    (0) => { "1" }; (1) => { "3" }; (2) => { "5" }; (3) => { "7" }; (4) => { "9" }; (5) => { "11" }; (6) => { "13" };
    (7) => { "15" }; (8) => { "17" }; (9) => { "19" }; (10) => { "21" }; (11) => { "23" }; (12) => { "25" };
}

/// An operation on one register of each value; the last operand is a value, or a constant.
#[rustfmt::skip]
macro_rules! one {
    ($r:ident add $d:tt $x:tt $y:tt) => { one!(@ $r "fadd" $d $x concat!($r!($y), ".4s")) };
    ($r:ident sub $d:tt $x:tt $y:tt) => { one!(@ $r "fsub" $d $x concat!($r!($y), ".4s")) };
    ($r:ident mul $d:tt $x:tt $k:tt) => { one!(@ $r "fmul" $d $x k!($k)) };
    ($r:ident mla $d:tt $x:tt $k:tt) => { one!(@ $r "fmla" $d $x k!($k)) };
    ($r:ident mls $d:tt $x:tt $k:tt) => { one!(@ $r "fmls" $d $x k!($k)) };
    ($r:ident mov $d:tt $x:tt) => { concat!("mov v", $r!($d), ".16b, v", $r!($x), ".16b\n") };
    (@ $r:ident $op:literal $d:tt $x:tt $y:expr) => { concat!($op, " v", $r!($d), ".4s, v", $r!($x), ".4s, v", $y, "\n") };
}

/// Operations on eight channels, or on four.
macro_rules! ops {
    (eight; $([$($op:tt)*])*) => { concat!($(one!(low $($op)*), one!(high $($op)*)),*) };
    (four; $([$($op:tt)*])*) => { concat!($(one!(low $($op)*)),*) };
}

/// A load or store that moves its address on by a register.
macro_rules! walk {
    ($op:literal eight $v:tt $p:literal $by:literal) => {
        concat!($op, "1 {{v", low!($v), ".4s, v", high!($v), ".4s}}, [{", $p, "}], {", $by, "}\n")
    };
    ($op:literal four $v:tt $p:literal $by:literal) => {
        concat!($op, "1 {{v", low!($v), ".4s}}, [{", $p, "}], {", $by, "}\n")
    };
}

/// A load or store between the passes, with the rest of its address.
macro_rules! near {
    ($op:literal eight $v:tt $at:expr) => {
        concat!($op, "p q", low!($v), ", q", high!($v), ", [{", $at, "\n")
    };
    ($op:literal four $v:tt $at:expr) => {
        concat!($op, "r q", low!($v), ", [{", $at, "\n")
    };
}

/// Stores the results of a line of the first pass.
macro_rules! put {
    (eight $a:tt $b:tt) => { concat!(near!("st" eight $b "b}, #32]"), near!("st" eight $a "b}], #256")) };
    // One register moves its address on by less.
    (four $a:tt $b:tt) => { concat!(near!("st" four $b "b}, #32]"), near!("st" four $a "b}]"), "add {b}, {b}, #256\n") };
    ($w:tt $a:tt $b:tt $c:tt $d:tt) => {
        concat!(near!("st" $w $c "b}, #64]"), near!("st" $w $d "b}, #96]"), put!($w $a $b))
    };
    ($w:tt $a:tt $b:tt $c:tt $d:tt $e:tt $f:tt) => {
        concat!(near!("st" $w $e "b}, #128]"), near!("st" $w $f "b}, #160]"), put!($w $a $b $c $d))
    };
    ($w:tt $a:tt $b:tt $c:tt $d:tt $e:tt $f:tt $g:tt $h:tt) => {
        concat!(near!("st" $w $g "b}, #192]"), near!("st" $w $h "b}, #224]"), put!($w $a $b $c $d $e $f))
    };
}

/// Loads a line of the second pass.
macro_rules! get {
    ($w:tt 2) => {
        concat!(near!("ld" $w 1 "b}, #256]"), near!("ld" $w 2 "b}, #512]"), near!("ld" $w 3 "b}, #768]"),
            near!("ld" $w 0 "b}], #32"))
    };
    ($w:tt 4) => { concat!(get!($w 2), near!("ld" $w 5 "far}, #256]"), near!("ld" $w 4 "far}], #32")) };
    ($w:tt 6) => {
        concat!(get!($w 2), near!("ld" $w 5 "far}, #256]"), near!("ld" $w 6 "far}, #512]"), near!("ld" $w 7 "far}, #768]"),
            near!("ld" $w 4 "far}], #32"))
    };
}

/// Loads or stores a line of points, each group of them from an address of its own, which moves on to the next line.
macro_rules! points {
    ($op:literal $w:tt $a:tt $b:tt $c:tt $d:tt) => {
        concat!(walk!($op $w $a "p0" "step"), walk!($op $w $b "p0" "step"), walk!($op $w $c "p0" "step"),
            walk!($op $w $d "p0" "next0"))
    };
    ($op:literal $w:tt $a:tt $b:tt $c:tt $d:tt $e:tt $f:tt) => {
        concat!(points!($op $w $a $b $c $d), walk!($op $w $e "p1" "step"), walk!($op $w $f "p1" "next1"))
    };
    ($op:literal $w:tt $a:tt $b:tt $c:tt $d:tt $e:tt $f:tt $g:tt $h:tt) => {
        concat!(points!($op $w $a $b $c $d $e $f), walk!($op $w $g "p2" "step"), walk!($op $w $h "p2" "next1"))
    };
}

/// Lines whose points begin at addresses of their own for each group of lines, of four, two and two.
macro_rules! lines {
    ($($line:expr),*) => {
        concat!(
            // A group.
            "2:\n", "ldp {p0}, {p1}, [{table}], #16\n", "ldr {p2}, [{table}], #8\n",
            "add {p0}, {p0}, {at}\n", "add {p1}, {p1}, {at}\n", "add {p2}, {p2}, {at}\n",
            // A line.
            "3:\n", $($line,)* "subs {n}, {n}, #1\n", "b.ne 3b\n",
            "mov {n}, #2\n", "subs {groups}, {groups}, #1\n", "b.ne 2b\n"
        )
    };
}

/// Loads a column of pixels: the distance of rows is known, or pixels have pointers, in rows of [`MOST_POINTS`].
macro_rules! pixels {
    (strided $w:tt 2) => {
        concat!(walk!("ld" $w 0 "p" "row"), walk!("ld" $w 1 "p" "row"), walk!("ld" $w 2 "p" "row"), walk!("ld" $w 3 "p" "next"))
    };
    (strided $w:tt 4) => {
        concat!(walk!("ld" $w 0 "p" "row"), walk!("ld" $w 1 "p" "row"), walk!("ld" $w 2 "p" "row"), walk!("ld" $w 3 "p" "row"),
            walk!("ld" $w 4 "p" "row"), walk!("ld" $w 5 "p" "next"))
    };
    (strided $w:tt 6) => {
        concat!(walk!("ld" $w 0 "p" "row"), walk!("ld" $w 1 "p" "row"), walk!("ld" $w 2 "p" "row"), walk!("ld" $w 3 "p" "row"),
            walk!("ld" $w 4 "p" "row"), walk!("ld" $w 5 "p" "row"), walk!("ld" $w 6 "p" "row"), walk!("ld" $w 7 "p" "next"))
    };
    (pointed $w:tt 2) => {
        concat!(pixels!(@ $w 1 ", #64]"), pixels!(@ $w 2 ", #128]"), pixels!(@ $w 3 ", #192]"), pixels!(@ $w 0 "], #8"))
    };
    (pointed $w:tt 4) => {
        concat!(pixels!(@ $w 4 ", #256]"), pixels!(@ $w 5 ", #320]"), pixels!(pointed $w 2))
    };
    (pointed $w:tt 6) => {
        concat!(pixels!(@ $w 6 ", #384]"), pixels!(@ $w 7 ", #448]"), pixels!(pointed $w 4))
    };
    (@ $w:tt $v:tt $at:literal) => {
        concat!("ldr {next}, [{p}", $at, "\n", "add {next}, {next}, {row}\n", near!("ld" $w $v "next}]"))
    };
}

/// `$then` with the input transform of `$c` outputs, scaled for tiles of `$m`: operations on values 0 to `$c + 1`, and the values
/// that hold the results.
#[rustfmt::skip]
macro_rules! input_1d {
    ($then:ident $x:tt 6 6) => { $then!($x 6
        [sub 8 4 2] [sub 9 3 5] [sub 0 0 6] [sub 7 7 1] [mla 0 8 5.25] [mla 7 9 5.25]
        [add 8 6 2] [add 9 5 1] [mls 8 4 4.25] [mls 9 3 4.25]
        [mov 10 6] [mul 11 5 2] [mul 12 5 0.5]
        [mls 10 4 1.25] [mls 11 3 2.5] [mls 12 3 2.5] [mls 6 4 5]
        [mla 10 2 0.25] [mla 11 1 0.5] [mla 12 1 2] [mla 6 2 4]
        [add 1 8 9] [sub 2 8 9] [add 4 10 11] [sub 5 10 11] [add 3 6 12] [sub 6 6 12];
        0 1 2 7 4 5 3 6) };
    ($then:ident $x:tt 6 4) => { $then!($x 4
        [mul 6 4 0.75] [mul 7 3 0.75] [mls 6 2 3] [mls 7 1 3]
        [sub 8 4 2] [sub 9 3 1] [mul 8 8 3.75] [mul 9 9 7.5]
        [mls 0 2 1.25] [mls 5 3 5] [mla 0 4 0.25] [mla 5 1 4]
        [add 1 6 7] [sub 2 6 7] [add 3 8 9] [sub 4 8 9];
        0 1 2 5 3 4) };
    ($then:ident $x:tt 6 2) => { $then!($x 2
        [add 4 1 2] [sub 5 1 2] [sub 0 0 2] [sub 3 3 1] [mul 4 4 minus_2_25] [mul 5 5 2.25];
        0 4 5 3) };
    ($then:ident $x:tt 4 4) => { $then!($x 4
        [mov 6 4] [mov 7 3] [mls 6 2 4] [mls 7 1 4]
        [sub 8 4 2] [sub 9 3 1] [mls 4 2 5] [mls 5 3 5] [add 9 9 9] [mla 4 0 4] [mla 5 1 4]
        [add 1 6 7] [sub 2 6 7] [add 3 8 9] [sub 6 8 9];
        4 1 2 5 3 6) };
    ($then:ident $x:tt 4 2) => { $then!($x 2
        [add 4 1 2] [sub 5 1 2] [sub 0 0 2] [sub 3 3 1] [mul 4 4 minus_3] [mul 5 5 3] [mul 0 0 4];
        0 4 5 3) };
    ($then:ident $x:tt 2 2) => { $then!($x 2
        [add 4 1 2] [sub 5 2 1] [sub 0 0 2] [sub 3 3 1];
        0 4 5 3) };
}

/// The same of the output transform.
#[rustfmt::skip]
macro_rules! output_1d {
    ($then:ident $x:tt 6) => { $then!($x 6
        [sub 8 1 2] [add 1 1 2] [sub 2 4 5] [add 4 4 5] [sub 5 6 7] [add 6 6 7]
        [add 0 0 1] [add 7 4 6] [add 3 8 3] [add 0 0 7] [mov 7 8] [mla 3 2 32] [mla 8 2 8] [mla 7 2 2]
        [mov 2 1] [mla 1 4 16] [mla 2 4 4] [mla 3 5 0.03125] [mla 8 5 0.125] [mla 7 5 0.5] [mla 1 6 0.0625] [mla 2 6 0.25];
        0 7 2 8 1 3) };
    ($then:ident $x:tt 4) => { $then!($x 4
        [sub 6 1 2] [add 1 1 2] [sub 2 4 5] [add 4 4 5]
        [add 0 0 1] [add 3 6 3] [mla 6 2 2] [add 0 0 4] [mla 3 2 8] [mla 1 4 4];
        0 6 1 3) };
    ($then:ident $x:tt 2) => { $then!($x 2
        [add 4 1 2] [sub 1 1 2] [add 0 0 4] [add 1 1 3];
        0 1) };
}

/// `asm!`, with all vector registers at its disposal.
macro_rules! transform {
    ($text:expr, $($operands:tt)*) => {
        asm!(
            $text,
            $($operands)*
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _,
            out("v7") _, out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _,
            out("v14") _, out("v15") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _,
            out("v20") _, out("v21") _, out("v22") _, out("v23") _, out("v24") _, out("v25") _,
            out("v26") _, out("v27") _, out("v28") _, out("v29") _, out("v30") _, out("v31") _,
            options(nostack)
        )
    };
}

/// The first pass of the input transform: a 1-D transform of each of `count` columns of pixels.
macro_rules! input_columns {
    ([$how:tt $w:tt $t:ident $count:ident $at:ident $between:ident] $c:tt $([$($op:tt)*])*; $($o:tt)*) => {
        transform!(
            concat!(
                "ld1 {{v28.4s-v31.4s}}, [{constants}]\n",
                "2:\n", pixels!($how $w $c), ops!($w; $([$($op)*])*), put!($w $($o)*), "subs {n}, {n}, #1\n", "b.ne 2b\n"
            ),
            constants = in(reg) CONSTANTS.as_ptr().add(8),
            n = inout(reg) $count => _,
            b = inout(reg) $between => _,
            p = inout(reg) input_columns!(@from $how $t $at) => _,
            row = in(reg) input_columns!(@row $how $t $at),
            next = inout(reg) $t.pixel.wrapping_sub(($c + 1) * $t.row).wrapping_mul(4) => _,
        )
    };
    (@from strided $t:ident $at:ident) => { $t.from.wrapping_add($at) };
    (@row strided $t:ident $at:ident) => { $t.row.wrapping_mul(4) };
    (@from pointed $t:ident $at:ident) => { $t.pixels };
    (@row pointed $t:ident $at:ident) => { 4 * $at };
}

/// The second: of each row between, in `groups` groups.
macro_rules! input_rows {
    ([$w:tt $t:ident $m:ident $groups:ident $at:ident $to:ident $between:ident] $c:tt $([$($op:tt)*])*; $($o:tt)*) => {
        transform!(
            concat!(
                "ld1 {{v28.4s-v31.4s}}, [{constants}]\n",
                lines!(get!($w $c), ops!($w; $([$($op)*])*), points!("st" $w $($o)*)),
                "// {far} {next1}\n"
            ),
            constants = in(reg) CONSTANTS.as_ptr().add(8),
            n = inout(reg) 4usize => _,
            groups = inout(reg) $groups => _,
            b = inout(reg) $between => _,
            far = inout(reg) $between.wrapping_add(4 * MOST_POINTS * LANES) => _,
            table = inout(reg) $to => _,
            at = in(reg) 4 * $at,
            step = in(reg) 4 * $t.point,
            next0 = in(reg) ($m + 2 - 3) * 4 * $t.point,
            next1 = in(reg) ($m + 2 - 1) * 4 * $t.point,
            p0 = out(reg) _,
            p1 = out(reg) _,
            p2 = out(reg) _,
        )
    };
}

/// The first pass of the output transform: of each column of products, in `groups` groups.
macro_rules! output_columns {
    ([$w:tt $t:ident $m:ident $groups:ident $at:ident $from:ident $between:ident] $c:tt $([$($op:tt)*])*; $($o:tt)*) => {
        transform!(
            concat!(
                "ld1 {{v26.4s-v28.4s}}, [{constants}]\n",
                lines!(output_columns!(@load $w $c), ops!($w; $([$($op)*])*), put!($w $($o)*)),
                "// {next1}\n"
            ),
            constants = in(reg) CONSTANTS.as_ptr(),
            n = inout(reg) 4usize => _,
            groups = inout(reg) $groups => _,
            b = inout(reg) $between => _,
            table = inout(reg) $from => _,
            at = in(reg) 4 * $at,
            step = in(reg) ($m + 2) * 4 * $t.point,
            next0 = in(reg) (4 * $t.point).wrapping_sub(3 * ($m + 2) * 4 * $t.point),
            next1 = in(reg) (4 * $t.point).wrapping_sub(($m + 2) * 4 * $t.point),
            p0 = out(reg) _,
            p1 = out(reg) _,
            p2 = out(reg) _,
        )
    };
    (@load $w:tt 2) => { points!("ld" $w 0 1 2 3) };
    (@load $w:tt 4) => { points!("ld" $w 0 1 2 3 4 5) };
    (@load $w:tt 6) => { points!("ld" $w 0 1 2 3 4 5 6 7) };
}

/// The second: of each of `count` rows between; bias, clamp and stores.
macro_rules! output_rows {
    ([$w:tt $t:ident $count:ident $at:ident $to:ident $row:ident $pixel:ident $bounds:ident $between:ident]
        $c:tt $([$($op:tt)*])*; $($o:tt)*) => {
        transform!(
            concat!(
                "ld1 {{v26.4s-v28.4s}}, [{constants}]\n",
                near!("ld" $w 10 "bias}]"),
                "cbz {bounds}, 2f\n", "ld2r {{v22.4s, v23.4s}}, [{bounds}]\n",
                "2:\n", get!($w $c), ops!($w; $([$($op)*])* $([add $o $o 10])*),
                "cbz {bounds}, 3f\n", $(output_rows!(@clamp $w $o),)*
                "3:\n", output_rows!(@store $w $($o)*), "subs {n}, {n}, #1\n", "b.ne 2b\n",
                "// {far}\n"
            ),
            constants = in(reg) CONSTANTS.as_ptr(),
            n = inout(reg) $count => _,
            b = inout(reg) $between => _,
            far = inout(reg) $between.wrapping_add(4 * MOST_POINTS * LANES) => _,
            bias = in(reg) $t.bias.wrapping_add($at),
            bounds = in(reg) $bounds,
            to = inout(reg) $to => _,
            pixel = in(reg) 4 * $pixel,
            next = in(reg) $row.wrapping_sub(($c - 1) * $pixel).wrapping_mul(4),
        )
    };
    (@clamp eight $v:tt) => { concat!(output_rows!(@bound low $v), output_rows!(@bound high $v)) };
    (@clamp four $v:tt) => { output_rows!(@bound low $v) };
    (@bound $r:ident $v:tt) => {
        concat!("fmax v", $r!($v), ".4s, v", $r!($v), ".4s, v22.4s\n", "fmin v", $r!($v), ".4s, v", $r!($v), ".4s, v23.4s\n")
    };
    (@store $w:tt $last:tt) => { walk!("st" $w $last "to" "next") };
    (@store $w:tt $v:tt $($o:tt)+) => { concat!(walk!("st" $w $v "to" "pixel"), output_rows!(@store $w $($o)+)) };
}

/// A pass over lines of `$size` outputs, by the code for that many.
macro_rules! pass {
    (input $size:expr, $m:ident, $then:ident $x:tt) => {
        match ($m, $size) {
            (6, 6) => input_1d!($then $x 6 6),
            (6, 4) => input_1d!($then $x 6 4),
            (6, _) => input_1d!($then $x 6 2),
            (4, 4) => input_1d!($then $x 4 4),
            (4, _) => input_1d!($then $x 4 2),
            _ => input_1d!($then $x 2 2),
        }
    };
    (output $size:expr, $m:ident, $then:ident $x:tt) => {
        match $size {
            2 => output_1d!($then $x 2),
            4 if $m >= 4 => output_1d!($then $x 4),
            _ => output_1d!($then $x 6),
        }
    };
}

/// The channels at which passes over all of them begin: the last is moved back, over some already done.
fn passes(channels: usize) -> impl Iterator<Item = usize> {
    (0..channels).step_by(LANES).map(move |at| at.min(channels - LANES))
}

/// Floats from point 0 to the first point of each kind.
fn first_points(m: usize, point: usize) -> [usize; KINDS] {
    let first = |group: usize| if group == 0 { 0 } else { 2 * group + 2 };
    core::array::from_fn(|kind| (first(kind / 3) * (m + 2) + first(kind % 3)).wrapping_mul(point))
}

/// # Safety
/// As [`crate::kernel::winograd_tile::input`].
#[target_feature(enable = "neon")]
pub(super) unsafe fn input<const M: usize, const POINTED: bool>(t: &Input) {
    let [r, c] = t.size;
    let (groups, columns) = (r / 2, c + 2);
    let first = first_points(M, t.point);
    let to: [*mut f32; KINDS] = core::array::from_fn(|kind| t.to[kind].wrapping_add(first[kind]));
    let to = to.as_ptr();
    let mut between: Between = [const { MaybeUninit::uninit() }; MOST_POINTS * MOST_POINTS * LANES];
    let between = between.as_mut_ptr();
    macro_rules! both {
        ($w:tt $at:ident) => {
            // SAFETY: by the contract of `Input`: as many channels are readable at `c + 2` pixels of `r + 2` rows and writable at
            // as many points. What the second pass reads of `between` has the first one written.
            unsafe {
                if POINTED {
                    pass!(input r, M, input_columns [pointed $w t columns $at between]);
                } else {
                    pass!(input r, M, input_columns [strided $w t columns $at between]);
                }
                pass!(input c, M, input_rows [$w t M groups $at to between]);
            }
        };
    }
    if t.channels < LANES {
        let at = 0;
        both!(four at);
        return;
    }
    for at in passes(t.channels) {
        both!(eight at);
    }
}

/// # Safety
/// As [`crate::kernel::winograd_tile::output`].
#[target_feature(enable = "neon")]
pub(super) unsafe fn output<const M: usize>(t: &Output) {
    let [r, c] = t.size;
    let groups = c / 2;
    let bounds = if t.clamp == NO_CLAMP { core::ptr::null() } else { &raw const t.clamp };
    let first = first_points(M, t.point);
    // Columns come first: a line's points are those of a column.
    let from: [*const f32; KINDS] = core::array::from_fn(|i| {
        let kind = i % 3 * 3 + i / 3;
        t.from[kind].wrapping_add(first[kind])
    });
    let from = from.as_ptr();
    let mut between: Between = [const { MaybeUninit::uninit() }; MOST_POINTS * MOST_POINTS * LANES];
    let between = between.as_mut_ptr();
    let mut aside = [MaybeUninit::<f32>::uninit(); 6 * 6 * LANES];
    let channels = (t.vectors - 1) * 4 + t.last;
    macro_rules! both {
        ($w:tt $lanes:literal $at:ident) => {
            let lanes = (channels - $at).min($lanes);
            let whole = lanes == $lanes && [t.rows, t.columns] == t.size;
            let (to, row, pixel) = if whole {
                (t.out.wrapping_add($at), t.row, t.pixel)
            } else {
                (aside.as_mut_ptr().cast::<f32>(), 6 * LANES, LANES)
            };
            // SAFETY: by the contract of `Output`: whole vectors are readable of the products and the bias; the outputs are
            // writable, or there is room aside. What the second pass reads of `between` has the first one written.
            unsafe {
                pass!(output r, M, output_columns [$w t M groups $at from between]);
                pass!(output c, M, output_rows [$w t r $at to row pixel bounds between]);
            }
            if !whole {
                for i in 0..t.rows {
                    for j in 0..t.columns {
                        // SAFETY: pixels inside the output, and those of the block aside that have just been written.
                        unsafe {
                            let (from, to) = (to.add(i * row + j * pixel), t.out.add(i * t.row + j * t.pixel + $at));
                            core::ptr::copy_nonoverlapping(from, to, lanes);
                        }
                    }
                }
            }
        };
    }
    if t.vectors < 2 {
        let at = 0;
        both!(four 4 at);
        return;
    }
    for at in passes(4 * t.vectors) {
        both!(eight 8 at);
    }
}
