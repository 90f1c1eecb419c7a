//! What is on a picture: runs a network with trained weights and prints the five likeliest of ImageNet's classes.
//!
//! `cargo run --release --example classify -- mobilenet_v2 mobilenet_v2.safetensors cat.png`
//!
//! docs/weights.md says how to make the file of weights from torchvision's.

use clap::Parser;
use image::imageops::{self, FilterType};
use lightconv::network::{self, Network, NetworkPlan, Op, Weights};
use lightconv::parallel::Rayon;
use lightconv::{Layout, Options, View, ViewMut};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

type Error = Box<dyn std::error::Error>;
type Tensors = HashMap<String, Vec<f32>>;

/// Mean and standard deviation of ImageNet's red, green and blue, which all of torchvision's weights expect.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];
/// Of the shorter side, the crop takes this part.
const CROP: f64 = 224.0 / 256.0;

/// Names what is on a picture.
#[derive(Debug, Parser)]
#[command(name = "classify")]
struct Args {
    /// Network, with width multiplier and resolution or without: mobilenet_v2, mobilenet_v2_0.75_160
    network: String,

    /// Its weights: a safetensors file with torchvision's names, or with the network's own
    weights: PathBuf,

    /// PNG or JPEG; or a safetensors file with a tensor `input`, [1, 3, height, width], prepared already
    picture: PathBuf,

    /// Names of the classes, one a line
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,

    /// Write all scores to this safetensors file, as tensor `logits`
    #[arg(long, value_name = "FILE")]
    logits: Option<PathBuf>,

    /// Order of the axes in memory: nhwc or nchw
    #[arg(long, value_name = "NAME", default_value = "nhwc", value_parser = ["nhwc", "nchw"])]
    layout: String,

    /// Threads
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<String, Error> {
    let network = network::by_name(&args.network).ok_or_else(|| {
        let known: Vec<_> = network::names().collect();
        format!("unknown network `{}`, expected one of {}", args.network, known.join(", "))
    })??;
    let weights = weights(&network, &args.weights)?;
    let layout = if args.layout == "nchw" { Layout::Nchw } else { Layout::Nhwc };
    let threads = usize::from(args.threads);
    let plan = NetworkPlan::new(&network, layout, |name| weights.get(name), &Options::new().threads(threads))?;

    let input = picture(&args.picture, plan.input_dims().h, layout)?;
    let mut scores = vec![0.0; plan.output_dims().elements()?];
    let mut scratch = vec![0.0; plan.scratch_len()];
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    plan.run_with(
        &Rayon::in_pool(&pool),
        &View::dense(layout, plan.input_dims(), &input)?,
        &mut ViewMut::dense(layout, plan.output_dims(), &mut scores)?,
        &mut scratch,
    )?;
    if let Some(path) = &args.logits {
        let bytes: Vec<u8> = scores.iter().flat_map(|s| s.to_le_bytes()).collect();
        let tensor = TensorView::new(Dtype::F32, vec![1, scores.len()], &bytes)?;
        safetensors::serialize_to_file([("logits", tensor)], None, path).map_err(|e| named(path, e))?;
    }
    let labels = match &args.labels {
        Some(path) => std::fs::read_to_string(path).map_err(|e| named(path, e))?,
        None => String::new(),
    };
    Ok(top_five(&scores, &labels.lines().collect::<Vec<_>>()))
}

/// The five best classes: probability, score before the softmax, number and name.
fn top_five(scores: &[f32], labels: &[&str]) -> String {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let most = scores[order[0]];
    let sum: f64 = scores.iter().map(|s| f64::from(s - most).exp()).sum();
    let mut out = String::new();
    for &class in order.iter().take(5) {
        let probability = 100.0 * f64::from(scores[class] - most).exp() / sum;
        let label = labels.get(class).copied().unwrap_or("");
        let _ = writeln!(out, "{probability:5.1}%  score {:8.4}  class {class:4}  {label}", scores[class]);
    }
    out
}

/// The weights of a file: as they are if it has the network's own names, or folded from published ones.
fn weights(network: &Network, path: &Path) -> Result<Weights, Error> {
    let tensors = read(path)?;
    let find = |name: &str| tensors.get(name).map(Vec::as_slice);
    let own = network.parameters().next().is_some_and(|(name, _)| tensors.contains_key(&name));
    let wanted: Vec<(String, usize)> = if own { network.parameters().collect() } else { published(network) };
    for (name, len) in wanted {
        match tensors.get(&name) {
            None => return Err(named(path, format!("no tensor `{name}`, which {} needs", network.name))),
            Some(t) if t.len() != len => {
                return Err(named(path, format!("tensor `{name}` has {} numbers, expected {len}", t.len())));
            }
            Some(_) => {}
        }
    }
    if own {
        return Ok(Weights::from_tensors(network.parameters().filter_map(|(name, _)| {
            let tensor = tensors.get(&name)?.clone();
            Some((name, tensor))
        })));
    }
    Ok(Weights::folded(network, find)?)
}

/// Names and lengths of the published tensors.
fn published(network: &Network) -> Vec<(String, usize)> {
    let mut all = Vec::new();
    for node in &network.graph.nodes {
        let (Op::Convolution { shape, .. }, Some(source)) = (node.op, &node.source) else { continue };
        all.push((format!("{}.weight", source.module), shape.weight_len().unwrap_or(0)));
        if source.bias {
            all.push((format!("{}.bias", source.module), shape.c_out));
        }
        if let Some(norm) = &source.norm {
            let kinds = ["weight", "bias", "running_mean", "running_var"];
            all.extend(kinds.map(|kind| (format!("{norm}.{kind}"), shape.c_out)));
        }
    }
    all
}

/// All tensors of a safetensors file that are of type `f32`.
fn read(path: &Path) -> Result<Tensors, Error> {
    let bytes = std::fs::read(path).map_err(|e| named(path, e))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|e| named(path, e))?;
    let floats = file.iter().filter(|(_, t)| t.dtype() == Dtype::F32);
    let number = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    Ok(floats.map(|(name, t)| (name.to_owned(), t.data().chunks_exact(4).map(number).collect())).collect())
}

