//! Depthwise 5x5, NHWC, column after column: the driver of [`crate::kernel::depthwise_nhwc`], micro-kernels of this tier alone.
//!
//! The weights of 25 taps do not fit into registers, those of one kernel row do. So a tile is one output row, whose sums stay in
//! registers while the kernel rows pass; of each, a column of inputs is loaded once and serves all outputs that see it:
//!
//! ```text
//! for each eight channels
//!     sums[P] = bias
//!     for each kernel row that is inside the image
//!         w[5] = its weights
//!         for each column of the window that is inside the image
//!             x = the input, loaded while the column before was multiplied
//!             sums[p] += x * w[kx]   of all outputs that see it
//!     clamp, store
//! ```
//!
//! Registers, two each for eight channels: five weights, up to eight sums, three inputs: all 32 with eight pixels. That is why
//! it is assembly: the compiler spills, and computes addresses where loads can move theirs on. Seven pixels, which divide the
//! maps of most networks: stride 1, 14 loads and 3 other instructions for 70 multiply-adds of a kernel row, stride 2, 20 and 3.
//!
//! Two columns at each end of the window may be outside the image: they are jumped over. Windows that stick out further and
//! fewer than eight channels are computed output by output, channels after the last eight as in [`super::depthwise_slide`].
//!
//! For in-order cores the same with loads in halves, two columns ahead. Estimated with llvm-mca 22 on 24 November 2026, whole layers:
//! 5x5 on a 28 x 28 map 56 % of a Cortex-A55's peak instead of 39, with stride 2 on a 56 x 56 map 45 instead of 34. A big core is
//! slower with it by a quarter and more.

use super::depthwise_slide::{LANES, each_output, last_block};
use crate::kernel::NO_CLAMP;
use crate::kernel::depthwise_nhwc::{DepthwiseNhwc, Tile, Width};
use core::arch::asm;

/// Kernel rows and columns.
const K: usize = 5;

/// Floats of a block's bias and weights.
const BLOCK: usize = (1 + K * K) * LANES;

/// Registers of weights, by kernel column, of sums, by pixel, and of inputs.
#[rustfmt::skip]
macro_rules! w {
    (0 0) => { "0" }; (1 0) => { "2" }; (2 0) => { "4" }; (3 0) => { "6" }; (4 0) => { "8" };
    (0 1) => { "1" }; (1 1) => { "3" }; (2 1) => { "5" }; (3 1) => { "7" }; (4 1) => { "9" };
}
#[rustfmt::skip]
macro_rules! sum {
    (0 0) => { "10" }; (1 0) => { "12" }; (2 0) => { "14" }; (3 0) => { "16" };
    (4 0) => { "18" }; (5 0) => { "20" }; (6 0) => { "22" }; (7 0) => { "24" };
    (0 1) => { "11" }; (1 1) => { "13" }; (2 1) => { "15" }; (3 1) => { "17" };
    (4 1) => { "19" }; (5 1) => { "21" }; (6 1) => { "23" }; (7 1) => { "25" };
}
#[rustfmt::skip]
macro_rules! x {
    (0 0) => { "26" }; (1 0) => { "28" }; (2 0) => { "30" };
    (0 1) => { "27" }; (1 1) => { "29" }; (2 1) => { "31" };
}

/// Multiply-adds of a column of inputs: its registers, and the pixels whose kernel columns 4 to 0 see it, `_` for none.
macro_rules! column {
    ($x:tt; $a:tt $b:tt $c:tt $d:tt $e:tt) => {
        concat!(column!(@ $x $a 4), column!(@ $x $b 3), column!(@ $x $c 2), column!(@ $x $d 1), column!(@ $x $e 0))
    };
    (@ $x:tt _ $k:tt) => { "" };
    (@ $x:tt $p:tt $k:tt) => {
        concat!(
            "fmla v", sum!($p 0), ".4s, v", x!($x 0), ".4s, v", w!($k 0), ".4s\n",
            "fmla v", sum!($p 1), ".4s, v", x!($x 1), ".4s, v", w!($k 1), ".4s\n"
        )
    };
}

