//! What to measure: the layers of a file or of a network, and the depthwise separable pairs among them.

use super::args::Args;
use lightconv::network::{self, Layer, Network, Op};
use lightconv::{Activation, Conv2dShape, Cost};
use serde::Deserialize;
use std::path::Path;

/// More than any layer of a network for a phone needs, and less than a machine has.
const MOST_BYTES: u64 = 2 << 30;

/// What `all` stands for: the light networks, then those that they are compared with.
const ALL: [&str; 11] = [
    "mobilenet_v1",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "shufflenet_v1",
    "shufflenet_v2",
    "ghostnet",
    "resnet50",
    "resnext50_32x4d",
    "alexnet",
    "vgg16",
];

/// Two layers, one after the other, that replace a standard convolution: a depthwise separable pair, or a Ghost module.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// Index of the first layer; the second one is the next.
    pub first: usize,
    /// The standard convolution that the pair stands for.
    pub standard: Layer,
}

/// Layers and pairs of one run.
#[derive(Clone, Debug)]
pub struct Job {
    pub network: Network,
    pub pairs: Vec<Pair>,
}

impl Job {
    /// The jobs that the command line asks for.
    pub fn all_from_args(args: &Args) -> Result<Vec<Job>, String> {
        if args.is_all() {
            return ALL.iter().map(|name| Job::new(network_of(name)?, args)).collect();
        }
        let network = match &args.layers {
            Some(path) => read_layers(path)?,
            None => network_of(&args.network)?,
        };
        Ok(vec![Job::new(network, args)?])
    }

    fn new(mut network: Network, args: &Args) -> Result<Job, String> {
        if let Some(text) = &args.only {
            network.layers.retain(|l| l.name.contains(text.as_str()));
            if network.layers.is_empty() {
                return Err(format!("no layer of {} has `{text}` in its name", network.name));
            }
        }
        let pairs = pairs(&network);
        for layer in network.layers.iter().chain(pairs.iter().map(|p| &p.standard)) {
            check(layer)?;
        }
        Ok(Job { network, pairs })
    }

    /// Activation after a layer; none for a layer of a list.
    pub fn activation(&self, layer: &Layer) -> Activation {
        let found = self.network.graph.nodes.iter().find_map(|n| match n.op {
            Op::Convolution { epilogue, .. } if n.name == layer.name => Some(epilogue.activation),
            _ => None,
        });
        found.unwrap_or_default()
    }

    /// Whether the network can be run as a whole: all its layers are measured, and it is known how they connect.
    pub fn is_whole(&self) -> bool {
        let convolutions = self.network.graph.nodes.iter().filter(|n| matches!(n.op, Op::Convolution { .. })).count();
        convolutions > 0 && convolutions == self.network.layers.len()
    }
}

/// Whether the shape makes sense and is of a size that can be measured.
fn check(layer: &Layer) -> Result<(), String> {
    let cost = Cost::of(&layer.shape).map_err(|e| format!("layer `{}`: {e}", layer.name))?;
    if cost.bytes > MOST_BYTES {
        let (bytes, name) = (cost.bytes, &layer.name);
        return Err(format!("layer `{name}` needs {bytes} bytes, expected at most {MOST_BYTES}"));
    }
    Ok(())
}

/// One object of a layers file.
#[derive(Debug, Deserialize)]
struct Entry {
    name: String,
    n: usize,
    c_in: usize,
    h: usize,
    w: usize,
    c_out: usize,
    kh: usize,
    kw: usize,
    stride: usize,
    pad_h: usize,
    pad_w: usize,
    dilation: usize,
    groups: usize,
    /// Multiplies as the file's author counts them.
    macs: Option<u64>,
}

fn read_layers(path: &Path) -> Result<Network, String> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| format!("{name}: {e}"))?;
    let layers = parse_layers(&text).map_err(|e| format!("{name}: {e}"))?;
    Ok(Network::list(name, layers))
}

