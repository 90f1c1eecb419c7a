//! Blocks equal the composition of reference operations: bit for bit on whole numbers, within a derived bound on real
//! ones; the bits depend neither on fusion, nor on the height of strips, nor on threads; nothing is allocated or touched
//! that should not be.

use crate::common::allocator::calls;
use crate::common::block_strategy::{self, KINDS};
use crate::common::blocks::{Block, Bounded, Number, Plan, Tensor, Weights};
use crate::common::case::{Backwards, Geometry, Placement};
use crate::common::data::{Random, SENTINEL};
use crate::common::rows::{cases, runs_here};
use crate::common::strategy::{placement, runner};
use crate::common::threads::Threads;
use lightconv::parallel::{Parallel, Serial};
use lightconv::{Isa, Layout, Options};
use proptest::prelude::*;
use std::cell::Cell;

/// A block, its data, and where its tensors lie.
#[derive(Debug)]
struct Case {
    block: Block,
    layout: Layout,
    input: Placement,
    output: Placement,
    strip_rows: usize,
    parts: usize,
    seed: u64,
}

fn case(kind: usize) -> impl Strategy<Value = Case> {
    let layout = prop_oneof![Just(Layout::Nhwc), Just(Layout::Nchw)];
    (block_strategy::blocks(kind), layout, placement(), placement(), 1..=5usize, 2..=4usize, any::<u64>()).prop_map(
        |(block, layout, input, output, strip_rows, parts, seed)| Case {
            block,
            layout,
            input,
            output,
            strip_rows,
            parts,
            seed,
        },
    )
}

fn tiers() -> impl Iterator<Item = Isa> {
    Isa::ALL.into_iter().filter(|&i| runs_here(i))
}

impl Case {
    fn geometry(&self) -> (Geometry, Geometry) {
        let (input, output) = (self.block.input_dims(), self.block.output_dims());
        (Geometry::new(self.layout, input, &self.input), Geometry::new(self.layout, output, &self.output))
    }

    /// The input slice, a NaN around and between the elements.
    fn data(&self, whole: bool) -> Vec<f32> {
        let g = self.geometry().0;
        let mut random = Random(self.seed ^ 1);
        let mut data = vec![f32::from_bits(SENTINEL); g.len];
        g.each(|[n, y, x, c]| {
            data[g.index(n, y, x, c)] = if whole { random.integer(4) } else { random.real() };
        });
        data
    }

    /// The output slice of a run. Nothing around the output was written.
    fn run(&self, plan: &dyn Plan, pool: &dyn Parallel, input: &[f32]) -> Result<Vec<f32>, TestCaseError> {
        let (from, to) = self.geometry();
        let mut output = vec![f32::from_bits(SENTINEL); to.len];
        let mut scratch = vec![f32::from_bits(SENTINEL); plan.scratch_len()];
        let input = from.view(input).unwrap();
        to.with_view_mut(&mut output, |out| plan.run_with(pool, &input, out, &mut scratch))
            .map_err(|e| TestCaseError::fail(format!("run: {e}")))?;
        let mut inside = vec![false; to.len];
        to.each(|[n, y, x, c]| inside[to.index(n, y, x, c)] = true);
        if let Some(i) = (0..to.len).find(|&i| !inside[i] && output[i].to_bits() != SENTINEL) {
            return Err(TestCaseError::fail(format!("element {i} outside the view was written")));
        }
        Ok(output)
    }

    fn reference<T: Number>(&self, input: &[f32], weights: &[Weights], f: impl Fn(f32) -> T) -> Tensor<T> {
        let g = self.geometry().0;
        let dense = Geometry::dense(self.layout, g.dims);
        let mut data = vec![T::zero(); dense.len];
        g.each(|[n, y, x, c]| data[dense.index(n, y, x, c)] = f(input[g.index(n, y, x, c)]));
        let convert = |v: &Vec<f32>| v.iter().map(|&x| f(x)).collect::<Vec<T>>();
        let weights: Vec<Weights<T>> = weights
            .iter()
            .map(|w| Weights { weights: convert(&w.weights), bias: w.bias.as_ref().map(convert) })
            .collect();
        self.block.reference(self.layout, &weights, &Tensor { dims: g.dims, data })
    }

