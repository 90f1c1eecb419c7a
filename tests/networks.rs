//! The layer tables give the totals that are published for their networks, to the digits published. Where a published
//! figure is cut instead of rounded, or counts something else, the head of the network's file says so.

use lightconv::network::{self, Network, Op};
use lightconv::{Activation, Error};

/// Millions, cut.
fn cut(count: u64) -> u64 {
    count / 1_000_000
}

/// Millions, to the nearest.
fn round(count: u64) -> u64 {
    (count + 500_000) / 1_000_000
}

/// Hundredths of millions, to the nearest.
fn hundredths(count: u64) -> u64 {
    (count + 5_000) / 10_000
}

/// Tenths of millions, to the nearest.
fn tenths(count: u64) -> u64 {
    (count + 50_000) / 100_000
}

fn multiplies(network: &Network) -> u64 {
    network.cost().unwrap().multiplies
}

fn weights(network: &Network) -> u64 {
    network.layers.iter().map(|l| l.shape.weight_len().unwrap() as u64).sum()
}

fn of(network: &Network, name: &str) -> u64 {
    network.layers.iter().find(|l| l.name == name).unwrap().shape.multiplies().unwrap()
}

/// Multiplies without the fully connected layer at the end.
fn convolutions(network: &Network) -> u64 {
    multiplies(network) - of(network, "fc")
}

/// The authors' list of checkpoints: width, resolution, M multiply-adds (cut), hundredths of M weights.
#[test]
fn mobilenet_v2_has_the_published_totals() {
    let list = [
        (1.4, 224, 582, 606),
        (1.3, 224, 509, 534),
        (1.0, 224, 300, 347),
        (1.0, 192, 221, 347),
        (1.0, 160, 154, 347),
        (1.0, 128, 99, 347),
        (1.0, 96, 56, 347),
        (0.75, 224, 209, 261),
        (0.75, 192, 153, 261),
        (0.75, 160, 107, 261),
        (0.75, 128, 69, 261),
        (0.75, 96, 39, 261),
        (0.5, 224, 97, 195),
        (0.5, 192, 71, 195),
        (0.5, 160, 50, 195),
        (0.5, 128, 32, 195),
        (0.5, 96, 18, 195),
        (0.35, 224, 59, 166),
        (0.35, 192, 43, 166),
        (0.35, 160, 30, 166),
        (0.35, 128, 20, 166),
        (0.35, 96, 11, 166),
    ];
    for (width, resolution, published, parameters) in list {
        let network = network::mobilenet_v2(width, resolution).unwrap();
        assert_eq!(cut(multiplies(&network)), published, "{}", network.name);
        assert_eq!(hundredths(weights(&network)), parameters, "{}", network.name);
    }
    let network = network::mobilenet_v2(1.0, 224).unwrap();
    // Torchvision's figure, and the paper's 3.4 M.
    assert_eq!(network.trained_parameters(), 3_504_872);
    assert_eq!(weights(&network) / 100_000, 34);
    // The paper's 585 M and 6.9 M for width 1.4 are not reached: 582 and 6.1.
    let wide = network::mobilenet_v2(1.4, 224).unwrap();
    assert_eq!((multiplies(&wide), wide.trained_parameters()), (582_195_824, 6_108_776));
    assert_eq!(network.pairs().count(), 17);
}