fn parse_layers(text: &str) -> Result<Vec<Layer>, String> {
    let entries: Vec<Entry> = serde_json::from_str(text).map_err(|e| format!("not a list of layers: {e}"))?;
    if entries.is_empty() {
        return Err("the list of layers is empty".to_owned());
    }
    entries.into_iter().map(Entry::into_layer).collect()
}

impl Entry {
    fn into_layer(self) -> Result<Layer, String> {
        let e = self;
        let shape = Conv2dShape::new(e.n, e.h, e.w, e.c_in, e.c_out, [e.kh, e.kw])
            .groups(e.groups)
            .stride(e.stride)
            .dilation(e.dilation)
            .pad_hw(e.pad_h, e.pad_w);
        let multiplies = shape.multiplies().map_err(|error| format!("layer `{}`: {error}", e.name))?;
        match e.macs {
            Some(macs) if macs != multiplies => {
                Err(format!("layer `{}`: macs is {macs}, expected {multiplies} of the sizes given", e.name))
            }
            _ => Ok(Layer { name: e.name, shape }),
        }
    }
}

/// A network by its name, which width multiplier and resolution may follow.
fn network_of(name: &str) -> Result<Network, String> {
    let Some(network) = network::by_name(name) else {
        let known: Vec<_> = network::names().collect();
        return Err(format!(
            "unknown network `{name}`, expected one of {}, with _WIDTH_RESOLUTION after it or not: mobilenet_v1_0.5_160",
            known.join(", ")
        ));
    };
    network.map_err(|e| format!("network `{name}`: {e}"))
}

/// The depthwise separable pairs and the Ghost modules of the network, and what each replaces.
fn pairs(network: &Network) -> Vec<Pair> {
    let layers = &network.layers;
    let mut found = Vec::new();
    for pair in network.pairs() {
        let first = layers.iter().position(|l| std::ptr::eq(l, pair.depthwise));
        let name = format!("{} + {} as one", pair.depthwise.name, pair.pointwise.name);
        found.extend(first.map(|first| Pair { first, standard: Layer { name, shape: pair.standard } }));
    }
    for (first, two) in layers.windows(2).enumerate() {
        // What gives the other half of the channels at little cost reads the first half.
        if two[0].name.ends_with(".primary") && two[1].name.ends_with(".cheap") {
            let name = format!("{} + {} as one", two[0].name, two[1].name);
            let shape = Conv2dShape { c_out: two[0].shape.c_out + two[1].shape.c_out, ..two[0].shape };
            found.push(Pair { first, standard: Layer { name, shape } });
        }
    }
    found.sort_by_key(|p| p.first);
    found
}

#[cfg(test)]
#[allow(unused)]
mod tests {
    use super::*;
    use clap::Parser;

    /// The first job of a command line.
    fn first_job(args: &Args) -> Result<Job, String> {
        Job::all_from_args(args).map(|mut jobs| jobs.remove(0))
    }

