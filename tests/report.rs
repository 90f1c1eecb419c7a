//! Tests of the speedup bench: its own unit tests, and whole runs of it on a small file of layers.

// A bench without harness cannot hold tests, so its modules are compiled here once more.
#[allow(dead_code)]
#[path = "../benches/speedup/main.rs"]
mod speedup;

use serde_json::{Value, json};
use std::path::PathBuf;

/// A file of its own for each test, removed at the end.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, text: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        TempFile(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn layer(name: &str, c_out: usize, k: usize, groups: usize) -> Value {
    json!({"name": name, "n": 1, "c_in": 16, "h": 9, "w": 9, "c_out": c_out, "kh": k, "kw": k, "stride": 1,
        "pad_h": k / 2, "pad_w": k / 2, "dilation": 1, "groups": groups})
}

#[test]
fn a_file_of_layers_becomes_tables_and_lines() {
    let layers = TempFile::new("layers.json", &json!([layer("dw", 16, 3, 16), layer("pw", 24, 1, 1)]).to_string());
    let out = TempFile::new("out.jsonl", "");
    for (layout, isa, threads) in [("nhwc", None, "1"), ("nhwc", Some("scalar"), "1"), ("nchw", None, "2")] {
        let mut args = vec!["--budget-ms", "4", "--layers", layers.path(), "--json", out.path()];
        args.extend(["--layout", layout, "--threads", threads]);
        args.extend(isa.iter().flat_map(|i| ["--isa", i]));
        let text = speedup::run_with(&args).unwrap();
        assert!(text.contains("dw + pw") && text.contains("All 2 layers"), "{text}");
        let lines = std::fs::read_to_string(&out.0).unwrap();
        let lines: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        // Both layers, and the standard convolution that the pair is measured against.
        let macs: Vec<_> = lines.iter().map(|l| l["macs"].as_u64().unwrap()).collect();
        assert_eq!(macs, [81 * 16 * 9, 81 * 16 * 24, 81 * 16 * 24 * 9]);
        for l in &lines {
            assert_eq!((l["layout"].as_str(), l["threads"].to_string().as_str()), (Some(layout), threads));
            assert!(l["min_us"].as_f64().unwrap() > 0.0 && l["min_us"].as_f64() <= l["median_us"].as_f64(), "{l}");
            assert!(l["kernel"].as_str().unwrap().ends_with(l["isa"].as_str().unwrap()), "{l}");
            assert!(isa.is_none_or(|i| l["isa"] == i), "{l}");
        }
    }
}

fn well_formed(page: &str) -> String {
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(page, options).unwrap();
    document.descendants().filter(|n| n.is_text()).filter_map(|n| n.text()).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_network_becomes_a_page_and_is_compared_with_itself() {
    let (json, html) = (TempFile::new("network.jsonl", ""), TempFile::new("network.html", ""));
    let run = ["--network", "mobilenet_v2_0.35_32", "--budget-ms", "1", "--html", html.path()];
    let text = speedup::run_with(&[&run[..], &["--json", json.path()]].concat()).unwrap();
    assert!(text.contains("Run as a whole") && !text.contains("Before"), "{text}");
    let page = std::fs::read_to_string(&html.0).unwrap();
    let texts = well_formed(&page);
    assert!(texts.contains("mobilenet_v2_0.35_32") && texts.contains("b17.project") && texts.contains("Roofline"));
    assert_eq!(page.matches("<svg").count(), 3);

    let lines = std::fs::read_to_string(&json.0).unwrap();
    let lines: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    // 53 layers, 17 pairs, the whole.
    assert_eq!(lines.len(), 71);
    let last = lines.last().unwrap();
    assert_eq!((&last["layer"], &last["network"]), (&json!("(network)"), &json!("mobilenet_v2_0.35_32")));
    let layers = lines[..53].iter().map(|l| l["macs"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(last["macs"].as_u64(), Some(layers));

    let text = speedup::run_with(&[&run[..], &["--compare", json.path()]].concat()).unwrap();
    assert!(text.contains("71 results in both runs"), "{text}");
    let page = std::fs::read_to_string(&html.0).unwrap();
    assert!(well_formed(&page).contains("71 results in both runs"));
    assert_eq!(page.matches("<svg").count(), 4);
}

#[test]
fn layers_by_winograd_s_algorithm_stand_beside_their_direct_form() {
    let wide = |name: &str, k: usize| {
        let mut layer = layer(name, 32, k, 1);
        (layer["h"], layer["w"], layer["c_in"]) = (json!(28), json!(28), json!(32));
        layer
    };
    let layers = TempFile::new("winograd.json", &json!([wide("std", 3), wide("pw", 1)]).to_string());
    let out = TempFile::new("winograd.jsonl", "");
    let args = ["--budget-ms", "4", "--layers", layers.path(), "--json", out.path()];
    let without = speedup::run_with(&args).unwrap();
    assert!(!without.contains("Winograd"), "{without}");
    let with = speedup::run_with(&[&args[..], &["--winograd"]].concat()).unwrap();
    assert!(with.contains("Winograd") && with.contains("M mult done"), "{with}");
    let lines = std::fs::read_to_string(&out.0).unwrap();
    let lines: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    let figures = &lines[0]["winograd"];
    assert!(figures["performed_macs"].as_u64() < lines[0]["macs"].as_u64(), "{figures}");
    assert!(figures["direct_min_us"].as_f64() > Some(0.0) && figures["theoretical"].as_f64() > Some(1.5), "{figures}");
    assert!(lines[0]["kernel"].as_str().unwrap().starts_with("winograd"));
    assert!(lines[1].get("winograd").is_none());
}

#[test]
fn what_cannot_be_done_is_an_error_that_names_it() {
    let broken = TempFile::new("broken.json", "[{\"name\": \"x\"");
    let foreign = if cfg!(target_arch = "aarch64") { "avx2" } else { "neon" };
    for (args, says) in [
        (["--layers", broken.path()], "broken.json"),
        (["--layers", "no/such/file.json"], "no/such/file.json"),
        (["--network", "mobilenet_v9"], "expected one of mobilenet_v1"),
        (["--isa", foreign], foreign),
        (["--kernel", "no_such_kernel"], "no_such_kernel"),
        (["--json", "no/such/folder/out.jsonl"], "no/such/folder"),
        (["--only", "nothing"], "nothing"),
        (["--html", "no/such/folder/out.html"], "no/such/folder"),
        (["--compare", "no/such/old.json"], "no/such/old.json"),
        (["--compare", broken.path()], "line 1 is no result"),
    ] {
        let error = speedup::run_with(&args).unwrap_err();
        assert!(error.contains(says), "{args:?}: {error}");
    }
}