#[test]
fn mobilenet_v3_has_the_published_totals() {
    let large = network::mobilenet_v3_large(1.0, 224).unwrap();
    let small = network::mobilenet_v3_small(1.0, 224).unwrap();
    // The authors' list says 217 M, the paper 219 M.
    assert_eq!((multiplies(&large), round(multiplies(&large))), (216_589_760, 217));
    assert_eq!((multiplies(&small), cut(multiplies(&small))), (56_510_400, 56));
    // Torchvision's figures, and the paper's 5.4 M and 2.5 M.
    assert_eq!((large.trained_parameters(), small.trained_parameters()), (5_483_032, 2_542_856));
    assert_eq!((large.trained_parameters() / 100_000, small.trained_parameters() / 100_000), (54, 25));
    let thin = network::mobilenet_v3_large(0.75, 224).unwrap();
    assert_eq!((round(multiplies(&thin)), tenths(thin.trained_parameters())), (155, 40));
    assert_eq!(round(multiplies(&network::mobilenet_v3_large(1.25, 224).unwrap())), 356);

    // What else would make up for the paper's 219 M: divisions of hard-swish, scaling, averages.
    let mut other = 0;
    for node in &large.graph.nodes {
        other += match node.op {
            Op::Convolution { epilogue, .. } if epilogue.activation == Activation::HardSwish => node.dims.elements(),
            Op::Scale => node.dims.elements(),
            Op::Pool { shape, .. } => Ok(shape.h * shape.w * shape.c_in),
            _ => Ok(0),
        }
        .unwrap() as u64;
    }
    assert_eq!(round(multiplies(&large) + other), 219);
}

/// Tables 1 and 2 of the paper, and the authors' later list.
#[test]
fn shufflenet_v1_has_the_published_totals() {
    let network = |groups, width| network::shufflenet_v1(groups, width, 224).unwrap();
    for (groups, published) in [(1, 143), (2, 140), (3, 137), (4, 133), (8, 137)] {
        assert_eq!(round(convolutions(&network(groups, 1.0))), published, "{groups} groups");
    }
    // One figure for all groups.
    assert_eq!((round(convolutions(&network(1, 0.5))), round(convolutions(&network(1, 0.25)))), (38, 13));
    for (groups, half, quarter) in [(2, 382, 132), (3, 371, 131), (4, 369, 131), (8, 397, 153)] {
        let found = [0.5, 0.25].map(|w| tenths(convolutions(&network(groups, w))));
        assert_eq!(found, [half, quarter], "{groups} groups");
    }
    for (groups, width, published, parameters) in [
        (3, 2.0, 524, 54),
        (8, 2.0, 522, 65),
        (3, 1.5, 292, 34),
        (8, 1.5, 290, 43),
        (8, 1.0, 138, 24),
        (3, 0.5, 38, 7),
        (8, 0.5, 40, 10),
    ] {
        let network = network(groups, width);
        assert_eq!(round(multiplies(&network)), published, "{}", network.name);
        // Weights alone or all parameters, rounded or cut: the list follows no one rule.
        let all = network.trained_parameters();
        assert!([tenths(weights(&network)), tenths(all), all / 100_000].contains(&parameters), "{}", network.name);
    }
    // The list says 138 M and 1.9 M.
    let three = network(3, 1.0);
    assert_eq!((multiplies(&three), tenths(three.trained_parameters())), (137_460_672, 19));
}

#[test]
fn shufflenet_v2_has_the_published_totals() {
    for (width, published, parameters, exact, torchvision) in [
        (0.5, 41, 14, 40_526_624, 1_366_792),
        (1.0, 146, 23, 145_864_472, 2_278_604),
        (1.5, 299, 35, 299_020_832, 3_503_624),
        (2.0, 591, 74, 590_883_352, 7_393_996),
    ] {
        let network = network::shufflenet_v2(width, 224).unwrap();
        // With one multiply for every element of the global average.
        let with_average = multiplies(&network) + of(&network, "fc") / 1000 * 49;
        assert_eq!((with_average, round(with_average)), (exact, published), "{width}");
        assert_eq!(tenths(network.trained_parameters()), parameters, "{width}");
        let other = network::shufflenet_v2_torchvision(width, 224).unwrap();
        assert_eq!(other.trained_parameters(), torchvision, "{width}");
        assert_eq!(tenths(other.trained_parameters()), parameters, "{width}");
    }
    let torchvision = network::shufflenet_v2_torchvision(1.0, 224).unwrap();
    assert_eq!(multiplies(&torchvision), 144_907_992);
}

