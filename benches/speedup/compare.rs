//! The results of an earlier run beside those of this one.

use super::figures::{Results, Row, geometric_mean};
use super::report::WHOLE;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::Path;

/// What is read of a line of an earlier run.
#[derive(Clone, Debug, Deserialize)]
struct Line {
    #[serde(default)]
    network: Option<String>,
    layer: String,
    layout: String,
    threads: usize,
    kernel: String,
    min_us: f64,
    processor_us: Option<f64>,
}

/// An earlier run.
#[derive(Debug)]
pub struct Old {
    file: String,
    lines: Vec<Line>,
}

/// Something measured in both runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    pub network: String,
    pub layer: String,
    pub old_us: f64,
    pub new_us: f64,
    pub old_kernel: String,
    pub new_kernel: String,
    /// A network, not one of its layers.
    pub whole: bool,
}

impl Match {
    /// Time before over time now.
    pub fn ratio(&self) -> f64 {
        self.old_us / self.new_us
    }
}

/// Both runs.
#[derive(Clone, Debug)]
pub struct Comparison {
    pub file: String,
    pub matches: Vec<Match>,
    /// Measured now and not before.
    pub new: usize,
}

impl Old {
    /// Reads what `--json` wrote.
    pub fn read(path: &Path) -> Result<Old, String> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| format!("{file}: {e}"))?;
        let mut lines = Vec::new();
        for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
            let line: Line =
                serde_json::from_str(line).map_err(|e| format!("{file}: line {} is no result: {e}", i + 1))?;
            if !(line.min_us > 0.0 && line.min_us.is_finite()) {
                return Err(format!("{file}: line {}: min_us is {}, expected more than 0", i + 1, line.min_us));
            }
            lines.push(line);
        }
        if lines.is_empty() {
            return Err(format!("{file}: no results in it"));
        }
        Ok(Old { file, lines })
    }

    /// What both runs have, in the order of the new one. Results of another layout or number of threads are others.
    pub fn against(self, new: &[Results]) -> Comparison {
        let key = |network: &str, layer: &str, layout: &str, threads: usize| {
            format!("{network}\n{layer}\n{layout}\n{threads}")
        };
        let mut old = HashMap::new();
        for line in &self.lines {
            let network = line.network.as_deref().unwrap_or("");
            old.insert(key(network, &line.layer, &line.layout, line.threads), line);
        }
        let mut comparison = Comparison { file: self.file, matches: Vec::new(), new: 0 };
        for results in new {
            let layers = results.rows.iter().chain(results.pairs.iter().map(|p| &p.standard));
            let whole = results.whole.iter().map(|w| (WHOLE, &w.row));
            for (layer, row) in layers.map(|r| (r.name.as_str(), r)).chain(whole) {
                let find = |network| old.get(&key(network, layer, results.layout, results.threads));
                // Lines of the first version do not name their network.
                match find(&results.title).or_else(|| find("")) {
                    Some(line) => comparison.matches.push(pair(results, layer, line, row)),
                    None => comparison.new += 1,
                }
            }
        }
        comparison
    }
}

fn pair(results: &Results, layer: &str, old: &Line, new: &Row) -> Match {
    // As `Row::us` decides: the processor's time only where no call was left alone, and both by the same clock.
    let disturbed = old.processor_us.is_some_and(|us| us * 1.05 < old.min_us) || new.is_disturbed();
    let (old_us, new_us) = match (old.processor_us, new.processor_us) {
        (Some(old), Some(new)) if disturbed => (old, new),
        _ => (old.min_us, new.min_us),
    };
    Match {
        network: results.title.clone(),
        layer: layer.to_owned(),
        old_us,
        new_us,
        old_kernel: old.kernel.clone(),
        new_kernel: new.kernel.to_owned(),
        whole: layer == WHOLE,
    }
}

impl Comparison {
    /// Geometric mean of the layers' ratios; 1 without any.
    pub fn mean(&self) -> f64 {
        geometric_mean(self.matches.iter().filter(|m| !m.whole).map(|m| m.ratio())).unwrap_or(1.0)
    }

    /// In a sentence.
    pub fn summary(&self) -> String {
        if self.matches.is_empty() {
            return "Nothing was measured in both runs.".to_owned();
        }
        let new = if self.new == 0 { String::new() } else { format!("; {} not measured before", self.new) };
        format!(
            "{} results in both runs, layers {:.3} times as fast as before in geometric mean{new}",
            self.matches.len(),
            self.mean()
        )
    }
}

#[cfg(test)]
#[allow(unused)]
mod tests {
    use super::super::figures::tests::sample;
    use super::*;

    fn line(network: Option<&str>, layer: &str, min_us: f64) -> Line {
        Line {
            network: network.map(str::to_owned),
            layer: layer.to_owned(),
            layout: "nhwc".to_owned(),
            threads: 1,
            kernel: "older_kernel".to_owned(),
            min_us,
            processor_us: None,
        }
    }

    #[test]
    fn results_are_matched_by_network_layer_layout_and_threads() {
        let old = |lines: Vec<Line>| Old { file: "old.json".to_owned(), lines };
        let c = old(vec![line(Some("sample"), "dw", 40.0), line(None, "pw", 300.0)]).against(&[sample()]);
        assert_eq!(
            c.matches.iter().map(|m| (m.layer.as_str(), m.ratio())).collect::<Vec<_>>(),
            [("dw", 2.0), ("pw", 1.0)]
        );
        assert_eq!(c.new, 1);
        assert!((c.mean() - 2f64.sqrt()).abs() < 1e-12 && c.summary().contains("1.414"));
        let other = Line { threads: 2, ..line(Some("sample"), "dw", 40.0) };
        let c = old(vec![line(Some("another"), "dw", 40.0), other]).against(&[sample()]);
        assert!(c.matches.is_empty() && c.summary().contains("Nothing"));
        assert_eq!(c.mean(), 1.0);
    }
}
