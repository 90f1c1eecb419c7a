//! Channel shuffle: see [`crate::kernel::shuffle`].
//!
//! Three groups, the usual number of ShuffleNet V1, are written by hand. Channel `k` of group `g` becomes channel `3 k + g`,
//! and the multiples of 3 modulo 8 are all different: so one permutation of a group's eight channels puts each into the lane
//! where it is needed, and the three stores are blends of three such registers. 3 loads, 3 permutations and 6 blends for 24
//! channels; what the compiler makes of the general loop moves every fourth one by itself.

use super::vector::F32x8;
use crate::kernel::shuffle::{self, Pairs, Pixels};
use core::arch::x86_64::{
    __m256i, _mm256_blend_ps, _mm256_loadu_ps, _mm256_permutevar8x32_ps, _mm256_setr_epi32, _mm256_storeu_ps,
};

/// # Safety
/// As [`shuffle::pixels`].
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn pixels(p: &Pixels) {
    // SAFETY: the caller's promise is the same.
    unsafe { if p.groups == 3 && p.per_group >= 8 { three(p) } else { shuffle::pixels::<F32x8>(p) } }
}

/// # Safety
/// As [`shuffle::pixels`], with three groups of at least eight channels.
#[target_feature(enable = "avx2,fma")]
pub(in crate::arch::x86_64) unsafe fn three(p: &Pixels) {
    // Lane `l` of group `g`: the channel `k` with `3 k + g = l` modulo 8.
    let lanes: [__m256i; 3] = [
        _mm256_setr_epi32(0, 3, 6, 1, 4, 7, 2, 5),
        _mm256_setr_epi32(5, 0, 3, 6, 1, 4, 7, 2),
        _mm256_setr_epi32(2, 5, 0, 3, 6, 1, 4, 7),
    ];
    for pixel in 0..p.pixels {
        // SAFETY: the eight channels end with the group at the latest, the outputs with the pixel.
        unsafe {
            let (from, to) = (p.input.add(pixel * p.input_step), p.output.add(pixel * p.output_step));
            let mut next = 0;
            while next < p.per_group {
                // The last ones are moved back, over channels already done.
                let at = next.min(p.per_group - 8);
                next += 8;
                let row =
                    |g: usize| _mm256_permutevar8x32_ps(_mm256_loadu_ps(from.add(g * p.per_group + at)), lanes[g]);
                let (a, b, c) = (row(0), row(1), row(2));
                let to = to.add(3 * at);
                // abcabcab, cabcabca, bcabcabc
                _mm256_storeu_ps(to, _mm256_blend_ps::<0b00100100>(_mm256_blend_ps::<0b10010010>(a, b), c));
                _mm256_storeu_ps(to.add(8), _mm256_blend_ps::<0b01001001>(_mm256_blend_ps::<0b00100100>(a, b), c));
                _mm256_storeu_ps(to.add(16), _mm256_blend_ps::<0b10010010>(_mm256_blend_ps::<0b01001001>(a, b), c));
            }
        }
    }
}

/// # Safety
/// As [`shuffle::pairs`].
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn pairs(p: &Pairs) {
    // SAFETY: the caller's promise is the same.
    unsafe { shuffle::pairs::<F32x8>(p) }
}
