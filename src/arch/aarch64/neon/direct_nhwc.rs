//! Direct, NHWC: see [`crate::kernel::direct_nhwc`].
//!
//! Kernels of 3 and 7 columns have their runs written out, in assembly. The runs of eight pixels overlap, so the inputs that
//! all of them need of a kernel row are loaded once, 13 quads, and each pixel takes its scalars from where they happen to be:
//! a multiply-add's lane is a constant. From intrinsics it would be two or five quads for each pixel. Registers: 16
//! sums, 13 quads, two vectors of weights. Instructions of a kernel row of 3x3 stride 2 in the image: 161, 144 of them multiply.

use super::vector::F32x4;
use crate::arch::direct_widths;
use crate::kernel::NO_CLAMP;
use crate::kernel::direct_nhwc::{self, DirectNhwc, Tile, Width};
use core::arch::asm;

/// # Safety
/// As [`direct_nhwc::micro`].
#[target_feature(enable = "neon")]
unsafe fn micro<const STEP: usize, const P: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { direct_nhwc::micro::<F32x4, STEP, P, NV>(t) }
}

/// Lane `$lane` of the four that start `$shift` lanes into one quad and go on in the next.
#[rustfmt::skip]
macro_rules! lane {
    (0 0 $a:tt $b:tt) => { lane!($a 0) }; (0 1 $a:tt $b:tt) => { lane!($a 1) };
    (0 2 $a:tt $b:tt) => { lane!($a 2) }; (0 3 $a:tt $b:tt) => { lane!($a 3) };
    (1 0 $a:tt $b:tt) => { lane!($a 1) }; (1 1 $a:tt $b:tt) => { lane!($a 2) };
    (1 2 $a:tt $b:tt) => { lane!($a 3) }; (1 3 $a:tt $b:tt) => { lane!($b 0) };
    (2 0 $a:tt $b:tt) => { lane!($a 2) }; (2 1 $a:tt $b:tt) => { lane!($a 3) };
    (2 2 $a:tt $b:tt) => { lane!($b 0) }; (2 3 $a:tt $b:tt) => { lane!($b 1) };
    (3 0 $a:tt $b:tt) => { lane!($a 3) }; (3 1 $a:tt $b:tt) => { lane!($b 0) };
    (3 2 $a:tt $b:tt) => { lane!($b 1) }; (3 3 $a:tt $b:tt) => { lane!($b 2) };
    ($q:tt $lane:tt) => { concat!("v", $q, ".s[", $lane, "]\n") };
}

/// A pixel's multiply-adds of a step: its sums, and where its run starts.
macro_rules! pixel {
    ($lane:tt; $c:tt $d:tt; $shift:tt $a:tt $b:tt) => {
        concat!(
            "fmla v", $c, ".4s, v13.4s, ", lane!($shift $lane $a $b),
            "fmla v", $d, ".4s, v14.4s, ", lane!($shift $lane $a $b)
        )
    };
}

/// A step for eight pixels, whose runs start in the quads `$q`; weights of eight channels.
macro_rules! step {
    ($stride:tt $lane:tt $q:tt) => {
        concat!("ld1 {{v13.4s, v14.4s}}, [{w}], #32\n", step!(@ $stride $lane $q))
    };
    (@ 1 $lane:tt [$a:tt $b:tt $c:tt $d:tt $e:tt $f:tt $g:tt $($more:tt)*]) => {
        concat!(
            pixel!($lane; 16 17; 0 $a $a), pixel!($lane; 18 19; 3 $a $b), pixel!($lane; 20 21; 2 $b $c),
            pixel!($lane; 22 23; 1 $c $d), pixel!($lane; 24 25; 0 $d $d), pixel!($lane; 26 27; 3 $d $e),
            pixel!($lane; 28 29; 2 $e $f), pixel!($lane; 30 31; 1 $f $g)
        )
    };
    (@ 2 $lane:tt [$a:tt $b:tt $c:tt $d:tt $e:tt $f:tt $g:tt $h:tt $i:tt $j:tt $k:tt $l:tt $($more:tt)*]) => {
        concat!(
            pixel!($lane; 16 17; 0 $a $a), pixel!($lane; 18 19; 2 $b $c), pixel!($lane; 20 21; 0 $d $d),
            pixel!($lane; 22 23; 2 $e $f), pixel!($lane; 24 25; 0 $g $g), pixel!($lane; 26 27; 2 $h $i),
            pixel!($lane; 28 29; 0 $j $j), pixel!($lane; 30 31; 2 $k $l)
        )
    };
}

/// The steps of a run: for each mark four, after `+` the quad that is no longer needed becomes a new one; and one more.
macro_rules! steps {
    ($stride:tt []; $q:tt) => { step!($stride 0 $q) };
    ($stride:tt [- $($mark:tt)*]; $q:tt) => {
        concat!(steps!(@ $stride $q), steps!(@rotate $stride [$($mark)*]; $q))
    };
    ($stride:tt [+ $($mark:tt)*]; [$a:tt $($q:tt)*]) => {
        concat!(steps!(@ $stride [$a $($q)*]), "ldr q", $a, ", [{x}], #16\n", steps!($stride [$($mark)*]; [$($q)* $a]))
    };
    (@rotate $stride:tt $marks:tt; [$a:tt $($q:tt)*]) => { steps!($stride $marks; [$($q)* $a]) };
    (@ $stride:tt $q:tt) => {
        concat!(step!($stride 0 $q), step!($stride 1 $q), step!($stride 2 $q), step!($stride 3 $q))
    };
}