/// Loads a column and moves the address on.
macro_rules! load {
    ($x:tt $by:literal) => { concat!("ld1 {{v", x!($x 0), ".4s, v", x!($x 1), ".4s}}, [{p}], {", $by, "}\n") };
}

/// A kernel row, from the columns of the window on: for each the pixel that begins there, or `_`.
macro_rules! kernel_row {
    (bias $($pixel:tt)*) => { concat!($("ldp q", sum!($pixel 0), ", q", sum!($pixel 1), ", [{bias}]\n"),*) };
    (store $($pixel:tt)*) => {
        concat!($("st1 {{v", sum!($pixel 0), ".4s, v", sum!($pixel 1), ".4s}}, [{out}], {out_pixel}\n"),*)
    };
    // The last two may be outside: then what was read is read once more, and not used.
    (@ $x:tt $y:tt $z:tt; $a:tt $b:tt $c:tt $d:tt; $p0:tt $p1:tt $p2:tt) => {
        concat!(
            load!($y "last_but_one"), column!($x; $a $b $c $d $p0),
            load!($z "next_row"),
            "cbnz {right}, 25f\n", column!($y; $b $c $d $p0 $p1), column!($z; $c $d $p0 $p1 $p2),
            "26:\n", "subs {n}, {n}, #1\n", "b.ne 20b\n", "b 28f\n",
            "25:\n", "tbnz {right}, #1, 26b\n", column!($y; $b $c $d $p0 $p1), "b 26b\n"
        )
    };
    (@ $x:tt $y:tt $z:tt; $a:tt $b:tt $c:tt $d:tt; $p0:tt $p1:tt $p2:tt $p3:tt) => {
        concat!(load!($y "last_but_two"), column!($x; $a $b $c $d $p0), kernel_row!(@ $y $z $x; $b $c $d $p0; $p1 $p2 $p3))
    };
    (@ $x:tt $y:tt $z:tt; $a:tt $b:tt $c:tt $d:tt; $p0:tt $($p:tt)*) => {
        concat!(load!($y "pixel"), column!($x; $a $b $c $d $p0), kernel_row!(@ $y $z $x; $b $c $d $p0; $($p)*))
    };
    ($p0:tt $p1:tt $($p:tt)*) => {
        concat!(
            "ld1 {{v0.4s, v1.4s, v2.4s, v3.4s}}, [{w}], #64\n",
            "ld1 {{v4.4s, v5.4s, v6.4s, v7.4s}}, [{w}], #64\n",
            "ld1 {{v8.4s, v9.4s}}, [{w}], #32\n",
            "cbnz {left}, 23f\n", load!(0 "pixel"), load!(1 "pixel"), column!(0; _ _ _ _ $p0),
            "21:\n", load!(2 "pixel"), column!(1; _ _ _ $p0 $p1),
            "22:\n", kernel_row!(@ 2 0 1; _ _ $p0 $p1; $($p)*),
            // Where columns are outside.
            "b 28f\n",
            "23:\n", "tbz {left}, #0, 24f\n", load!(1 "pixel"), "b 21b\n",
            "24:\n", load!(2 "pixel"), "b 22b\n"
        )
    };
}

