//! What to measure: the layers of a file or of a network, and the depthwise separable pairs among them.

use super::args::Args;
use lightconv::network::{self, Layer, Network};
use lightconv::{Activation, Conv2dShape, Cost};
use serde::Deserialize;
use std::path::Path;

/// More than any layer of a network for a phone needs, and less than a machine has.
const MOST_BYTES: u64 = 2 << 30;

/// Networks by name, with their width multiplier and resolution.
type Table = fn(f64, usize) -> Result<Network, lightconv::Error>;
const NETWORKS: [(&str, Table); 2] =
    [("mobilenet_v1", network::mobilenet_v1), ("mobilenet_v1_standard", network::mobilenet_v1_standard)];

/// A depthwise layer and the pointwise layer that reads its output.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// Index of the depthwise layer; the pointwise one is the next.
    pub first: usize,
    /// The standard convolution that the pair stands for.
    pub standard: Layer,
}

/// Layers and pairs of one run.
#[derive(Clone, Debug)]
pub struct Job {
    pub network: Network,
    pub pairs: Vec<Pair>,
    /// Activation after each layer.
    pub activation: Activation,
}

impl Job {
    /// The job that the command line asks for.
    pub fn from_args(args: &Args) -> Result<Job, String> {
        let (mut network, activation) = match &args.layers {
            Some(path) => (read_layers(path)?, Activation::None),
            None => (network_of(&args.network)?, Activation::Relu6),
        };
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
        Ok(Job { network, pairs, activation })
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

/// A network of [`NETWORKS`] by its name, which width multiplier and resolution may follow.
fn network_of(name: &str) -> Result<Network, String> {
    let found = NETWORKS.iter().find_map(|(known, table)| Some((table, size_of_network(name.strip_prefix(known)?)?)));
    let Some((table, (width, resolution))) = found else {
        let known = NETWORKS.map(|(known, _)| known).join(", ");
        return Err(format!(
            "unknown network `{name}`, expected one of {known}, with _WIDTH_RESOLUTION after it or not: mobilenet_v1_0.5_160"
        ));
    };
    table(width, resolution).map_err(|e| format!("network `{name}`: {e}"))
}

/// Width and resolution of `_0.5_160`; of nothing, the full ones.
fn size_of_network(text: &str) -> Option<(f64, usize)> {
    if text.is_empty() {
        return Some((1.0, 224));
    }
    let (width, resolution) = text.strip_prefix('_')?.split_once('_')?;
    Some((width.parse().ok()?, resolution.parse().ok()?))
}

/// The depthwise separable pairs of the network, and what each replaces.
fn pairs(network: &Network) -> Vec<Pair> {
    let first = |l: &Layer| network.layers.iter().position(|other| std::ptr::eq(l, other));
    let pair = |p: network::Pair<'_>| {
        let name = format!("{} + {} as one", p.depthwise.name, p.pointwise.name);
        Some(Pair { first: first(p.depthwise)?, standard: Layer { name, shape: p.standard } })
    };
    network.pairs().filter_map(pair).collect()
}

#[cfg(test)]
#[allow(unused)]
mod tests {
    use super::*;
    use clap::Parser;

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
        let job = Job::from_args(&Args::parse_from(["speedup"])).unwrap();
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
        let standard = network_of("mobilenet_v1_standard").unwrap();
        assert_eq!(standard, network::mobilenet_v1_standard(1.0, 224).unwrap());
        assert!(pairs(&standard).is_empty());
    }

    #[test]
    fn unknown_networks_and_names_are_errors() {
        for bad in ["resnet", "mobilenet_v1_x_224", "mobilenet_v1_1.0", "mobilenet_v1_1.0_0", "mobilenet_v1_NaN_224"] {
            let job = Job::from_args(&Args::parse_from(["speedup", "--network", bad]));
            assert!(job.unwrap_err().contains(bad), "{bad}");
        }
        let job = Job::from_args(&Args::parse_from(["speedup", "--only", "nothing like it"]));
        assert!(job.unwrap_err().contains("nothing like it"));
        let job = Job::from_args(&Args::parse_from(["speedup", "--layers", "/no/such/file"]));
        assert!(job.unwrap_err().contains("/no/such/file"));
    }
}