#[test]
fn ghostnet_has_the_published_totals() {
    for (width, published, parameters) in [(0.5, 42, 26), (1.0, 141, 52), (1.3, 226, 73)] {
        let network = network::ghostnet(width, 224).unwrap();
        // A quarter in squeeze-and-excite, exactly, where the code rounds to multiples of 4: that is what 226 M takes.
        let mut exact = multiplies(&network);
        for layer in network.layers.iter().filter(|l| l.name.ends_with(".squeeze")) {
            let (c, squeezed) = (layer.shape.c_in, layer.shape.c_out);
            exact = exact - 2 * (c * squeezed) as u64 + 2 * (c * (c / 4)) as u64;
        }
        assert_eq!(cut(exact), published, "{width}");
        assert_eq!(tenths(weights(&network)), parameters, "{width}");
    }
    assert_eq!(multiplies(&network::ghostnet(0.5, 224).unwrap()), 42_328_152);
    assert_eq!(multiplies(&network::ghostnet(1.0, 224).unwrap()), 141_150_512);
    assert_eq!(multiplies(&network::ghostnet(1.3, 224).unwrap()), 227_003_256);
}

/// The networks that the light ones are compared with.
#[test]
fn heavy_networks_have_the_published_totals() {
    let hundreds = |n: &Network| multiplies(n) / 100_000_000;
    let resnet = network::resnet50(224).unwrap();
    assert_eq!((hundreds(&resnet), resnet.trained_parameters() / 100_000), (40, 255));
    assert_eq!((multiplies(&resnet) + 50_000_000) / 100_000_000, 41);
    assert_eq!(resnet.trained_parameters(), 25_557_032);
    let first = network::resnet50_v1(224).unwrap();
    assert_eq!((hundreds(&first), first.trained_parameters()), (38, 25_557_032));
    let resnext = network::resnext50_32x4d(224).unwrap();
    assert_eq!((hundreds(&resnext), resnext.trained_parameters()), (42, 25_028_904));
    assert_eq!(tenths(weights(&resnext)), 250);

    let alexnet = network::alexnet_columns(224).unwrap();
    assert_eq!((multiplies(&alexnet), cut(alexnet.trained_parameters())), (724_406_816, 60));
    assert_eq!((multiplies(&alexnet) + 5_000_000) / 10_000_000, 72);
    let one_column = network::alexnet(224).unwrap();
    assert_eq!((multiplies(&one_column), one_column.trained_parameters()), (714_188_480, 61_100_840));

    let vgg = network::vgg16(224).unwrap();
    let full: u64 = ["fc1", "fc2", "fc3"].map(|name| of(&vgg, name)).iter().sum();
    assert_eq!(((multiplies(&vgg) - full) / 100_000_000, vgg.trained_parameters()), (153, 138_357_544));
    assert_eq!(multiplies(&vgg), 15_470_264_320);
}

/// Every constructor with a resolution, small enough to be quick.
fn all(resolution: usize) -> Vec<Result<Network, Error>> {
    let mut all = vec![
        network::mobilenet_v1(0.5, resolution),
        network::mobilenet_v1_standard(0.5, resolution),
        network::mobilenet_v2(0.5, resolution),
        network::mobilenet_v3_large(0.5, resolution),
        network::mobilenet_v3_small(0.5, resolution),
        network::shufflenet_v2(0.5, resolution),
        network::shufflenet_v2_torchvision(0.5, resolution),
        network::ghostnet(0.5, resolution),
        network::resnet50(resolution),
        network::resnet50_v1(resolution),
        network::resnext50_32x4d(resolution),
        network::alexnet(resolution),
        network::alexnet_columns(resolution),
        network::vgg16(resolution),
    ];
    all.extend([1, 2, 3, 4, 8].map(|groups| network::shufflenet_v1(groups, 0.5, resolution)));
    all
}