/// The same for in-order cores. A load of 128 bits keeps a Cortex-A55 from issuing anything else for two cycles; a load of 64,
/// one into a general register, and its insertion as the upper half each issue beside a multiply-add. So while a column is
/// multiplied, the one after the next is loaded in halves, and those of the next are put together.
macro_rules! kernel_row_in_order {
    // A copy takes one cycle, a load two.
    (bias $first:tt $($pixel:tt)*) => {
        concat!("ldr q", sum!($first 0), ", [{bias}]\n", "ldr q", sum!($first 1), ", [{bias}, #16]\n",
            $("mov v", sum!($pixel 0), ".16b, v", sum!($first 0), ".16b\n",
            "mov v", sum!($pixel 1), ".16b, v", sum!($first 1), ".16b\n"),*)
    };
    (store $out:literal $next:literal; $pixel:tt $($more:tt)*) => {
        concat!(weave!(on $next $out "out_pixel"), "stp q", sum!($pixel 0), ", q", sum!($pixel 1), ", [{", $out, "}]\n",
            kernel_row_in_order!(store $next $out; $($more)*))
    };
    (store $out:literal $next:literal;) => { "" };
    (store $($pixel:tt)*) => { kernel_row_in_order!(store "out" "q"; $($pixel)*) };
    (@ $x:tt $y:tt $z:tt $p:tt $q:tt; $a:tt $b:tt $c:tt $d:tt; $p0:tt $p1:tt $p2:tt) => {
        concat!(
            "subs {n}, {n}, #1\n", weave!($x [$y $z $p] []; $a $b $c $d $p0), weave!(on "p" $p "next_row"),
            "cbnz {right}, 25f\n", weave!($y [$z] []; $b $c $d $p0 $p1), column!($z; $c $d $p0 $p1 $p2),
            "26:\n", "b.ne 20b\n", "b 28f\n",
            "25:\n", "tbnz {right}, #1, 26b\n", column!($y; $b $c $d $p0 $p1), "b 26b\n"
        )
    };
    (@ $x:tt $y:tt $z:tt $p:tt $q:tt; $a:tt $b:tt $c:tt $d:tt; $p0:tt $p1:tt $p2:tt $p3:tt) => {
        concat!(
            weave!(on $q $p "last_but_one"), weave!($x [$y $z $p] []; $a $b $c $d $p0),
            kernel_row_in_order!(@ $y $z $x $q $p; $b $c $d $p0; $p1 $p2 $p3)
        )
    };
    (@ $x:tt $y:tt $z:tt $p:tt $q:tt; $a:tt $b:tt $c:tt $d:tt; $p0:tt $p1:tt $p2:tt $p3:tt $p4:tt) => {
        concat!(
            weave!(on $q $p "last_but_two"), weave!($x [$y $z $p] []; $a $b $c $d $p0),
            kernel_row_in_order!(@ $y $z $x $q $p; $b $c $d $p0; $p1 $p2 $p3 $p4)
        )
    };
    (@ $x:tt $y:tt $z:tt $p:tt $q:tt; $a:tt $b:tt $c:tt $d:tt; $p0:tt $($more:tt)*) => {
        concat!(
            weave!(on $q $p "pixel"), weave!($x [$y $z $p] []; $a $b $c $d $p0),
            kernel_row_in_order!(@ $y $z $x $q $p; $b $c $d $p0; $($more)*)
        )
    };
    ($p0:tt $p1:tt $($p:tt)*) => {
        concat!(
            "ldr q0, [{w}]\n", "ldr q1, [{w}, #16]\n", "ldr q2, [{w}, #32]\n", "ldr q3, [{w}, #48]\n", "ldr q4, [{w}, #64]\n",
            "ldr q5, [{w}, #80]\n", "ldr q6, [{w}, #96]\n", "ldr q7, [{w}, #112]\n", "ldr q8, [{w}, #128]\n",
            "ldr q9, [{w}, #144]\n", "add {w}, {w}, #160\n",
            // Of even columns the address is in one register, of odd ones in the other: a load waits for an address that has
            // just been added to.
            "cbnz {left}, 23f\n", weave!(on "q" "p" "pixel"), weave!(load 0 "p"), weave!(on "p" "q" "pixel"), weave!(load 1 "q"),
            weave!(on "q" "p" "pixel"), weave!(halves 2 "p"), column!(0; _ _ _ _ $p0),
            "21:\n", weave!(on "p" "q" "pixel"), weave!(1 [2 0 "q"] []; _ _ _ $p0 $p1),
            "22:\n", kernel_row_in_order!(@ 2 0 1 "p" "q"; _ _ $p0 $p1; $($p)*),
            // Where columns are outside.
            "b 28f\n",
            "23:\n", "tbz {left}, #0, 24f\n", weave!(load 1 "p"), weave!(on "p" "p" "pixel"), weave!(halves 2 "p"),
            weave!(on "q" "p" "pixel"), "b 21b\n",
            "24:\n", weave!(on "q" "p" "pixel"), weave!(load 2 "p"), weave!(on "p" "q" "pixel"), weave!(halves 0 "q"), "b 22b\n"
        )
    };
}

