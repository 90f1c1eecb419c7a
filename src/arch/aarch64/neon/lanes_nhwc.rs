//! 3x3 convolution by lanes, NHWC: see [`crate::kernel::lanes_nhwc`].
//!
//! The pixels of a tile are straight code, in assembly: from intrinsics the compiler makes an addition for every load and
//! spills weights. Registers: 12 weights, up to 14 sums, six inputs. Four columns at a time, so that multiply-adds
//! into one sum stand apart.

use crate::kernel::NO_CLAMP;
use crate::kernel::lanes_nhwc::{LanesNhwc, Tile};
use core::arch::asm;

/// Register of the weights of a kernel column and input channel.
#[rustfmt::skip]
macro_rules! w {
    (0 0) => { "0" }; (0 1) => { "1" }; (0 2) => { "2" }; (0 3) => { "3" };
    (1 0) => { "4" }; (1 1) => { "5" }; (1 2) => { "6" }; (1 3) => { "7" };
    (2 0) => { "8" }; (2 1) => { "9" }; (2 2) => { "10" }; (2 3) => { "11" };
}

/// A multiply-add into a sum, if there is one: sum, input, kernel column, input channel.
macro_rules! fmla {
    (_ $x:tt $kx:tt $i:tt) => {
        ""
    };
    ($sum:tt $x:tt $kx:tt $i:tt) => {
        concat!("fmla v", $sum, ".4s, v", w!($kx $i), ".4s, v", $x, ".s[", $i, "]\n")
    };
}

/// Columns of inputs: each one's register, and the sums that see it with kernel columns 0, 1 and 2.
macro_rules! columns {
    ($(($x:tt $a:tt $b:tt $c:tt))*) => {
        concat!($("ld1 {{v", $x, ".4s}}, [{at}], {pixel}\n",)*
            columns!(@ 0 $(($x $a $b $c))*), columns!(@ 1 $(($x $a $b $c))*),
            columns!(@ 2 $(($x $a $b $c))*), columns!(@ 3 $(($x $a $b $c))*))
    };
    (@ $i:tt $(($x:tt $a:tt $b:tt $c:tt))*) => {
        concat!($(fmla!($a $x 0 $i),)* $(fmla!($b $x 1 $i),)* $(fmla!($c $x 2 $i),)*)
    };
}

/// All columns of a window but the first and the last, four at a time: stride, sums begun, the last one first, sums to begin.
macro_rules! inner {
    (1 $p:tt $q:tt;) => { columns!((12 _ $p $q)) };
    (1 $p:tt $q:tt; $a:tt) => { columns!((12 $a $p $q) (13 _ $a $p)) };
    (1 $p:tt $q:tt; $a:tt $b:tt) => { columns!((12 $a $p $q) (13 $b $a $p) (14 _ $b $a)) };
    (1 $p:tt $q:tt; $a:tt $b:tt $c:tt) => { columns!((12 $a $p $q) (13 $b $a $p) (14 $c $b $a) (15 _ $c $b)) };
    (1 $p:tt $q:tt; $a:tt $b:tt $c:tt $d:tt $($more:tt)*) => {
        concat!(columns!((12 $a $p $q) (13 $b $a $p) (14 $c $b $a) (15 $d $c $b)), inner!(1 $d $c; $($more)*))
    };
    (2 $p:tt $q:tt;) => { columns!((12 _ $p _)) };
    (2 $p:tt $q:tt; $a:tt) => { columns!((12 _ $p _) (13 $a _ $p) (14 _ $a _)) };
    (2 $p:tt $q:tt; $a:tt $b:tt) => { columns!((12 _ $p _) (13 $a _ $p) (14 _ $a _) (15 $b _ $a) (16 _ $b _)) };
    (2 $p:tt $q:tt; $a:tt $b:tt $c:tt $($more:tt)*) => {
        concat!(columns!((12 _ $p _) (13 $a _ $p) (14 _ $a _) (15 $b _ $a) (16 _ $b _) (17 $c _ $b)),
            inner!(2 $c _; $($more)*))
    };
}

/// The last column of a window.
macro_rules! end {
    ($a:tt) => { columns!((12 _ _ $a)) };
    ($a:tt $($more:tt)+) => { end!($($more)+) };
}

