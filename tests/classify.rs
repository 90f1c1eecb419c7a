//! The example that names what is on a picture, with weights drawn from a seed: the way from files to scores.

// An example cannot hold tests, so it is compiled here once more.
#[allow(dead_code)]
#[path = "../examples/classify.rs"]
mod classify;

use lightconv::network::{self, NetworkPlan, Op, Weights};
use lightconv::{Layout, Options, View, ViewMut};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::path::PathBuf;

const NETWORK: &str = "mobilenet_v2_0.35_32";

/// A folder of its own for each test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("classify-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, tensors: &[(String, Vec<usize>, Vec<f32>)]) -> String {
        let bytes: Vec<Vec<u8>> = tensors.iter().map(|t| t.2.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
        let views = tensors.iter().zip(&bytes).map(|(t, b)| {
            let view = TensorView::new(Dtype::F32, t.1.clone(), b).unwrap();
            (t.0.clone(), view)
        });
        let path = self.file(name);
        safetensors::serialize_to_file(views, None, path.as_ref()).unwrap();
        path
    }

    /// Weights of `NETWORK` under its own names.
    fn weights(&self) -> (Weights, String) {
        let weights = Weights::random(&network::by_name(NETWORK).unwrap().unwrap(), 9).unwrap();
        let tensors: Vec<_> = weights.iter().map(|(n, t)| (n.to_owned(), vec![t.len()], t.to_vec())).collect();
        let path = self.write("weights.safetensors", &tensors);
        (weights, path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn logits(path: &str) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let data = file.tensor("logits").unwrap().data().to_vec();
    data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

/// Score and class of every line.
fn lines(text: &str) -> Vec<(f32, usize)> {
    let of = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words[2].parse().unwrap(), words[4].parse().unwrap())
    };
    text.lines().map(of).collect()
}

#[test]
fn a_prepared_tensor_gives_the_plan_s_scores() {
    let folder = Folder::new("tensor");
    let (weights, file) = folder.weights();
    let input: Vec<f32> = (0..3 * 32 * 32).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    let picture = folder.write("picture.safetensors", &[("input".into(), vec![1, 3, 32, 32], input.clone())]);

    let network = network::by_name(NETWORK).unwrap().unwrap();
    let plan = NetworkPlan::new(&network, Layout::Nchw, |n| weights.get(n), &Options::new()).unwrap();
    let (mut want, mut scratch) = (vec![0.0; 1000], vec![0.0; plan.scratch_len()]);
    plan.run(
        &View::dense(Layout::Nchw, plan.input_dims(), &input).unwrap(),
        &mut ViewMut::dense(Layout::Nchw, plan.output_dims(), &mut want).unwrap(),
        &mut scratch,
    )
    .unwrap();
    let out = folder.file("logits.safetensors");
    for layout in ["nchw", "nhwc"] {
        let args = [NETWORK, &file, &picture, "--logits", &out, "--layout", layout, "--threads", "2"];
        let text = classify::run_with(&args).unwrap();
        let got = logits(&out);
        let most = want.iter().fold(0.0f32, |a, v| a.max(v.abs()));
        assert!(got.iter().zip(&want).all(|(a, b)| (a - b).abs() <= 1e-5 * most), "{layout}");
        let lines = lines(&text);
        assert_eq!(lines.len(), 5);
        assert!(lines.windows(2).all(|w| w[0].0 >= w[1].0));
        assert!(got.iter().all(|&v| v <= got[lines[0].1]));
        assert!((lines[0].0 - got[lines[0].1]).abs() < 1e-3);
    }
}

