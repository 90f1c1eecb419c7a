//! The counts are proved here: a number that counts its multiplies and adds, run through the naive reference, gives
//! exactly the closed forms of `Cost`, for every operation; and the layer tables give the published totals.

use crate::common::strategy::config;
use core::cell::Cell;
use lightconv::network::{Layer, Network, mobilenet_v1, mobilenet_v1_standard};
use lightconv::reference::{self, Counted, Counts};
use lightconv::{Conv2dShape, Cost, Dims, Error, Layout, Padding, View, ViewMut};
use proptest::prelude::*;

type Number<'c> = Counted<'c, i64>;

fn layouts() -> impl Strategy<Value = Layout> {
    prop_oneof![Just(Layout::Nhwc), Just(Layout::Nchw)]
}

/// Length, kernel, stride, dilation and padding before and after of one axis; at least one output.
fn axis(max_kernel: usize, max_dilation: usize) -> impl Strategy<Value = (usize, usize, usize, usize, usize, usize)> {
    (1..=max_kernel, 1..=3usize, 1..=max_dilation, 0..6usize)
        .prop_flat_map(|(k, stride, dilation, extra)| {
            let reach = (k - 1) * dilation;
            (Just((k, stride, dilation, extra)), 0..=reach, 0..=reach)
        })
        .prop_map(|((k, stride, dilation, extra), before, after)| {
            let least = ((k - 1) * dilation + 1).saturating_sub(before + after).max(1);
            (least + extra, k, stride, dilation, before, after)
        })
}

/// Groups, input channels and output channels of a group: standard, depthwise (with multiplier) and anything between.
fn channels() -> impl Strategy<Value = (usize, usize, usize)> {
    prop_oneof![
        (Just(1usize), 1..6usize, 1..6usize),
        (2..6usize, Just(1usize), 1..4usize),
        (2..5usize, 1..4usize, 1..4usize),
    ]
}

fn shapes(
    channels: impl Strategy<Value = (usize, usize, usize)>,
    kernel: usize,
    dilation: usize,
) -> impl Strategy<Value = Conv2dShape> {
    (1..3usize, channels, axis(kernel, dilation), axis(kernel, dilation)).prop_map(|(n, (g, ci, co), rows, columns)| {
        let (h, kh, sh, dh, top, bottom) = rows;
        let (w, kw, sw, dw, left, right) = columns;
        Conv2dShape::new(n, h, w, g * ci, g * co, [kh, kw])
            .groups(g)
            .stride_hw(sh, sw)
            .dilation_hw(dh, dw)
            .padding(Padding { top, left, bottom, right })
    })
}

fn pool_shapes() -> impl Strategy<Value = Conv2dShape> {
    shapes((1..6usize).prop_map(|c| (c, 1, 1)), 4, 1)
}

fn dims() -> impl Strategy<Value = Dims> {
    (1..3usize, 1..6usize, 1..6usize, 1..9usize).prop_map(|(n, h, w, c)| Dims::new(n, h, w, c))
}

fn numbers<'c>(len: usize, counter: Option<&'c Cell<Counts>>) -> Vec<Number<'c>> {
    let value = |i: usize| (i * 7 % 11) as i64 - 5;
    (0..len).map(|i| counter.map_or(Counted::constant(value(i)), |counter| Counted::new(value(i), counter))).collect()
}

/// Runs `f` with a counter, or without, on an input and an output of these sizes; gives what the counter says.
fn counted(
    layout: Layout,
    input: Dims,
    output: Dims,
    on_input: bool,
    f: impl for<'c> FnOnce(&'c Cell<Counts>, &View<'_, Number<'c>>, &mut ViewMut<'_, Number<'c>>) -> Result<(), Error>,
) -> Result<Counts, Error> {
    let counter = Cell::new(Counts::default());
    let data = numbers(input.elements()?, on_input.then_some(&counter));
    let mut sums = numbers(output.elements()?, None);
    let mut output = ViewMut::dense(layout, output, &mut sums)?;
    f(&counter, &View::dense(layout, input, &data)?, &mut output)?;
    Ok(counter.get())
}

