//! The property test of every row for WebAssembly: the cases and comparisons of `tests/kernels.rs`, called by `run.mjs`.

#[allow(dead_code)]
#[path = "../../tests/common"]
mod common {
    pub mod case;
    pub mod data;
    pub mod strategy;
    pub mod winograd;
}

use common::data::{Kind, check};
use common::strategy::{accepted_cases, runner};
use lightconv::registry::{self, Kernel};
use proptest::test_runner::TestCaseError;
use std::cell::Cell;

/// As in `tests/kernels.rs`.
const BUDGET: u64 = 150_000;

#[link(wasm_import_module = "host")]
unsafe extern "C" {
    /// Prints a line, UTF-8.
    fn say(text: *const u8, len: usize);
}

fn tell(text: &str) {
    // SAFETY: the bytes of a string, which the host only reads.
    unsafe { say(text.as_ptr(), text.len()) }
}

/// Nothing here is left to chance: the runner's seed is fixed.
#[unsafe(no_mangle)]
pub unsafe extern "Rust" fn __getrandom_v03_custom(_: *mut u8, _: usize) -> Result<(), getrandom::Error> {
    Err(getrandom::Error::UNSUPPORTED)
}

fn prove(row: &'static Kernel, cases: u32) -> Result<u32, String> {
    let ran = Cell::new(0);
    let result = runner(cases).run(&accepted_cases(row, BUDGET), |case| {
        for kind in [Kind::Integers, Kind::Reals, Kind::Specials] {
            let plan = check(&case, kind, row.isa(), Some(row.name())).map_err(TestCaseError::fail)?;
            if plan.kernel_name() != row.name() {
                return Err(TestCaseError::fail(format!("the plan's kernel is {}", plan.kernel_name())));
            }
        }
        ran.set(ran.get() + 1);
        Ok(())
    });
    result.map_err(|e| e.to_string())?;
    if ran.get() < cases { Err(format!("only {} of {cases} cases ran", ran.get())) } else { Ok(ran.get()) }
}

/// How many rows the registry has here.
#[unsafe(no_mangle)]
pub extern "C" fn rows() -> usize {
    std::panic::set_hook(Box::new(|panic| tell(&panic.to_string())));
    registry::kernels().count()
}

/// Proves one row: 1 if it passed.
#[unsafe(no_mangle)]
pub extern "C" fn passes(row: usize, cases: u32) -> u32 {
    let row = registry::kernels().nth(row).expect("a row of the registry");
    let result = prove(row, cases);
    match &result {
        Ok(ran) => tell(&format!("ran: {} ({ran} cases)", row.name())),
        Err(e) => tell(&format!("FAILED: {}: {e}", row.name())),
    }
    u32::from(result.is_ok())
}
