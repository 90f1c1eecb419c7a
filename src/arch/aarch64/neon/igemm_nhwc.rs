//! Implicit GEMM, NHWC: see [`crate::kernel::igemm_nhwc`].
//!
//! The loops over K are written in assembly. From intrinsics the compiler makes pairs of loads where one instruction loads
//! four registers, additions where addresses could move on by themselves, and copies of accumulators: 0.32 instructions per
//! multiply instead of 0.283 in the inner loop of 5 pixels x 16 channels (180 instructions, 160 of them multiply 640 times).
//! Registers: 20 accumulators, five quads of inputs, four vectors of weights, the bounds of the clamp.

use super::vector::F32x4;
use crate::kernel::NO_CLAMP;
use crate::kernel::igemm_nhwc::{self, IgemmNhwc, Micro, Tile};
use core::arch::aarch64::*;
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

macro_rules! fmla {
    ($c:tt $b:tt $q:tt $lane:tt) => {
        concat!("fmla v", $c, ".4s, v", $b, ".4s, v", $q, ".s[", $lane, "]\n")
    };
}

/// A row's multiply-adds: accumulators += weights * lane of the row's quad.
macro_rules! row {
    (1; $q:tt $lane:tt; [$e:tt $f:tt $g:tt $h:tt]; $a:tt $b:tt $c:tt $d:tt) => { fmla!($a $e $q $lane) };
    (2; $q:tt $lane:tt; [$e:tt $f:tt $g:tt $h:tt]; $a:tt $b:tt $c:tt $d:tt) => {
        concat!(fmla!($a $e $q $lane), fmla!($b $f $q $lane))
    };
    (3; $q:tt $lane:tt; [$e:tt $f:tt $g:tt $h:tt]; $a:tt $b:tt $c:tt $d:tt) => {
        concat!(fmla!($a $e $q $lane), fmla!($b $f $q $lane), fmla!($c $g $q $lane))
    };
    (4; $q:tt $lane:tt; [$e:tt $f:tt $g:tt $h:tt]; $a:tt $b:tt $c:tt $d:tt) => {
        concat!(fmla!($a $e $q $lane), fmla!($b $f $q $lane), fmla!($c $g $q $lane), fmla!($d $h $q $lane))
    };
}

/// A step of K for all rows, with weights in the registers `$b`.
macro_rules! step {
    ($nv:tt $lane:tt $b:tt; $(($p:tt $o:tt $q:tt $($c:tt)*))*) => {
        concat!($(row!($nv; $q $lane; $b; $($c)*)),*)
    };
}

/// Loads of a step's weights.
macro_rules! weights {
    ($nv:tt) => { concat!("ld1 {{", list!($nv; 0 1 2 3), "}}, [{b}], #", bytes!($nv), "\n") };
}

/// Four steps. Narrow panels load the weights of several steps at once.
macro_rules! four {
    (1; $($row:tt)*) => {
        concat!(weights!(4), step!(1 0 [0 0 0 0]; $($row)*), step!(1 1 [1 0 0 0]; $($row)*),
            step!(1 2 [2 0 0 0]; $($row)*), step!(1 3 [3 0 0 0]; $($row)*))
    };
    (2; $($row:tt)*) => {
        concat!(weights!(4), step!(2 0 [0 1 0 0]; $($row)*), step!(2 1 [2 3 0 0]; $($row)*),
            weights!(4), step!(2 2 [0 1 0 0]; $($row)*), step!(2 3 [2 3 0 0]; $($row)*))
    };
    ($nv:tt; $($row:tt)*) => {
        concat!(weights!($nv), step!($nv 0 [0 1 2 3]; $($row)*), weights!($nv), step!($nv 1 [0 1 2 3]; $($row)*),
            weights!($nv), step!($nv 2 [0 1 2 3]; $($row)*), weights!($nv), step!($nv 3 [0 1 2 3]; $($row)*))
    };
}

