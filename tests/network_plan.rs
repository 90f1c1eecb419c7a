//! Network plans against the composition of the reference operations: every intermediate tensor, in both layouts.

use crate::common::case::Backwards;
use crate::common::data::Random;
use lightconv::network::{self, Graph, Layer, Network, NetworkPlan, Node, Op, Weights};
use lightconv::parallel::{Parallel, Rayon, Serial};
use lightconv::{
    Activation, Conv2dShape, Dims, Error, Isa, Layout, Options, Pooling, Residual, View, ViewMut, reference,
};
use num_traits::{Float, FromPrimitive};
use std::collections::HashMap;

/// A name that finds a tensor.
type Tensors = HashMap<String, Vec<f32>>;

/// One of every family, small; the maps are 16, 8, 4, 2 and 1 pixels wide, so that averages of whole numbers are exact.
fn small() -> Vec<Network> {
    [
        network::mobilenet_v1(0.25, 32),
        network::mobilenet_v2(0.35, 32),
        network::mobilenet_v3_large(0.35, 32),
        network::mobilenet_v3_small(0.5, 32),
        network::shufflenet_v1(1, 0.25, 32),
        network::shufflenet_v1(3, 0.25, 32),
        network::shufflenet_v1(8, 0.25, 32),
        network::shufflenet_v2(0.5, 32),
        network::shufflenet_v2_torchvision(0.5, 32),
        network::ghostnet(0.5, 32),
    ]
    .map(Result::unwrap)
    .into()
}

fn dense<T: Copy + Float>(view: &View<'_>) -> (Dims, Vec<T>) {
    let d = view.dims();
    let mut out = Vec::new();
    for n in 0..d.n {
        for y in 0..d.h {
            for x in 0..d.w {
                out.extend((0..d.c).map(|c| T::from(view.at(n, y, x, c)).unwrap()));
            }
        }
    }
    (d, out)
}

/// The output of a node from its inputs, NHWC, by the reference alone.
fn evaluate<T>(node: &Node, inputs: &[(Dims, Vec<T>)], weights: &Tensors) -> Vec<T>
where
    T: Float + FromPrimitive,
{
    let number = |name: &str| -> Vec<T> { weights[name].iter().map(|&v| T::from(v).unwrap()).collect() };
    let views: Vec<View<'_, T>> = inputs.iter().map(|(d, v)| View::dense(Layout::Nhwc, *d, v).unwrap()).collect();
    let mut out = vec![T::nan(); node.dims.elements().unwrap()];
    let mut to = ViewMut::dense(Layout::Nhwc, node.dims, &mut out).unwrap();
    match node.op {
        Op::Convolution { shape, epilogue } => {
            let (w, b) = (number(&format!("{}.weight", node.name)), number(&format!("{}.bias", node.name)));
            reference::conv2d(&shape, &views[0], &w, Some(&b), &mut to).unwrap();
            reference::epilogue(&epilogue, views.get(1), &mut to).unwrap();
        }
        Op::Pool { pooling: Pooling::Max, shape } => reference::max_pool(&shape, &views[0], &mut to).unwrap(),
        Op::Pool { shape, .. } => reference::average_pool(&shape, &views[0], &mut to).unwrap(),
        Op::Add => reference::add(&views[0], &views[1], &mut to).unwrap(),
        Op::Scale => reference::scale(&views[0], &views[1], &mut to).unwrap(),
        Op::Shuffle { groups } => reference::channel_shuffle(groups, &views[0], &mut to).unwrap(),
        Op::Channels { first, count } => {
            for (to, from) in out.chunks_exact_mut(count).zip(inputs[0].1.chunks_exact(inputs[0].0.c)) {
                to.copy_from_slice(&from[first..first + count]);
            }
        }
        Op::Concat => {
            let mut channel = 0;
            for (d, from) in inputs {
                for (to, from) in out.chunks_exact_mut(node.dims.c).zip(from.chunks_exact(d.c)) {
                    to[channel..channel + d.c].copy_from_slice(from);
                }
                channel += d.c;
            }
        }
        _ => unreachable!("no such operation in the tables"),
    }
    out
}

