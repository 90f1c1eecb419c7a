//! Implicit GEMM, NCHW: see [`crate::kernel::igemm_nchw`].
//!
//! The loops over K are written in assembly, for the reasons told in [`super::igemm_nhwc`]: a step of 8 channels x 12 pixels
//! is one load of three registers, one of two, and 24 multiply-adds, all in registers.
//! Registers: 24 accumulators, three vectors of inputs, two quads of weights, the bounds of the clamp.

use super::vector::F32x4;
use crate::kernel::NO_CLAMP;
use crate::kernel::igemm_nchw::{self, Gather, IgemmNchw, Micro, Tile};
use crate::vector::Vector;
use core::arch::aarch64::*;
use core::arch::asm;

/// As the general one, but that each vector is one table lookup in two loaded ones, if its pixels lie in two: so they do but
/// in images of a few columns. What to load and to look up is the same in all channels.
///
/// # Safety
/// As [`igemm_nchw::gather`].
#[target_feature(enable = "neon")]
unsafe fn gather(g: &Gather) {
    // SAFETY: the caller's promise; loads are of four elements inside the channel.
    unsafe {
        let found = match (g.plane >= 4 && g.channels > 4, g.width) {
            (true, 4) => lookups::<1>(g),
            (true, 8) => lookups::<2>(g),
            (true, 12) => lookups::<3>(g),
            _ => false,
        };
        if !found {
            igemm_nchw::gather::<F32x4>(g);
        }
    }
}

/// Gathers rows of `NV` vectors, unless a vector's pixels take more than two loads.
///
/// # Safety
/// As [`gather`]; channels have four elements at least.
#[target_feature(enable = "neon")]
unsafe fn lookups<const NV: usize>(g: &Gather) -> bool {
    const OUTSIDE: usize = usize::MAX;
    // The element under each pixel.
    let mut elements = [[OUTSIDE; 4]; NV];
    for r in 0..g.count {
        // SAFETY: as the caller promises.
        let run = unsafe { *g.runs.add(r) };
        for i in 0..run.len {
            elements[(run.to + i) / 4][(run.to + i) % 4] = run.from + i * g.stride;
        }
    }
    let mut loads = [[0; 2]; NV];
    let mut bytes = [[u8::MAX; 16]; NV];
    for v in 0..NV {
        let mut used = 0;
        for (l, &e) in elements[v].iter().enumerate().filter(|x| *x.1 != OUTSIDE) {
            let holds = |load: usize| load <= e && e < load + 4;
            let Some(which) = (0..used).find(|&i| holds(loads[v][i])).or_else(|| {
                used += 1;
                (used <= 2).then(|| {
                    loads[v][used - 1] = e.min(g.plane - 4);
                    used - 1
                })
            }) else {
                return false;
            };
            for byte in 0..4 {
                bytes[v][4 * l + byte] = (16 * which + 4 * (e - loads[v][which]) + byte) as u8;
            }
        }
        if used < 2 {
            loads[v][1] = loads[v][0];
        }
    }
    // SAFETY: loads are inside the channel, stores inside a row of `to`.
    unsafe {
        let (mut from, mut to) = (g.from, g.to);
        if g.stride == 1 && g.count == 1 && !g.padded {
            from = from.wrapping_add(elements[0][0]);
            for _ in 0..g.channels {
                for v in 0..NV {
                    vst1q_f32(to.add(4 * v), vld1q_f32(from.wrapping_add(4 * v)));
                }
                (from, to) = (from.wrapping_add(g.channel), to.wrapping_add(4 * NV));
            }
            return true;
        }
        let mut table = [vdupq_n_u8(0); NV];
        for v in 0..NV {
            table[v] = vld1q_u8(bytes[v].as_ptr());
        }
        let load = |from: *const f32, at: usize| vreinterpretq_u8_f32(vld1q_f32(from.wrapping_add(at)));
        for _ in 0..g.channels {
            for v in 0..NV {
                let both = uint8x16x2_t(load(from, loads[v][0]), load(from, loads[v][1]));
                vst1q_f32(to.add(4 * v), vreinterpretq_f32_u8(vqtbl2q_u8(both, table[v])));
            }
            (from, to) = (from.wrapping_add(g.channel), to.wrapping_add(4 * NV));
        }
        true
    }
}

/// The first `nv` of three registers, as a list.
macro_rules! list {
    (1; $a:tt $b:tt $c:tt) => {
        concat!("v", $a, ".4s")
    };
    (2; $a:tt $b:tt $c:tt) => {
        concat!("v", $a, ".4s-v", $b, ".4s")
    };
    (3; $a:tt $b:tt $c:tt) => {
        concat!("v", $a, ".4s-v", $c, ".4s")
    };
}