/// What the reference counts for a convolution: with the counter on the weights, then on the input.
fn count_conv(shape: &Conv2dShape, layout: Layout, with_bias: bool) -> Result<(Counts, Counts), Error> {
    let (oh, ow) = shape.check()?;
    let input = Dims::new(shape.n, shape.h, shape.w, shape.c_in);
    let output = Dims::new(shape.n, oh, ow, shape.c_out);
    let weights = shape.weight_len()?;
    let bias = numbers(shape.c_out, None);
    let bias = with_bias.then_some(bias.as_slice());
    let all = counted(layout, input, output, false, |counter, input, output| {
        reference::conv2d(shape, input, &numbers(weights, Some(counter)), bias, output)
    })?;
    let valid = counted(layout, input, output, true, |_, input, output| {
        reference::conv2d(shape, input, &numbers(weights, None), bias, output)
    })?;
    Ok((all, valid))
}

fn assert_conv(shape: &Conv2dShape, layout: Layout, with_bias: bool) -> Result<(), TestCaseError> {
    let cost = Cost::of(shape).unwrap();
    let (all, valid) = count_conv(shape, layout, with_bias).unwrap();
    prop_assert_eq!(all, Counts { multiplies: cost.multiplies, adds: cost.adds });
    prop_assert_eq!(valid.multiplies, cost.valid_multiplies);

    let (oh, ow) = shape.check().unwrap();
    let parameters = shape.weight_len().unwrap() + shape.c_out;
    let elements = shape.n * (shape.h * shape.w * shape.c_in + oh * ow * shape.c_out) + parameters;
    prop_assert_eq!(cost.parameters, parameters as u64);
    prop_assert_eq!(cost.bytes, 4 * elements as u64);
    prop_assert_eq!(cost.intensity(), all.multiplies as f64 / (4 * elements) as f64);
    Ok(())
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn convolution(shape in shapes(channels(), 4, 3), layout in layouts(), with_bias: bool) {
        assert_conv(&shape, layout, with_bias)?;
    }

    #[test]
    fn pointwise(shape in shapes(channels(), 1, 2), layout in layouts(), with_bias: bool) {
        prop_assert!(shape.is_pointwise());
        assert_conv(&shape, layout, with_bias)?;
        let cost = Cost::of(&shape).unwrap();
        prop_assert_eq!(cost.multiplies, cost.valid_multiplies);
    }

    /// The closed form of the papers for padded taps, and the bounds of the count without them.
    #[test]
    fn padded_and_valid(shape in shapes(channels(), 5, 3)) {
        let cost = Cost::of(&shape).unwrap();
        let (oh, ow) = shape.check().unwrap();
        let taps = shape.c_in / shape.groups * shape.kh * shape.kw;
        prop_assert_eq!(cost.multiplies, (shape.n * oh * ow * shape.c_out * taps) as u64);
        prop_assert!(cost.valid_multiplies <= cost.multiplies);
        let bare = Conv2dShape { padding: Padding::default(), ..shape };
        if bare.check().is_ok() {
            let bare = Cost::of(&bare).unwrap();
            prop_assert_eq!(bare.valid_multiplies, bare.multiplies);
        }
    }

    #[test]
    fn fully_connected(n in 1..4usize, c_in in 1..20usize, c_out in 1..20usize, layout in layouts()) {
        let cost = Cost::fully_connected(n, c_in, c_out).unwrap();
        let counts = counted(layout, Dims::new(n, 1, 1, c_in), Dims::new(n, 1, 1, c_out), true, |_, input, output| {
            reference::fully_connected(input, &numbers(c_in * c_out, None), Some(&numbers(c_out, None)), output)
        });
        prop_assert_eq!(counts, Ok(Counts { multiplies: cost.multiplies, adds: cost.adds }));
        prop_assert_eq!(cost.multiplies, (n * c_in * c_out) as u64);
        prop_assert_eq!(cost.parameters, (c_in * c_out + c_out) as u64);
    }

    #[test]
    fn pooling(shape in pool_shapes(), layout in layouts()) {
        let (oh, ow) = shape.check_pool().unwrap();
        let input = Dims::new(shape.n, shape.h, shape.w, shape.c_in);
        let output = Dims::new(shape.n, oh, ow, shape.c_in);
        let bytes = 4 * (input.elements().unwrap() + output.elements().unwrap()) as u64;

        let cost = Cost::average_pool(&shape).unwrap();
        let counts = counted(layout, input, output, true, |_, i, o| reference::average_pool(&shape, i, o));
        prop_assert_eq!(counts, Ok(Counts { multiplies: cost.multiplies, adds: cost.adds }));
        prop_assert_eq!((cost.valid_multiplies, cost.parameters, cost.bytes), (cost.multiplies, 0, bytes));

        let cost = Cost::max_pool(&shape).unwrap();
        let counts = counted(layout, input, output, true, |_, i, o| reference::max_pool(&shape, i, o));
        prop_assert_eq!(counts, Ok(Counts { multiplies: cost.multiplies, adds: cost.adds }));
        prop_assert_eq!(cost, Cost { bytes, ..Cost::default() });
    }

    #[test]
    fn global_average_pool(dims in dims(), layout in layouts()) {
        let pooled = Dims::new(dims.n, 1, 1, dims.c);
        let cost = Cost::global_average_pool(dims).unwrap();
        let counts = counted(layout, dims, pooled, true, |_, i, o| reference::global_average_pool(i, o));
        prop_assert_eq!(counts, Ok(Counts { multiplies: cost.multiplies, adds: cost.adds }));
        prop_assert_eq!(cost.valid_multiplies, cost.multiplies);
        // The same thing said as a pooling with one window.
        let shape = Conv2dShape::new(dims.n, dims.h, dims.w, dims.c, dims.c, [dims.h, dims.w]).groups(dims.c);
        prop_assert_eq!(Cost::average_pool(&shape), Ok(cost));
    }

    #[test]
    fn element_wise(dims in dims(), layout in layouts()) {
        let len = dims.elements().unwrap();
        let other = numbers(len, None);
        let second = View::dense(layout, dims, &other).unwrap();
        let cost = Cost::addition(dims).unwrap();
        let counts = counted(layout, dims, dims, true, |_, i, o| reference::add(i, &second, o));
        prop_assert_eq!(counts, Ok(Counts { multiplies: cost.multiplies, adds: cost.adds }));
        prop_assert_eq!(cost.bytes, 12 * len as u64);

        let cost = Cost::multiplication(dims).unwrap();
        let counts = counted(layout, dims, dims, true, |_, i, o| reference::multiply(i, &second, o));
        prop_assert_eq!(counts, Ok(Counts { multiplies: cost.multiplies, adds: cost.adds }));
        prop_assert_eq!((cost.valid_multiplies, cost.bytes), (cost.multiplies, 12 * len as u64));
    }

    #[test]
    fn scale(dims in dims(), layout in layouts()) {
        let factors = numbers(dims.n * dims.c, None);
        let factors = View::dense(layout, Dims::new(dims.n, 1, 1, dims.c), &factors).unwrap();
        let cost = Cost::scale(dims).unwrap();
        let counts = counted(layout, dims, dims, true, |_, i, o| reference::scale(i, &factors, o));
        prop_assert_eq!(counts, Ok(Counts { multiplies: cost.multiplies, adds: cost.adds }));
        prop_assert_eq!(cost.valid_multiplies, cost.multiplies);
        prop_assert_eq!(cost.bytes, 4 * (2 * dims.elements().unwrap() + dims.n * dims.c) as u64);
    }

    #[test]
    fn channel_shuffle(dims in dims(), groups in 1..5usize, layout in layouts()) {
        let dims = Dims { c: dims.c * groups, ..dims };
        let cost = Cost::channel_shuffle(dims).unwrap();
        let counts = counted(layout, dims, dims, true, |_, i, o| reference::channel_shuffle(groups, i, o));
        prop_assert_eq!(counts, Ok(Counts { multiplies: cost.multiplies, adds: cost.adds }));
        prop_assert_eq!(cost, Cost { bytes: 8 * dims.elements().unwrap() as u64, ..Cost::default() });
    }

    /// Separable over standard is 1 / c_out + 1 / (kh * kw).
    #[test]
    fn separable_ratio(rows in axis(5, 2), columns in axis(5, 2), c in 2..64usize, c_out in 1..64usize) {
        let ((h, kh, sh, dh, top, bottom), (w, kw, sw, dw, left, right)) = (rows, columns);
        let depthwise = Conv2dShape::new(1, h, w, c, c, [kh, kw])
            .groups(c)
            .stride_hw(sh, sw)
            .dilation_hw(dh, dw)
            .padding(Padding { top, left, bottom, right });
        let (oh, ow) = depthwise.check().unwrap();
        let pointwise = Conv2dShape::new(1, oh, ow, c, c_out, [1, 1]);
        let layer = |name: &str, shape| Layer { name: name.into(), shape };
        let layers = vec![layer("dw", depthwise), layer("pw", pointwise), layer("pw again", pointwise)];
        let network = Network::list("pair", layers);
        let pairs: Vec<_> = network.pairs().collect();
        prop_assert_eq!(pairs.len(), 1);
        prop_assert_eq!(pairs[0].standard, Conv2dShape { c_out, groups: 1, ..depthwise });
        let want = 1.0 / c_out as f64 + 1.0 / (kh * kw) as f64;
        prop_assert!((pairs[0].ratio().unwrap() - want).abs() < 1e-12);
    }

    /// A count is right or refused, whatever the arguments; it never wraps, panics or hangs.
    #[test]
    fn hostile_shapes(sizes in proptest::array::uniform16(hostile())) {
        let [n, c_in, h, w, c_out, kh, kw, sh, sw, dh, dw, top, left, bottom, right, groups] = sizes;
        let shape = Conv2dShape {
            n, c_in, h, w, c_out, kh, kw, groups,
            stride: [sh, sw],
            dilation: [dh, dw],
            padding: Padding { top, left, bottom, right },
        };
        if let Ok(cost) = Cost::of(&shape) {
            let (oh, ow) = shape.check().unwrap();
            let factors = [n, oh, ow, c_out, c_in / groups, kh, kw];
            let exact = factors.iter().try_fold(1u128, |all, &f| all.checked_mul(f as u128));
            prop_assert_eq!(exact, Some(u128::from(cost.multiplies)));
            prop_assert!(cost.valid_multiplies <= cost.multiplies);
        }
        let _ = (Cost::average_pool(&shape), Cost::max_pool(&shape), Cost::fully_connected(n, c_in, c_out));
        let dims = Dims { n, c: c_in, h, w };
        for cost in [Cost::global_average_pool, Cost::channel_shuffle, Cost::addition, Cost::multiplication, Cost::scale] {
            if let Ok(cost) = cost(dims) {
                let elements = [n, c_in, h, w].iter().try_fold(1u128, |all, &f| all.checked_mul(f as u128)).unwrap();
                prop_assert!(u128::from(cost.bytes) >= 4 * elements);
            }
        }
        for width in [n as f64, f64::from_bits(c_in as u64)] {
            let _ = (mobilenet_v1(width, h).and_then(|n| n.cost()), mobilenet_v1_standard(width, h));
        }
    }

    #[test]
    fn totals_add_up_or_fail(a in costs(), b in costs()) {
        let fits = |f: fn(&Cost) -> u64| f(&a).checked_add(f(&b));
        let want = (|| Some(Cost {
            multiplies: fits(|c| c.multiplies)?,
            performed_multiplies: fits(|c| c.performed_multiplies)?,
            valid_multiplies: fits(|c| c.valid_multiplies)?,
            adds: fits(|c| c.adds)?,
            parameters: fits(|c| c.parameters)?,
            bytes: fits(|c| c.bytes)?,
        }))();
        prop_assert_eq!(a.plus(&b).ok(), want);
        prop_assert_eq!(Cost::total([a, b]), a.plus(&b));
    }
}