/// A column's multiply-adds with, among them, the insertions into the registers of the next and the loads of the one after.
#[rustfmt::skip]
macro_rules! weave {
    ($x:tt $l:tt []; $a:tt $b:tt $c:tt $d:tt $e:tt) => { weave!(@ $x $l []; [$a 4] [$b 3] [$c 2] [$d 1] [$e 0]) };
    // Leaves out the kernel columns that no pixel sees.
    (@ $x:tt $l:tt [$($k:tt)*]; [_ $n:tt] $($more:tt)*) => { weave!(@ $x $l [$($k)*]; $($more)*) };
    (@ $x:tt $l:tt [$($k:tt)*]; [$p:tt $n:tt] $($more:tt)*) => { weave!(@ $x $l [$($k)* [$p $n]]; $($more)*) };
    (@ $x:tt $l:tt [$($k:tt)*];) => { weave!(& $x $l [$(0 $k)* $(1 $k)*]) };
    // Each part goes before a multiply-add, as such pairs issue together.
    (& $x:tt $l:tt [$h0:tt $k0:tt $h1:tt $k1:tt]) => {
        concat!(weave!(i0 $l), weave!(add $x $h0 $k0), weave!(h0 $l), weave!(add $x $h1 $k1), weave!(l0 $l), weave!(i1 $l),
            weave!(h1 $l), weave!(l1 $l))
    };
    (& $x:tt $l:tt [$h0:tt $k0:tt $h1:tt $k1:tt $h2:tt $k2:tt $h3:tt $k3:tt]) => {
        concat!(weave!(i0 $l), weave!(add $x $h0 $k0), weave!(h0 $l), weave!(add $x $h1 $k1), weave!(l0 $l),
            weave!(add $x $h2 $k2), weave!(i1 $l), weave!(add $x $h3 $k3), weave!(h1 $l), weave!(l1 $l))
    };
    (& $x:tt $l:tt [$h0:tt $k0:tt $h1:tt $k1:tt $h2:tt $k2:tt $h3:tt $k3:tt $h4:tt $k4:tt $h5:tt $k5:tt $($h:tt $k:tt)*]) => {
        concat!(weave!(i0 $l), weave!(add $x $h0 $k0), weave!(h0 $l), weave!(add $x $h1 $k1), weave!(l0 $l), weave!(add $x $h2 $k2),
            weave!(i1 $l), weave!(add $x $h3 $k3), weave!(h1 $l), weave!(add $x $h4 $k4), weave!(l1 $l),
            weave!(add $x $h5 $k5), $(weave!(add $x $h $k)),*)
    };
    (add $x:tt $half:tt [$p:tt $k:tt]) => {
        concat!("fmla v", sum!($p $half), ".4s, v", x!($x $half), ".4s, v", w!($k $half), ".4s\n")
    };
    (i0 [$y:tt $($z:tt)*]) => { concat!("ins v", x!($y 0), ".d[1], {t0}\n") };
    (i1 [$y:tt $($z:tt)*]) => { concat!("ins v", x!($y 1), ".d[1], {t1}\n") };
    ($part:tt [$y:tt]) => { "" };
    (h0 [$y:tt $z:tt $p:literal]) => { concat!("ldr {t0}, [{", $p, "}, #8]\n") };
    (h1 [$y:tt $z:tt $p:literal]) => { concat!("ldr {t1}, [{", $p, "}, #24]\n") };
    (l0 [$y:tt $z:tt $p:literal]) => { concat!("ldr d", x!($z 0), ", [{", $p, "}]\n") };
    (l1 [$y:tt $z:tt $p:literal]) => { concat!("ldr d", x!($z 1), ", [{", $p, "}, #16]\n") };
    (on $to:literal $p:literal $by:literal) => { concat!("add {", $to, "}, {", $p, "}, {", $by, "}\n") };
    (load $x:tt $p:literal) => { concat!("ldr q", x!($x 0), ", [{", $p, "}]\n", "ldr q", x!($x 1), ", [{", $p, "}, #16]\n") };
    (halves $z:tt $p:literal) => { concat!(weave!(h0 [_ $z $p]), weave!(h1 [_ $z $p]), weave!(l0 [_ $z $p]), weave!(l1 [_ $z $p])) };
}

