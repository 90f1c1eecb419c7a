//! Implicit GEMM, NHWC: see [`crate::kernel::igemm_nhwc`].
//!
//! The loops over K are written in assembly. From intrinsics the compiler makes pairs of loads where one instruction loads
//! four registers, additions where addresses could move on by themselves, and copies of accumulators: 0.32 instructions per
//! multiply instead of 0.277 in the inner loop of 5 pixels x 16 channels (177 instructions, 160 of them multiply 640 times).
//! Registers: 20 accumulators, five quads of inputs, four vectors of weights, and the next quads of three pixels, which come
//! with the first by one load; the bounds of the clamp share those of the weights.
//!
//! For in-order cores the full tile has a schedule of its own, in which loads of later steps are spread over the multiply-adds of
//! earlier ones, in halves: 0.44 instructions per multiply (146, 80 of them multiply 320 times). Estimated on 24 November
//! 2026 with llvm-mca 22: 94 % of a Cortex-A55's peak instead of 66, 78 % of an A76's instead of 100. Registers: 20
//! accumulators, five quads, seven vectors of weights.

use super::vector::F32x4;
use crate::kernel::NO_CLAMP;
use crate::kernel::igemm_nhwc::{self, IgemmNhwc, Micro, Tile};
use crate::kernel::winograd_tile::{Product, ProductFn};

use core::arch::asm;

/// For runs of less than a quad, and panels whose last vector is partial.
///
/// # Safety
/// As [`igemm_nhwc::micro`].
#[target_feature(enable = "neon")]
unsafe fn short<const MR: usize, const NV: usize>(t: &Tile) {
    // SAFETY: the caller's promise is the same.
    unsafe { igemm_nhwc::micro::<F32x4, MR, NV>(t) }
}

/// The first `nv` of four registers, as a list: `list!(2; 12 13 14 15)` is `v12.4s-v13.4s`.
macro_rules! list {
    (1; $a:tt $b:tt $c:tt $d:tt) => {
        concat!("v", $a, ".4s")
    };
    (2; $a:tt $b:tt $c:tt $d:tt) => {
        concat!("v", $a, ".4s-v", $b, ".4s")
    };
    (3; $a:tt $b:tt $c:tt $d:tt) => {
        concat!("v", $a, ".4s-v", $c, ".4s")
    };
    (4; $a:tt $b:tt $c:tt $d:tt) => {
        concat!("v", $a, ".4s-v", $d, ".4s")
    };
}

/// Bytes of a step's weights.
macro_rules! bytes {
    (1) => {
        "16"
    };
    (2) => {
        "32"
    };
    (3) => {
        "48"
    };
    (4) => {
        "64"
    };
}

/// The register of a quad, or, in brackets, of the one after it: three of five rows have a register for that.
#[rustfmt::skip]
macro_rules! quad {
    ([4]) => { "9" };
    ([5]) => { "10" };
    ([6]) => { "11" };
    ([$q:tt]) => { $q };
    ($q:tt) => { $q };
}

macro_rules! fma {
    ($op:tt $c:tt $b:tt $q:tt $lane:tt) => {
        concat!($op, " v", $c, ".4s, v", $b, ".4s, v", quad!($q), ".s[", $lane, "]\n")
    };
}

/// A row's multiply-adds: accumulators += weights * lane of the row's quad.
macro_rules! row {
    ($op:tt 1; $q:tt $lane:tt; [$e:tt $($w:tt)*]; $a:tt $($c:tt)*) => { fma!($op $a $e $q $lane) };
    ($op:tt 2; $q:tt $lane:tt; [$e:tt $($w:tt)*]; $a:tt $($c:tt)*) => {
        concat!(fma!($op $a $e $q $lane), row!($op 1; $q $lane; [$($w)*]; $($c)*))
    };
    ($op:tt 3; $q:tt $lane:tt; [$e:tt $($w:tt)*]; $a:tt $($c:tt)*) => {
        concat!(fma!($op $a $e $q $lane), row!($op 2; $q $lane; [$($w)*]; $($c)*))
    };
    ($op:tt 4; $q:tt $lane:tt; [$e:tt $($w:tt)*]; $a:tt $($c:tt)*) => {
        concat!(fma!($op $a $e $q $lane), row!($op 3; $q $lane; [$($w)*]; $($c)*))
    };
    ($op:tt 5; $q:tt $lane:tt; [$e:tt $($w:tt)*]; $a:tt $($c:tt)*) => {
        concat!(fma!($op $a $e $q $lane), row!($op 4; $q $lane; [$($w)*]; $($c)*))
    };
}