fn hostile() -> impl Strategy<Value = usize> {
    prop_oneof![
        12 => 1..4usize,
        1 => Just(0usize),
        2 => (0..usize::BITS, 0..3usize).prop_map(|(bit, less)| (1usize << bit).wrapping_sub(less)),
        1 => any::<usize>(),
    ]
}

fn costs() -> impl Strategy<Value = Cost> {
    let figure = || prop_oneof![8 => 0..1u64 << 62, 1 => any::<u64>()];
    [figure(), figure(), figure(), figure(), figure(), figure()].prop_map(
        |[multiplies, performed_multiplies, valid_multiplies, adds, parameters, bytes]| Cost {
            multiplies,
            performed_multiplies,
            valid_multiplies,
            adds,
            parameters,
            bytes,
        },
    )
}

/// Millions, to the nearest.
fn millions(count: u64) -> u64 {
    (count + 500_000) / 1_000_000
}

/// Millions with one digit after the point, to the nearest.
fn tenths(count: u64) -> f64 {
    ((count + 50_000) / 100_000) as f64 / 10.0
}

fn weights(network: &Network) -> u64 {
    network.layers.iter().map(|layer| layer.shape.weight_len().unwrap() as u64).sum()
}

fn biases(network: &Network) -> u64 {
    network.layers.iter().map(|layer| layer.shape.c_out as u64).sum()
}