/// A function for some blocks of eight channels from a channel on.
type Blocks = unsafe fn(&Tile, Rows, usize, usize, *const f32);

/// Defines the function of a stride and number of pixels, for some blocks of eight channels from `c` on.
macro_rules! blocks {
    ($kernel_row:ident [$($t:ident)*] $name:ident [$($pixel:tt)*] $($column:tt)*) => {
        /// # Safety
        /// As [`micro`]; there is a kernel row inside the image, and the tile has eight channels from `c` on.
        #[target_feature(enable = "neon")]
        unsafe fn $name(t: &Tile, rows: Rows, c: usize, blocks: usize, mut weights: *const f32) {
            let bounds = [t.clamp.0, t.clamp.1];
            let (mut input, mut out) = (rows.first.wrapping_add(c), t.out.wrapping_add(c));
            for _ in 0..blocks {
                // SAFETY: as the caller promises; weights and bias are eight floats per tap.
                unsafe {
                    asm!(
                        $kernel_row!(bias $($pixel)*),
                        "20:",
                        $kernel_row!($($column)*),
                        "28:",
                        "cbz {bounds}, 29f",
                        "ld2r {{v0.4s, v1.4s}}, [{bounds}]",
                        $(concat!(
                            "fmax v", sum!($pixel 0), ".4s, v", sum!($pixel 0), ".4s, v0.4s\n",
                            "fmax v", sum!($pixel 1), ".4s, v", sum!($pixel 1), ".4s, v0.4s\n",
                            "fmin v", sum!($pixel 0), ".4s, v", sum!($pixel 0), ".4s, v1.4s\n",
                            "fmin v", sum!($pixel 1), ".4s, v", sum!($pixel 1), ".4s, v1.4s"
                        ),)*
                        "29:",
                        $kernel_row!(store $($pixel)*),
                        bias = in(reg) weights,
                        $($t = out(reg) _,)*
                        w = inout(reg) weights.wrapping_add(LANES + rows.skip * K * LANES) => _,
                        p = inout(reg) input => _,
                        out = inout(reg) out => _,
                        n = inout(reg) rows.count => _,
                        left = in(reg) rows.left,
                        right = in(reg) rows.right,
                        pixel = in(reg) t.pixel * size_of::<f32>(),
                        last_but_two = in(reg) rows.last_but_two,
                        last_but_one = in(reg) rows.last_but_one,
                        next_row = in(reg) rows.next,
                        out_pixel = in(reg) t.out_pixel * size_of::<f32>(),
                        bounds = in(reg) if t.clamp == NO_CLAMP { core::ptr::null() } else { bounds.as_ptr() },
                        out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _,
                        out("v7") _, out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _,
                        out("v14") _, out("v15") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _,
                        out("v20") _, out("v21") _, out("v22") _, out("v23") _, out("v24") _, out("v25") _,
                        out("v26") _, out("v27") _, out("v28") _, out("v29") _, out("v30") _, out("v31") _,
                        options(nostack)
                    );
                }
                input = input.wrapping_add(LANES);
                out = out.wrapping_add(LANES);
                weights = weights.wrapping_add(BLOCK);
            }
        }
    };
}
/// The functions of a stride, by the number of pixels from 2 to 8; the first may be that of another table.
macro_rules! functions {
    ($table:ident $kernel_row:ident $t:tt $($first:ident)?; $(($name:ident [$($pixel:tt)*] $($column:tt)*))*) => {
        $(blocks!($kernel_row $t $name [$($pixel)*] $($column)*);)*
        static $table: [Blocks; 7] = [$($first,)? $($name),*];
    };
}
functions!(S1 kernel_row [];
    (s1p2 [0 1] 0 1 _ _ _ _)
    (s1p3 [0 1 2] 0 1 2 _ _ _ _)
    (s1p4 [0 1 2 3] 0 1 2 3 _ _ _ _)
    (s1p5 [0 1 2 3 4] 0 1 2 3 4 _ _ _ _)
    (s1p6 [0 1 2 3 4 5] 0 1 2 3 4 5 _ _ _ _)
    (s1p7 [0 1 2 3 4 5 6] 0 1 2 3 4 5 6 _ _ _ _)
    (s1p8 [0 1 2 3 4 5 6 7] 0 1 2 3 4 5 6 7 _ _ _ _)
);
functions!(S2 kernel_row [];
    (s2p2 [0 1] 0 _ 1 _ _ _ _)
    (s2p3 [0 1 2] 0 _ 1 _ 2 _ _ _ _)
    (s2p4 [0 1 2 3] 0 _ 1 _ 2 _ 3 _ _ _ _)
    (s2p5 [0 1 2 3 4] 0 _ 1 _ 2 _ 3 _ 4 _ _ _ _)
    (s2p6 [0 1 2 3 4 5] 0 _ 1 _ 2 _ 3 _ 4 _ 5 _ _ _ _)
    (s2p7 [0 1 2 3 4 5 6] 0 _ 1 _ 2 _ 3 _ 4 _ 5 _ 6 _ _ _ _)
    (s2p8 [0 1 2 3 4 5 6 7] 0 _ 1 _ 2 _ 3 _ 4 _ 5 _ 6 _ 7 _ _ _ _)
);
functions!(S1_IN_ORDER kernel_row_in_order [t0 t1 q] s1p2;
    (s1p3_in_order [0 1 2] 0 1 2 _ _ _ _)
    (s1p4_in_order [0 1 2 3] 0 1 2 3 _ _ _ _)
    (s1p5_in_order [0 1 2 3 4] 0 1 2 3 4 _ _ _ _)
    (s1p6_in_order [0 1 2 3 4 5] 0 1 2 3 4 5 _ _ _ _)
    (s1p7_in_order [0 1 2 3 4 5 6] 0 1 2 3 4 5 6 _ _ _ _)
    (s1p8_in_order [0 1 2 3 4 5 6 7] 0 1 2 3 4 5 6 7 _ _ _ _)
);
functions!(S2_IN_ORDER kernel_row_in_order [t0 t1 q];
    (s2p2_in_order [0 1] 0 _ 1 _ _ _ _)
    (s2p3_in_order [0 1 2] 0 _ 1 _ 2 _ _ _ _)
    (s2p4_in_order [0 1 2 3] 0 _ 1 _ 2 _ 3 _ _ _ _)
    (s2p5_in_order [0 1 2 3 4] 0 _ 1 _ 2 _ 3 _ 4 _ _ _ _)
    (s2p6_in_order [0 1 2 3 4 5] 0 _ 1 _ 2 _ 3 _ 4 _ 5 _ _ _ _)
    (s2p7_in_order [0 1 2 3 4 5 6] 0 _ 1 _ 2 _ 3 _ 4 _ 5 _ 6 _ _ _ _)
    (s2p8_in_order [0 1 2 3 4 5 6 7] 0 _ 1 _ 2 _ 3 _ 4 _ 5 _ 6 _ 7 _ _ _ _)
);

