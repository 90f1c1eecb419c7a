//! The rows of the registry: which can run here, one thread per core over them, and the record of what ran.

use lightconv::Isa;
use lightconv::registry::{self, Kernel};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Cases per row and test: `LIGHTCONV_TEST_CASES`, for machines that are slow (emulators) or have all night.
pub fn cases() -> u32 {
    match std::env::var("LIGHTCONV_TEST_CASES") {
        Ok(v) => v.parse().ok().filter(|&n| n > 0).expect("LIGHTCONV_TEST_CASES is a number of cases, at least 1"),
        Err(_) => 64,
    }
}

/// The one tier to test, if `LIGHTCONV_TEST_TIER` names it: for a slow emulator of what other runs have not. Unlike the
/// cap of `LIGHTCONV_ISA`, it leaves out the tiers below too.
fn only() -> Option<Isa> {
    let name = std::env::var("LIGHTCONV_TEST_TIER").ok()?;
    Some(Isa::from_name(&name).and_then(Isa::require).expect("LIGHTCONV_TEST_TIER names a tier of this machine"))
}

/// Whether this machine, under the cap of `LIGHTCONV_ISA`, can run a tier, and was not told to leave it out.
pub fn runs_here(isa: Isa) -> bool {
    let best = Isa::best().expect("LIGHTCONV_ISA names a tier of this machine");
    isa.is_available() && isa <= best && only().is_none_or(|o| o == isa)
}

/// Why a tier is not run here.
pub fn why_not(isa: Isa) -> String {
    match only() {
        Some(only) => format!("LIGHTCONV_TEST_TIER is {only}"),
        None => format!("needs {isa}"),
    }
}

/// Whether `LIGHTCONV_TEST_WITHOUT` names a row, with commas between: one that an emulator is known to compute wrongly.
pub fn is_left_out(row: &Kernel) -> bool {
    std::env::var("LIGHTCONV_TEST_WITHOUT").is_ok_and(|names| names.split(',').any(|n| n == row.name()))
}

/// Why a row is not run here.
pub fn why_not_row(row: &Kernel) -> String {
    if runs_here(row.isa()) { "left out by LIGHTCONV_TEST_WITHOUT".to_owned() } else { why_not(row.isa()) }
}

/// The rows that can run here, and the others.
pub fn rows() -> (Vec<&'static Kernel>, Vec<&'static Kernel>) {
    registry::kernels().partition(|k| runs_here(k.isa()) && !is_left_out(k))
}

/// Runs `f` on every row that can run here, on all cores, and fails with all rows that failed.
pub fn for_each_row(f: impl Fn(&'static Kernel) -> Result<(), String> + Sync) {
    let (here, _) = rows();
    assert!(!here.is_empty(), "the registry has no row for this machine");
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    std::thread::scope(|s| {
        for _ in 0..threads {
            s.spawn(|| {
                while let Some(row) = here.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = catch_unwind(AssertUnwindSafe(|| f(row)));
                    if let Some(e) = result.unwrap_or_else(|p| Err(format!("panic: {}", message(&*p)))).err() {
                        failures.lock().unwrap().push(format!("{}: {e}", row.name()));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    let (failed, all) = (failures.len(), here.len());
    assert!(failures.is_empty(), "{failed} of {all} rows failed:\n\n{}", failures.join("\n\n"));
}

pub fn message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Prints a line past the capture of the test harness.
pub fn say(line: &str) {
    // One write per line, so that lines of parallel tests do not mix. A closed stderr is nobody's loss.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Records of tiers whether this machine has them, whatever the cap.
pub fn record_tiers(tiers: impl Iterator<Item = Isa>) {
    let tiers: std::collections::BTreeSet<_> = tiers.collect();
    let line = |isa: &Isa| format!("{} {isa}", if isa.is_available() { "has" } else { "lacks" });
    record(&tiers.iter().map(line).collect::<Vec<_>>());
}

/// Appends lines to the file that `LIGHTCONV_COVERAGE_FILE` names, if it does.
pub fn record(lines: &[String]) {
    let Some(path) = std::env::var_os("LIGHTCONV_COVERAGE_FILE") else { return };
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .unwrap_or_else(|e| panic!("LIGHTCONV_COVERAGE_FILE is {path:?}, which cannot be written: {e}"));
    let text: String = lines.iter().map(|l| format!("{l}\n")).collect();
    file.write_all(text.as_bytes()).expect("the coverage file can be written");
}