/// A text per row: the names of its input and output pointer, its quad's and its accumulators' registers.
macro_rules! quads {
    ($(($p:tt $o:tt $q:tt $($c:tt)*))*) => { concat!($("ldr q", $q, ", [{", stringify!($p), "}], #16\n"),*) };
}
macro_rules! last_quads {
    ($(($p:tt $o:tt $q:tt $($c:tt)*))*) => { concat!($("ldr q", $q, ", [{", stringify!($p), "}, {back}]\n"),*) };
}
macro_rules! pointers {
    ($(($p:tt $o:tt $q:tt $($c:tt)*))*) => { concat!($("ldr {", stringify!($p), "}, [{pointers}], #8\n"),*) };
}
macro_rules! start {
    ($nv:tt; $(($p:tt $o:tt $q:tt $($c:tt)*))*) => { concat!($("ld1 {{", list!($nv; $($c)*), "}}, [{w}]\n"),*) };
}
macro_rules! stores {
    ($nv:tt; $(($p:tt $o:tt $q:tt $($c:tt)*))*) => {
        concat!($("st1 {{", list!($nv; $($c)*), "}}, [{", stringify!($o), "}], #", bytes!($nv), "\n"),*)
    };
}
macro_rules! clamps {
    ($(($p:tt $o:tt $q:tt $a:tt $b:tt $c:tt $d:tt))*) => {
        concat!($(clamps!(@ $a), clamps!(@ $b), clamps!(@ $c), clamps!(@ $d)),*)
    };
    (@ $c:tt) => {
        concat!("fmax v", $c, ".4s, v", $c, ".4s, v9.4s\n", "fmin v", $c, ".4s, v", $c, ".4s, v10.4s\n")
    };
}

/// Defines the micro-kernel of `$mr` pixels and `$nv` vectors.
macro_rules! micro {
    ($name:ident $mr:literal $nv:tt; $(($p:ident $o:ident $q:tt $($c:tt)*))*) => {
        /// # Safety
        /// As [`igemm_nhwc::micro`].
        #[target_feature(enable = "neon")]
        unsafe fn $name(t: &Tile) {
            if t.run < 4 || t.last < 4 {
                // SAFETY: the caller's promise is the same.
                return unsafe { short::<$mr, $nv>(t) };
            }
            let regular = t.pointers.is_null();
            let first = 0;
            for i in 0..t.tiles {
                let mut inputs = [t.input; $mr];
                let mut outputs = [t.output; $mr];
                for m in 0..$mr {
                    if regular {
                        inputs[m] = t.input.wrapping_add((i * $mr + m) * t.input_step);
                        outputs[m] = t.output.wrapping_add((i * $mr + m) * t.output_step + t.channel);
                    } else {
                        // SAFETY: a pointer per row, by the contract of `Tile`.
                        outputs[m] = unsafe { (*t.out.add(m)).add(t.channel) };
                    }
                }
                let pointers = if regular { inputs.as_ptr() } else { t.pointers };
                let offsets = if regular { &raw const first } else { t.offsets };
                let [$(mut $o),*] = outputs;
                for j in 0..t.panels {
                // SAFETY: by the contract of `Tile`: each segment has pointers to `run` inputs and `run` steps of weights from
                // its offset on; outputs have room for whole vectors. The last one to three inputs of a run are loaded
                // together with those before them, of which a run has four.
                unsafe {
                    asm!(
                        start!($nv; $(($p $o $q $($c)*))*),
                        "add {w}, {w}, {width}",
                        // A segment.
                        "2:",
                        pointers!($(($p $o $q $($c)*))*),
                        "ldr {b}, [{offsets}], #8",
                        "madd {b}, {b}, {width}, {w}",
                        "subs {left}, {run}, #8",
                        "b.lo 4f",
                        // Eight steps.
                        "3:",
                        quads!($(($p $o $q $($c)*))*),
                        four!($nv; $(($p $o $q $($c)*))*),
                        quads!($(($p $o $q $($c)*))*),
                        four!($nv; $(($p $o $q $($c)*))*),
                        "subs {left}, {left}, #8",
                        "b.hs 3b",
                        // Four more; the last three bits of `left` are those of what is left, 8 less or not.
                        "4:",
                        "tbz {left}, #2, 5f",
                        quads!($(($p $o $q $($c)*))*),
                        four!($nv; $(($p $o $q $($c)*))*),
                        // Up to three: the last lanes of the last four inputs.
                        "5:",
                        "ands {left}, {left}, #3",
                        "b.eq 8f",
                        "lsl {back}, {left}, #2",
                        "sub {back}, {back}, #16",
                        last_quads!($(($p $o $q $($c)*))*),
                        "tbz {left}, #1, 7f",
                        "tbz {left}, #0, 6f",
                        weights!($nv),
                        step!($nv 1 [0 1 2 3]; $(($p $o $q $($c)*))*),
                        "6:",
                        weights!($nv),
                        step!($nv 2 [0 1 2 3]; $(($p $o $q $($c)*))*),
                        "7:",
                        weights!($nv),
                        step!($nv 3 [0 1 2 3]; $(($p $o $q $($c)*))*),
                        "8:",
                        "subs {segments}, {segments}, #1",
                        "b.ne 2b",
                        "cbz {clamped:w}, 9f",
                        clamps!($(($p $o $q $($c)*))*),
                        "9:",
                        stores!($nv; $(($p $o $q $($c)*))*),
                        w = inout(reg) t.panel.add(j * t.panel_len) => _,
                        b = out(reg) _,
                        left = out(reg) _,
                        back = out(reg) _,
                        width = in(reg) $nv * 4 * size_of::<f32>(),
                        run = in(reg) t.run,
                        segments = inout(reg) t.segments => _,
                        pointers = inout(reg) pointers => _,
                        offsets = inout(reg) offsets => _,
                        clamped = in(reg) u32::from(t.clamp != NO_CLAMP),
                        $($p = out(reg) _,)*
                        $($o = inout(reg) $o,)*
                        in("v9") vdupq_n_f32(t.clamp.0),
                        in("v10") vdupq_n_f32(t.clamp.1),
                        out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _,
                        out("v7") _, out("v8") _, out("v12") _, out("v13") _, out("v14") _, out("v15") _, out("v16") _,
                        out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _, out("v22") _,
                        out("v23") _, out("v24") _, out("v25") _, out("v26") _, out("v27") _, out("v28") _,
                        out("v29") _, out("v30") _, out("v31") _,
                        options(nostack)
                    );
                }
                let _ = ($($o,)*);
                }
            }
        }
    };
}

