//! The command line.

use clap::Parser;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use lightconv::{Isa, Layout, Tuning};
use std::path::PathBuf;
use std::time::Duration;

/// Measures convolution layers, what they could reach, and whether saved multiplies are saved time.
#[derive(Debug, Parser)]
#[command(name = "speedup", version)]
pub struct Args {
    /// JSON list of layers: objects with name, n, c_in, h, w, c_out, kh, kw, stride, pad_h, pad_w, dilation, groups
    #[arg(long, value_name = "FILE", conflicts_with = "network")]
    pub layers: Option<PathBuf>,

    /// Network to measure, with width multiplier and resolution or without: mobilenet_v1_0.5_160; or `all`
    #[arg(long, value_name = "NAME", default_value = "mobilenet_v1")]
    pub network: String,

    /// Order of the axes in memory
    #[arg(long, default_value = "nhwc", value_parser = PossibleValuesParser::new(["nhwc", "nchw"]).map(|s| layout(&s)))]
    pub layout: Layout,

    /// Highest instruction set to use [default: the best of this machine]
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Isa::ALL.map(Isa::name)).try_map(|s| Isa::from_name(&s)))]
    pub isa: Option<Isa>,

    /// Kind of cores to choose kernels for
    #[arg(long, value_name = "KIND", default_value = "out-of-order", value_parser = PossibleValuesParser::new(Tuning::ALL.map(Tuning::name)).map(|s| tuning(&s)))]
    pub tuning: Tuning,

    /// Threads
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = threads)]
    pub threads: usize,

    /// Time to spend on each layer, in milliseconds; a standard convolution of a pair gets half [default: 500; with
    /// `--network all` 60]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=600_000))]
    pub budget_ms: Option<u64>,

    /// Write the results here, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Write the results here as a page with plots, in one file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// Set these results of an earlier run, written with --json, beside the new ones
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,

    /// Only layers whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,

    /// Only this kernel; layers that it refuses are left out
    #[arg(long, value_name = "NAME")]
    pub kernel: Option<String>,

    /// Allow Winograd's algorithm, and measure each layer that takes it in the direct form as well
    #[arg(long, conflicts_with = "kernel")]
    pub winograd: bool,

    /// Passed by `cargo bench`; changes nothing
    #[arg(long, hide = true)]
    pub bench: bool,
}

impl Args {
    /// Time to spend on each layer.
    pub fn budget(&self) -> Duration {
        Duration::from_millis(self.budget_ms.unwrap_or(if self.is_all() { 60 } else { 500 }))
    }

    /// Whether all networks are to be measured.
    pub fn is_all(&self) -> bool {
        self.network == "all" && self.layers.is_none()
    }
}

fn layout(name: &str) -> Layout {
    if name == Layout::Nchw.name() { Layout::Nchw } else { Layout::Nhwc }
}

fn tuning(name: &str) -> Tuning {
    // Other names do not come here.
    Tuning::ALL.into_iter().find(|t| t.name() == name).unwrap_or_default()
}

fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n @ 1..=1024) => Ok(n),
        _ => Err("expected a number from 1 to 1024".to_owned()),
    }
}

#[cfg(test)]
#[allow(unused)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(["speedup"].iter().chain(args))
    }

    #[test]
    fn cargo_s_own_argument_is_accepted() {
        let args = parse(&["--bench"]).unwrap();
        assert_eq!((args.layout, args.threads), (Layout::Nhwc, 1));
        assert_eq!(parse(&["--layout", "nchw", "--bench"]).unwrap().layout, Layout::Nchw);
        assert_eq!(
            (args.tuning, parse(&["--tuning", "in-order"]).unwrap().tuning),
            (Tuning::OutOfOrder, Tuning::InOrder)
        );
    }

    #[test]
    fn bad_values_are_errors_that_exit_with_2() {
        for bad in [
            ["--isa", "sse9"],
            ["--layout", "chwn"],
            ["--tuning", "sideways"],
            ["--threads", "0"],
            ["--threads", "2000"],
            ["--threads", "two"],
            ["--budget-ms", "0"],
            ["--speed", "9"],
        ] {
            assert_eq!(parse(&bad).unwrap_err().exit_code(), 2, "{bad:?}");
        }
        assert!(parse(&["--isa", "sse9"]).unwrap_err().to_string().contains("avx512"));
        assert!(parse(&["--layers", "a.json", "--network", "mobilenet_v1"]).is_err());
    }
}
