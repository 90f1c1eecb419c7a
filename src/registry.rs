//! The table of kernels, and the choice between them.
//!
//! Dispatch, property tests, benches, the fuzz target and the table in the README all read [`kernels`]; a new kernel is a
//! file, an instantiation per instruction set, and a row.

use crate::arch;
use crate::error::{Error, Value};
use crate::isa::{Isa, Tuning};
pub use crate::kernel::Kernel;
use crate::kernel::Problem;
use alloc::string::String;
use alloc::vec::Vec;

/// All rows compiled for this architecture, of every tier, whether or not this machine can run it.
pub fn kernels() -> impl Iterator<Item = &'static Kernel> {
    arch::kernels()
}

/// What became of a row when a plan chose.
pub(crate) enum Verdict {
    Chosen,
    Refused(&'static str),
    /// It could have computed the shape, at this many times the chosen one's estimated cost.
    Slower(f64),
}

/// Rows with their verdicts, for a cap and, where the caller wants just one, its name.
fn judge(p: &Problem, cap: Isa, name: Option<&str>) -> Vec<(&'static Kernel, Verdict)> {
    let mut rows: Vec<(&'static Kernel, Result<f64, &'static str>)> = kernels()
        .map(|k| {
            let verdict = if !k.isa.is_available() {
                Err("this machine lacks its instruction set")
            } else if name.is_some_and(|n| n != k.name) {
                Err("the caller asked for another kernel")
            } else if !cap.allows(k.isa) {
                Err("its instruction set is above the cap")
            } else if k.layout != p.layout {
                Err("it computes another layout")
            } else {
                k.algorithm
                    .refuses(p)
                    .map_or_else(|| Ok(k.algorithm.estimate(p) * penalty(k.isa, cap) * preference(k, p.tuning)), Err)
            };
            (k, verdict)
        })
        .collect();
    // The least first; refused ones last, in the registry's order.
    rows.sort_by(|a, b| a.1.unwrap_or(f64::INFINITY).total_cmp(&b.1.unwrap_or(f64::INFINITY)));
    let least = rows.first().and_then(|r| r.1.ok()).unwrap_or(1.0);
    rows.into_iter()
        .enumerate()
        .map(|(i, (k, v))| {
            let verdict = match v {
                Ok(_) if i == 0 => Verdict::Chosen,
                Ok(cost) => Verdict::Slower(cost / least),
                Err(reason) => Verdict::Refused(reason),
            };
            (k, verdict)
        })
        .collect()
}

/// Cost of a vector instruction of a tier beside one of the best tier at hand: so high that a lower tier is chosen only where a
/// better one has no kernel at all.
fn penalty(isa: Isa, cap: Isa) -> f64 {
    if isa == cap {
        return 1.0;
    }
    match isa {
        Isa::Scalar => 1e9,
        Isa::Portable => 1e6,
        _ => 1e3,
    }
}

/// Cost of a kernel for one kind of cores beside that of kernels for any. On its own kind it is a third faster at least, as
/// estimated (`docs/arm.md`); on the other it is slower by a quarter.
fn preference(kernel: &Kernel, tuning: Tuning) -> f64 {
    match kernel.tuning {
        None => 1.0,
        Some(own) if own == tuning => 0.75,
        Some(_) => 1.25,
    }
}

/// The kernel for a problem.
///
/// # Errors
/// A name that no row has, a tier that this machine lacks, or no row that can compute the problem.
pub(crate) fn select(p: &Problem, cap: Isa, name: Option<&str>) -> Result<&'static Kernel, Error> {
    if let Some(n) = name {
        let Some(row) = kernels().find(|k| k.name == n) else {
            let expected = "a name from the registry of this architecture";
            return Err(Error::Unsupported { argument: "kernel", value: Value::Name("unknown"), expected });
        };
        row.isa.require()?;
        if !cap.allows(row.isa) {
            return Err(Error::Isa { isa: row.isa.name(), expected: "a tier within the cap" });
        }
        if row.layout != p.layout {
            let expected = "a kernel of the plan's layout";
            return Err(Error::Unsupported { argument: "kernel", value: Value::Name(row.name), expected });
        }
        return match row.algorithm.refuses(p) {
            None => Ok(row),
            Some(expected) => Err(Error::Unsupported { argument: "kernel", value: Value::Name(row.name), expected }),
        };
    }
    match judge(p, cap, name).into_iter().next() {
        Some((k, Verdict::Chosen)) => Ok(k),
        _ => {
            let expected = "a shape that some kernel takes";
            Err(Error::Unsupported { argument: "layout", value: Value::Name(p.layout.name()), expected })
        }
    }
}

/// Why every row but the chosen one was not.
pub(crate) fn why(p: &Problem, cap: Isa, name: Option<&'static str>) -> Vec<(&'static str, String)> {
    judge(p, cap, name)
        .into_iter()
        .filter_map(|(k, v)| match v {
            Verdict::Chosen => None,
            Verdict::Refused(reason) => Some((k.name, String::from(reason))),
            Verdict::Slower(times) => Some((k.name, alloc::format!("estimated {times:.2} times the cost"))),
        })
        .collect()
}