    /// Options from plain to cut, as they may not change a bit.
    fn options(&self, isa: Isa) -> [Options<'static>; 5] {
        let all = Options::new().isa(isa);
        [
            all,
            all.fused(false),
            all.strip_rows(self.strip_rows),
            all.threads(self.parts).strip_rows(self.strip_rows),
            all.threads(self.parts).fused(false),
        ]
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

fn for_each_kind(divisor: u32, f: impl Fn(Case) -> Result<(), TestCaseError>) {
    for kind in 0..KINDS {
        let cases = (cases() / divisor).max(8);
        runner(cases).run(&case(kind), &f).unwrap_or_else(|e| panic!("kind {kind}: {e}"));
    }
}

#[test]
fn blocks_equal_the_reference_exactly_on_whole_numbers() {
    let exact = Cell::new(0);
    for_each_kind(1, |case| {
        if !case.block.is_exact_on_integers() {
            return Ok(());
        }
        exact.set(exact.get() + 1);
        let (input, weights) = (case.data(true), case.block.weights(case.seed, true));
        let want = case.reference(&input, &weights, |v| v);
        prop_assert!(want.data.iter().all(|v| v.abs() < 16_777_216.0), "sums are not exact");
        let (to, dense) = (case.geometry().1, Geometry::dense(case.layout, want.dims));
        for isa in tiers() {
            for options in case.options(isa) {
                let plan = case.block.plan(case.layout, &weights, &options).map_err(fail)?;
                prop_assert_eq!(plan.cost(), case.block.cost());
                let got = case.run(&*plan, &Backwards(case.parts), &input)?;
                to.try_each(|[n, y, x, c]| {
                    let (got, want) = (got[to.index(n, y, x, c)], want.data[dense.index(n, y, x, c)]);
                    prop_assert_eq!(
                        got.to_bits(),
                        want.to_bits(),
                        "{}: image {}, row {}, column {}, channel {} is {}, not {}\n{}",
                        isa,
                        n,
                        y,
                        x,
                        c,
                        got,
                        want,
                        plan.describe()
                    );
                    Ok(())
                })?;
            }
        }
        Ok(())
    });
    assert!(exact.get() as usize >= KINDS * 3, "{} cases were exact", exact.get());
}

fn fail(e: lightconv::Error) -> TestCaseError {
    TestCaseError::fail(e.to_string())
}

#[test]
fn blocks_are_within_the_bound_on_real_numbers() {
    for_each_kind(2, |case| {
        let (input, weights) = (case.data(false), case.block.weights(case.seed, false));
        let want = case.reference(&input, &weights, |v| Bounded::exact(f64::from(v)));
        let (to, dense) = (case.geometry().1, Geometry::dense(case.layout, want.dims));
        for isa in tiers() {
            let options = Options::new().isa(isa).strip_rows(case.strip_rows);
            let plan = case.block.plan(case.layout, &weights, &options).map_err(fail)?;
            let got = case.run(&*plan, &Serial, &input)?;
            to.try_each(|[n, y, x, c]| {
                let (got, want) = (f64::from(got[to.index(n, y, x, c)]), want.data[dense.index(n, y, x, c)]);
                let error = (got - want.value).abs();
                prop_assert!(error <= want.error, "{isa}: {got} is {error:e} off {want:?}\n{}", plan.describe());
                Ok(())
            })?;
        }
        Ok(())
    });
}

#[test]
fn the_bits_depend_on_neither_fusion_nor_strips_nor_threads() {
    let cut = Cell::new(0);
    for_each_kind(2, |mut case| {
        // Large enough for more than one part.
        if case.seed % 4 == 0 {
            case.block = larger(&case.block);
            (case.input, case.output) = (Placement::default(), Placement::default());
        }
        let (input, weights) = (case.data(false), case.block.weights(case.seed, false));
        for isa in tiers().filter(|i| *i >= Isa::Portable) {
            let mut want = None;
            for options in case.options(isa) {
                let plan = case.block.plan(case.layout, &weights, &options).map_err(fail)?;
                cut.set(cut.get() + u32::from(plan.threads() > 1));
                let pools = [&Serial as &dyn Parallel, &Backwards(9), &Threads(case.parts)];
                // A plan of one part leaves a pool nothing to do, which one of them shows.
                for &pool in &pools[..if plan.threads() > 1 { 3 } else { 2 }] {
                    let got = bits(&case.run(&*plan, pool, &input)?);
                    let want = want.get_or_insert_with(|| got.clone());
                    prop_assert!(*want == got, "{isa}: other bits with {options:?}\n{}", plan.describe());
                }
            }
        }
        Ok(())
    });
    assert!(cut.get() >= 20, "only {} plans were cut into parts", cut.get());
}

/// A block of the same kind that is worth several threads.
fn larger(block: &Block) -> Block {
    use lightconv::block::*;
    use lightconv::{Activation, Dims};
    let x = Dims::new(1, 23, 21, 48);
    match block {
        Block::Separable(_) => Block::Separable(SeparableShape::new(x, 64, 3, 1, Activation::Relu).unwrap()),
        Block::InvertedResidual(s) => {
            let mut shape = InvertedResidualShape::new(x, 144, 48, 3, 1, Activation::Relu6).unwrap();
            if let Some(se) = s.squeeze() {
                shape = shape.squeeze_excite(se).unwrap();
            }
            Block::InvertedResidual(shape)
        }
        Block::Ghost(_) => Block::Ghost(GhostShape::new(x, 96, 2, 3, 3, 1, Activation::Relu).unwrap()),
        Block::GhostBottleneck(s) => {
            let c = if s.shortcut().is_some() { 64 } else { 48 };
            Block::GhostBottleneck(GhostBottleneckShape::new(x, 128, c, 3, 1).unwrap())
        }
        Block::ShuffleV1(s) => Block::ShuffleV1(if s.pool().is_some() {
            ShuffleV1Shape::down(x, 60, 240, 3, 1, Activation::Relu).unwrap()
        } else {
            ShuffleV1Shape::basic(Dims { c: 240, ..x }, 60, 3, Activation::Relu).unwrap()
        }),
        Block::ShuffleV2(s) => Block::ShuffleV2(if s.left().is_some() {
            ShuffleV2Shape::down(x, 116, 3, 2, Activation::Relu).unwrap()
        } else {
            ShuffleV2Shape::basic(Dims { c: 116, ..x }, 3, Activation::Relu).unwrap()
        }),
        Block::Bottleneck(_) => Block::Bottleneck(BottleneckShape::new(x, 32, 64, 3, 2, 4, Activation::Relu).unwrap()),
        Block::Concat(s) => Block::Concat(s.clone()),
    }
}

#[test]
fn a_run_allocates_nothing() {
    for_each_kind(4, |case| {
        let (input, weights) = (case.data(false), case.block.weights(case.seed, false));
        for options in case.options(Isa::best().unwrap()) {
            let plan = case.block.plan(case.layout, &weights, &options).map_err(fail)?;
            let (from, to) = case.geometry();
            let (mut output, mut scratch) = (vec![0.0; to.len], vec![0.0; plan.scratch_len()]);
            let input = from.view(&input).unwrap();
            let (made, result) = to
                .with_view_mut(&mut output, |out| {
                    Ok(calls(|| {
                        plan.run(&input, out, &mut scratch)?;
                        plan.run_with(&Backwards(4), &input, out, &mut scratch)
                    }))
                })
                .unwrap();
            result.map_err(fail)?;
            prop_assert_eq!(made, 0);
        }
        Ok(())
    });
}

#[cfg(unix)]
#[test]
fn nothing_outside_the_slices_is_touched() {
    use crate::common::pages::{Arena, Flush, announced, explain_faults};
    explain_faults();
    let arenas = std::cell::RefCell::new([Arena::new(), Arena::new(), Arena::new()]);
    for_each_kind(2, |case| {
        let (input, weights) = (case.data(false), case.block.weights(case.seed, false));
        let mut arenas = arenas.borrow_mut();
        for isa in tiers() {
            for options in case.options(isa) {
                let plan = case.block.plan(case.layout, &weights, &options).map_err(fail)?;
                let (from, to) = case.geometry();
                for flush in [Flush::End, Flush::Start] {
                    let [a, b, c] = &mut *arenas;
                    let input = from.view(a.place(&input, flush)).unwrap();
                    let output = b.place(&vec![0.0; to.len], flush);
                    let scratch = c.place(&vec![f32::NAN; plan.scratch_len()], flush);
                    announced(&format!("\n{case:?} on {isa}, {flush:?}\n"), || {
                        to.with_view_mut(output, |out| plan.run_with(&Backwards(case.parts), &input, out, scratch))
                    })
                    .map_err(fail)?;
                }
            }
        }
        Ok(())
    });
}

#[test]
fn bad_arguments_are_errors_and_nothing_is_written() {
    for_each_kind(8, |case| {
        let weights = case.block.weights(case.seed, true);
        let layout = case.layout;
        let plan = |w: &[Weights], options: &Options<'_>| case.block.plan(layout, w, options);
        for options in [
            Options::new().threads(0),
            Options::new().strip_rows(0),
            Options::new().kernel("igemm_f32_nhwc_r1c1_scalar"),
        ] {
            prop_assert!(plan(&weights, &options).is_err(), "{options:?}");
        }
        for i in 0..weights.len() {
            let mut bad = weights.clone();
            bad[i].weights.push(0.0);
            prop_assert!(plan(&bad, &Options::new()).is_err());
            bad[i].weights = weights[i].weights[1..].to_vec();
            prop_assert!(plan(&bad, &Options::new()).is_err());
            bad[i] = weights[i].clone();
            bad[i].bias = Some(vec![0.0; case.block.convolutions()[i].c_out + 1]);
            prop_assert!(plan(&bad, &Options::new()).is_err());
        }
        let plan = plan(&weights, &Options::new().threads(4)).map_err(fail)?;
        let (x, y) = (case.block.input_dims(), case.block.output_dims());
        let input = vec![1.0; 2 * x.elements().unwrap()];
        let mut output = vec![7.0; 2 * y.elements().unwrap()];
        let mut scratch = vec![0.0; plan.scratch_len()];
        let other = if layout == Layout::Nhwc { Layout::Nchw } else { Layout::Nhwc };
        let view = |l, d| lightconv::View::dense(l, d, &input).unwrap();
        for (l, d, m, e, short) in [
            (other, x, layout, y, false),
            (layout, lightconv::Dims { c: x.c + 1, ..x }, layout, y, false),
            (layout, lightconv::Dims { n: x.n + 1, ..x }, layout, y, false),
            (layout, x, other, y, false),
            (layout, x, layout, lightconv::Dims { c: y.c + 1, ..y }, false),
            (layout, x, layout, y, true),
        ] {
            if short && scratch.is_empty() || d.elements().unwrap() > input.len() {
                continue;
            }
            let len = scratch.len() - usize::from(short);
            let Ok(mut out) = lightconv::ViewMut::dense(m, e, &mut output) else { continue };
            prop_assert!(plan.run(&view(l, d), &mut out, &mut scratch[..len]).is_err());
            prop_assert!(output.iter().all(|v| *v == 7.0));
        }
        // An executor that leaves a task out, or calls one twice.
        let broken = Broken(plan.threads());
        let mut out = lightconv::ViewMut::dense(layout, y, &mut output).unwrap();
        let result = plan.run_with(&broken, &view(layout, x), &mut out, &mut scratch);
        prop_assert_eq!(result.is_err(), plan.threads() > 1);
        Ok(())
    });
}

/// Runs the first task, twice, and no other.
struct Broken(usize);

impl Parallel for Broken {
    fn threads(&self) -> usize {
        self.0
    }

    fn run(&self, _: usize, task: &(dyn Fn(usize) + Sync)) {
        task(0);
        task(0);
    }
}

#[test]
fn winograd_in_a_block_is_as_it_is_alone() {
    use lightconv::block::BottleneckShape;
    use lightconv::{Activation, Dims};
    let shape = BottleneckShape::new(Dims::new(1, 28, 28, 64), 64, 64, 3, 1, 1, Activation::Relu).unwrap();
    let case = Case {
        block: Block::Bottleneck(shape),
        layout: Layout::Nhwc,
        input: Placement::default(),
        output: Placement::default(),
        strip_rows: 3,
        parts: 2,
        seed: 5,
    };
    let (input, weights) = (case.data(false), case.block.weights(5, false));
    let options = Options::new().winograd(true);
    let epilogue = lightconv::Epilogue::activation(Activation::Relu);
    let (spatial, filter) = (&shape.convolutions()[1], &weights[1].weights);
    let alone = lightconv::Conv2dPlan::new(spatial, case.layout, filter, None, epilogue, &options).unwrap();
    let mut want = None;
    for options in case.options(Isa::best().unwrap()) {
        let plan = case.block.plan(case.layout, &weights, &options.winograd(true)).unwrap();
        assert!(plan.describe().contains(alone.kernel_name()), "{}", plan.describe());
        let got = bits(&case.run(&*plan, &Threads(2), &input).unwrap());
        assert!(*want.get_or_insert_with(|| got.clone()) == got, "{options:?}\n{}", plan.describe());
    }
}

#[test]
fn folded_batch_norms_are_within_rounding_of_what_they_replace() {
    use lightconv::block::{BatchNorm, Filter};
    let mut random = Random(3);
    for channels in [1, 7, 32] {
        let mut numbers = |n: usize| (0..n).map(|_| random.real()).collect::<Vec<f32>>();
        let (weights, bias, x) = (numbers(channels * 9), numbers(channels), numbers(9));
        let (scale, shift, mean) = (numbers(channels), numbers(channels), numbers(channels));
        let variance: Vec<f32> = numbers(channels).iter().map(|v| v * v).collect();
        let norm = BatchNorm { scale: &scale, shift: &shift, mean: &mean, variance: &variance, epsilon: 1e-3 };
        let (w, b) = norm.fold(&Filter::with_bias(&weights, &bias)).unwrap();
        for c in 0..channels {
            let dot = |w: &[f32]| w.iter().zip(&x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>();
            let size = |w: &[f32]| w.iter().zip(&x).map(|(w, x)| f64::from(w * x).abs()).sum::<f64>();
            let plain = dot(&weights[9 * c..][..9]) + f64::from(bias[c]);
            let factor = f64::from(scale[c]) / (f64::from(variance[c]) + f64::from(1e-3f32)).sqrt();
            let want = (plain - f64::from(mean[c])) * factor + f64::from(shift[c]);
            let got = dot(&w[9 * c..][..9]) + f64::from(b[c]);
            // Every folded number is rounded once.
            let bound = (size(&w[9 * c..][..9]) + f64::from(b[c]).abs()) / f64::from(1u32 << 23);
            assert!((got - want).abs() <= bound + 1e-12, "{got} is not {want}");
        }
        let bad = |norm: BatchNorm<'_>| assert!(norm.fold(&Filter::new(&weights)).is_err());
        bad(BatchNorm { shift: &shift[1..], ..norm });
        bad(BatchNorm { mean: &[], ..norm });
        bad(BatchNorm { epsilon: f32::NAN, ..norm });
        bad(BatchNorm { epsilon: -1.0, ..norm });
        bad(BatchNorm { variance: &vec![-1.0; channels], ..norm });
        assert!(norm.fold(&Filter::new(&weights[1..])).is_err() || channels == 1);
    }
}
