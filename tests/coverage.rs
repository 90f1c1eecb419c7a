//! Which rows of the registry have been proved: on this machine, and by the machines of a CI run together.
//!
//! `tests/kernels.rs` appends to the file that `LIGHTCONV_COVERAGE_FILE` names: `row NAME TIER` for every row compiled
//! for its architecture, and `ran NAME` once the row's cases have passed. Give all runs (native, capped tiers, emulated
//! machines) one file, then ask:
//!
//! ```text
//! LIGHTCONV_COVERAGE_FILE=coverage.txt cargo test --test coverage -- --ignored
//! ```

mod common;

use common::rows::{rows, say};
use lightconv::Isa;
use std::collections::{BTreeMap, BTreeSet};

/// What the union of runs leaves open.
fn open(text: &str) -> Result<Vec<String>, String> {
    let mut tiers = BTreeMap::new();
    let mut ran = BTreeSet::new();
    for line in text.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["row", name, tier] => drop(tiers.insert(name, tier)),
            ["ran", name] => drop(ran.insert(name)),
            _ => return Err(format!("`{line}` is neither `row NAME TIER` nor `ran NAME`")),
        }
    }
    let not_run = tiers.iter().filter(|(name, _)| !ran.contains(*name));
    let mut open: Vec<_> = not_run.map(|(name, tier)| format!("{name} ran nowhere (needs {tier})")).collect();
    // An architecture whose tests were never built would otherwise not be missed.
    let unseen = Isa::ALL.iter().filter(|i| !tiers.values().any(|t| *t == i.name()));
    open.extend(unseen.map(|i| format!("no run knew a row of {i}")));
    open.extend(ran.iter().filter(|r| !tiers.contains_key(*r)).map(|r| format!("{r} ran but is in no registry")));
    Ok(open)
}

#[test]
fn every_row_names_its_tier() {
    let (here, elsewhere) = rows();
    for row in here.iter().chain(&elsewhere) {
        let (name, tier) = (row.name(), row.isa().name());
        assert!(name.ends_with(&format!("_{tier}")) && !name.contains(' '), "{name} of {tier}");
        assert!(name.contains(&format!("_{}_", row.layout().name())), "{name} of {:?}", row.layout());
    }
    for row in elsewhere {
        say(&format!("not run here: {} (needs {})", row.name(), row.isa()));
    }
}

#[test]
fn the_union_misses_what_did_not_run() {
    let rows: String = Isa::ALL.iter().map(|i| format!("row a_{i} {i}\nran a_{i}\n")).collect();
    assert_eq!(open(&rows), Ok(vec![]));
    assert_eq!(open(&format!("{rows}row b neon\n")), Ok(vec!["b ran nowhere (needs neon)".to_string()]));
    assert_eq!(open(&rows.replace(" neon\n", " avx2\n")), Ok(vec!["no run knew a row of neon".to_string()]));
    assert_eq!(open(&format!("{rows}ran c\n")), Ok(vec!["c ran but is in no registry".to_string()]));
    assert!(open("rna a\n").is_err());
    assert!(!open("").unwrap().is_empty());
}

#[test]
#[ignore = "asks about the runs of several machines"]
fn every_row_ran_somewhere() {
    let path = std::env::var_os("LIGHTCONV_COVERAGE_FILE").expect("LIGHTCONV_COVERAGE_FILE names the file of all runs");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?} cannot be read: {e}"));
    let open = open(&text).unwrap();
    assert!(open.is_empty(), "not every row is proved:\n{}", open.join("\n"));
    let rows = text.lines().filter(|l| l.starts_with("row ")).collect::<BTreeSet<_>>().len();
    say(&format!("all {rows} rows of all architectures ran"));
}