/// Loads of the first quads of a run.
macro_rules! quads {
    (8) => {
        "ld1 {{v0.4s-v3.4s}}, [{x}], #64\nld1 {{v4.4s-v7.4s}}, [{x}], #64\n"
    };
    (11) => {
        concat!(quads!(8), "ld1 {{v8.4s-v10.4s}}, [{x}], #48\n")
    };
    (13) => {
        concat!(quads!(8), "ld1 {{v8.4s-v11.4s}}, [{x}], #64\nldr q12, [{x}], #16\n")
    };
}

/// A text for each pixel's two sums.
macro_rules! sums {
    (bias; $($a:tt $b:tt)*) => { concat!($("ld1 {{v", $a, ".4s, v", $b, ".4s}}, [{w}]\n"),*) };
    (clamp; $($a:tt)*) => {
        concat!($("fmax v", $a, ".4s, v", $a, ".4s, v0.4s\n", "fmin v", $a, ".4s, v", $a, ".4s, v1.4s\n"),*)
    };
    (store; $($a:tt $b:tt)*) => { concat!($("st1 {{v", $a, ".4s, v", $b, ".4s}}, [{o}], {step}\n"),*) };
}

/// Defines the micro-kernel of a stride and a run: its quads of inputs and its steps.
macro_rules! run {
    ($name:ident $stride:tt $run:literal; $quads:tt [$($mark:tt)*]) => {
        /// # Safety
        /// As [`direct_nhwc::micro`], for runs of this length, whole vectors, and rows that can be read one pixel further.
        #[target_feature(enable = "neon")]
        unsafe fn $name(t: &Tile) {
            for i in 0..t.tiles {
                for j in 0..t.panels {
                    // SAFETY: by the contract of `Tile`: per row that is not null, the runs of eight pixels from the offset on
                    // are readable, and a pixel more; eight channels of each output pixel are writable.
                    unsafe {
                        asm!(
                            sums!(bias; 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31),
                            "add {w}, {w}, #32",
                            "2:",
                            "ldr {x}, [{rows}], #8",
                            "cbz {x}, 4f",
                            "add {x}, {x}, {offset}",
                            quads!($quads),
                            steps!($stride [$($mark)*]; [0 1 2 3 4 5 6 7 8 9 10 11 12]),
                            "3:",
                            "subs {left}, {left}, #1",
                            "b.ne 2b",
                            "cbz {clamped:w}, 6f",
                            "b 5f",
                            "4:",
                            "add {w}, {w}, #{len}",
                            "b 3b",
                            "5:",
                            "ld2r {{v0.4s, v1.4s}}, [{bounds}]",
                            sums!(clamp; 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31),
                            "6:",
                            sums!(store; 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31),
                            w = inout(reg) t.panel.add(j * t.panel_len) => _,
                            x = out(reg) _,
                            rows = inout(reg) t.rows => _,
                            left = inout(reg) t.kernel_rows => _,
                            offset = in(reg) i * (8 * 3 * $stride * 4),
                            len = const $run * 32,
                            clamped = in(reg) u32::from(t.clamp != NO_CLAMP),
                            bounds = in(reg) &raw const t.clamp,
                            o = inout(reg) t.output.add(i * 8 * t.output_step + j * 8) => _,
                            step = in(reg) 4 * t.output_step,
                            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _,
                            out("v7") _, out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _,
                            out("v13") _, out("v14") _, out("v15") _, out("v16") _, out("v17") _, out("v18") _,
                            out("v19") _, out("v20") _, out("v21") _, out("v22") _, out("v23") _, out("v24") _,
                            out("v25") _, out("v26") _, out("v27") _, out("v28") _, out("v29") _, out("v30") _,
                            out("v31") _,
                            options(nostack)
                        );
                    }
                }
            }
        }
    };
}

run!(s1k3 1 9; 8 [- -]);
run!(s1k7 1 21; 11 [- - - - -]);
run!(s2k3 2 9; 13 [- -]);
run!(s2k7 2 21; 13 [+ + + - -]);

/// # Safety
/// As [`direct_nhwc::micro`], for rows that can be read one pixel further.
#[target_feature(enable = "neon")]
unsafe fn s1(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe {
        match (t.run, t.last) {
            (9, 4) => s1k3(t),
            (21, 4) => s1k7(t),
            _ => micro::<3, 8, 2>(t),
        }
    }
}

/// # Safety
/// As [`s1`].
#[target_feature(enable = "neon")]
unsafe fn s2(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe {
        match (t.run, t.last) {
            (9, 4) => s2k3(t),
            (21, 4) => s2k7(t),
            _ => micro::<6, 8, 2>(t),
        }
    }
}

/// Widths from one of eight pixels on, then those of four and fewer.
const fn widths(eight: Width, fewer: &'static [Width; 3]) -> [Width; 4] {
    let [four, two, one] = fewer;
    [eight, Width { ..*four }, Width { ..*two }, Width { ..*one }]
}

static W1: [Width; 4] =
    widths(Width { pixels: 8, micros: &[micro::<3, 8, 1>, s1] }, direct_widths!(micro; 3; [1 2]; 4 2 1));
static W2: [Width; 4] =
    widths(Width { pixels: 8, micros: &[micro::<6, 8, 1>, s2] }, direct_widths!(micro; 6; [1 2]; 4 2 1));

/// Three channels, stride 1: 8 pixels x 8 channels.
pub(super) static C3S1: DirectNhwc =
    DirectNhwc { lanes: 4, c_in: 3, stride: 1, widths: &W1, one_vector: &[], beyond: 1, width: 1.0 };

/// Three channels, stride 2: 8 pixels x 8 channels.
pub(super) static C3S2: DirectNhwc =
    DirectNhwc { lanes: 4, c_in: 3, stride: 2, widths: &W2, one_vector: &[], beyond: 1, width: 1.0 };