/// The network's input: the picture scaled, cropped in the middle and normalised, or the tensor of a safetensors file.
fn picture(path: &Path, resolution: usize, layout: Layout) -> Result<Vec<f32>, Error> {
    let pixels = resolution * resolution;
    // By channel, row, column.
    let planes = if path.extension().is_some_and(|e| e == "safetensors") {
        let input = read(path)?.remove("input").ok_or_else(|| named(path, "no tensor `input` of type f32"))?;
        if input.len() != 3 * pixels {
            let (got, want) = (input.len(), 3 * pixels);
            return Err(named(path, format!("tensor `input` has {got} numbers, expected {want}")));
        }
        input
    } else {
        let picture = image::open(path).map_err(|e| named(path, e))?.into_rgb8();
        let (w, h) = picture.dimensions();
        let short = (resolution as f64 / CROP).round();
        let scaled = |side: u32| (f64::from(side) * short / f64::from(w.min(h))).round() as u32;
        let (w, h) = (scaled(w).max(resolution as u32), scaled(h).max(resolution as u32));
        // On a smaller scale the triangle is as wide as the pixels it stands for, so that nothing is skipped.
        let picture = imageops::resize(&picture, w, h, FilterType::Triangle);
        let side = resolution as u32;
        let picture = imageops::crop_imm(&picture, (w - side) / 2, (h - side) / 2, side, side).to_image();
        let channel = |c: usize| picture.pixels().map(move |p| (f32::from(p.0[c]) / 255.0 - MEAN[c]) / DEVIATION[c]);
        (0..3).flat_map(channel).collect()
    };
    Ok(match layout {
        Layout::Nchw => planes,
        Layout::Nhwc => (0..3 * pixels).map(|i| planes[i % 3 * pixels + i / 3]).collect(),
    })
}

fn named(path: &Path, e: impl std::fmt::Display) -> Error {
    format!("{}: {e}", path.display()).into()
}

/// The text, or the error's, for a command line without the program's name.
#[cfg(test)]
pub fn run_with(args: &[&str]) -> Result<String, String> {
    let args = Args::try_parse_from(["classify"].iter().chain(args)).map_err(|e| e.to_string())?;
    run(&args).map_err(|e| e.to_string())
}
