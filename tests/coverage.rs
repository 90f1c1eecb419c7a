//! Which rows of the registry have been proved: on this machine, and by the machines of a CI run together.
//!
//! `tests/kernels.rs` appends to the file that `LIGHTCONV_COVERAGE_FILE` names: `row NAME TIER` for every row compiled
//! for its architecture, `has TIER` or `lacks TIER` for what the machine says of the tier, whatever the cap, `ran NAME` once the
//! row's cases have passed, and `left NAME` for one that the caller left out. Give all runs (native, capped tiers, emulated
//! machines) one file, then ask:
//!
//! ```text
//! LIGHTCONV_COVERAGE_FILE=coverage.txt cargo test --test suite -- --ignored coverage::
//! ```
//!
//! Every row must have run. Where no machine can run AVX-512, `LIGHTCONV_COVERAGE_MAY_LACK=avx512` accepts that, if every
//! run that knew the tier says `lacks`; the check then says how many rows ran nowhere. No other tier may be missing:
//! every x86-64 machine to test on has AVX2, and emulators have NEON.

use crate::common::rows::{rows, say, why_not_row};
use lightconv::Isa;
use std::collections::{BTreeMap, BTreeSet};

/// The tiers that may be named as missing.
const OPTIONAL: [Isa; 1] = [Isa::Avx512];

/// What the union of runs shows.
#[derive(Debug, Default, PartialEq)]
struct Union {
    /// What is wrong, a line each.
    open: Vec<String>,
    /// Rows that ran nowhere, by tier, where the caller allowed that no machine has the tier, and none has.
    lacking: BTreeMap<Isa, usize>,
    /// Rows of such a tier that ran nowhere because a run left them out by name.
    left: BTreeSet<String>,
    rows: usize,
}

/// The tiers of a list with commas or spaces.
fn optional(list: &str) -> Result<BTreeSet<Isa>, String> {
    let names = list.split([',', ' ']).filter(|n| !n.is_empty());
    names
        .map(|name| match Isa::from_name(name) {
            Ok(isa) if OPTIONAL.contains(&isa) => Ok(isa),
            Ok(isa) => Err(format!("some machine must have {isa}; only {OPTIONAL:?} may be missing")),
            Err(e) => Err(format!("`{name}`: {e}")),
        })
        .collect()
}

fn union(text: &str, may_lack: &BTreeSet<Isa>) -> Result<Union, String> {
    let (mut tiers, mut ran) = (BTreeMap::new(), BTreeSet::new());
    let (mut has, mut lacks, mut left) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for line in text.lines() {
        let isa = |name| Isa::from_name(name).map_err(|e| format!("`{line}`: {e}"));
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["row", name, tier] => drop(tiers.insert(name, isa(tier)?)),
            ["ran", name] => drop(ran.insert(name)),
            ["left", name] => drop(left.insert(name)),
            ["has", tier] => drop(has.insert(isa(tier)?)),
            ["lacks", tier] => drop(lacks.insert(isa(tier)?)),
            _ => {
                let known = "`row NAME TIER`, `ran NAME`, `left NAME`, `has TIER`, `lacks TIER`";
                return Err(format!("`{line}` is none of {known}"));
            }
        }
    }
    let mut found = Union { rows: tiers.len(), ..Union::default() };
    // Only what the caller named, and what the runs themselves deny: a machine that has the tier should have run its rows.
    let accepted = |isa: &Isa| may_lack.contains(isa) && lacks.contains(isa) && !has.contains(isa);
    for (name, isa) in &tiers {
        match (ran.contains(name), accepted(isa)) {
            (false, true) => *found.lacking.entry(*isa).or_default() += 1,
            (false, _) if left.contains(name) && OPTIONAL.contains(isa) => drop(found.left.insert((*name).to_owned())),
            (false, false) => found.open.push(format!("{name} ran nowhere (needs {isa})")),
            (true, _) if !has.contains(isa) => found.open.push(format!("{name} ran, but no machine had {isa}")),
            (true, _) => {}
        }
    }
    for isa in Isa::ALL {
        // An architecture whose tests were never built would otherwise not be missed.
        if !tiers.values().any(|t| *t == isa) {
            found.open.push(format!("no run knew a row of {isa}"));
        }
    }
    found.open.extend(ran.iter().filter(|r| !tiers.contains_key(*r)).map(|r| format!("{r} ran but is in no registry")));
    Ok(found)
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
        say(&format!("not run here: {} ({})", row.name(), why_not_row(row)));
    }
}

/// A run of every tier's only row.
fn complete() -> String {
    Isa::ALL.iter().map(|i| format!("row a_{i} {i}\nhas {i}\nran a_{i}\n")).collect()
}

fn open(text: &str, may_lack: &[Isa]) -> Vec<String> {
    union(text, &may_lack.iter().copied().collect()).unwrap().open
}

