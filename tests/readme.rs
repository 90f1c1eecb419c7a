//! The README's tables of kernels are printed from the registry.
//!
//! `LIGHTCONV_BLESS=1 cargo test --test readme` rewrites the tables of the tiers that are compiled.

#[path = "common/tiers.rs"]
mod tiers;

use lightconv::{Isa, registry};
use std::fmt::Write as _;
use std::fs;
use tiers::TIERS;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
const BLESS: &str = "LIGHTCONV_BLESS=1 cargo test --test readme";

fn table(isa: Isa) -> String {
    let mut text = String::from("\n| kernel | operation | layout | tile | lanes |\n| --- | --- | --- | --- | --- |\n");
    for k in registry::kernels().filter(|k| k.isa() == isa) {
        writeln!(
            text,
            "| `{}` | {} | {} | {} | {} |",
            k.name(),
            k.op(),
            k.layout().name().to_uppercase(),
            k.tile(),
            k.lanes()
        )
        .unwrap();
    }
    text + "\n"
}

/// Where the table of a tier stands in the text, without its markers.
fn place(text: &str, isa: Isa) -> std::ops::Range<usize> {
    let begin = format!("<!-- kernels: {isa} -->\n");
    let end = "<!-- end -->";
    let start = text.find(&begin).unwrap_or_else(|| panic!("README.md has no line {begin}")) + begin.len();
    let len = text[start..].find(end).unwrap_or_else(|| panic!("README.md has no {end} after {begin}"));
    start..start + len
}

#[test]
fn tables_of_kernels_are_those_of_the_registry() {
    let mut text = fs::read_to_string(README).unwrap();
    for &isa in TIERS {
        let (place, want) = (place(&text, isa), table(isa));
        assert!(want.contains("| `"), "no kernel of tier {isa} in the registry");
        if std::env::var_os("LIGHTCONV_BLESS").is_some() {
            text.replace_range(place, &want);
        } else {
            assert!(text[place] == want, "the kernels of tier {isa} in README.md are out of date; run {BLESS}");
        }
    }
    if std::env::var_os("LIGHTCONV_BLESS").is_some() {
        fs::write(README, text).unwrap();
    }
}

#[test]
fn every_kernel_is_of_a_tier_that_has_a_table() {
    for k in registry::kernels() {
        assert!(TIERS.contains(&k.isa()), "{} is of tier {}, which has no table in README.md", k.name(), k.isa());
    }
}