/// All tensors of a run of the plan, by node, NHWC, and the output.
fn run(
    network: &Network,
    layout: Layout,
    weights: &Tensors,
    image: &[f32],
    pool: &dyn Parallel,
    options: &Options<'_>,
) -> (HashMap<String, Vec<f32>>, Vec<f32>) {
    let find = |name: &str| weights.get(name).map(Vec::as_slice);
    let plan = NetworkPlan::new(network, layout, find, options).unwrap();
    let d = plan.input_dims();
    // NHWC to the layout.
    let mut input = vec![0.0; image.len()];
    let mut view = ViewMut::dense(layout, d, &mut input).unwrap();
    for (i, &v) in image.iter().enumerate() {
        view.set(0, i / d.c / d.w, i / d.c % d.w, i % d.c, v);
    }
    let input = View::dense(layout, d, &input).unwrap();
    let mut output = vec![f32::NAN; plan.output_dims().elements().unwrap()];
    // Whatever is read before it is written spoils the result.
    let mut scratch = vec![f32::NAN; plan.scratch_len()];
    let mut seen = HashMap::new();
    let mut out = ViewMut::dense(layout, plan.output_dims(), &mut output).unwrap();
    plan.run_observed(pool, &input, &mut out, &mut scratch, &mut |name, view| {
        assert!(seen.insert(name.to_owned(), dense(view).1).is_none(), "{name} ran twice");
    })
    .unwrap();
    // The same without an observer, into a view with gaps.
    let mut again = vec![f32::NAN; 3 * output.len()];
    let d = plan.output_dims();
    let strides = match layout {
        Layout::Nhwc => lightconv::Strides { image: 3 * d.c, row: 3 * d.c, pixel: d.c, channel: 1 },
        Layout::Nchw => lightconv::Strides { image: 3 * d.c, row: 1, pixel: 1, channel: 3 },
    };
    let mut out = ViewMut::strided(layout, d, strides, 0, &mut again).unwrap();
    plan.run_with(pool, &input, &mut out, &mut scratch).unwrap();
    let again: Vec<f32> = dense(&out.as_view()).1;
    assert!(again.iter().zip(&output).all(|(a, b)| a.to_bits() == b.to_bits()), "{}: two runs differ", network.name);
    (seen, output)
}

/// Weights with which every sum is exact in any order: one product in each, and numbers that no activation rounds.
///
/// Hard-swish and hard-sigmoid divide by 6; of a multiple of 4 that is exact. Squeeze-and-excite is pushed out of the
/// range in which it divides, so that its factors are 0 or 1.
fn exact_weights(network: &Network, random: &mut Random) -> Tensors {
    let mut tensors = Tensors::new();
    for layer in &network.layers {
        let len = layer.shape.weight_len().unwrap();
        let per_output = len / layer.shape.c_out;
        let mut weight = vec![0.0; len];
        for filter in weight.chunks_exact_mut(per_output) {
            filter[random.next() as usize % per_output] = [1.0, -1.0, 1.0][random.next() as usize % 3];
        }
        let most = if layer.name.ends_with(".excite") { 4e6 } else { 8.0 };
        let bias = (0..layer.shape.c_out).map(|_| [0.0, most, -most][random.next() as usize % 3]).collect();
        tensors.insert(format!("{}.weight", layer.name), weight);
        tensors.insert(format!("{}.bias", layer.name), bias);
    }
    tensors
}

/// The reference's tensors by node, from the image on.
fn composition<T: Float + FromPrimitive>(graph: &Graph, image: &[f32], weights: &Tensors) -> Vec<(Dims, Vec<T>)> {
    let mut all = vec![(graph.input, image.iter().map(|&v| T::from(v).unwrap()).collect::<Vec<T>>())];
    for node in &graph.nodes {
        let inputs: Vec<_> = node.inputs.iter().map(|&t| all[t].clone()).collect();
        let out = evaluate(node, &inputs, weights);
        all.push((node.dims, out));
    }
    all
}