/// The network without its fully connected layer.
fn convolutions(mut network: Network) -> Network {
    assert_eq!(network.layers.pop().unwrap().name, "fc");
    network
}

/// Tables 6 and 7 of arXiv:1704.04861: millions of multiply-adds and of parameters.
#[test]
fn mobilenet_v1_has_the_published_totals() {
    for (width, resolution, published, parameters) in [
        (1.0, 224, 569, 4.2),
        (0.75, 224, 325, 2.6),
        (0.5, 224, 149, 1.3),
        (0.25, 224, 41, 0.5),
        (1.0, 192, 418, 4.2),
        (1.0, 128, 186, 4.2),
    ] {
        let network = mobilenet_v1(width, resolution).unwrap();
        let cost = network.cost().unwrap();
        assert_eq!(millions(cost.multiplies), published, "{}", network.name);
        assert_eq!(cost.parameters, weights(&network) + biases(&network));
        // To the digits published, it makes no difference whether biases count.
        assert_eq!(tenths(cost.parameters), parameters, "{}", network.name);
        assert_eq!(tenths(weights(&network)), parameters, "{}", network.name);
        assert_eq!(cost.adds, cost.multiplies);
    }
    // Cut, not rounded, in table 7; the authors' later table of checkpoints says 291.
    let multiplies = mobilenet_v1(1.0, 160).unwrap().cost().unwrap().multiplies;
    assert_eq!((multiplies, multiplies / 1_000_000, millions(multiplies)), (290_675_200, 290, 291));
}

