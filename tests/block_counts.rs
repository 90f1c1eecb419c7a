//! The counts of blocks are proved as those of single operations are: a number that counts its multiplies and adds, run
//! through the composition of reference operations, gives exactly the closed form; and the closed forms give the ratios
//! that the papers state.

use crate::common::block_strategy::{KINDS, blocks};
use crate::common::blocks::{Block, Number, Tensor, Weights};
use crate::common::rows::cases;
use crate::common::strategy::runner;
use lightconv::block::*;
use lightconv::reference::{Counted, Counts};
use lightconv::{Activation, Conv2dShape, Cost, Dims, Layout};
use proptest::prelude::*;
use std::cell::Cell;

/// Activations are not counted.
impl Number for Counted<'_, i64> {
    fn activate(self, _: Activation) -> Self {
        self
    }
}

/// What the reference counts, with the counter on the input and perhaps on the weights.
fn count(block: &Block, layout: Layout, on_weights: bool) -> Counts {
    let counter = Cell::new(Counts::default());
    let number = |i: usize, counted: bool| {
        let value = (i * 7 % 5) as i64 - 2;
        if counted { Counted::new(value, &counter) } else { Counted::constant(value) }
    };
    let dims = block.input_dims();
    let input = Tensor { dims, data: (0..dims.elements().unwrap()).map(|i| number(i, true)).collect() };
    let weights = block.convolutions().into_iter().map(|s| Weights {
        weights: (0..s.weight_len().unwrap()).map(|i| number(i, on_weights)).collect(),
        bias: Some((0..s.c_out).map(|i| number(i, false)).collect()),
    });
    let weights: Vec<_> = weights.collect();
    let output = block.reference(layout, &weights, &input);
    assert_eq!(output.dims, block.output_dims());
    counter.get()
}

#[test]
fn blocks_cost_what_the_reference_counts() {
    for kind in 0..KINDS {
        let layouts = prop_oneof![Just(Layout::Nhwc), Just(Layout::Nchw)];
        let check = |(block, layout): (Block, Layout)| {
            let cost = block.cost();
            let all = count(&block, layout, true);
            prop_assert_eq!(all, Counts { multiplies: cost.multiplies, adds: cost.adds });
            let valid = count(&block, layout, false);
            prop_assert_eq!(valid.multiplies, cost.valid_multiplies);
            let parameters: usize = block.convolutions().iter().map(|s| s.weight_len().unwrap() + s.c_out).sum();
            let parameters = parameters - block.unused_parameters();
            prop_assert_eq!(cost.parameters, parameters as u64);
            let moved = block.input_dims().elements().unwrap() + block.output_dims().elements().unwrap();
            prop_assert_eq!(cost.bytes, 4 * (moved + parameters) as u64);
            Ok(())
        };
        let result = runner(cases().min(48)).run(&(blocks(kind), layouts), check);
        result.unwrap_or_else(|e| panic!("kind {kind}: {e}"));
    }
}

fn multiplies(cost: Result<Cost, lightconv::Error>) -> f64 {
    cost.unwrap().multiplies as f64
}

#[test]
fn a_separable_block_costs_the_papers_part_of_the_standard_convolution() {
    for (c, c_out, k, s) in [(32, 64, 3, 1), (64, 128, 3, 2), (512, 512, 5, 1), (7, 19, 7, 1)] {
        let shape = SeparableShape::new(Dims::new(2, 28, 14, c), c_out, k, s, Activation::Relu).unwrap();
        let ratio = multiplies(shape.cost()) / multiplies(Cost::of(&shape.standard()));
        let paper = 1.0 / c_out as f64 + 1.0 / (k * k) as f64;
        assert!((ratio - paper).abs() < 1e-12, "{ratio} is not {paper}");
    }
}

#[test]
fn a_ghost_module_saves_nearly_its_ratio() {
    for (c, m, ratio, k, d) in [(64, 32, 2, 1, 3), (128, 16, 4, 3, 3), (480, 56, 2, 1, 5), (256, 64, 3, 3, 5)] {
        let x = Dims::new(1, 14, 14, c);
        let shape = GhostShape::new(x, m * ratio, ratio, k, d, 1, Activation::Relu).unwrap();
        let pixels = 14 * 14;
        let want = pixels * m * (c * k * k + (ratio - 1) * d * d);
        assert_eq!(shape.cost().unwrap().multiplies, want as u64);
        // The paper's speed-up, and its approximation s * c / (s + c - 1) where the kernels are of one size.
        let saved = multiplies(Cost::of(&shape.standard())) / multiplies(shape.cost());
        let (s, ck, d2) = (ratio as f64, (c * k * k) as f64, (d * d) as f64);
        assert!((saved - s * ck / (ck + (s - 1.0) * d2)).abs() < 1e-12);
        if k == d {
            assert!((saved - s * c as f64 / (s + c as f64 - 1.0)).abs() < 1e-12);
        }
    }
}

/// Where the ratio does not divide the channels, the convolution gives more of them, and no filter is computed in vain.
#[test]
fn a_ghost_module_gives_any_number_of_channels() {
    for (c_out, ratio, m) in [(7, 2, 4), (10, 3, 4), (5, 4, 2), (3, 3, 1), (11, 4, 3)] {
        let shape = GhostShape::new(Dims::new(1, 14, 14, 16), c_out, ratio, 1, 3, 1, Activation::Relu).unwrap();
        let [primary, cheap] = shape.convolutions();
        assert_eq!((primary.c_out, cheap.c_out, shape.output_dims().c), (m, m * (ratio - 1), c_out));
        assert_eq!(shape.cost().unwrap().multiplies, (14 * 14 * (m * 16 + (c_out - m) * 9)) as u64);
    }
}