fn assert_exact(network: &Network, layout: Layout) {
    // The averages beside the units of ShuffleNetV1 have 9 elements, 6 at an edge, 4 in a corner; three in a row.
    let unit = if network.name.starts_with("shufflenet_v1") { 46_656.0 } else { 4.0 };
    let mut random = Random(7);
    let mut weights = exact_weights(network, &mut random);
    if unit > 4.0 {
        for (_, bias) in weights.iter_mut().filter(|(name, _)| name.ends_with(".bias")) {
            bias.iter_mut().for_each(|b| *b = if *b == 0.0 { 0.0 } else { unit.copysign(*b) });
        }
    }
    let image: Vec<f32> = (0..network.graph.input.elements().unwrap()).map(|_| unit * random.integer(2)).collect();
    let want = composition::<f32>(&network.graph, &image, &weights);
    for (pool, threads) in [(&Serial as &dyn Parallel, 1), (&Backwards(4), 4)] {
        let options = Options::new().threads(threads);
        let (seen, output) = run(network, layout, &weights, &image, pool, &options.fused(false));
        let mut differing = 0;
        for (node, (_, want)) in network.graph.nodes.iter().zip(&want[1..]) {
            let got = &seen[&node.name];
            // Zeros of either sign are one number.
            if let Some(i) = (0..want.len()).find(|&i| got[i] != want[i]) {
                panic!("{} {layout:?}: {} [{i}] is {}, expected {}", network.name, node.name, got[i], want[i]);
            }
            differing += usize::from(want.iter().any(|&v| v != want[0]));
        }
        assert_eq!(output, want.last().unwrap().1, "{}", network.name);
        // Data that has died on the way would prove nothing.
        let nodes = network.graph.nodes.len();
        assert!(differing * 10 >= nodes * 9, "{}: {differing} of {nodes} tensors are not constant", network.name);

        // The same with blocks, which show their outputs alone.
        let (blocks, output) = run(network, layout, &weights, &image, pool, &options);
        assert!(blocks.len() <= seen.len());
        for (name, got) in &blocks {
            assert!(*got == seen[name], "{} {layout:?}: {name} differs when blocks are fused", network.name);
        }
        assert_eq!(output, want.last().unwrap().1, "{}", network.name);
    }
}

#[test]
fn small_networks_are_exact_on_whole_numbers() {
    for network in small() {
        assert_exact(&network, Layout::Nhwc);
        assert_exact(&network, Layout::Nchw);
    }
}

/// Grouped convolutions, and residuals before the activation, through 16 blocks.
#[test]
fn a_resnext_is_exact_on_whole_numbers() {
    assert_exact(&network::resnext50_32x4d(32).unwrap(), Layout::Nhwc);
}

/// How far an operation's output may be from the exact one.
fn bound(node: &Node, inputs: &[(Dims, Vec<f64>)], exact: &[f64], weights: &Tensors) -> Vec<f64> {
    const U: f64 = 1.0 / (1u64 << 24) as f64;
    let gamma = |k: usize| k as f64 * U / (1.0 - k as f64 * U);
    let absolute: Vec<(Dims, Vec<f64>)> =
        inputs.iter().map(|(d, v)| (*d, v.iter().map(|x| x.abs()).collect())).collect();
    match node.op {
        Op::Convolution { shape, epilogue } => {
            let positive: Tensors = [".weight", ".bias"]
                .map(|kind| {
                    let name = format!("{}{kind}", node.name);
                    let tensor = weights[&name].iter().map(|w| w.abs()).collect();
                    (name, tensor)
                })
                .into();
            let bare = Node {
                op: Op::Convolution { shape, epilogue: lightconv::Epilogue::NONE },
                inputs: vec![node.inputs[0]],
                ..node.clone()
            };
            let sums = evaluate(&bare, &absolute[..1], &positive);
            let products = shape.c_in / shape.groups * shape.kh * shape.kw;
            // No activation is steeper than 1.5, and each ends with at most five roundings of what it gives; the
            // numerator of a hard function is of the size of its argument.
            let residual = absolute.get(1).filter(|_| epilogue.residual != Residual::None);
            let slack = |i: usize| sums[i] + residual.map_or(0.0, |r| r.1[i]) + exact[i].abs();
            (0..exact.len()).map(|i| 1.5 * gamma(products + 1) * sums[i] + 5.0 * U * slack(i)).collect()
        }
        Op::Pool { pooling: Pooling::Average, shape } => {
            let average = evaluate(node, &absolute, weights);
            average.iter().map(|a| gamma(shape.kh * shape.kw + 1) * a).collect()
        }
        Op::Add | Op::Scale => exact.iter().map(|v| U * v.abs()).collect(),
        _ => vec![0.0; exact.len()],
    }
}