/// A step of K for all rows, with weights in the registers `$b`.
macro_rules! step {
    ($nv:tt $lane:tt $b:tt; $(($p:tt $o:tt $q:tt $($c:tt)*))*) => {
        concat!($(row!("fmla" $nv; $q $lane; $b; $($c)*)),*)
    };
}

/// The step that sums begin with.
macro_rules! begin {
    ($nv:tt $lane:tt $b:tt; $(($p:tt $o:tt $q:tt $($c:tt)*))*) => {
        concat!($(row!("fmul" $nv; $q $lane; $b; $($c)*)),*)
    };
}

/// Loads of a step's weights.
macro_rules! weights {
    (5) => { concat!(weights!(4), "ldr q4, [{b}], #16\n") };
    ($nv:tt) => { concat!("ld1 {{", list!($nv; 0 1 2 3), "}}, [{b}], #", bytes!($nv), "\n") };
}

/// Four steps, of which `$first` is the first. Narrow panels load the weights of several steps at once.
macro_rules! four {
    (@ $first:ident 1; $($row:tt)*) => {
        concat!(weights!(4), $first!(1 0 [0 0 0 0]; $($row)*), step!(1 1 [1 0 0 0]; $($row)*),
            step!(1 2 [2 0 0 0]; $($row)*), step!(1 3 [3 0 0 0]; $($row)*))
    };
    (@ $first:ident 2; $($row:tt)*) => {
        concat!(weights!(4), $first!(2 0 [0 1 0 0]; $($row)*), step!(2 1 [2 3 0 0]; $($row)*),
            weights!(4), step!(2 2 [0 1 0 0]; $($row)*), step!(2 3 [2 3 0 0]; $($row)*))
    };
    (@ $first:ident 5; $($row:tt)*) => {
        concat!(weights!(4), "ld1 {{v4.4s-v7.4s}}, [{b}], #64\n", $first!(5 0 [0 1 2 3 4]; $($row)*),
            weights!(4), step!(5 1 [5 6 7 0 1]; $($row)*),
            "ld1 {{v4.4s-v7.4s}}, [{b}], #64\n", step!(5 2 [2 3 4 5 6]; $($row)*),
            weights!(4), step!(5 3 [7 0 1 2 3]; $($row)*))
    };
    (@ $first:ident $nv:tt; $($row:tt)*) => {
        concat!(weights!($nv), $first!($nv 0 [0 1 2 3]; $($row)*), weights!($nv), step!($nv 1 [0 1 2 3]; $($row)*),
            weights!($nv), step!($nv 2 [0 1 2 3]; $($row)*), weights!($nv), step!($nv 3 [0 1 2 3]; $($row)*))
    };
    ($nv:tt; $($row:tt)*) => { four!(@ step $nv; $($row)*) };
}