/// A text for each of the first `nv` registers.
macro_rules! each {
    (1; $macro:ident; $a:tt $b:tt $c:tt; $($rest:tt)*) => { $macro!($a 0 $($rest)*) };
    (2; $macro:ident; $a:tt $b:tt $c:tt; $($rest:tt)*) => { concat!($macro!($a 0 $($rest)*), $macro!($b 1 $($rest)*)) };
    (3; $macro:ident; $a:tt $b:tt $c:tt; $($rest:tt)*) => {
        concat!($macro!($a 0 $($rest)*), $macro!($b 1 $($rest)*), $macro!($c 2 $($rest)*))
    };
}
macro_rules! fmla {
    ($c:tt $x:tt $q:tt $lane:tt) => {
        concat!("fmla v", $c, ".4s, v", $x, ".4s, v", $q, ".s[", $lane, "]\n")
    };
}
macro_rules! dup {
    ($c:tt $x:tt $q:tt $lane:tt) => {
        concat!("dup v", $c, ".4s, v", $q, ".s[", $lane, "]\n")
    };
}
macro_rules! bound {
    ($c:tt $x:tt) => {
        concat!("fmax v", $c, ".4s, v", $c, ".4s, v5.4s\n", "fmin v", $c, ".4s, v", $c, ".4s, v6.4s\n")
    };
}

/// Weights of a step, or biases: one quad or two.
macro_rules! weights {
    (4) => {
        "ldr q3, [{w}], #16\n"
    };
    (8) => {
        "ldp q3, q4, [{w}], #32\n"
    };
}

/// A step of K. Rows are a quad's register, a lane of it, and accumulators.
macro_rules! step {
    ($nv:tt $pitch:tt; $(($q:tt $lane:tt $($c:tt)*))*) => {
        concat!("ld1 {{", list!($nv; 0 1 2), "}}, [{x}], {x_step}\n", weights!($pitch),
            $(each!($nv; fmla; $($c)*; $q $lane)),*)
    };
}
macro_rules! start {
    ($nv:tt $pitch:tt; $(($q:tt $lane:tt $($c:tt)*))*) => {
        concat!(weights!($pitch), $(each!($nv; dup; $($c)*; $q $lane)),*)
    };
}
macro_rules! resume {
    ($nv:tt; $(($q:tt $lane:tt $($c:tt)*))*) => { concat!($("ld1 {{", list!($nv; $($c)*), "}}, [{from}], {out_step}\n"),*) };
}
macro_rules! stores {
    ($nv:tt; $(($q:tt $lane:tt $($c:tt)*))*) => { concat!($("st1 {{", list!($nv; $($c)*), "}}, [{out}], {out_step}\n"),*) };
}
macro_rules! clamps {
    ($nv:tt; $(($q:tt $lane:tt $($c:tt)*))*) => { concat!($(each!($nv; bound; $($c)*;)),*) };
}

