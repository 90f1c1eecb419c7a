//! The architecture as `docs/design.md` draws it: imports point downwards, and no file grows past what one can read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Modules, the lowest first. A module may import those on its own line and above it.
const LEVELS: [&[&str]; 8] = [
    &["axis", "shape", "isa", "vector", "error", "parallel"],
    &["tensor", "epilogue", "pack", "kernel"],
    &["reference", "cost"],
    &["arch"],
    &["registry"],
    &["plan"],
    &["block"],
    &["network"],
];

/// What these may import, which is less than the levels allow: the oracle and the counts lean on nothing that they check.
const NARROW: [(&str, &[&str]); 2] = [
    ("reference", &["shape", "tensor", "epilogue", "error"]),
    ("cost", &["axis", "shape", "tensor", "epilogue", "error"]),
];

const MOST_LINES: usize = 600;

fn level(module: &str) -> Option<usize> {
    LEVELS.iter().position(|l| l.contains(&module))
}

/// Rust files of `src`, with the top-level module that each belongs to.
fn files() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, out);
            } else if path.extension().is_some_and(|e| e == "rs") {
                out.push(path);
            }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&src, &mut paths);
    assert!(paths.len() > 10, "only {} files found in {}", paths.len(), src.display());
    let module = |p: &Path| {
        let first = p.strip_prefix(&src).unwrap().components().next().unwrap();
        first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_string()
    };
    paths.into_iter().map(|p| (p.clone(), module(&p))).collect()
}

/// A source without comments. Strings stay; none of ours holds `//` or a path of the crate.
fn code(text: &str) -> String {
    text.lines().map(|l| l.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// First segments of the paths that begin at the crate's root: `use crate::a::b`, `crate::a::b(..)`,
/// `use crate::{a, b::c}`.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => {
                found.insert(rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap().to_string());
            }
            Some(list) => {
                // Names at depth one of the braces.
                let (mut depth, mut name, mut expects) = (1, String::new(), true);
                for c in list.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        _ => {}
                    }
                    let part_of_name = c.is_alphanumeric() || c == '_';
                    if depth == 1 && expects && part_of_name {
                        name.push(c);
                    } else if !name.is_empty() && !part_of_name {
                        found.insert(std::mem::take(&mut name));
                        expects = false;
                    }
                    if depth == 1 && c == ',' {
                        expects = true;
                    }
                    if depth == 0 {
                        break;
                    }
                }
            }
        }
    }
    found
}

#[test]
fn the_scanner_sees_imports() {
    let text = "use crate::shape::{a, b};\nuse crate::{plan::{x, y}, error,\n tensor::View};\n// use crate::no;\nlet v = crate::isa::f();";
    let want = ["shape", "plan", "error", "tensor", "isa"].map(String::from);
    assert_eq!(imports(&code(text)), BTreeSet::from(want));
}

#[test]
fn imports_point_downwards() {
    let mut faults = Vec::new();
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, module) in files() {
        if module == "lib" {
            continue;
        }
        let here = path.display();
        let Some(own) = level(&module) else {
            faults.push(format!("{here}: `{module}` has no level"));
            continue;
        };
        // Unit tests, at the end of a file, may use anything.
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        for target in imports(&code(text)).into_iter().filter(|t| *t != module) {
            let narrow = NARROW.iter().find(|n| n.0 == module).map(|n| n.1);
            match level(&target) {
                None => {
                    faults.push(format!("{here}: imports `crate::{target}` and not from the module that defines it"))
                }
                Some(l) if l > own => faults.push(format!("{here}: `{module}` imports `{target}`, which is above it")),
                Some(_) if narrow.is_some_and(|n| !n.contains(&target.as_str())) => {
                    faults.push(format!("{here}: `{module}` may not import `{target}`"));
                }
                Some(_) => {}
            }
            graph.entry(module.clone()).or_default().insert(target);
        }
    }
    assert!(!graph.is_empty(), "no import was found at all");
    // Levels alone would let modules of one level import each other.
    let mut left: BTreeSet<String> = graph.keys().cloned().collect();
    loop {
        let free: Vec<_> = left.iter().filter(|m| graph[*m].is_disjoint(&left)).cloned().collect();
        if free.is_empty() {
            break;
        }
        free.iter().for_each(|m| {
            left.remove(m);
        });
    }
    if !left.is_empty() {
        faults.push(format!("import each other in a circle, or lead to one: {left:?}"));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A file of tests that is neither a program nor a module of one is compiled by nobody.
#[test]
fn every_file_of_tests_belongs_to_a_program() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
    let (manifest, suite) = (read("Cargo.toml"), read("tests/main.rs"));
    let mut left = Vec::new();
    for entry in fs::read_dir(root.join("tests")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "rs") || path.ends_with("main.rs") {
            continue;
        }
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let named = |text: &str, line: String| text.lines().any(|l| l == line);
        if !named(&suite, format!("mod {stem};")) && !named(&manifest, format!("name = \"{stem}\"")) {
            left.push(path);
        }
    }
    assert!(left.is_empty(), "neither a `mod` of tests/main.rs nor a [[test]] of Cargo.toml: {left:?}");
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<_> = files()
        .into_iter()
        .map(|(p, _)| (fs::read_to_string(&p).unwrap().lines().count(), p))
        .filter(|(lines, _)| *lines > MOST_LINES)
        .collect();
    assert!(long.is_empty(), "over {MOST_LINES} lines: {long:?}");
}