#[test]
fn graphs_are_whole() {
    for network in all(96) {
        let network = network.unwrap();
        let graph = &network.graph;
        let mut names: Vec<&str> = graph.nodes.iter().map(|n| n.name.as_str()).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|w| w[0] != w[1]), "{}: two nodes of one name", network.name);
        let mut read = vec![false; graph.nodes.len() + 1];
        for (i, node) in graph.nodes.iter().enumerate() {
            for &input in &node.inputs {
                assert!(input <= i, "{}: {} reads what comes later", network.name, node.name);
                read[input] = true;
            }
            assert_eq!(node.source.is_some(), matches!(node.op, Op::Convolution { .. }), "{}", node.name);
        }
        read.pop();
        assert!(read.iter().all(|&r| r), "{}: an output that nobody reads", network.name);
        let layers: Vec<_> = network.layers.iter().map(|l| (l.name.as_str(), l.shape)).collect();
        let nodes = graph.nodes.iter().filter_map(|n| match n.op {
            Op::Convolution { shape, .. } => Some((n.name.as_str(), shape)),
            _ => None,
        });
        assert!(nodes.eq(layers), "{}: layers are not the convolutions of the graph", network.name);
        assert_eq!(graph.nodes.last().unwrap().dims.c, 1000);
    }
}

#[test]
fn constructors_refuse_bad_arguments() {
    for resolution in [0, usize::MAX, usize::MAX / 2] {
        for network in all(resolution) {
            assert!(network.is_err(), "{resolution}");
        }
    }
    for width in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
        for network in [
            network::mobilenet_v2(width, 224),
            network::mobilenet_v3_large(width, 224),
            network::mobilenet_v3_small(width, 224),
            network::ghostnet(width, 224),
            network::shufflenet_v1(3, width, 224),
            network::shufflenet_v2(width, 224),
        ] {
            assert!(network.is_err(), "{width}");
        }
    }
    assert!(network::shufflenet_v1(5, 1.0, 224).is_err());
    assert!(network::shufflenet_v1(0, 1.0, 224).is_err());
    assert!(network::shufflenet_v2(0.75, 224).is_err());
    // Too small for three poolings without padding.
    assert!(network::alexnet(32).is_err());
    assert!(network::vgg16(31).is_err());
    for width in [1e-9, 1e-3, 0.1] {
        for network in [
            network::mobilenet_v2(width, 1),
            network::mobilenet_v3_large(width, 1),
            network::mobilenet_v3_small(width, 1),
            network::ghostnet(width, 1),
        ] {
            assert!(network.unwrap().cost().is_ok(), "{width}");
        }
    }
    // The shortcut alone would have more channels than the stage.
    assert!(network::shufflenet_v1(4, 1e-9, 224).unwrap_err().to_string().starts_with("channels of a stage"));
}

#[test]
fn networks_are_found_by_name() {
    let mut found = 0;
    for network in all(96) {
        let network = network.unwrap();
        // 96 and 0.5 are in the name.
        assert_eq!(network::by_name(&network.name).unwrap().unwrap(), network);
        found += 1;
    }
    assert!(found > network::names().count());
    for name in network::names() {
        let network = network::by_name(name).unwrap().unwrap();
        assert!(network.name.starts_with(name) && network.name.ends_with("_224"), "{}", network.name);
    }
    let (first, second) = (network::by_name("shufflenet_v1"), network::by_name("shufflenet_v1_g3_1.0_224"));
    assert_eq!(first.unwrap().unwrap(), second.unwrap().unwrap());
    for bad in [
        "",
        "resnet",
        "resnet50_",
        "resnet50_1.0_224",
        "mobilenet_v2_x_224",
        "mobilenet_v2_1.0",
        "shufflenet_v1_g",
        "ghostnet224",
    ] {
        assert!(network::by_name(bad).is_none(), "{bad}");
    }
    for bad in
        ["resnet50_0", "mobilenet_v2_NaN_224", "mobilenet_v2_1.0_0", "shufflenet_v1_g5", "shufflenet_v2_0.75_224"]
    {
        assert!(network::by_name(bad).unwrap().is_err(), "{bad}");
    }
}