/// The micro-kernels of `$nv` vectors, as a slice.
macro_rules! micros {
    ($slice:ident $nv:tt; $one:ident $two:ident $three:ident $four:ident $five:ident) => {
        micro!($one 1 $nv; (a0 o0 4 12 13 14 15));
        micro!($two 2 $nv; (a0 o0 4 12 13 14 15) (a1 o1 5 16 17 18 19));
        micro!($three 3 $nv; (a0 o0 4 12 13 14 15) (a1 o1 5 16 17 18 19) (a2 o2 6 20 21 22 23));
        micro!($four 4 $nv; (a0 o0 4 12 13 14 15) (a1 o1 5 16 17 18 19) (a2 o2 6 20 21 22 23) (a3 o3 7 24 25 26 27));
        micro!($five 5 $nv; (a0 o0 4 12 13 14 15) (a1 o1 5 16 17 18 19) (a2 o2 6 20 21 22 23) (a3 o3 7 24 25 26 27)
            (a4 o4 8 28 29 30 31));
        static $slice: [Micro; 5] = [$one, $two, $three, $four, $five];
    };
}

micros!(V1 1; r1v1 r2v1 r3v1 r4v1 r5v1);
micros!(V2 2; r1v2 r2v2 r3v2 r4v2 r5v2);
micros!(V3 3; r1v3 r2v3 r3v3 r4v3 r5v3);
micros!(V4 4; r1v4 r2v4 r3v4 r4v4 r5v4);

/// 5 pixels x 16 channels.
pub(super) static R5C16: IgemmNhwc = IgemmNhwc { lanes: 4, micros: &[&V1, &V2, &V3, &V4], width: 1.0 };