/// A text per row: the names of its input and output pointer, its quad's and its accumulators' registers.
macro_rules! quads {
    ($(($p:tt $o:tt $q:tt $($c:tt)*))*) => { concat!($("ldr q", $q, ", [{", stringify!($p), "}], #16\n"),*) };
}
macro_rules! last_quads {
    ($(($p:tt $o:tt $q:tt $($c:tt)*))*) => { concat!($("ldr q", $q, ", [{", stringify!($p), "}, {tail}]\n"),*) };
}
/// Eight steps. Rows that have a register for it load two quads at once.
macro_rules! eight {
    ($nv:tt; $(($p:tt $o:tt $q:tt $($c:tt)*))*) => {
        concat!(
            $(two_quads!($q $p),)* four!($nv; $(($p $o $q $($c)*))*),
            $(second_quad!($q $p),)* four!($nv; $(($p $o [$q] $($c)*))*)
        )
    };
}
#[rustfmt::skip]
macro_rules! two_quads {
    (4 $p:tt) => { two_quads!(@ 4 $p) };
    (5 $p:tt) => { two_quads!(@ 5 $p) };
    (6 $p:tt) => { two_quads!(@ 6 $p) };
    ($q:tt $p:tt) => { concat!("ldr q", $q, ", [{", stringify!($p), "}], #16\n") };
    (@ $q:tt $p:tt) => { concat!("ldp q", $q, ", q", quad!([$q]), ", [{", stringify!($p), "}], #32\n") };
}
#[rustfmt::skip]
macro_rules! second_quad {
    (4 $p:tt) => { "" };
    (5 $p:tt) => { "" };
    (6 $p:tt) => { "" };
    ($q:tt $p:tt) => { two_quads!($q $p) };
}
/// Loads of the rows' input pointers from a table.
macro_rules! pointers {
    () => { "" };
    (($p:tt $($x:tt)*)) => { concat!("ldr {", stringify!($p), "}, [{pointers}], #8\n") };
    (($p:tt $($x:tt)*) ($r:tt $($y:tt)*) $($row:tt)*) => {
        concat!("ldp {", stringify!($p), "}, {", stringify!($r), "}, [{pointers}], #16\n", pointers!($($row)*))
    };
}
/// Moves them on to the channels of a group.
macro_rules! shifts {
    ($(($p:tt $($x:tt)*))*) => {
        concat!("cbz {shift}, 1f\n", $("add {", stringify!($p), "}, {", stringify!($p), "}, {shift}\n",)* "1:\n")
    };
}
/// Input pointers of pixels side by side.
macro_rules! neighbours {
    (($p:tt $($x:tt)*) $($row:tt)*) => {
        concat!("mov {", stringify!($p), "}, {input}\n", neighbours!(@ $p $($row)*))
    };
    // A lone one is no distance apart from another.
    (@ $p:tt) => { "// {pixel}\n" };
    (@ $p:tt ($r:tt $($x:tt)*) $($row:tt)*) => {
        concat!("add {", stringify!($r), "}, {", stringify!($p), "}, {pixel}\n", neighbours!(@ $r $($row)*))
    };
}
/// Sums begin with the bias.
macro_rules! start {
    (5; ($p:tt $o:tt $q:tt $a:tt $b:tt $c:tt $d:tt $e:tt)) => {
        concat!("ld1 {{v", $a, ".4s-v", $d, ".4s}}, [{b}], #64\n", "ldr q", $e, ", [{b}], #16\n")
    };
    (5; ($p:tt $o:tt $q:tt $a:tt $b:tt $c:tt $d:tt $e:tt) $($row:tt)+) => {
        concat!("ld1 {{v", $a, ".4s-v", $d, ".4s}}, [{b}]\n", "ldr q", $e, ", [{b}, #64]\n", start!(5; $($row)+))
    };
    ($nv:tt; ($p:tt $o:tt $q:tt $($c:tt)*)) => {
        concat!("ld1 {{", list!($nv; $($c)*), "}}, [{b}], #", bytes!($nv), "\n")
    };
    ($nv:tt; ($p:tt $o:tt $q:tt $($c:tt)*) $($row:tt)+) => {
        concat!("ld1 {{", list!($nv; $($c)*), "}}, [{b}]\n", start!($nv; $($row)+))
    };
}
macro_rules! stores {
    (5; $(($p:tt $o:tt $q:tt $a:tt $b:tt $c:tt $d:tt $e:tt))*) => {
        concat!($("st1 {{v", $a, ".4s-v", $d, ".4s}}, [{", stringify!($o), "}], #64\n",
            "str q", $e, ", [{", stringify!($o), "}], #16\n"),*)
    };
    ($nv:tt; $(($p:tt $o:tt $q:tt $($c:tt)*))*) => {
        concat!($("st1 {{", list!($nv; $($c)*), "}}, [{", stringify!($o), "}], #", bytes!($nv), "\n"),*)
    };
}
/// Output pointers from a tile's end to the next tile.
macro_rules! advance {
    ($(($p:tt $o:tt $($x:tt)*))*) => { concat!($("add {", stringify!($o), "}, {", stringify!($o), "}, {skip}\n"),*) };
}
macro_rules! clamps {
    ($(($p:tt $o:tt $q:tt $($c:tt)*))*) => {
        concat!(
            "cbz {bounds}, 9f\n", "ld2r {{v0.4s, v1.4s}}, [{bounds}]\n",
            $($("fmax v", $c, ".4s, v", $c, ".4s, v0.4s\n", "fmin v", $c, ".4s, v", $c, ".4s, v1.4s\n",)*)* "9:\n"
        )
    };
}