    const ONE: &str = r#"{"name": "dw", "n": 1, "c_in": 8, "h": 6, "w": 5, "c_out": 8, "kh": 3, "kw": 3, "stride": 2,
        "pad_h": 1, "pad_w": 1, "dilation": 1, "groups": 8, "out_h": 3, "out_w": 3, "macs": 648}"#;

    #[test]
    fn a_layer_is_read_whole() {
        let layers = parse_layers(&format!("[{ONE}]")).unwrap();
        let shape = Conv2dShape::new(1, 6, 5, 8, 8, [3, 3]).groups(8).stride(2).pad(1);
        assert_eq!(layers, [Layer { name: "dw".to_owned(), shape }]);
    }

    #[test]
    fn broken_files_are_errors_that_say_what() {
        let with = |from: &str, to: &str| format!("[{}]", ONE.replace(from, to));
        for (text, says) in [
            (String::new(), "not a list"),
            ("{}".to_owned(), "not a list"),
            ("[]".to_owned(), "empty"),
            (with(r#""kh": 3, "#, ""), "kh"),
            (with(r#""stride": 2"#, r#""stride": 0"#), "stride"),
            (with(r#""stride": 2"#, r#""stride": -2"#), "-2"),
            (with(r#""groups": 8"#, r#""groups": 3"#), "multiple of 3"),
            (with("648", "649"), "expected 648"),
            (with(r#""c_in": 8"#, &format!(r#""c_in": {}"#, usize::MAX)), "c_in"),
        ] {
            let error = parse_layers(&text).unwrap_err();
            assert!(error.contains(says), "{text}\n{error}");
        }
    }

    #[test]
    fn a_layer_too_large_to_measure_is_an_error() {
        let layer = Layer { name: "huge".to_owned(), shape: Conv2dShape::new(1, 1 << 15, 1 << 15, 8, 8, [3, 3]) };
        assert!(check(&layer).unwrap_err().contains("bytes"));
    }

    #[test]
    fn the_pairs_of_mobilenet_are_found_with_their_standard_convolutions() {
        let job = first_job(&Args::parse_from(["speedup"])).unwrap();
        let layers = &job.network.layers;
        assert_eq!((layers.len(), job.pairs.len()), (28, 13));
        let first = &job.pairs[0];
        assert_eq!(first.standard.shape, Conv2dShape::new(1, 112, 112, 32, 64, [3, 3]).pad(1));
        assert_eq!(layers[first.first].shape.groups, 32);
        assert_eq!(layers[first.first + 1].shape.c_out, 64);
    }

    #[test]
    fn a_network_s_name_may_carry_its_size() {
        assert_eq!(network_of("mobilenet_v1_0.5_160").unwrap(), network::mobilenet_v1(0.5, 160).unwrap());
        assert_eq!(network_of("shufflenet_v1_g8_0.5_224").unwrap(), network::shufflenet_v1(8, 0.5, 224).unwrap());
        let standard = network_of("mobilenet_v1_standard").unwrap();
        assert_eq!(standard, network::mobilenet_v1_standard(1.0, 224).unwrap());
        assert!(pairs(&standard).is_empty());
    }

    #[test]
    fn ghost_modules_are_found_with_what_they_replace() {
        let job = first_job(&Args::parse_from(["speedup", "--network", "ghostnet"])).unwrap();
        let layers = &job.network.layers;
        let modules: Vec<_> = job.pairs.iter().filter(|p| layers[p.first].name.ends_with(".primary")).collect();
        assert_eq!(modules.len(), 32);
        for pair in modules {
            let (a, b) = (layers[pair.first].shape, layers[pair.first + 1].shape);
            assert_eq!((pair.standard.shape.c_in, pair.standard.shape.c_out), (a.c_in, a.c_out + b.c_out));
            assert_eq!(pair.standard.shape.groups, 1);
        }
        assert!(job.is_whole());
        assert_eq!(job.activation(&layers[0]), Activation::Relu);
    }

    #[test]
    fn all_stands_for_light_and_heavy_networks() {
        let jobs = Job::all_from_args(&Args::parse_from(["speedup", "--network", "all"])).unwrap();
        assert_eq!(jobs.len(), ALL.len());
        assert!(jobs.iter().all(Job::is_whole));
        let only = Args::parse_from(["speedup", "--network", "mobilenet_v2", "--only", "dw"]);
        assert!(!first_job(&only).unwrap().is_whole());
    }

    #[test]
    fn unknown_networks_and_names_are_errors() {
        for bad in ["resnet", "mobilenet_v1_x_224", "mobilenet_v1_1.0", "mobilenet_v1_1.0_0", "mobilenet_v1_NaN_224"] {
            let job = first_job(&Args::parse_from(["speedup", "--network", bad]));
            assert!(job.unwrap_err().contains(bad), "{bad}");
        }
        let job = first_job(&Args::parse_from(["speedup", "--only", "nothing like it"]));
        assert!(job.unwrap_err().contains("nothing like it"));
        let job = first_job(&Args::parse_from(["speedup", "--layers", "/no/such/file"]));
        assert!(job.unwrap_err().contains("/no/such/file"));
    }
}
