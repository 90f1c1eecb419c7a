//! Four output channels of any kernel on staged rows, NCHW: see [`crate::kernel::staged_nchw`].
//!
//! A tap's weights of four channels are one load, whose lanes are the scalars, and a vector of inputs serves four multiply-adds.
//! In assembly, since it takes all registers: 28 sums (seven vectors of pixels), weights, three inputs. Instructions of
//! two taps: 69, 56 of them multiply.

use crate::kernel::NO_CLAMP;
use crate::kernel::direct_nchw::Tile;
use crate::kernel::staged_nchw;
use core::arch::aarch64::*;
use core::arch::asm;

/// Most pixels of a tile.
const PIXELS: usize = 28;

/// Multiply-adds of up to three vectors of inputs: into the sums of each channel.
macro_rules! fmla {
    ($lane:tt; [$a:tt]) => { concat!("fmla v", $a, ".4s, v1.4s, v0.s[", $lane, "]\n") };
    ($lane:tt; [$a:tt $b:tt]) => { concat!(fmla!($lane; [$a]), "fmla v", $b, ".4s, v2.4s, v0.s[", $lane, "]\n") };
    ($lane:tt; [$a:tt $b:tt $c:tt]) => { concat!(fmla!($lane; [$a $b]), "fmla v", $c, ".4s, v3.4s, v0.s[", $lane, "]\n") };
}
macro_rules! load {
    ([$a:tt]) => {
        "ldr q1, [{at}], #16\n"
    };
    ([$a:tt $b:tt]) => {
        "ld1 {{v1.4s, v2.4s}}, [{at}], #32\n"
    };
    ([$a:tt $b:tt $c:tt]) => {
        "ld1 {{v1.4s-v3.4s}}, [{at}], #48\n"
    };
}

/// A tap: for some vectors of inputs the sums of each of four channels.
macro_rules! tap {
    ($tap:literal; $([$k:tt $l:tt $m:tt $n:tt])*) => {
        concat!(
            "ldr q0, [{w}], #16\n", "add {at}, {x}, {", $tap, ":x}\n",
            $(load!($k), fmla!(0; $k), fmla!(1; $l), fmla!(2; $m), fmla!(3; $n)),*
        )
    };
}

/// A text per sum.
macro_rules! sums {
    (bias $lane:tt; $($a:tt)*) => { concat!($("dup v", $a, ".4s, v0.s[", $lane, "]\n"),*) };
    (clamp; $($a:tt)*) => {
        concat!($("fmax v", $a, ".4s, v", $a, ".4s, v0.4s\n", "fmin v", $a, ".4s, v", $a, ".4s, v1.4s\n"),*)
    };
}

/// Stores of a channel's sums.
macro_rules! store {
    (@ [$a:tt]) => { concat!("str q", $a, ", [{at}], #16\n") };
    (@ [$a:tt $b:tt]) => { concat!("st1 {{v", $a, ".4s, v", $b, ".4s}}, [{at}], #32\n") };
    (@ [$a:tt $b:tt $c:tt]) => { concat!("st1 {{v", $a, ".4s, v", $b, ".4s, v", $c, ".4s}}, [{at}], #48\n") };
    ($($sums:tt)*) => { concat!("mov {at}, {o}\n", $(store!(@ $sums),)* "add {o}, {o}, {out_channel}\n") };
}

