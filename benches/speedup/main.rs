//! Do the multiplies that light networks save also save time? Measures every layer of a network, its depthwise separable
//! pairs against the standard convolutions they replace, and the machine's own limits.
//!
//! `cargo bench --bench speedup -- --help` lists the options.
//!
//! Unit tests run in `tests/report.rs`, which compiles these modules with a test harness. Cargo sets `test` here too, where
//! the harness is off and the test functions fall away; hence `#[allow(unused)]` on the test modules.

mod args;
mod buffer;
mod cases;
mod ceilings;
mod compare;
mod figures;
mod html;
mod machine;
mod measure;
mod plots;
mod report;
mod timing;

use args::Args;
use clap::Parser;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// Whatever went wrong, to be printed.
type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    // A reader that has seen enough, such as `head`, is no error.
    let print = |text: String| match std::io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(e.into()),
        _ => Ok(()),
    };
    match run(&Args::parse()).and_then(print) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(2)
        }
    }
}

/// Does everything and gives the text to print.
fn run(args: &Args) -> Result<String, Error> {
    let jobs = cases::Job::all_from_args(args)?;
    let old = args.compare.as_deref().map(compare::Old::read).transpose()?;
    // Opened before the measurement, so that a bad path costs no minute.
    let json = args.json.as_deref().map(report::create).transpose()?;
    let html = args.html.as_deref().map(report::create).transpose()?;
    let mut all = Vec::new();
    for job in &jobs {
        all.push(measure::run(args, job)?);
    }
    if let Some(file) = json {
        report::write_json(file, &all)?;
    }
    let comparison = old.map(|old| old.against(&all));
    if let Some(mut file) = html {
        file.write_all(html::page(&all, comparison.as_ref())?.as_bytes())?;
    }
    Ok(report::text(&all, comparison.as_ref()))
}

/// The text, or the error's, for a command line without the program's name.
#[cfg(test)]
#[allow(unused)]
pub fn run_with(args: &[&str]) -> Result<String, String> {
    let args = Args::try_parse_from(["speedup"].iter().chain(args)).map_err(|e| e.to_string())?;
    run(&args).map_err(|e| e.to_string())
}