/// A run of inputs.
macro_rules! run {
    ($nv:tt; $($row:tt)*) => {
        concat!(
            "subs {left}, {run}, #8\n",
            "b.lo 4f\n",
            // Eight steps.
            "3:\n",
            eight!($nv; $($row)*),
            "subs {left}, {left}, #8\n",
            "b.hs 3b\n",
            // Four more; the last three bits of `left` are those of what is left, 8 less or not.
            "4:\n",
            "tbz {left}, #2, 5f\n",
            quads!($($row)*), four!($nv; $($row)*),
            "5:\n",
            last_steps!($nv; $($row)*)
        )
    };
}

/// Up to three steps at the end of a run: the last lanes of the last four inputs, which lie `tail` bytes on.
macro_rules! last_steps {
    ($nv:tt; $($row:tt)*) => {
        concat!(
            "cbz {tail}, 8f\n",
            last_quads!($($row)*),
            // Of -4, -8 and -12, these bits count the steps.
            "tbz {tail}, #3, 7f\n",
            "tbz {tail}, #2, 6f\n",
            weights!($nv), step!($nv 1 [0 1 2 3 4]; $($row)*),
            "6:\n",
            weights!($nv), step!($nv 2 [0 1 2 3 4]; $($row)*),
            "7:\n",
            weights!($nv), step!($nv 3 [0 1 2 3 4]; $($row)*),
            "8:\n"
        )
    };
}

/// Loads for in-order cores. A load of 128 bits keeps a Cortex-A55 from issuing anything else for two cycles; each of a load of
/// 64, one into a general register, and its insertion as the upper half issues beside a multiply-add. So they are spread
/// over the multiply-adds of a step, as early as registers fall free: insertions four multiply-adds after their load, and as
/// many before their use. A name is what is done (`l`: lower half, `h`: upper half, `i`: insertion) to what: vector A to D of the
/// next step's weights, of which D shares a register with that of this step, or the quad of row 0 to 4.
#[rustfmt::skip]
macro_rules! part {
    (_ $($x:tt)*) => { "" };
    (lA [$a:tt $b:tt $c:tt] $at:tt) => { concat!("ldr d", $a, ", [{b}, #", $at, "]\n") };
    (hA [$a:tt $b:tt $c:tt] $at:tt) => { concat!("ldr {t0}, [{b}, #", $at, "+8]\n") };
    (iA [$a:tt $b:tt $c:tt] $at:tt) => { concat!("ins v", $a, ".d[1], {t0}\n") };
    (lB [$a:tt $b:tt $c:tt] $at:tt) => { concat!("ldr d", $b, ", [{b}, #", $at, "+16]\n") };
    (hB [$a:tt $b:tt $c:tt] $at:tt) => { concat!("ldr {t1}, [{b}, #", $at, "+24]\n") };
    (iB [$a:tt $b:tt $c:tt] $at:tt) => { concat!("ins v", $b, ".d[1], {t1}\n") };
    (lC [$a:tt $b:tt $c:tt] $at:tt) => { concat!("ldr d", $c, ", [{b}, #", $at, "+32]\n") };
    (hC [$a:tt $b:tt $c:tt] $at:tt) => { concat!("ldr {t0}, [{b}, #", $at, "+40]\n") };
    (iC [$a:tt $b:tt $c:tt] $at:tt) => { concat!("ins v", $c, ".d[1], {t0}\n") };
    (lD [$($w:tt)*] $at:tt) => { concat!("ldr d11, [{b}, #", $at, "+48]\n") };
    (hD [$($w:tt)*] $at:tt) => { concat!("ldr {t2}, [{b}, #", $at, "+56]\n") };
    (iD $($x:tt)*) => { "ins v11.d[1], {t2}\n" };
    (h0 $($x:tt)*) => { "ldr {t3}, [{a0}, #8]\n" };  (l0 $($x:tt)*) => { "ldr d4, [{a0}], #16\n" };
    (h1 $($x:tt)*) => { "ldr {t1}, [{a1}, #8]\n" };  (l1 $($x:tt)*) => { "ldr d5, [{a1}], #16\n" };
    (h2 $($x:tt)*) => { "ldr {t3}, [{a2}, #8]\n" };  (l2 $($x:tt)*) => { "ldr d6, [{a2}], #16\n" };
    (h3 $($x:tt)*) => { "ldr {t1}, [{a3}, #8]\n" };  (l3 $($x:tt)*) => { "ldr d7, [{a3}], #16\n" };
    (h4 $($x:tt)*) => { "ldr {t2}, [{a4}, #8]\n" };  (l4 $($x:tt)*) => { "ldr d8, [{a4}], #16\n" };
    (i0 $($x:tt)*) => { "ins v4.d[1], {t3}\n" };
    (i1 $($x:tt)*) => { "ins v5.d[1], {t1}\n" };
    (i2 $($x:tt)*) => { "ins v6.d[1], {t3}\n" };
    (i3 $($x:tt)*) => { "ins v7.d[1], {t1}\n" };
    (i4 $($x:tt)*) => { "ins v8.d[1], {t2}\n" };
    (next $($x:tt)*) => { "add {b}, {b}, #256\n" };
}