/// The exact totals in the head of the authors' `slim/nets/mobilenet_v1.py`: convolutions only, weights only.
#[test]
fn mobilenet_v1_has_the_exact_totals_of_its_authors() {
    for (width, resolution, parameters, multiplies) in
        [(1.0, 224, 3_185_088, 567_716_352), (0.75, 128, 1_800_144, 106_002_432)]
    {
        let network = convolutions(mobilenet_v1(width, resolution).unwrap());
        assert_eq!(weights(&network), parameters);
        assert_eq!(network.cost().unwrap().multiplies, multiplies);
    }
    let network = mobilenet_v1(1.0, 224).unwrap();
    let multiplies = |name: &str| network.layers.iter().find(|l| l.name == name).unwrap().cost().unwrap().multiplies;
    assert_eq!(
        ["conv0", "dw1", "pw1", "dw6", "pw12", "dw13", "pw13", "fc"].map(multiplies),
        [10_838_016, 3_612_672, 25_690_112, 451_584, 25_690_112, 451_584, 51_380_224, 1_024_000]
    );
}

/// Table 4: 4866 M multiply-adds, which leaves the fully connected layer out, and 29.3 M parameters, which has it in.
#[test]
fn standard_mobilenet_v1_has_the_published_totals() {
    let network = mobilenet_v1_standard(1.0, 224).unwrap();
    assert_eq!(tenths(weights(&network)), 29.3);
    assert_eq!(tenths(network.cost().unwrap().parameters), 29.3);
    assert_eq!(network.cost().unwrap().multiplies, 4_867_293_184);
    assert_eq!(millions(convolutions(network).cost().unwrap().multiplies), 4866);
}