/// Every operation on what the plan itself gave it, so that each is held to its own bound.
fn assert_bounded(network: &Network, layout: Layout, isa: Isa) {
    let drawn = Weights::random(network, 3).unwrap();
    let weights: Tensors = drawn.iter().map(|(n, t)| (n.to_owned(), t.to_vec())).collect();
    let mut random = Random(11);
    let image: Vec<f32> = (0..network.graph.input.elements().unwrap()).map(|_| random.real() / 4.0).collect();
    let options = Options::new().isa(isa).fused(false);
    let (seen, output) = run(network, layout, &weights, &image, &Serial, &options);
    let wide = |v: &[f32]| v.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    let mut tensors = vec![(network.graph.input, wide(&image))];
    for node in &network.graph.nodes {
        let inputs: Vec<_> = node.inputs.iter().map(|&t| tensors[t].clone()).collect();
        let exact = evaluate(node, &inputs, &weights);
        let bound = bound(node, &inputs, &exact, &weights);
        let got = wide(&seen[&node.name]);
        for i in 0..exact.len() {
            let error = (got[i] - exact[i]).abs();
            assert!(error <= bound[i], "{} {layout:?}: {} [{i}] off by {error}", network.name, node.name);
        }
        tensors.push((node.dims, got));
    }
    assert_eq!(wide(&output), tensors.last().unwrap().1);
    // And from end to end, where no useful bound can be derived.
    let exact = composition::<f64>(&network.graph, &image, &weights).pop().unwrap().1;
    let most = exact.iter().fold(0.0f64, |a, v| a.max(v.abs()));
    let (_, fused) = run(network, layout, &weights, &image, &Serial, &options.fused(true));
    for output in [output, fused] {
        for (got, want) in output.iter().zip(&exact) {
            let error = (f64::from(*got) - want).abs();
            assert!(error <= 1e-4 * most, "{} {layout:?}: off by {error} where the largest is {most}", network.name);
        }
    }
}

#[test]
fn small_networks_are_within_the_bound_on_real_data() {
    for network in small() {
        for layout in [Layout::Nhwc, Layout::Nchw] {
            assert_bounded(&network, layout, Isa::best().unwrap());
        }
    }
    assert_bounded(&small()[2], Layout::Nhwc, Isa::Scalar);
    assert_bounded(&small()[9], Layout::Nchw, Isa::Portable);
}