#[test]
fn the_union_misses_what_did_not_run() {
    let all = complete();
    for may_lack in [&[][..], &OPTIONAL] {
        assert_eq!(open(&all, may_lack), [""; 0]);
        assert_eq!(open(&format!("{all}row b neon\n"), may_lack), ["b ran nowhere (needs neon)"]);
        assert_eq!(open(&format!("{all}row b avx512\n"), may_lack), ["b ran nowhere (needs avx512)"]);
        assert_eq!(open(&all.replace("a_neon neon\n", "a_neon avx2\n"), may_lack), ["no run knew a row of neon"]);
        assert_eq!(open(&format!("{all}ran c\n"), may_lack), ["c ran but is in no registry"]);
        assert_eq!(open("", may_lack).len(), Isa::ALL.len());
    }
    for wrong in ["rna a\n", "row a sse9\n", "lacks\n", "has sse9\n", "row a b avx2\n"] {
        assert!(union(wrong, &BTreeSet::new()).is_err(), "{wrong}");
    }
}

#[test]
fn a_tier_may_be_missing_if_it_is_named_and_no_machine_has_it() {
    let named = BTreeSet::from(OPTIONAL);
    let without = complete().replace("has avx512\nran a_avx512\n", "lacks avx512\n") + "row b avx512\n";
    let missed = ["a_avx512 ran nowhere (needs avx512)", "b ran nowhere (needs avx512)"];
    let found = union(&without, &named).unwrap();
    assert_eq!(found, Union { lacking: BTreeMap::from([(Isa::Avx512, 2)]), rows: 6, ..Union::default() });
    // Not named.
    assert_eq!(open(&without, &[]), missed);
    // No run says so.
    assert_eq!(open(&without.replace("lacks avx512\n", ""), &OPTIONAL), missed);
    // One machine lacks it, another has it.
    assert_eq!(open(&format!("{without}has avx512\n"), &OPTIONAL), missed);
    assert_eq!(open(&format!("{without}has avx512\nran b\n"), &OPTIONAL), missed[..1]);
    // No run was of its architecture.
    let unknown: String = without.lines().filter(|l| !l.ends_with(" avx512")).map(|l| format!("{l}\n")).collect();
    assert_eq!(open(&unknown, &OPTIONAL), ["no run knew a row of avx512"]);
    // What ran where no machine could have run it is a mistake in the record.
    assert_eq!(open(&format!("{without}ran b\n"), &OPTIONAL), ["b ran, but no machine had avx512"]);
    // That another tier is missing is not excused with it.
    let less = without.replace("has avx2\nran a_avx2\n", "lacks avx2\n");
    assert_eq!(open(&less, &OPTIONAL), ["a_avx2 ran nowhere (needs avx2)"]);
}

#[test]
fn a_row_of_such_a_tier_may_be_left_out_by_name_and_is_told() {
    let without = complete().replace("ran a_avx512\n", "left a_avx512\n");
    let found = union(&without, &BTreeSet::new()).unwrap();
    assert_eq!(found, Union { left: BTreeSet::from(["a_avx512".to_owned()]), rows: 5, ..Union::default() });
    // Another run did not.
    assert_eq!(union(&format!("{without}ran a_avx512\n"), &BTreeSet::new()).unwrap().left, BTreeSet::new());
    let other = complete().replace("ran a_avx2\n", "left a_avx2\n");
    assert_eq!(open(&other, &OPTIONAL), ["a_avx2 ran nowhere (needs avx2)"]);
}

#[test]
fn only_avx512_may_be_missing() {
    for list in ["", " ", ","] {
        assert_eq!(optional(list), Ok(BTreeSet::new()));
    }
    assert_eq!(optional("avx512"), Ok(BTreeSet::from([Isa::Avx512])));
    for isa in Isa::ALL.iter().filter(|i| !OPTIONAL.contains(i)) {
        assert!(optional(isa.name()).unwrap_err().contains("must have"), "{isa}");
        assert!(optional(&format!("avx512,{isa}")).is_err(), "{isa}");
    }
    assert!(optional("avx-512").is_err());
    assert!(optional("all").is_err());
}

#[test]
#[ignore = "asks about the runs of several machines"]
fn every_row_ran_somewhere() {
    let path = std::env::var_os("LIGHTCONV_COVERAGE_FILE").expect("LIGHTCONV_COVERAGE_FILE names the file of all runs");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path:?} cannot be read: {e}"));
    let may_lack = match std::env::var("LIGHTCONV_COVERAGE_MAY_LACK") {
        Ok(list) => optional(&list).unwrap_or_else(|e| panic!("LIGHTCONV_COVERAGE_MAY_LACK: {e}")),
        Err(_) => BTreeSet::new(),
    };
    let found = union(&text, &may_lack).unwrap();
    assert!(found.open.is_empty(), "not every row is proved:\n{}", found.open.join("\n"));
    if found.lacking.is_empty() && found.left.is_empty() {
        say(&format!("all {} rows of all architectures ran", found.rows));
        return;
    }
    let ran = found.rows - found.left.len() - found.lacking.values().sum::<usize>();
    say(&format!("{ran} of {} rows of all architectures ran", found.rows));
    for (isa, count) in &found.lacking {
        say(&format!("not run anywhere: {count} rows of {isa}, which no machine of these runs has"));
    }
    for name in &found.left {
        say(&format!("not run anywhere: {name}, which a run left out by name"));
    }
}