/// A step of 5 pixels and 16 channels for in-order cores: its lane, its weights' registers beside that of D, those of the next step
/// and where that lies, and what goes after each of its multiply-adds. D waits in the first rows and is done early in
/// the last.
#[rustfmt::skip]
macro_rules! spread {
    ($lane:tt [$a:tt $b:tt $c:tt] $next:tt $at:tt; $s0:tt $s1:tt $s2:tt $s3:tt $s4:tt $s5:tt $s6:tt $s7:tt $s8:tt $s9:tt
        $s10:tt $s11:tt $s12:tt $s13:tt $s14:tt $s15:tt $s16:tt $s17:tt $s18:tt $s19:tt) => {
        concat!(
            fma!("fmla" "12" $a 4 $lane), part!($s0 $next $at), fma!("fmla" "13" $b 4 $lane), part!($s1 $next $at),
            fma!("fmla" "14" $c 4 $lane), part!($s2 $next $at), fma!("fmla" "16" $a 5 $lane), part!($s3 $next $at),
            fma!("fmla" "17" $b 5 $lane), part!($s4 $next $at), fma!("fmla" "18" $c 5 $lane), part!($s5 $next $at),
            fma!("fmla" "15" 11 4 $lane), part!($s6 $next $at), fma!("fmla" "19" 11 5 $lane), part!($s7 $next $at),
            fma!("fmla" "20" $a 6 $lane), part!($s8 $next $at), fma!("fmla" "21" $b 6 $lane), part!($s9 $next $at),
            fma!("fmla" "22" $c 6 $lane), part!($s10 $next $at), fma!("fmla" "23" 11 6 $lane), part!($s11 $next $at),
            fma!("fmla" "27" 11 7 $lane), part!($s12 $next $at), fma!("fmla" "31" 11 8 $lane), part!($s13 $next $at),
            fma!("fmla" "24" $a 7 $lane), part!($s14 $next $at), fma!("fmla" "25" $b 7 $lane), part!($s15 $next $at),
            fma!("fmla" "26" $c 7 $lane), part!($s16 $next $at), fma!("fmla" "28" $a 8 $lane), part!($s17 $next $at),
            fma!("fmla" "29" $b 8 $lane), part!($s18 $next $at), fma!("fmla" "30" $c 8 $lane), part!($s19 $next $at)
        )
    };
}

/// Three steps for in-order cores, which begin while three of their quads are being loaded.
macro_rules! three_spread {
    () => {
        concat!(
            spread!(0 [0 1 2] [3 9 10] "64"; h3 l3 iD i2 h4 i3 l4 lA hA i4 lB hB iA lC hC iB lD hD iC next),
            spread!(1 [3 9 10] [0 1 2] "-128"; lA hA iD lB hB iA lC hC iB _ _ iC _ _ lD hD _ _ _ _),
            spread!(2 [0 1 2] [3 9 10] "-64"; lA hA iD lB hB iA lC hC iB _ _ iC _ _ lD hD _ _ _ _),
        )
    };
}