/// Defines the micro-kernel of a stride; the first sum, the others.
macro_rules! micro {
    ($name:ident $stride:tt; $first:tt $($sum:tt)*) => {
        /// # Safety
        /// As [`crate::kernel::lanes_nhwc::Micro`].
        #[target_feature(enable = "neon")]
        unsafe fn $name(t: &Tile) {
            let (mut weights, mut input, mut output) = (t.weights, t.input, t.output);
            let clamped = u32::from(t.clamp != NO_CLAMP);
            let (skipped, vector) = (t.first_row * t.row_len(), 4 + 3 * t.row_len());
            let back = t.row.wrapping_sub(4 * t.quads).wrapping_mul(4);
            for _ in 0..t.groups {
                for channel in (0..t.channels).step_by(4) {
                    let channel = channel.min(t.channels - 4);
                    // SAFETY: by the contract of `Tile`: the columns between the first and the last of the window are readable,
                    // and those two where `ends` says so; four output channels of each pixel are writable.
                    unsafe {
                        asm!(
                            concat!("ldr q", $first, ", [{bias}]\n"),
                            concat!($("mov v", $sum, ".16b, v", $first, ".16b\n"),*),
                            "cbz {rows}, 6f",
                            // A kernel row.
                            "2:",
                            "mov {left}, {quads}",
                            // Four input channels.
                            "3:",
                            "mov {at}, {x}",
                            "ld1 {{v0.4s-v3.4s}}, [{w}], #64",
                            "ld1 {{v4.4s-v7.4s}}, [{w}], #64",
                            "ld1 {{v8.4s-v11.4s}}, [{w}], #64",
                            "tbz {ends:w}, #0, 4f",
                            columns!((12 $first _ _)),
                            "4:",
                            inner!($stride $first _; $($sum)*),
                            "tbz {ends:w}, #1, 5f",
                            end!($first $($sum)*),
                            "5:",
                            "add {x}, {x}, #16",
                            "subs {left}, {left}, #1",
                            "b.ne 3b",
                            "add {x}, {x}, {back}",
                            "subs {rows}, {rows}, #1",
                            "b.ne 2b",
                            "6:",
                            "cbz {clamped:w}, 7f",
                            "ld2r {{v0.4s, v1.4s}}, [{bounds}]",
                            concat!("fmax v", $first, ".4s, v", $first, ".4s, v0.4s\n", "fmin v", $first, ".4s, v", $first, ".4s, v1.4s\n"),
                            concat!($("fmax v", $sum, ".4s, v", $sum, ".4s, v0.4s\n", "fmin v", $sum, ".4s, v", $sum, ".4s, v1.4s\n"),*),
                            "7:",
                            concat!("st1 {{v", $first, ".4s}}, [{o}], {out_pixel}\n"),
                            concat!($("st1 {{v", $sum, ".4s}}, [{o}], {out_pixel}\n"),*),
                            bias = in(reg) weights,
                            w = inout(reg) weights.add(4 + skipped) => _,
                            x = inout(reg) input => _,
                            at = out(reg) _,
                            left = out(reg) _,
                            rows = inout(reg) t.rows => _,
                            quads = in(reg) t.quads,
                            back = in(reg) back,
                            pixel = in(reg) 4 * t.pixel,
                            ends = in(reg) t.ends,
                            clamped = in(reg) clamped,
                            bounds = in(reg) &raw const t.clamp,
                            o = inout(reg) output.add(channel) => _,
                            out_pixel = in(reg) 4 * t.out_pixel,
                            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _,
                            out("v7") _, out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _,
                            out("v13") _, out("v14") _, out("v15") _, out("v16") _, out("v17") _, out("v18") _,
                            out("v19") _, out("v20") _, out("v21") _, out("v22") _, out("v23") _, out("v24") _,
                            out("v25") _, out("v26") _, out("v27") _, out("v28") _, out("v29") _, out("v30") _,
                            out("v31") _,
                            options(nostack)
                        );
                        weights = weights.add(vector);
                    }
                }
                output = output.wrapping_add(t.out_group);
                input = input.wrapping_add(4 * t.quads);
            }
        }
    };
}

/// The micro-kernels of a stride, as its algorithm.
macro_rules! widths {
    ($name:ident $stride:tt; $p1:ident $p2:ident $p3:ident $p4:ident $p5:ident $p6:ident $p7:ident $p8:ident $p10:ident $p12:ident $p14:ident) => {
        micro!($p1 $stride; 18);
        micro!($p2 $stride; 18 19);
        micro!($p3 $stride; 18 19 20);
        micro!($p4 $stride; 18 19 20 21);
        micro!($p5 $stride; 18 19 20 21 22);
        micro!($p6 $stride; 18 19 20 21 22 23);
        micro!($p7 $stride; 18 19 20 21 22 23 24);
        micro!($p8 $stride; 18 19 20 21 22 23 24 25);
        micro!($p10 $stride; 18 19 20 21 22 23 24 25 26 27);
        micro!($p12 $stride; 18 19 20 21 22 23 24 25 26 27 28 29);
        micro!($p14 $stride; 18 19 20 21 22 23 24 25 26 27 28 29 30 31);

        pub(super) static $name: LanesNhwc = LanesNhwc {
            stride: $stride,
            widths: &[
                (14, $p14), (12, $p12), (10, $p10), (8, $p8), (7, $p7), (6, $p6), (5, $p5), (4, $p4), (3, $p3), (2, $p2),
                (1, $p1),
            ],
        };
    };
}

widths!(K3S1 1; s1p1 s1p2 s1p3 s1p4 s1p5 s1p6 s1p7 s1p8 s1p10 s1p12 s1p14);
widths!(K3S2 2; s2p1 s2p2 s2p3 s2p4 s2p5 s2p6 s2p7 s2p8 s2p10 s2p12 s2p14);