/// The window of a tile: its kernel rows inside the image, and how addresses move on in them, in bytes.
#[derive(Clone, Copy)]
struct Rows {
    /// First input of the first row.
    first: *const f32,
    /// Kernel rows outside before, and those inside.
    skip: usize,
    count: usize,
    /// Columns outside.
    left: usize,
    right: usize,
    /// From the last column but two to the next that is read, likewise from the next, and from the last to the next row.
    last_but_two: usize,
    last_but_one: usize,
    next: usize,
}

impl Rows {
    /// Of a window of `span` columns; nothing if it sticks out too far.
    ///
    /// # Safety
    /// As [`micro`].
    unsafe fn new(t: &Tile, span: usize) -> Option<Self> {
        let (left, right) = (t.columns.0, span - t.columns.1);
        // SAFETY: a word per row of the window.
        let rows = unsafe { core::slice::from_raw_parts(t.rows, K) };
        let skip = rows.iter().position(|row| !row.is_null())?;
        let count = K - skip - rows.iter().rev().position(|row| !row.is_null())?;
        if left > 2 || right > 2 {
            return None;
        }
        let pixel = t.pixel * size_of::<f32>();
        let row = if count > 1 { (rows[skip + 1] as usize).wrapping_sub(rows[skip] as usize) } else { 0 };
        let [last_but_two, last_but_one] = [right < 2, right == 0].map(|inside| if inside { pixel } else { 0 });
        let before = (span - 3 - left) * pixel + last_but_two + last_but_one;
        let (first, next) = (rows[skip].wrapping_add(left * t.pixel), row.wrapping_sub(before));
        Some(Rows { first, skip, count, left, right, last_but_two, last_but_one, next })
    }
}