/// A run of inputs of 5 pixels, with 16 channels of outputs, for in-order cores.
macro_rules! run_in_order {
    ($nv:tt; $($row:tt)*) => {
        concat!(
            "subs {left}, {run}, #8\n",
            "ldr q0, [{b}]\n", "ldr q1, [{b}, #16]\n", "ldr q2, [{b}, #32]\n", "ldr d11, [{b}, #48]\n", "ldr {t2}, [{b}, #56]\n",
            "ldr q4, [{a0}], #16\n", "ldr q5, [{a1}], #16\n", "ldr {t3}, [{a2}, #8]\n", "ldr d6, [{a2}], #16\n",
            "b.lo 4f\n",
            // Four steps, with more to come.
            "3:\n",
            three_spread!(),
            spread!(3 [3 9 10] [0 1 2] "0"; lA hA iD lB hB iA lC h0 l0 iB hC h1 l1 i0 lD iC hD i1 h2 l2),
            "subs {left}, {left}, #4\n",
            "b.hs 3b\n",
            // The last four.
            "4:\n",
            three_spread!(),
            spread!(3 [3 9 10] [0 1 2] "0"; _ _ iD _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _),
            last_steps!($nv; $($row)*)
        )
    };
}

/// Defines the micro-kernel of `$mr` pixels and `$nv` vectors, with a macro for its runs and the registers that this needs.
macro_rules! micro {
    ($name:ident $mr:literal $nv:tt; $($row:tt)*) => { micro!($name $mr $nv run []; $($row)*); };
    ($name:ident $mr:literal $nv:tt $run:ident [$($t:ident)*]; $(($p:ident $o:ident $q:tt $($c:tt)*))*) => {
        /// # Safety
        /// As [`igemm_nhwc::micro`].
        #[target_feature(enable = "neon")]
        unsafe fn $name(t: &Tile) {
            if t.run < 4 || t.last < 4 {
                // SAFETY: the caller's promise is the same.
                return unsafe { short::<$mr, $nv>(t) };
            }
            let bounds = if t.clamp == NO_CLAMP { core::ptr::null() } else { &raw const t.clamp };
            let panel = $nv * 4 * size_of::<f32>();
            let tail = if t.run % 4 == 0 { 0 } else { (t.run % 4 * 4).wrapping_sub(16) };
            if t.pointers.is_null() {
                let mut outputs = [t.output; $mr];
                for (m, output) in outputs.iter_mut().enumerate() {
                    *output = t.output.wrapping_add(m * t.output_step + t.channel);
                }
                let [$($o),*] = outputs;
                // SAFETY: by the contract of `Tile`: pixels have `run` inputs and room for whole vectors of outputs, panels
                // follow each other, `run` steps after the bias. The last one to three inputs of a run are loaded together with
                // those before them, of which a run has four.
                unsafe {
                    asm!(
                        // A tile.
                        "1:",
                        "mov {b}, {panel}",
                        "mov {more}, {panels}",
                        // A panel.
                        "2:",
                        start!($nv; $(($p $o $q $($c)*))*),
                        neighbours!($(($p $o $q $($c)*))*),
                        $run!($nv; $(($p $o $q $($c)*))*),
                        clamps!($(($p $o $q $($c)*))*),
                        stores!($nv; $(($p $o $q $($c)*))*),
                        "subs {more}, {more}, #1",
                        "b.ne 2b",
                        "add {input}, {input}, {next}",
                        advance!($(($p $o $q $($c)*))*),
                        "subs {tiles}, {tiles}, #1",
                        "b.ne 1b",
                        b = out(reg) _,
                        left = out(reg) _,
                        more = out(reg) _,
                        tiles = inout(reg) t.tiles => _,
                        panels = in(reg) t.panels,
                        panel = in(reg) t.panel,
                        run = in(reg) t.run,
                        tail = in(reg) tail,
                        input = inout(reg) t.input => _,
                        pixel = in(reg) t.input_step.wrapping_mul(4),
                        next = in(reg) t.input_step.wrapping_mul(4 * $mr),
                        skip = in(reg) t.output_step.wrapping_mul(4 * $mr).wrapping_sub(t.panels * panel),
                        bounds = in(reg) bounds,
                        $($t = out(reg) _,)*
                        $($p = out(reg) _,)*
                        $($o = inout(reg) $o => _,)*
                        out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _,
                        out("v7") _, out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _,
                        out("v14") _, out("v15") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _,
                        out("v20") _, out("v21") _, out("v22") _, out("v23") _, out("v24") _, out("v25") _,
                        out("v26") _, out("v27") _, out("v28") _, out("v29") _, out("v30") _, out("v31") _,
                        options(nostack)
                    );
                }
                return;
            }
            let mut outputs = [t.output; $mr];
            for m in 0..$mr {
                // SAFETY: a pointer per row, by the contract of `Tile`.
                outputs[m] = unsafe { (*t.out.add(m)).add(t.channel) };
            }
            let [$(mut $o),*] = outputs;
            for j in 0..t.panels {
                // SAFETY: as above; each segment has pointers to its runs, and `run` steps of weights from its offset on.
                unsafe {
                    asm!(
                        start!($nv; $(($p $o $q $($c)*))*),
                        "mov {w}, {b}",
                        // A segment.
                        "2:",
                        pointers!($(($p $o $q $($c)*))*),
                        shifts!($(($p $o $q $($c)*))*),
                        "ldr {b}, [{offsets}], #8",
                        "madd {b}, {b}, {width}, {w}",
                        $run!($nv; $(($p $o $q $($c)*))*),
                        "subs {segments}, {segments}, #1",
                        "b.ne 2b",
                        clamps!($(($p $o $q $($c)*))*),
                        stores!($nv; $(($p $o $q $($c)*))*),
                        w = out(reg) _,
                        b = inout(reg) t.panel.add(j * t.panel_len) => _,
                        left = out(reg) _,
                        width = in(reg) panel,
                        run = in(reg) t.run,
                        tail = in(reg) tail,
                        shift = in(reg) t.shift * size_of::<f32>(),
                        segments = inout(reg) t.segments => _,
                        pointers = inout(reg) t.pointers => _,
                        offsets = inout(reg) t.offsets => _,
                        bounds = in(reg) bounds,
                        $($t = out(reg) _,)*
                        $($p = out(reg) _,)*
                        $($o = inout(reg) $o,)*
                        out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _,
                        out("v7") _, out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _,
                        out("v14") _, out("v15") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _,
                        out("v20") _, out("v21") _, out("v22") _, out("v23") _, out("v24") _, out("v25") _,
                        out("v26") _, out("v27") _, out("v28") _, out("v29") _, out("v30") _, out("v31") _,
                        options(nostack)
                    );
                }
                let _ = ($($o,)*);
            }
        }
    };
}

