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
mod figures;
mod machine;
mod measure;
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
    let job = cases::Job::from_args(args)?;
    // Opened before the measurement, so that a bad path costs no minute.
    let json = args.json.as_deref().map(report::create).transpose()?;
    let results = measure::run(args, &job)?;
    if let Some(file) = json {
        report::write_json(file, &results)?;
    }
    Ok(report::text(&results))
}

/// The text, or the error's, for a command line without the program's name.
#[cfg(test)]
#[allow(unused)]
pub fn run_with(args: &[&str]) -> Result<String, String> {
    let args = Args::try_parse_from(["speedup"].iter().chain(args)).map_err(|e| e.to_string())?;
    run(&args).map_err(|e| e.to_string())
}
