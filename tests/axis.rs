//! The arithmetic of windows along an axis, against visiting every tap; and counts too large to be visited.

#[path = "../src/axis.rs"]
mod arithmetic;

use lightconv::shape::valid_outputs;
use lightconv::{Conv2dShape, Cost};

#[test]
fn taps_and_inner_outputs_agree_with_enumeration() {
    for len in 1..8usize {
        for k in 1..5usize {
            for stride in 1..4usize {
                for before in 0..k {
                    let out = (len + before).saturating_sub(k) / stride + 2;
                    let inside = |o: usize| (0..k).filter(move |t| (before..before + len).contains(&(o * stride + t)));
                    let (first, end) = arithmetic::inner(out, stride, k, before, len);
                    for o in (0..out).filter(|&o| inside(o).count() > 0) {
                        let want = (o * stride + inside(o).next().unwrap() - before, inside(o).count());
                        assert_eq!(
                            arithmetic::taps(o, stride, k, before, len),
                            want,
                            "{len} {k} {stride} {before} {o}"
                        );
                        assert_eq!((first..end).contains(&o), want.1 == k, "{len} {k} {stride} {before} {o}");
                    }
                }
            }
        }
    }
}

#[test]
fn valid_outputs_agree_with_enumeration() {
    for len in 1..9 {
        for (stride, dilation, before) in [(1, 1, 0), (1, 1, 1), (2, 1, 1), (2, 3, 4), (3, 2, 2)] {
            for k in 0..4 {
                let out = 12;
                let inside = |o: &usize| (before..len + before).contains(&(o * stride + k * dilation));
                let want: Vec<usize> = (0..out).filter(inside).collect();
                let (a, b) = valid_outputs(k, len, out, stride, dilation, before);
                assert_eq!((a..b).collect::<Vec<_>>(), want, "{len} {stride} {dilation} {before} {k}");
            }
        }
    }
}

#[test]
fn valid_pairs_agree_with_enumeration() {
    for len in 1..8 {
        for (stride, dilation) in [(1, 1), (2, 1), (1, 2), (2, 3), (3, 2), (5, 4), (4, 6)] {
            for taps in 1..6 {
                for before in 0..=(taps - 1) * dilation {
                    for out in 1..7 {
                        let inside = |o: usize, k: usize| (before..before + len).contains(&(o * stride + k * dilation));
                        let want = (0..out * taps).filter(|i| inside(i / taps, i % taps)).count();
                        let got = arithmetic::valid_pairs(out, stride, taps, dilation, before, len);
                        assert_eq!(got, want as u128, "{out} {stride} {taps} {dilation} {before} {len}");
                    }
                }
            }
        }
    }
}

#[cfg(target_pointer_width = "64")]
#[test]
fn huge_shapes_are_counted_at_once_or_refused() {
    let long = Conv2dShape::new_1d(1, 1 << 40, 1, 1, 1 << 20);
    let cost = Cost::of(&long).unwrap();
    assert_eq!(cost.valid_multiplies, cost.multiplies);
    assert_eq!(cost.multiplies, ((1 << 40) - (1 << 20) + 1) << 20);
    // 2^60 taps on as many outputs.
    assert!(Cost::of(&Conv2dShape::new_1d(1, 1 << 60, 1, 1, 1 << 59).pad_hw(0, 1 << 58)).is_err());
    let most = Cost { multiplies: u64::MAX, ..Cost::default() };
    assert_eq!(most.plus(&Cost::default()), Ok(most));
    assert!(most.plus(&Cost { multiplies: 1, ..Cost::default() }).is_err());
}
