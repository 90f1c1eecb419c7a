//! The loops in plain Rust and in `wide`, compiled for the target's baseline.

use super::multiply_loop;
use std::hint::black_box;
use wide::f32x4;

/// `N` multiplies and adds of one lane a step. The compiler may join neighbours into vectors of the target's baseline,
/// as it may in scalar kernels. The product is part of the chain: out of it, it would be computed once.
pub fn multiply_scalar<const N: usize>(steps: u64) {
    multiply_loop!(steps, N, std::convert::identity::<f32>, |x, y, c| c * x + y);
}

/// Multiplies and adds of 4 lanes; 16 registers hold 12 accumulators.
pub fn multiply_portable(steps: u64) {
    multiply_loop!(steps, 12, f32x4::splat, |x, y, c: f32x4| c.mul_add(x, y));
}

/// The widest loads that the compiler finds for the target's baseline.
pub fn read_plain(data: &[f32], passes: u64) {
    let mut any = [0u32; 32];
    for _ in 0..passes {
        for piece in black_box(data).chunks_exact(32) {
            for (a, x) in any.iter_mut().zip(piece) {
                *a |= x.to_bits();
            }
        }
    }
    black_box(any);
}
