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
use std::error::Error;
use std::process::ExitCode;

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

/// Does everything and gives the text to print.
fn run(args: &Args) -> Result<String, Box<dyn Error>> {
    let job = cases::Job::from_args(args)?;
    // Opened before the measurement, so that a bad path costs no minute.
    let json = args.json.as_deref().map(report::create).transpose()?;
    let results = measure::run(args, &job)?;
    if let Some(file) = json {
        report::write_json(file, &results)?;
    }
    Ok(report::text(&results))
}
