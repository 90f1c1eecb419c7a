//! Folder = instruction set, file = algorithm: thin `#[target_feature]` instantiations of [`crate::kernel`].
//!
//! A missing kernel is a missing file. Each tier lists its registry rows in its `mod.rs`.

use crate::isa::Isa;
use crate::kernel::Kernel;
use crate::kernel::ops::Ops;

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod portable;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86_64;

/// An array of one micro-kernel at several first const parameters: `micros!(micro; 2; 1 2 3)` is
/// `[micro::<1, 2>, micro::<2, 2>, micro::<3, 2>]`.
macro_rules! micros {
    ($micro:ident; $second:literal; $($first:literal)*) => {
        &[$($micro::<$first, $second>),*]
    };
}
use micros;

/// Depthwise micro-kernels of some widths: `widths!(micro; K S R; 8 4 1)`.
macro_rules! widths {
    ($micro:ident; $k:literal $s:literal $r:literal; $($p:literal)*) => {
        &[$(Width {
            pixels: $p,
            micros: [
                [$micro::<$k, $s, $r, $p, false>, $micro::<$k, $s, 1, $p, false>],
                [$micro::<$k, $s, $r, $p, true>, $micro::<$k, $s, 1, $p, true>],
            ],
        }),*]
    };
}
use widths;

/// Micro-kernels for depthwise lines: `lines!(micro; K stride: pixels ...; ...)`.
macro_rules! lines {
    ($micro:ident; $($k:literal $s:literal: $($p:literal)*);*) => {
        &[$(Line {
            k: $k,
            stride: $s,
            widths: &[$(Width {
                pixels: $p,
                micros: [[$micro::<$k, $s, $p, false>; 2], [$micro::<$k, $s, $p, true>; 2]],
            }),*],
        }),*]
    };
}
use lines;

/// Micro-kernels for depthwise along rows of some widths: `carries!(micro; K stride O; pixels ...)`.
#[cfg(target_arch = "x86_64")]
macro_rules! carries {
    ($micro:ident; $k:literal $s:literal $o:literal; $($p:literal)*) => {
        &[$(Width {
            micros: [
                [$micro::<$k, $s, $o, $p, false, false>, $micro::<$k, $s, $o, $p, false, true>],
                [$micro::<$k, $s, $o, $p, true, false>, $micro::<$k, $s, $o, $p, true, true>],
            ],
        }),*]
    };
}
#[cfg(target_arch = "x86_64")]
use carries;

/// Micro-kernels for depthwise strips of some widths: `strips!(micro; K stride M; vectors of channels; pixels ...)`.
#[cfg(all(target_arch = "x86_64", feature = "avx512"))]
macro_rules! strips {
    ($micro:ident; $k:literal $s:literal $m:literal; $n:literal; $($p:literal)*) => {
        &[$(Width { pixels: $p, micros: [$micro::<$k, $s, $m, $p, $n, false>, $micro::<$k, $s, $m, $p, $n, true>] }),*]
    };
}
#[cfg(all(target_arch = "x86_64", feature = "avx512"))]
use strips;

/// Direct micro-kernels of some widths and numbers of vectors: `direct_widths!(micro; STEP; [1 2]; 8 4 1)`.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! direct_widths {
    ($micro:ident; $step:literal; $nvs:tt; $($p:literal)*) => {
        &[$(Width { pixels: $p, micros: $crate::arch::direct_widths!(@ $micro; $step; $p; $nvs) }),*]
    };
    (@ $micro:ident; $step:literal; $p:literal; [$($nv:literal)*]) => {
        &[$($micro::<$step, $p, $nv>),*]
    };
}
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use direct_widths;

/// Micro-kernels for any kernel, of some widths: `any_widths!(micro; 8 7 4 1)`, or of some rows and of one,
/// `any_widths!(micro; ROWS; 8 7 4 1)`.
macro_rules! any_widths {
    ($micro:ident; $($p:literal)*) => {
        &[$(Width { pixels: $p, micros: [[$micro::<$p>; 2]; 2] }),*]
    };
    ($micro:ident; $r:literal; $($p:literal)*) => {
        &[$(Width { pixels: $p, micros: [[$micro::<$r, $p>, $micro::<1, $p>]; 2] }),*]
    };
}
use any_widths;

/// The Winograd kernels of a tier, `NAME: TILE LAYOUT`.
macro_rules! winograds {
    ($lanes:literal; $($name:ident: $tile:literal $layout:ident),*) => {
        $(pub(super) static $name: Winograd = Winograd {
            lanes: $lanes,
            tile: $tile,
            layout: $layout,
            products: PRODUCTS,
            transform: Transform { input: [input::<$tile, false>, input::<$tile, true>], output: output::<$tile> },
            stage_in,
            stage_out,
        };)*
    };
}
use winograds;

/// All rows of this architecture.
pub(crate) fn kernels() -> impl Iterator<Item = &'static Kernel> {
    let rows = scalar::KERNELS.iter().chain(portable::KERNELS);
    #[cfg(target_arch = "x86_64")]
    let rows = rows.chain(x86_64::avx2::KERNELS);
    #[cfg(all(target_arch = "x86_64", feature = "avx512"))]
    let rows = rows.chain(x86_64::avx512::KERNELS);
    #[cfg(target_arch = "aarch64")]
    let rows = rows.chain(aarch64::neon::KERNELS);
    rows
}

/// The operations beside convolution of a tier; nothing if the tier is another architecture's.
pub(crate) fn ops(isa: Isa) -> Option<&'static Ops> {
    match isa {
        Isa::Scalar => Some(&scalar::OPS),
        Isa::Portable => Some(&portable::OPS),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => Some(&x86_64::avx2::OPS),
        #[cfg(all(target_arch = "x86_64", feature = "avx512"))]
        Isa::Avx512 => Some(&x86_64::avx512::OPS),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => Some(&aarch64::neon::OPS),
        #[allow(unreachable_patterns)]
        _ => None,
    }
}