/// Defines the micro-kernel of `$mr` channels, padded to `$pitch`, and `$nv` vectors.
macro_rules! micro {
    ($name:ident $mr:literal $pitch:tt $nv:tt; $($row:tt)*) => {
        /// # Safety
        /// As [`igemm_nchw::micro`].
        #[target_feature(enable = "neon")]
        unsafe fn $name(t: &Tile) {
            const WIDTH: usize = $nv * 4;
            let mut out = t.out;
            // A last vector of fewer lanes goes through memory of its own.
            let mut partial = [0.0f32; $mr * WIDTH];
            let (is_partial, valid) = (t.last < 4, WIDTH - 4 + t.last);
            for j in 0..t.panels {
                let start = out;
                let step = if is_partial { WIDTH } else { t.out_channel };
                if is_partial {
                    out = partial.as_mut_ptr();
                    for m in 0..if t.k0 > 0 { $mr } else { 0 } {
                        // SAFETY: `valid` lanes of a row of the output.
                        unsafe {
                            start.add(m * t.out_channel).copy_to_nonoverlapping(out.add(m * WIDTH), valid);
                        }
                    }
                }
                // SAFETY: by the contract of `Tile`: `k` rows of weights and of inputs, `MR` rows of outputs.
                unsafe {
                    asm!(
                        "cbnz {k0}, 2f",
                        start!($nv $pitch; $($row)*),
                        "b 3f",
                        "2:",
                        resume!($nv; $($row)*),
                        "3:",
                        "add {w}, {w}, {k0}",
                        "subs {left}, {k}, #4",
                        "b.lo 5f",
                        "4:",
                        step!($nv $pitch; $($row)*),
                        step!($nv $pitch; $($row)*),
                        step!($nv $pitch; $($row)*),
                        step!($nv $pitch; $($row)*),
                        "subs {left}, {left}, #4",
                        "b.hs 4b",
                        // Up to three more.
                        "5:",
                        "ands {left}, {left}, #3",
                        "b.eq 7f",
                        "6:",
                        step!($nv $pitch; $($row)*),
                        "subs {left}, {left}, #1",
                        "b.ne 6b",
                        "7:",
                        "cbz {clamped:w}, 8f",
                        clamps!($nv; $($row)*),
                        "8:",
                        stores!($nv; $($row)*),
                        w = inout(reg) t.panel.add(j * t.panel_len) => _,
                        x = inout(reg) t.x => _,
                        x_step = in(reg) t.x_step.wrapping_mul(size_of::<f32>()),
                        out = inout(reg) out,
                        from = inout(reg) out => _,
                        out_step = in(reg) step * size_of::<f32>(),
                        k = in(reg) t.k,
                        // Bytes of weights before the first step's, beside the biases.
                        k0 = in(reg) if t.k0 == 0 { 0 } else { (t.k0 + 1) * $pitch * size_of::<f32>() },
                        left = out(reg) _,
                        clamped = in(reg) u32::from(t.clamp != NO_CLAMP),
                        in("v5") vdupq_n_f32(t.clamp.0),
                        in("v6") vdupq_n_f32(t.clamp.1),
                        out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v8") _, out("v9") _,
                        out("v10") _, out("v11") _, out("v12") _, out("v13") _, out("v14") _, out("v15") _,
                        out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _,
                        out("v22") _, out("v23") _, out("v24") _, out("v25") _, out("v26") _, out("v27") _,
                        out("v28") _, out("v29") _, out("v30") _, out("v31") _,
                        options(nostack)
                    );
                }
                if is_partial {
                    for m in 0..$mr {
                        // SAFETY: `valid` lanes of a row of the output.
                        unsafe {
                            let row = start.add(m * t.out_channel);
                            for v in 0..$nv {
                                let x = F32x4::load(partial.as_ptr().add(m * WIDTH + v * 4));
                                x.store_first(row.add(v * 4), valid - v * 4);
                            }
                        }
                    }
                    out = start.wrapping_add($mr * t.out_channel);
                }
            }
        }
    };
}

/// The micro-kernels of `$nv` vectors, as a slice.
macro_rules! micros {
    ($slice:ident $nv:tt; $r1:ident $r2:ident $r3:ident $r4:ident $r5:ident $r6:ident $r7:ident $r8:ident) => {
        micro!($r1 1 4 $nv; (3 0 8 9 10));
        micro!($r2 2 4 $nv; (3 0 8 9 10) (3 1 11 12 13));
        micro!($r3 3 4 $nv; (3 0 8 9 10) (3 1 11 12 13) (3 2 14 15 16));
        micro!($r4 4 4 $nv; (3 0 8 9 10) (3 1 11 12 13) (3 2 14 15 16) (3 3 17 18 19));
        micro!($r5 5 8 $nv; (3 0 8 9 10) (3 1 11 12 13) (3 2 14 15 16) (3 3 17 18 19) (4 0 20 21 22));
        micro!($r6 6 8 $nv; (3 0 8 9 10) (3 1 11 12 13) (3 2 14 15 16) (3 3 17 18 19) (4 0 20 21 22) (4 1 23 24 25));
        micro!($r7 7 8 $nv; (3 0 8 9 10) (3 1 11 12 13) (3 2 14 15 16) (3 3 17 18 19) (4 0 20 21 22) (4 1 23 24 25)
            (4 2 26 27 28));
        micro!($r8 8 8 $nv; (3 0 8 9 10) (3 1 11 12 13) (3 2 14 15 16) (3 3 17 18 19) (4 0 20 21 22) (4 1 23 24 25)
            (4 2 26 27 28) (4 3 29 30 31));
        static $slice: [Micro; 8] = [$r1, $r2, $r3, $r4, $r5, $r6, $r7, $r8];
    };
}

micros!(V1 1; r1v1 r2v1 r3v1 r4v1 r5v1 r6v1 r7v1 r8v1);
micros!(V2 2; r1v2 r2v2 r3v2 r4v2 r5v2 r6v2 r7v2 r8v2);
micros!(V3 3; r1v3 r2v3 r3v3 r4v3 r5v3 r6v3 r7v3 r8v3);

/// 8 channels x 12 pixels.
pub(super) static R8V3: IgemmNchw =
    IgemmNchw { lanes: 4, micros: &[&V1, &V2, &V3], gather, together: false, many_panels: usize::MAX, width: 1.0 };