/// Defines the products of Winograd's algorithm, of `$mr` tiles and `$nv` vectors: the same without bias and clamp.
macro_rules! product {
    ($name:ident $mr:literal $nv:tt; $(($p:ident $o:ident $q:tt $($c:tt)*))*) => {
        /// # Safety
        /// As [`crate::kernel::winograd_tile::product`].
        #[target_feature(enable = "neon")]
        unsafe fn $name(t: &Product) {
            let mut outputs = [t.out; $mr];
            for (m, output) in outputs.iter_mut().enumerate() {
                *output = t.out.wrapping_add(m * t.out_tile);
            }
            let [$($o),*] = outputs;
            // SAFETY: by the contract of `Product`; there are four channels at least, and a multiple of four.
            unsafe {
                asm!(
                    // A point.
                    "2:",
                    neighbours!($(($p $o $q $($c)*))*),
                    "subs {left}, {k}, #12",
                    quads!($(($p $o $q $($c)*))*), four!(@ begin $nv; $(($p $o $q $($c)*))*),
                    "b.lt 4f",
                    // Eight steps.
                    "3:",
                    eight!($nv; $(($p $o $q $($c)*))*),
                    "subs {left}, {left}, #8",
                    "b.ge 3b",
                    // Four more.
                    "4:",
                    "tbz {left}, #2, 5f",
                    quads!($(($p $o $q $($c)*))*), four!($nv; $(($p $o $q $($c)*))*),
                    "5:",
                    stores!($nv; $(($p $o $q $($c)*))*),
                    "add {input}, {input}, {next}",
                    advance!($(($p $o $q $($c)*))*),
                    "subs {points}, {points}, #1",
                    "b.ne 2b",
                    b = inout(reg) t.b => _,
                    left = out(reg) _,
                    k = in(reg) t.k,
                    points = inout(reg) t.points => _,
                    input = inout(reg) t.a => _,
                    pixel = in(reg) 4 * t.a_tile,
                    next = in(reg) 4 * t.a_point,
                    skip = in(reg) (4 * t.out_point).wrapping_sub($nv * 16),
                    $($p = out(reg) _,)*
                    $($o = inout(reg) $o => _,)*
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

/// The micro-kernels of `$nv` vectors, as a slice.
macro_rules! micros {
    ($define:ident $of:ty; $slice:ident $nv:tt; $one:ident $two:ident $three:ident $four:ident $five:ident) => {
        $define!($one 1 $nv; (a0 o0 4 12 13 14 15));
        $define!($two 2 $nv; (a0 o0 4 12 13 14 15) (a1 o1 5 16 17 18 19));
        $define!($three 3 $nv; (a0 o0 4 12 13 14 15) (a1 o1 5 16 17 18 19) (a2 o2 6 20 21 22 23));
        $define!($four 4 $nv; (a0 o0 4 12 13 14 15) (a1 o1 5 16 17 18 19) (a2 o2 6 20 21 22 23) (a3 o3 7 24 25 26 27));
        $define!($five 5 $nv; (a0 o0 4 12 13 14 15) (a1 o1 5 16 17 18 19) (a2 o2 6 20 21 22 23) (a3 o3 7 24 25 26 27)
            (a4 o4 8 28 29 30 31));
        static $slice: [$of; 5] = [$one, $two, $three, $four, $five];
    };
}

micros!(micro Micro; V1 1; r1v1 r2v1 r3v1 r4v1 r5v1);
micros!(micro Micro; V2 2; r1v2 r2v2 r3v2 r4v2 r5v2);
micros!(micro Micro; V3 3; r1v3 r2v3 r3v3 r4v3 r5v3);
micros!(micro Micro; V4 4; r1v4 r2v4 r3v4 r4v4 r5v4);

micros!(product ProductFn; P1 1; p1v1 p2v1 p3v1 p4v1 p5v1);
micros!(product ProductFn; P2 2; p1v2 p2v2 p3v2 p4v2 p5v2);
micros!(product ProductFn; P3 3; p1v3 p2v3 p3v3 p4v3 p5v3);
micros!(product ProductFn; P4 4; p1v4 p2v4 p3v4 p4v4 p5v4);

/// Of Winograd's algorithm: 5 tiles x 16 channels.
pub(super) static PRODUCTS: &[&[ProductFn]] = &[&P1, &P2, &P3, &P4];

micro!(r1v5 1 5; (a0 o0 8 12 13 14 15 16));
micro!(r2v5 2 5; (a0 o0 8 12 13 14 15 16) (a1 o1 9 17 18 19 20 21));
micro!(r3v5 3 5; (a0 o0 8 12 13 14 15 16) (a1 o1 9 17 18 19 20 21) (a2 o2 10 22 23 24 25 26));
micro!(r4v5 4 5; (a0 o0 8 12 13 14 15 16) (a1 o1 9 17 18 19 20 21) (a2 o2 10 22 23 24 25 26) (a3 o3 11 27 28 29 30 31));

micro!(r5v4_in_order 5 4 run_in_order [t0 t1 t2 t3]; (a0 o0 4 12 13 14 15) (a1 o1 5 16 17 18 19) (a2 o2 6 20 21 22 23)
    (a3 o3 7 24 25 26 27) (a4 o4 8 28 29 30 31));

/// 5 pixels x 16 channels.
pub(super) static R5C16: IgemmNhwc =
    IgemmNhwc { lanes: 4, micros: &[&V1, &V2, &V3, &V4], narrow: &[], shares: false, width: 1.0, skips: false };

/// The same for in-order cores. Narrower panels and the fewer pixels of an image's last tiles are computed as on others.
pub(super) static R5C16_IN_ORDER: IgemmNhwc =
    IgemmNhwc { micros: &[&V1, &V2, &V3, &[r1v4, r2v4, r3v4, r4v4, r5v4_in_order]], ..R5C16 };

/// 4 pixels x 20 channels, for numbers of channels that panels of 16 cut badly.
pub(super) static R4C20: IgemmNhwc = IgemmNhwc {
    micros: &[
        &[r1v1, r2v1, r3v1, r4v1],
        &[r1v2, r2v2, r3v2, r4v2],
        &[r1v3, r2v3, r3v3, r4v3],
        &[r1v4, r2v4, r3v4, r4v4],
        &[r1v5, r2v5, r3v5, r4v5],
    ],
    ..R5C16
};