/// The pairs of the network are what the network of standard convolutions has in their place.
#[test]
fn pairs_replace_the_standard_convolutions() {
    for (width, resolution) in [(1.0, 224), (0.75, 160), (0.3, 97)] {
        let (light, standard) =
            (mobilenet_v1(width, resolution).unwrap(), mobilenet_v1_standard(width, resolution).unwrap());
        let replaced: Vec<_> = light.pairs().map(|pair| pair.standard).collect();
        let expected: Vec<_> = standard.layers[1..14].iter().map(|layer| layer.shape).collect();
        assert_eq!(replaced, expected);
        assert_eq!((light.layers.len(), standard.layers.len(), standard.pairs().count()), (28, 15, 0));
        assert_eq!((&light.layers[0], &light.layers[27]), (&standard.layers[0], &standard.layers[14]));
        for pair in light.pairs() {
            let (c_out, taps) = (pair.pointwise.shape.c_out as f64, 9.0);
            assert!((pair.ratio().unwrap() - (1.0 / c_out + 1.0 / taps)).abs() < 1e-12);
        }
    }
}

/// A whole network counted, layer by layer, through the reference.
#[test]
fn counted_network() {
    let network = mobilenet_v1(0.25, 32).unwrap();
    let (mut all, mut valid) = (Counts::default(), 0);
    for layer in &network.layers {
        let (counts, inside) = count_conv(&layer.shape, Layout::Nhwc, true).unwrap();
        all = Counts { multiplies: all.multiplies + counts.multiplies, adds: all.adds + counts.adds };
        valid += inside.multiplies;
    }
    let cost = network.cost().unwrap();
    assert_eq!((all.multiplies, all.adds, valid), (cost.multiplies, cost.adds, cost.valid_multiplies));
    assert!(valid < all.multiplies);
}

#[test]
fn networks_refuse_bad_arguments() {
    for width in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
        assert!(mobilenet_v1(width, 224).is_err(), "{width}");
        assert!(mobilenet_v1_standard(width, 224).is_err(), "{width}");
    }
    assert!(mobilenet_v1(1.0, 0).is_err());
    assert!(mobilenet_v1(1.0, usize::MAX).is_err());
    let error = mobilenet_v1(-0.5, 224).unwrap_err();
    assert_eq!(error.to_string(), "width is -0.5, expected a positive number");
    // Small widths keep 8 channels, any resolution will do.
    let tiny = mobilenet_v1(1e-3, 1).unwrap();
    assert!(tiny.layers.iter().all(|layer| layer.shape.c_out == 8 || layer.name == "fc"));
}