/// A fully connected layer on a map of more than one pixel.
#[test]
fn an_alexnet_is_within_the_bound_on_real_data() {
    for layout in [Layout::Nhwc, Layout::Nchw] {
        assert_bounded(&network::alexnet_columns(67).unwrap(), layout, Isa::best().unwrap());
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    for network in [network::mobilenet_v3_small(0.5, 64).unwrap(), network::shufflenet_v2(0.5, 64).unwrap()] {
        let drawn = Weights::random(&network, 5).unwrap();
        let weights: Tensors = drawn.iter().map(|(n, t)| (n.to_owned(), t.to_vec())).collect();
        let mut random = Random(1);
        let image: Vec<f32> = (0..64 * 64 * 3).map(|_| random.real() / 8.0).collect();
        let one = run(&network, Layout::Nhwc, &weights, &image, &Serial, &Options::new()).1;
        let three = run(&network, Layout::Nhwc, &weights, &image, &Rayon::in_pool(&pool), &Options::new().threads(3)).1;
        assert!(one.iter().zip(&three).all(|(a, b)| a.to_bits() == b.to_bits()), "{}", network.name);
    }
}

/// What the tables concatenate and split is addressing alone, and memory is shared as far as it can be.
#[test]
fn nothing_is_copied_and_memory_is_shared() {
    let mut networks = small();
    networks.push(network::mobilenet_v2(1.0, 224).unwrap());
    networks.push(network::resnet50(64).unwrap());
    for network in networks {
        let weights = Weights::random(&network, 1).unwrap();
        let plan = NetworkPlan::new(&network, Layout::Nhwc, |n| weights.get(n), &Options::new()).unwrap();
        let copies: Vec<_> = plan.kernels().filter(|k| k.0.ends_with(".copy")).collect();
        assert!(copies.is_empty(), "{}: {copies:?}", network.name);
        let all: usize = network.graph.nodes.iter().map(|n| 4 * n.dims.elements().unwrap()).sum();
        let (peak, least) = (plan.activation_bytes(), plan.least_activation_bytes());
        assert!(least <= peak && peak <= least + least / 4, "{}: {peak}, at least {least}", network.name);
        assert!(3 * peak <= all, "{}: {peak} of {all}", network.name);
    }
}

/// All blocks run as one, and what lies within them needs no memory between layers.
#[test]
fn blocks_are_found() {
    for (network, blocks) in [
        (network::mobilenet_v1(0.25, 64), &[("separable block", 13)][..]),
        (network::mobilenet_v2(1.0, 224), &[("separable block", 1), ("inverted residual", 16)]),
        (network::mobilenet_v3_large(0.5, 64), &[("inverted residual", 15)]),
        (network::mobilenet_v3_small(0.5, 64), &[("inverted residual", 11)]),
        (network::shufflenet_v1(1, 0.5, 64), &[("shuffle unit v1", 16)]),
        (network::shufflenet_v1(3, 0.5, 64), &[("shuffle unit v1", 16)]),
        // The first unit has branches of different widths.
        (network::shufflenet_v2(0.5, 64), &[("shuffle unit v2", 16)]),
        (network::shufflenet_v2(1.0, 64), &[("shuffle unit v2", 15)]),
        (network::shufflenet_v2_torchvision(0.5, 64), &[("shuffle unit v2", 16)]),
        (network::ghostnet(0.5, 64), &[("ghost bottleneck", 16)]),
        (network::resnet50(64), &[("bottleneck", 16)]),
        (network::resnet50_v1(64), &[("bottleneck", 16)]),
        (network::resnext50_32x4d(64), &[("bottleneck", 16)]),
    ] {
        let network = network.unwrap();
        let weights = Weights::random(&network, 1).unwrap();
        let plan = NetworkPlan::new(&network, Layout::Nhwc, |n| weights.get(n), &Options::new()).unwrap();
        let kinds = [
            "separable block",
            "inverted residual",
            "shuffle unit v1",
            "shuffle unit v2",
            "ghost bottleneck",
            "bottleneck",
        ];
        for kind in kinds {
            let want = blocks.iter().find(|b| b.0 == kind).map_or(0, |b| b.1);
            assert_eq!(plan.kernels().filter(|k| k.1 == kind).count(), want, "{kind}s of {}", network.name);
        }
    }
}

/// Activations of MobileNetV2 need less than half of what they need layer by layer, scratch included, whatever the caches.
#[test]
fn blocks_save_memory() {
    let network = network::mobilenet_v2(1.0, 224).unwrap();
    let weights = Weights::random(&network, 1).unwrap();
    for threads in [1, 4] {
        let bytes = |fused| {
            let options = Options::new().fused(fused).threads(threads);
            NetworkPlan::new(&network, Layout::Nhwc, |n| weights.get(n), &options).unwrap().activation_bytes() as f64
        };
        let part = bytes(true) / bytes(false);
        assert!(part <= 0.45, "{part} with {threads} threads");
    }
}

/// Two images, and shapes that no table has: nested concatenations, pieces read late, parts used twice, the input and a
/// piece of it as parts, a concatenation as the output.
#[test]
fn graphs_of_any_form_are_run() {
    let input = Dims::new(2, 4, 4, 4);
    let shape = |c_in, c_out| Conv2dShape::new(2, 4, 4, c_in, c_out, [3, 3]).pad(1);
    let mut layers = Vec::new();
    let mut nodes: Vec<Node> = Vec::new();
    let mut push = |name: &str, op: Op, inputs: &[usize], c: usize| {
        if let Op::Convolution { shape, .. } = op {
            layers.push(Layer { name: name.into(), shape });
        }
        nodes.push(Node { name: name.into(), op, inputs: inputs.into(), dims: Dims { c, ..input }, source: None });
        nodes.len()
    };
    let conv = |c_in, c_out| Op::Convolution {
        shape: shape(c_in, c_out),
        epilogue: lightconv::Epilogue::activation(Activation::Relu),
    };
    let a = push("a", conv(4, 8), &[0], 8);
    let low = push("low", Op::Channels { first: 0, count: 4 }, &[a], 4);
    let high = push("high", Op::Channels { first: 4, count: 4 }, &[a], 4);
    let b = push("b", conv(4, 4), &[high], 4);
    // Could lie in `a`, were it not for `late`, which reads `high` afterwards.
    let joined = push("joined", Op::Concat, &[low, b], 8);
    let late = push("late", conv(4, 4), &[high], 4);
    let c = push("c", conv(8, 8), &[joined], 8);
    let nested = push("nested", Op::Concat, &[late, c], 12);
    let outer = push("outer", Op::Concat, &[nested, c, 0], 24);
    let piece = push("piece", Op::Channels { first: 2, count: 2 }, &[0], 2);
    let deeper = push("deeper", Op::Channels { first: 1, count: 1 }, &[piece], 1);
    let shuffled = push("shuffled", Op::Shuffle { groups: 3 }, &[outer], 24);
    // This one is read in place.
    let half = push("half", Op::Channels { first: 0, count: 12 }, &[shuffled], 12);
    let other = push("other", Op::Channels { first: 12, count: 12 }, &[shuffled], 12);
    let d = push("d", conv(12, 12), &[other], 12);
    let e = push("e", conv(12, 12), &[d], 12);
    let kept = push("kept", Op::Concat, &[half, e], 24);
    let sum = push("sum", Op::Add, &[kept, outer], 24);
    push("end", Op::Concat, &[sum, deeper, sum], 49);
    let network = Network { name: "odd".into(), layers, graph: Graph { input, nodes, epsilon: 0.0 } };
    let mut random = Random(2);
    let weights = exact_weights(&network, &mut random);
    let image: Vec<f32> = (0..input.elements().unwrap()).map(|_| random.integer(9)).collect();
    let want = composition::<f32>(&network.graph, &image, &weights);
    for layout in [Layout::Nhwc, Layout::Nchw] {
        let find = |name: &str| weights.get(name).map(Vec::as_slice);
        let plan = NetworkPlan::new(&network, layout, find, &Options::new()).unwrap();
        let copies: Vec<&str> = plan.kernels().map(|k| k.0).filter(|k| k.ends_with(".copy")).collect();
        assert_eq!(copies, ["joined.copy", "nested.copy", "outer.copy", "end.copy", "end.copy"]);
        let mut data = vec![0.0; image.len()];
        let mut view = ViewMut::dense(layout, input, &mut data).unwrap();
        for (i, &v) in image.iter().enumerate() {
            view.set(i / 64, i / 16 % 4, i / 4 % 4, i % 4, v);
        }
        let mut output = vec![f32::NAN; plan.output_dims().elements().unwrap()];
        let mut scratch = vec![f32::NAN; plan.scratch_len()];
        let mut out = ViewMut::dense(layout, plan.output_dims(), &mut output).unwrap();
        plan.run(&View::dense(layout, input, &data).unwrap(), &mut out, &mut scratch).unwrap();
        assert_eq!(dense::<f32>(&out.as_view()).1, want.last().unwrap().1, "{layout:?}");
    }
}

/// Folded weights compute what convolution and batch normalisation compute.
#[test]
fn batch_normalisation_is_folded() {
    let network = network::mobilenet_v3_small(0.35, 32).unwrap();
    let mut random = Random(4);
    let mut dictionary = Tensors::new();
    for node in &network.graph.nodes {
        let (Op::Convolution { shape, .. }, Some(source)) = (node.op, &node.source) else { continue };
        let mut put = |name: String, len: usize, f: &mut dyn FnMut(&mut Random) -> f32| {
            dictionary.insert(name, (0..len).map(|_| f(&mut random)).collect());
        };
        put(format!("{}.weight", source.module), shape.weight_len().unwrap(), &mut |r| r.real());
        if source.bias {
            put(format!("{}.bias", source.module), shape.c_out, &mut |r| r.real());
        }
        if let Some(norm) = &source.norm {
            for kind in ["weight", "bias", "running_mean"] {
                put(format!("{norm}.{kind}"), shape.c_out, &mut |r| r.real());
            }
            put(format!("{norm}.running_var"), shape.c_out, &mut |r| r.real().abs());
        }
    }
    let find = |name: &str| dictionary.get(name).map(Vec::as_slice);
    let folded = Weights::folded(&network, find).unwrap();
    for (name, len) in network.parameters() {
        assert_eq!(folded.get(&name).map(<[f32]>::len), Some(len), "{name}");
    }
    let mut normed = 0;
    for node in &network.graph.nodes {
        let (Op::Convolution { shape, .. }, Some(source)) = (node.op, &node.source) else { continue };
        let weight = &dictionary[&format!("{}.weight", source.module)];
        let (got, bias) = (
            folded.get(&format!("{}.weight", node.name)).unwrap(),
            folded.get(&format!("{}.bias", node.name)).unwrap(),
        );
        let Some(norm) = &source.norm else {
            assert_eq!((got, bias), (weight.as_slice(), find(&format!("{}.bias", source.module)).unwrap()));
            continue;
        };
        normed += 1;
        let of = |kind: &str, c: usize| f64::from(dictionary[&format!("{norm}.{kind}")][c]);
        for c in 0..shape.c_out {
            // Of an input of ones, and of one of zeros.
            let per_output = weight.len() / shape.c_out;
            let range = c * per_output..(c + 1) * per_output;
            let sum: f64 = weight[range.clone()].iter().map(|&w| f64::from(w)).sum();
            let norm = |x: f64| {
                of("bias", c) + of("weight", c) * (x - of("running_mean", c)) / (of("running_var", c) + 1e-3).sqrt()
            };
            let size = got[range.clone()].iter().fold(f64::from(bias[c]).abs(), |a, &w| a + f64::from(w).abs());
            let folded_sum: f64 = got[range].iter().map(|&w| f64::from(w)).sum();
            assert!((folded_sum + f64::from(bias[c]) - norm(sum)).abs() <= 1e-6 * size, "{}", node.name);
            assert!((f64::from(bias[c]) - norm(0.0)).abs() <= 1e-6 * size, "{}", node.name);
        }
    }
    assert!(normed > 30);
    // Each tensor that is missing or short is found out, and the layer named by its number.
    let fifth = network.graph.nodes.iter().filter(|n| n.source.is_some()).nth(4).unwrap().source.clone().unwrap();
    for bad in [format!("{}.weight", fifth.module), format!("{}.running_var", fifth.norm.unwrap_or_default())] {
        if !dictionary.contains_key(&bad) {
            continue;
        }
        let error = Weights::folded(&network, |n| if n == bad { None } else { find(n) }).unwrap_err();
        assert!(error.to_string().contains("missing is 4"), "{error}");
        let error = Weights::folded(&network, |n| find(n).map(|t| if n == bad { &t[1..] } else { t })).unwrap_err();
        assert!(error.to_string().contains("missing is 4"), "{error}");
    }
}

#[test]
fn what_cannot_be_run_is_an_error() {
    let network = network::mobilenet_v1(0.25, 32).unwrap();
    let weights = Weights::random(&network, 1).unwrap();
    let new = |network: &Network, options: &Options<'_>| {
        NetworkPlan::new(network, Layout::Nhwc, |n| weights.get(n), options)
            .map(|_| ())
            .map_err(|e: Error| e.to_string())
    };
    let says = |result: Result<(), String>, text: &str| {
        let error = result.unwrap_err();
        assert!(error.contains(text), "{error}");
    };
    says(new(&Network::list("list", network.layers.clone()), &Options::new()), "graph");
    says(new(&network::mobilenet_v1(0.5, 32).unwrap(), &Options::new()), "weights length");
    says(new(&network::vgg16(32).unwrap(), &Options::new()), "missing is 0");
    says(new(&network, &Options::new().threads(0)), "threads");
    says(new(&network, &Options::new().kernel("no_such_kernel")), "kernel");

    let plan = NetworkPlan::new(&network, Layout::Nhwc, |n| weights.get(n), &Options::new()).unwrap();
    let (input, mut output) = (vec![0.0; 32 * 32 * 3], vec![7.0; 1000]);
    let mut scratch = vec![0.0; plan.scratch_len()];
    let good = View::dense(Layout::Nhwc, plan.input_dims(), &input).unwrap();
    let mut check = |input: &View<'_>, layout, dims, scratch: &mut [f32], text: &str| {
        let mut out = ViewMut::dense(layout, dims, &mut output).unwrap();
        let result = plan.run(input, &mut out, scratch).map_err(|e| e.to_string());
        says(result, text);
        assert!(output.iter().all(|&v| v == 7.0));
    };
    let dims = plan.output_dims();
    let short = plan.scratch_len() - 1;
    check(&good, Layout::Nhwc, dims, &mut scratch[..short], "scratch length");
    check(&good, Layout::Nhwc, Dims { c: 999, ..dims }, &mut scratch, "output c");
    check(&good, Layout::Nchw, dims, &mut scratch, "output layout");
    let narrow = View::dense(Layout::Nhwc, Dims::new(1, 32, 31, 3), &input).unwrap();
    check(&narrow, Layout::Nhwc, dims, &mut scratch, "input w");
    let other = View::dense(Layout::Nchw, plan.input_dims(), &input).unwrap();
    check(&other, Layout::Nhwc, dims, &mut scratch, "input layout");
}