/// The micro-kernel: one row of `P` pixels.
///
/// # Safety
/// As [`crate::kernel::depthwise_nhwc::micro`].
#[target_feature(enable = "neon")]
unsafe fn micro<const S: usize, const P: usize, const IN_ORDER: bool>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    let rows = unsafe { Rows::new(t, (P - 1) * S + K) };
    let (Some(rows), LANES.., 2..) = (rows, t.channels, P) else {
        // SAFETY: the caller's promise is the same.
        return unsafe { each_output(t, K, S, 1, P) };
    };
    let run = match (S, IN_ORDER) {
        (1, false) => &S1,
        (1, true) => &S1_IN_ORDER,
        (_, false) => &S2,
        (_, true) => &S2_IN_ORDER,
    }[P - 2];
    let (blocks, rest) = (t.channels / LANES, t.channels % LANES);
    // SAFETY: as the caller promises; the window sticks out by two columns at most.
    unsafe {
        run(t, rows, 0, blocks, t.weights);
        if rest > 0 {
            let weights: [f32; BLOCK] = last_block(t, blocks, rest);
            run(t, rows, t.channels - LANES, 1, weights.as_ptr());
        }
    }
}

/// The algorithm of a stride.
macro_rules! algorithm {
    ($s:literal $in_order:literal; $($p:literal)*) => {
        DepthwiseNhwc {
            lanes: LANES,
            overlaps: false,
            rings: false,
            k: K,
            stride: $s,
            widths: &[$(Width { pixels: $p, micros: [[micro::<$s, $p, $in_order>; 2]; 2] }),*],
            cost: [2.0; 2],
            ..DepthwiseNhwc::COMMON
        }
    };
}

/// Stride 1: 1 row x 8 pixels x 8 channels.
pub(super) static K5S1: DepthwiseNhwc = algorithm!(1 false; 8 7 6 5 4 3 2 1);

/// Stride 2: 1 row x 8 pixels x 8 channels.
pub(super) static K5S2: DepthwiseNhwc = algorithm!(2 false; 8 7 6 5 4 3 2 1);

/// The same for in-order cores.
pub(super) static K5S1_IN_ORDER: DepthwiseNhwc = algorithm!(1 true; 8 7 6 5 4 3 2 1);

/// The same for in-order cores.
pub(super) static K5S2_IN_ORDER: DepthwiseNhwc = algorithm!(2 true; 8 7 6 5 4 3 2 1);
