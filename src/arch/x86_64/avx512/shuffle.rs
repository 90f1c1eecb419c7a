//! Channel shuffle: see [`crate::kernel::shuffle`].
//!
//! Three groups, the usual number of ShuffleNet V1, are written by hand: sixteen outputs are six neighbours of each group at
//! most, so that two groups fit one register, and one permutation of two registers makes a store. What the compiler makes
//! of the general loop takes three times as many instructions.

use crate::kernel::shuffle::{self, Pairs, Pixels};
use core::arch::x86_64::{
    _mm256_castps_pd, _mm256_loadu_ps, _mm512_add_epi32, _mm512_castpd_ps, _mm512_castps_pd, _mm512_castps256_ps512,
    _mm512_insertf64x4, _mm512_loadu_si512, _mm512_permutex2var_ps, _mm512_set1_epi32, _mm512_storeu_ps,
};

/// # Safety
/// As [`shuffle::pixels`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
pub(super) unsafe fn pixels(p: &Pixels) {
    // SAFETY: the caller's promise is the same.
    unsafe { if p.groups == 3 && p.per_group >= 8 { three(p) } else { shuffle::pixels(p) } }
}

/// Lanes of the two registers that hold eight neighbours of each of three groups, for sixteen outputs of which the first
/// is of the group that is the index.
const LANES: [[i32; 16]; 3] = {
    let mut all = [[0; 16]; 3];
    let mut first = 0;
    while first < 3 {
        let mut lane = 0;
        while lane < 16 {
            let at = first + lane;
            all[first][lane] = (at % 3 * 8 + at / 3) as i32;
            lane += 1;
        }
        first += 1;
    }
    all
};

/// # Safety
/// As [`shuffle::pixels`], with three groups of at least eight channels.
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
unsafe fn three(p: &Pixels) {
    let (len, most) = (3 * p.per_group, p.per_group - 8);
    let mut next = 0;
    while next < len {
        // The last ones are moved back, over channels already done.
        let at = next.min(len - 16);
        next += 16;
        let first = (at / 3).min(most);
        // SAFETY: the eight neighbours end with the group at the latest, the sixteen outputs with the pixel.
        unsafe {
            let lanes = _mm512_loadu_si512(LANES[at % 3].as_ptr().cast());
            let lanes = _mm512_add_epi32(lanes, _mm512_set1_epi32((at / 3 - first) as i32));
            let (mut from, mut to) = (p.input.add(first), p.output.add(at));
            for _ in 0..p.pixels {
                let row = |g: usize| _mm256_loadu_ps(from.add(g * p.per_group));
                let low = _mm512_castpd_ps(_mm512_insertf64x4::<1>(
                    _mm512_castps_pd(_mm512_castps256_ps512(row(0))),
                    _mm256_castps_pd(row(1)),
                ));
                let high = _mm512_castps256_ps512(row(2));
                _mm512_storeu_ps(to, _mm512_permutex2var_ps(low, lanes, high));
                (from, to) = (from.wrapping_add(p.input_step), to.wrapping_add(p.output_step));
            }
        }
    }
}

/// # Safety
/// As [`shuffle::pairs`].
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
pub(super) unsafe fn pairs(p: &Pairs) {
    // SAFETY: the caller's promise is the same.
    unsafe { shuffle::pairs(p) }
}