#[test]
fn units_cost_what_the_shufflenet_paper_compares() {
    // For an input c x h x w and m channels of the bottleneck: hw (2cm + 9m²), hw (2cm + 9m²/g), hw (2cm/g + 9m).
    for (c, m, g, size) in [(240, 60, 3, 28), (480, 120, 3, 14), (384, 96, 8, 28), (256, 64, 4, 14)] {
        let x = Dims::new(1, size, size, c);
        let relu = Activation::Relu;
        let hw = size * size;
        let resnet = BottleneckShape::new(x, m, c, 3, 1, 1, relu).unwrap().cost().unwrap();
        assert_eq!(resnet.multiplies, (hw * (2 * c * m + 9 * m * m)) as u64);
        let resnext = BottleneckShape::new(x, m, c, 3, 1, g, relu).unwrap().cost().unwrap();
        assert_eq!(resnext.multiplies, (hw * (2 * c * m + 9 * m * m / g)) as u64);
        let unit = ShuffleV1Shape::basic(x, m, g, relu).unwrap().cost().unwrap();
        assert_eq!(unit.multiplies, (hw * (2 * c * m / g + 9 * m)) as u64);
    }
}

#[test]
fn an_inverted_residual_costs_the_papers_form() {
    // h w d' t (d' + k² + d'') for stride 1 (MobileNetV2, section 3.3).
    for (c, t, c_out, k) in [(24, 6, 24, 3), (64, 6, 96, 3), (40, 3, 40, 5)] {
        let shape = InvertedResidualShape::new(Dims::new(1, 14, 14, c), c * t, c_out, k, 1, Activation::Relu6).unwrap();
        assert_eq!(shape.cost().unwrap().multiplies, (14 * 14 * c * t * (c + k * k + c_out)) as u64);
    }
}

#[test]
fn shapes_that_make_no_sense_are_refused() {
    let x = Dims::new(1, 8, 8, 6);
    let (relu, none) = (Activation::Relu, Activation::None);
    let bad = Activation::Clamp { lo: 1.0, hi: 0.0 };
    let huge = Dims::new(1 << 20, 1 << 20, 1 << 20, 6);
    let conv = |c_in, c_out| Branch::Conv(Conv2dShape::new(1, 8, 8, c_in, c_out, [1, 1]), none);
    let small = Branch::Conv(Conv2dShape::new(1, 8, 8, 6, 4, [3, 3]), none);
    let errors = [
        SeparableShape::new(x, 0, 3, 1, relu).map(|_| ()),
        SeparableShape::new(x, 8, 2, 1, relu).map(|_| ()),
        SeparableShape::new(x, 8, 0, 1, relu).map(|_| ()),
        SeparableShape::new(x, 8, 3, 0, relu).map(|_| ()),
        SeparableShape::new(x, 8, 3, 1, bad).map(|_| ()),
        SeparableShape::new(huge, 8, 3, 1, relu).map(|_| ()),
        SeparableShape::new(Dims::new(0, 8, 8, 6), 8, 3, 1, relu).map(|_| ()),
        InvertedResidualShape::new(x, 0, 6, 3, 1, relu).map(|_| ()),
        InvertedResidualShape::new(x, usize::MAX, 6, 3, 1, relu).map(|_| ()),
        InvertedResidualShape::new(x, 12, 6, 3, 1, relu).unwrap().squeeze_excite(SqueezeExcite::hard(0)).map(|_| ()),
        GhostShape::new(x, 8, 1, 1, 3, 1, relu).map(|_| ()),
        GhostShape::new(x, 8, 9, 1, 3, 1, relu).map(|_| ()),
        GhostShape::new(x, 0, 2, 1, 3, 1, relu).map(|_| ()),
        GhostBottleneckShape::new(x, 1, 6, 3, 1).map(|_| ()),
        ShuffleV1Shape::basic(x, 6, 0, relu).map(|_| ()),
        ShuffleV1Shape::basic(x, 4, 3, relu).map(|_| ()),
        ShuffleV1Shape::basic(x, 8, 4, relu).map(|_| ()),
        ShuffleV1Shape::down(x, 6, 6, 3, 3, relu).map(|_| ()),
        ShuffleV1Shape::down(x, 6, 12, 3, 2, relu).map(|_| ()),
        ShuffleV2Shape::basic(Dims { c: 5, ..x }, 3, relu).map(|_| ()),
        ShuffleV2Shape::down(x, 7, 3, 2, relu).map(|_| ()),
        BottleneckShape::new(x, 6, 6, 3, 1, 4, relu).map(|_| ()),
        ConcatShape::new(x, vec![]).map(|_| ()),
        ConcatShape::new(x, vec![vec![]]).map(|_| ()),
        ConcatShape::new(x, vec![vec![conv(5, 4)]]).map(|_| ()),
        ConcatShape::new(x, vec![vec![conv(6, 4), conv(5, 4)]]).map(|_| ()),
        ConcatShape::new(x, vec![vec![conv(6, 4)], vec![small]]).map(|_| ()),
        ConcatShape::new(x, vec![vec![conv(6, 6); 33]]).map(|_| ()),
    ];
    for (i, error) in errors.into_iter().enumerate() {
        let e = error.expect_err(&format!("shape {i}"));
        assert!(!e.to_string().is_empty());
    }
}