#[test]
fn pictures_are_scaled_cropped_and_named() {
    let folder = Folder::new("picture");
    let (_, file) = folder.weights();
    let labels = folder.file("labels.txt");
    std::fs::write(&labels, (0..1000).map(|i| format!("label of {i}\n")).collect::<String>()).unwrap();
    // One colour stays that colour whatever the scaling.
    let mut scores = Vec::new();
    for (name, w, h) in [("a.png", 64, 48), ("b.png", 37, 37), ("c.png", 10, 300), ("d.jpg", 90, 50)] {
        let path = folder.file(name);
        image::RgbImage::from_pixel(w, h, image::Rgb([128, 128, 128])).save(&path).unwrap();
        let text = classify::run_with(&[NETWORK, &file, &path, "--labels", &labels]).unwrap();
        let first = lines(&text)[0];
        assert!(text.lines().next().unwrap().ends_with(&format!("label of {}", first.1)), "{text}");
        scores.push(first);
    }
    assert!(scores.iter().all(|s| *s == scores[0]), "{scores:?}");
}

/// A file with torchvision's names, in which the normalisation does nothing but what folding must undo.
#[test]
fn published_names_are_folded() {
    let folder = Folder::new("published");
    let (weights, own) = folder.weights();
    let network = network::by_name(NETWORK).unwrap().unwrap();
    let mut tensors = Vec::new();
    for node in &network.graph.nodes {
        let (Op::Convolution { shape, .. }, Some(source)) = (node.op, &node.source) else { continue };
        let get = |kind: &str| weights.get(&format!("{}.{kind}", node.name)).unwrap().to_vec();
        let c = shape.c_out;
        tensors.push((format!("{}.weight", source.module), vec![get("weight").len()], get("weight")));
        if source.bias {
            tensors.push((format!("{}.bias", source.module), vec![c], get("bias")));
        }
        if let Some(norm) = &source.norm {
            // sqrt(3.99999 + 1e-5) is 2; the mean of 1 is taken off before the scale of 2.
            let shift = get("bias").iter().map(|b| b + 1.0).collect();
            for (kind, values) in [
                ("weight", vec![2.0; c]),
                ("bias", shift),
                ("running_mean", vec![1.0; c]),
                ("running_var", vec![3.99999; c]),
            ] {
                tensors.push((format!("{norm}.{kind}"), vec![c], values));
            }
        }
    }
    let published = folder.write("published.safetensors", &tensors);
    let picture = folder.write("picture.safetensors", &[("input".into(), vec![3, 32, 32], vec![0.25; 3 * 32 * 32])]);
    let scores = |file: &str| {
        let out = folder.file("out.safetensors");
        classify::run_with(&[NETWORK, file, &picture, "--logits", &out]).unwrap();
        logits(&out)
    };
    let (a, b) = (scores(&own), scores(&published));
    let most = a.iter().fold(0.0f32, |a, v| a.max(v.abs()));
    assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= 1e-4 * most));
}

#[test]
fn what_cannot_be_done_is_an_error_that_names_it() {
    let folder = Folder::new("errors");
    let (_, weights) = folder.weights();
    let short = folder.write("short.safetensors", &[("input".into(), vec![3], vec![0.0; 3])]);
    let text = folder.file("text.png");
    std::fs::write(&text, "not a picture").unwrap();
    for (args, says) in [
        (["mobilenet_v9", &weights, &short], "expected one of mobilenet_v1"),
        (["mobilenet_v2_0.35_0", &weights, &short], "resolution is 0"),
        ([NETWORK, "no/such/file", &short], "no/such/file"),
        ([NETWORK, &text, &short], "text.png"),
        ([NETWORK, &short, &short], "no tensor `features.0.0.weight`"),
        (["mobilenet_v2_1.0_32", &weights, &short], "expected 864"),
        ([NETWORK, &weights, &short], "has 3 numbers, expected 3072"),
        ([NETWORK, &weights, &weights], "no tensor `input`"),
        ([NETWORK, &weights, &text], "text.png"),
        ([NETWORK, &weights, "no/such/picture.png"], "no/such/picture.png"),
    ] {
        let error = classify::run_with(&args).unwrap_err();
        assert!(error.contains(says), "{args:?}: {error}");
    }
}
