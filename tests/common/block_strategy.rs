//! Random blocks of every kind.
#![allow(dead_code)] // every test binary uses a part of it

use super::blocks::Block;
use lightconv::block::*;
use lightconv::{Activation, Conv2dShape, Dims, Error, Padding, Pooling};
use proptest::prelude::*;
use proptest::strategy::Union;

/// The kinds.
pub const KINDS: usize = 8;

fn activation() -> impl Strategy<Value = Activation> {
    prop_oneof![
        3 => Just(Activation::Relu),
        3 => Just(Activation::Relu6),
        1 => Just(Activation::None),
        2 => Just(Activation::HardSwish),
        1 => Just(Activation::Silu),
    ]
}

fn squeeze_excite() -> impl Strategy<Value = Option<SqueezeExcite>> {
    prop_oneof![
        2 => Just(None),
        1 => (1..=9usize).prop_map(|c| Some(SqueezeExcite::hard(c))),
        1 => (1..=9usize).prop_map(|c| Some(SqueezeExcite::silu(c))),
    ]
}

fn input(c: impl Strategy<Value = usize>) -> impl Strategy<Value = Dims> {
    (1..=2usize, 1..=15usize, 1..=15usize, c).prop_map(|(n, h, w, c)| Dims::new(n, h, w, c))
}

fn kernel() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(3usize), 2 => Just(5usize), 1 => Just(1usize), 1 => Just(7usize)]
}

fn channels() -> impl Strategy<Value = usize> + Clone {
    prop_oneof![1..=9usize, 1..=40usize, Just(16usize), Just(32usize)]
}

/// Uneven padding, as TensorFlow pads: what keeps `ceil(size / stride)` rows.
fn uneven(kernel: usize) -> Padding {
    let all = kernel - 1;
    Padding { top: all / 2, left: all / 2, bottom: all / 2, right: all / 2 }
}

fn ok<S: std::fmt::Debug>(s: Result<S, Error>) -> S {
    s.expect("a valid block")
}

/// Blocks of one kind.
pub fn blocks(kind: usize) -> BoxedStrategy<Block> {
    let stride = 1..=2usize;
    match kind {
        0 => (input(channels()), channels(), kernel(), 1..=3usize, activation(), activation(), any::<bool>())
            .prop_map(|(x, c, k, s, a, b, pads)| {
                let mut shape = ok(ok(SeparableShape::new(x, c, k, s, a)).activations(a, b));
                if pads && x.h >= k && x.w >= k {
                    shape = ok(shape.padding(Padding { top: 0, left: 0, ..uneven(k) }));
                }
                Block::Separable(shape)
            })
            .boxed(),
        1 => (
            (input(channels()), channels(), 1..=6usize, kernel(), stride),
            activation(),
            squeeze_excite(),
            any::<[bool; 2]>(),
        )
            .prop_map(|((x, c, t, k, s), a, se, [same, pads])| {
                let c = if same { x.c } else { c };
                let mut shape = ok(InvertedResidualShape::new(x, x.c * t, c, k, s, a));
                if let Some(se) = se {
                    shape = ok(shape.squeeze_excite(se));
                }
                if pads && x.h >= k && x.w >= k {
                    shape = ok(shape.padding(Padding { top: 0, left: 0, ..uneven(k) }));
                }
                Block::InvertedResidual(shape)
            })
            .boxed(),
        2 => (input(channels()), 0..=70usize, 2..=4usize, kernel(), kernel(), stride, activation())
            .prop_map(|(x, more, ratio, k, d, s, a)| {
                Block::Ghost(ok(GhostShape::new(x, ratio + more, ratio, k, d, s, a)))
            })
            .boxed(),
        3 => (input(2..=24usize), 2..=48usize, 2..=24usize, kernel(), stride, squeeze_excite())
            .prop_flat_map(|all| (Just(all), any::<bool>()))
            .prop_map(|((x, e, c, k, s, se), same)| {
                let c = if same { x.c } else { c };
                let mut shape = ok(GhostBottleneckShape::new(x, e, c, k, s));
                if let Some(se) = se {
                    shape = ok(shape.squeeze_excite(se));
                }
                Block::GhostBottleneck(shape)
            })
            .boxed(),
        4 => (1..=8usize, 1..=24usize, 1..=8usize, 1..=9usize, any::<[bool; 2]>(), activation(), input(Just(1)))
            .prop_map(|(g, per, c, more, [down, first], a, x)| {
                // Bounded, whatever the groups.
                let per = per.min(96 / g);
                let x = Dims { c: c * g, ..x };
                let s = if down {
                    let c_out = x.c + more * g;
                    ok(ShuffleV1Shape::down(x, per * g, c_out, g, if first { 1 } else { g }, a))
                } else {
                    ok(ShuffleV1Shape::basic(x, per * g, g, a))
                };
                Block::ShuffleV1(s)
            })
            .boxed(),
        5 => {
            (input((1..=20usize).prop_map(|c| 2 * c)), 1..=24usize, kernel(), stride, any::<[bool; 2]>(), activation())
                .prop_map(|(x, c, k, s, [down, shuffled], a)| {
                    let shape =
                        if down { ShuffleV2Shape::down(x, 2 * c, k, s, a) } else { ShuffleV2Shape::basic(x, k, a) };
                    Block::ShuffleV2(if shuffled { ok(shape) } else { ok(shape).without_shuffle() })
                })
                .boxed()
        }
        6 => (input(channels()), 1..=8usize, 1..=6usize, channels(), stride, any::<[bool; 2]>(), activation())
            .prop_map(|(x, g, per, c, s, [same, first], a)| {
                let c = if same { x.c } else { c };
                let shape = ok(BottleneckShape::new(x, g * per, c, 3, s, g, a));
                Block::Bottleneck(if first { ok(shape.stride_first()) } else { shape })
            })
            .boxed(),
        _ => (input(channels()), [channels(), channels(), channels(), channels()], stride, activation())
            .prop_map(|(x, [a, b, c, d], s, act)| {
                let conv = |c_in, c_out, k: usize, s| {
                    let shape = Conv2dShape::new(x.n, x.h, x.w, c_in, c_out, [k; 2]).pad(k / 2).stride(s);
                    Branch::Conv(shape, act)
                };
                let pool = |p, s| {
                    let shape = Conv2dShape::new(x.n, x.h, x.w, x.c, x.c, [3; 2]).groups(x.c).pad(1).stride(s);
                    Branch::Pool(p, shape)
                };
                let mut branches = vec![
                    vec![conv(x.c, a, 1, s)],
                    vec![conv(x.c, b, 1, 1), conv(b, c, 3, s)],
                    vec![conv(x.c, c, 1, 1), conv(c, d, 3, 1), conv(d, a, 5, s)],
                    vec![pool(Pooling::Average, s)],
                ];
                if s == 1 {
                    branches.push(vec![pool(Pooling::Max, 1), conv(x.c, d, 1, 1)]);
                }
                Block::Concat(ok(ConcatShape::new(x, branches)))
            })
            .boxed(),
    }
}

/// Blocks of all kinds.
pub fn any_block() -> BoxedStrategy<Block> {
    Union::new((0..KINDS).map(blocks)).boxed()
}