/// Defines the tile of some vectors: the sums of each channel, then the same as [`tap`] takes them.
macro_rules! tile {
    ($name:ident; [$($k:tt)*] [$($l:tt)*] [$($m:tt)*] [$($n:tt)*]; $([$k3:tt $l3:tt $m3:tt $n3:tt])*) => {
        /// # Safety
        /// As [`crate::kernel::direct_nchw::Micro`], for the tile at `x` of the staged rows; there is room for its whole vectors
        /// at `out`, four times, `out_channel` floats apart.
        #[target_feature(enable = "neon")]
        unsafe fn $name(t: &Tile, x: *const f32, out: *mut f32, out_channel: usize) {
            // SAFETY: as the caller promises: all taps of all channels are staged.
            unsafe {
                asm!(
                    "ldr q0, [{w}], #16",
                    sums!(bias 0; $($k)*), sums!(bias 1; $($l)*), sums!(bias 2; $($m)*), sums!(bias 3; $($n)*),
                    // An input channel.
                    "2:",
                    "mov {tap}, {taps}",
                    "subs {left}, {count}, #2",
                    "b.lo 4f",
                    // Two taps.
                    "3:",
                    "ldp {a:w}, {b:w}, [{tap}], #8",
                    tap!("a"; $([$k3 $l3 $m3 $n3])*),
                    tap!("b"; $([$k3 $l3 $m3 $n3])*),
                    "subs {left}, {left}, #2",
                    "b.hs 3b",
                    // One more.
                    "4:",
                    "tbz {left}, #0, 5f",
                    "ldr {a:w}, [{tap}]",
                    tap!("a"; $([$k3 $l3 $m3 $n3])*),
                    "5:",
                    "add {x}, {x}, {channel}",
                    "subs {channels}, {channels}, #1",
                    "b.ne 2b",
                    "cbz {bounds}, 6f",
                    "ld2r {{v0.4s, v1.4s}}, [{bounds}]",
                    sums!(clamp; $($k)* $($l)* $($m)* $($n)*),
                    "6:",
                    store!($($k3)*), store!($($l3)*), store!($($m3)*), store!($($n3)*),
                    w = inout(reg) t.weights => _,
                    x = inout(reg) x => _,
                    at = out(reg) _,
                    a = out(reg) _,
                    b = out(reg) _,
                    tap = out(reg) _,
                    taps = in(reg) t.taps,
                    left = out(reg) _,
                    count = in(reg) t.taps_len,
                    channel = in(reg) 4 * t.stage_channel,
                    channels = inout(reg) t.channels => _,
                    bounds = in(reg) if t.clamp == NO_CLAMP { core::ptr::null() } else { &raw const t.clamp },
                    o = inout(reg) out => _,
                    out_channel = in(reg) 4 * out_channel,
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

tile!(v1; [4] [5] [6] [7]; [[4] [5] [6] [7]]);
tile!(v2; [4 5] [6 7] [8 9] [10 11]; [[4 5] [6 7] [8 9] [10 11]]);
tile!(v3; [4 5 6] [7 8 9] [10 11 12] [13 14 15]; [[4 5 6] [7 8 9] [10 11 12] [13 14 15]]);
tile!(v4; [4 5 6 7] [8 9 10 11] [12 13 14 15] [16 17 18 19];
    [[4 5] [8 9] [12 13] [16 17]] [[6 7] [10 11] [14 15] [18 19]]);
tile!(v5; [4 5 6 7 8] [9 10 11 12 13] [14 15 16 17 18] [19 20 21 22 23];
    [[4 5 6] [9 10 11] [14 15 16] [19 20 21]] [[7 8] [12 13] [17 18] [22 23]]);
tile!(v6; [4 5 6 7 8 9] [10 11 12 13 14 15] [16 17 18 19 20 21] [22 23 24 25 26 27];
    [[4 5 6] [10 11 12] [16 17 18] [22 23 24]] [[7 8 9] [13 14 15] [19 20 21] [25 26 27]]);
tile!(v7; [4 5 6 7 8 9 10] [11 12 13 14 15 16 17] [18 19 20 21 22 23 24] [25 26 27 28 29 30 31];
    [[4 5 6] [11 12 13] [18 19 20] [25 26 27]] [[7 8 9] [14 15 16] [21 22 23] [28 29 30]] [[10] [17] [24] [31]]);

/// The micro-kernel of four channels.
///
/// # Safety
/// As [`crate::kernel::direct_nchw::Micro`].
#[target_feature(enable = "neon")]
pub(super) unsafe fn four(t: &Tile) {
    let tiles = [v1, v2, v3, v4, v5, v6, v7];
    for r in 0..t.count {
        let row = t.staged.wrapping_add(r * t.stage_row);
        for x in (0..t.ow).step_by(PIXELS) {
            let count = PIXELS.min(t.ow - x);
            let tile = tiles[count.div_ceil(4) - 1];
            let out = t.out.wrapping_add(r * t.out_row + x);
            // SAFETY: staged rows are whole vectors long, and so is the copy; of outputs `count` are written.
            unsafe {
                if count.is_multiple_of(4) {
                    tile(t, row.add(x), out, t.out_channel);
                } else {
                    let mut copy = [[0.0; PIXELS]; 4];
                    tile(t, row.add(x), copy.as_mut_ptr().cast(), PIXELS);
                    for (m, sums) in copy.iter().enumerate() {
                        out.add(m * t.out_channel).copy_from_nonoverlapping(sums.as_ptr(), count);
                    }
                }
            }
        }
    }
}

/// Copies of neighbours and of every second element; a call of the general copy would take longer than these short runs.
///
/// # Safety
/// As [`staged_nchw::CopyFn`].
#[target_feature(enable = "neon")]
pub(super) unsafe fn copy(to: *mut f32, from: *const f32, count: usize, stride: usize) {
    let mut at = 0;
    // SAFETY: by contract: blocks end before the last element, or with it.
    unsafe {
        if stride == 1 {
            while at + 16 <= count {
                vst1q_f32_x4(to.add(at), vld1q_f32_x4(from.add(at)));
                at += 16;
            }
            while at + 4 <= count {
                vst1q_f32(to.add(at), vld1q_f32(from.add(at)));
                at += 4;
            }
        } else if stride == 2 {
            while at + 16 < count {
                let (low, high) = (vld2q_f32(from.add(2 * at)), vld2q_f32(from.add(2 * at + 8)));
                let (more, most) = (vld2q_f32(from.add(2 * at + 16)), vld2q_f32(from.add(2 * at + 24)));
                vst1q_f32_x4(to.add(at), float32x4x4_t(low.0, high.0, more.0, most.0));
                at += 16;
            }
            while at + 4 < count {
                vst1q_f32(to.add(at), vld2q_f32(from.add(2 * at)).0);
                at += 4;
            }
        }
        if at < count {
            staged_nchw::copy(to.add(at), from.add(at * stride), count - at, stride);
        }
    }
}
