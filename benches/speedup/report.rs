//! The results as tables for people and as lines of JSON for tools.

use super::Error;
use super::compare::Comparison;
use super::figures::{Bound, PairRow, Results, Row, Speedup, Whole, WinogradRow};
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

const LAYERS_NOTE: &str = "\
    bound: the peak, or reading input, weights and output once from the smallest memory that holds them\n\
    Taps in the padding count as multiplies; a kernel that skips them can pass 100%.";
const PAIRS_TITLE: &str = "Pairs of layers against the standard convolution that they replace";
const PAIRS_NOTE: &str =
    "realised: measured over theoretical; above 100% where the standard convolution is further from the peak";

const NETWORKS_NOTE: &str = "\
    at peak: all multiplies with every multiply unit busy; MB between: memory for tensors between layers\n\
    realised: of the speed-up over standard convolutions in the place of all pairs, measured over theoretical";

pub const WINOGRAD_TITLE: &str =
    "Winograd's algorithm, in changed arithmetic, against the direct form of the same layer";
const WINOGRAD_NOTE: &str = "theoretical: multiplies of the direct form over those done, transforms included";

const DISTURBED_NOTE: &str =
    "\n* Other programs ran within every call: processor time in place of the clock's. Repeat on an idle machine.";

/// Stands for the name of a layer in the line of a whole network.
pub const WHOLE: &str = "(network)";

/// Opens a file for results.
pub fn create(path: &Path) -> Result<File, String> {
    File::create(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// One measured convolution. Times are in microseconds, rates in 10^9 multiplies per second.
#[derive(Serialize)]
struct Line<'a> {
    /// The network or the list that the layer is of.
    network: &'a str,
    /// The layer, or [`WHOLE`].
    layer: &'a str,
    dtype: &'static str,
    layout: &'a str,
    threads: usize,
    isa: &'a str,
    kernel: &'a str,
    macs: u64,
    min_us: f64,
    median_us: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    processor_us: Option<f64>,
    gmacs: f64,
    peak_gmacs: f64,
    bound_gmacs: f64,
    bound_by: String,
    bytes: u64,
    calls: u64,
    machine: &'a str,
    date: &'a str,
    /// Of a layer by Winograd's algorithm.
    #[serde(skip_serializing_if = "Option::is_none")]
    winograd: Option<WinogradFigures<'a>>,
    /// Of a standard convolution that is the measure of a pair.
    #[serde(skip_serializing_if = "Option::is_none")]
    pair: Option<PairFigures<'a>>,
}

#[derive(Serialize)]
struct PairFigures<'a> {
    depthwise: &'a str,
    pointwise: &'a str,
    theoretical: f64,
    measured: f64,
    realised: f64,
}

/// The multiplies really done, and the direct form.
#[derive(Serialize)]
struct WinogradFigures<'a> {
    performed_macs: u64,
    direct_kernel: &'a str,
    direct_min_us: f64,
    theoretical: f64,
    measured: f64,
    realised: f64,
}

/// Writes a line for each layer, for the standard convolution of each pair, and for each network as a whole.
pub fn write_json(file: File, all: &[Results]) -> Result<(), Error> {
    let mut file = BufWriter::new(file);
    for line in all.iter().flat_map(lines) {
        serde_json::to_writer(&mut file, &line)?;
        writeln!(file)?;
    }
    file.flush()?;
    Ok(())
}

fn lines(results: &Results) -> impl Iterator<Item = Line<'_>> {
    let line = |row, pair| line(results, row, pair);
    let pair = move |p: &'_ PairRow| PairFigures {
        depthwise: &results.rows[p.first].name,
        pointwise: &results.rows[p.first + 1].name,
        theoretical: p.speedup.theoretical,
        measured: p.speedup.measured,
        realised: p.speedup.realised(),
    };
    let winograd = |i: usize, row: &Row, w: &'_ WinogradRow| {
        let speedup = w.speedup(row);
        (w.layer == i).then(|| WinogradFigures {
            performed_macs: row.cost.performed_multiplies,
            direct_kernel: w.direct.kernel,
            direct_min_us: w.direct.min_us,
            theoretical: speedup.theoretical,
            measured: speedup.measured,
            realised: speedup.realised(),
        })
    };
    let layers = results
        .rows
        .iter()
        .enumerate()
        .map(move |(i, r)| Line { winograd: results.winograd.iter().find_map(|w| winograd(i, r, w)), ..line(r, None) });
    let pairs = results.pairs.iter().map(move |p| line(&p.standard, Some(pair(p))));
    let whole = results.whole.iter().map(move |w| Line { layer: WHOLE, ..line(&w.row, None) });
    layers.chain(pairs).chain(whole)
}

fn line<'a>(results: &'a Results, row: &'a Row, pair: Option<PairFigures<'a>>) -> Line<'a> {
    let bound = Bound::of(&row.cost, &results.ceilings);
    Line {
        network: &results.title,
        layer: &row.name,
        dtype: "f32",
        layout: results.layout,
        threads: results.threads,
        isa: row.isa,
        kernel: row.kernel,
        macs: row.cost.multiplies,
        min_us: row.min_us,
        median_us: row.median_us,
        processor_us: row.processor_us,
        // Always by the clock: other tools set it beside figures taken by the clock.
        gmacs: row.cost.multiplies as f64 / row.min_us / 1e3,
        peak_gmacs: results.ceilings.peak_gmacs,
        bound_gmacs: bound.gmacs,
        bound_by: bound.by,
        bytes: row.cost.bytes,
        calls: row.calls,
        machine: &results.machine,
        date: &results.date,
        winograd: None,
        pair,
    }
}

/// Everything as text: head, layers, pairs and totals of each network, all networks, what has changed.
pub fn text(all: &[Results], comparison: Option<&Comparison>) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    for (i, results) in all.iter().enumerate() {
        if i > 0 {
            out.push_str("\n\n");
        }
        let _ = write_text(&mut out, results);
    }
    if all.len() > 1 {
        let _ = write!(out, "\n\nAll networks\n\n{}\n{NETWORKS_NOTE}\n", networks_table(all));
    }
    if let Some(c) = comparison {
        let _ = write!(out, "\n\nBefore ({}) and now\n\n{}\n{}\n", c.file, comparison_table(c), c.summary());
    }
    out
}

fn write_text(out: &mut String, r: &Results) -> std::fmt::Result {
    let threads = if r.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", r.threads) };
    writeln!(out, "{}: f32, {}", r.title, r.layout)?;
    writeln!(out, "{}, {}, {threads}, {}", r.machine, r.isa, r.date)?;
    write!(out, "peak {:.1} GMAC/s (multiplies, each with its add); reads", r.ceilings.peak_gmacs)?;
    for (i, level) in r.ceilings.levels.iter().enumerate() {
        write!(out, "{} {} {:.0}", if i == 0 { "" } else { "," }, level.name, level.gbs)?;
    }
    writeln!(out, " GB/s\n\n{}", layers_table(r))?;
    writeln!(out, "{LAYERS_NOTE}")?;
    for reason in &r.left_out {
        writeln!(out, "left out: {reason}")?;
    }
    if !r.pairs.is_empty() {
        writeln!(out, "\n{PAIRS_TITLE}\n\n{}\n{PAIRS_NOTE}", pairs_table(r))?;
        for (kind, mean, least, pair) in r.realised() {
            let name = &r.pairs[pair].standard.name;
            let (mean, least) = (percent(mean), percent(least));
            writeln!(out, "Realised by {kind}: {mean} in geometric mean, at least {least} ({name})")?;
        }
    }
    if !r.winograd.is_empty() {
        writeln!(out, "\n{WINOGRAD_TITLE}\n\n{}\n{WINOGRAD_NOTE}", winograd_table(r))?;
    }
    if r.rows
        .iter()
        .chain(r.pairs.iter().map(|p| &p.standard))
        .chain(r.whole.iter().map(|w| &w.row))
        .any(Row::is_disturbed)
    {
        writeln!(out, "{DISTURBED_NOTE}")?;
    }
    write_totals(out, r)
}

fn write_totals(out: &mut String, r: &Results) -> std::fmt::Result {
    let (multiplies, us) = r.total();
    let (peak_us, bound_us) = r.ideal_us();
    writeln!(
        out,
        "\nAll {} layers: {:.1} M multiplies in {:.2} ms, {:.1} GMAC/s; at the peak {:.2} ms ({} of it reached), at the bounds {:.2} ms ({})",
        r.rows.len(),
        multiplies as f64 / 1e6,
        us / 1e3,
        multiplies as f64 / us / 1e3,
        peak_us / 1e3,
        percent(peak_us / us),
        bound_us / 1e3,
        percent(bound_us / us),
    )?;
    if let Some(Whole { row, activation_bytes, weight_bytes }) = &r.whole {
        writeln!(
            out,
            "Run as a whole: {} ms, {} of the peak, {:.2} times the layers' sum; {:.2} MB between layers, {:.1} MB of weights",
            milliseconds(row),
            percent(row.gmacs() / r.ceilings.peak_gmacs),
            row.us() / us,
            *activation_bytes as f64 / 1e6,
            *weight_bytes as f64 / 1e6,
        )?;
    }
    if let Some(all) = r.total_speedup() {
        writeln!(
            out,
            "With standard convolutions in place of the pairs: {:.2} times the multiplies, {:.2} times the time; realised {}",
            all.theoretical,
            all.measured,
            percent(all.realised()),
        )?;
    }
    Ok(())
}

fn layers_table(r: &Results) -> Table {
    let mut t =
        table(&["layer", "M mult", "min us", "median us", "GMAC/s", "of peak", "bound", "by", "of bound", "kernel"]);
    for row in &r.rows {
        let bound = Bound::of(&row.cost, &r.ceilings);
        t.add_row([
            row.name.clone(),
            format!("{:.2}", row.cost.multiplies as f64 / 1e6),
            us(&[row]),
            format!("{:.1}", row.median_us),
            format!("{:.1}", row.gmacs()),
            percent(row.gmacs() / r.ceilings.peak_gmacs),
            format!("{:.1}", bound.gmacs),
            bound.by,
            percent(row.gmacs() / bound.gmacs),
            row.kernel.to_owned(),
        ]);
    }
    align(&mut t, &[0, 7, 9]);
    t
}

pub const WINOGRAD_HEAD: [&str; 9] = [
    "layer",
    "M mult done",
    "direct",
    "us",
    "direct us",
    "theoretical",
    "measured",
    "realised",
    "kernel of the direct form",
];

/// What stands under [`WINOGRAD_HEAD`].
pub fn winograd_rows(r: &Results) -> impl Iterator<Item = [String; 9]> {
    r.winograd.iter().map(|w| {
        let row = &r.rows[w.layer];
        let speedup = w.speedup(row);
        [
            row.name.clone(),
            format!("{:.2}", row.cost.performed_multiplies as f64 / 1e6),
            format!("{:.2}", row.cost.multiplies as f64 / 1e6),
            us(&[row]),
            us(&[&w.direct]),
            format!("{:.2}", speedup.theoretical),
            format!("{:.2}", speedup.measured),
            percent(speedup.realised()),
            w.direct.kernel.to_owned(),
        ]
    })
}

fn winograd_table(r: &Results) -> Table {
    let mut t = table(&WINOGRAD_HEAD);
    t.add_rows(winograd_rows(r));
    align(&mut t, &[0, 8]);
    t
}

fn pairs_table(r: &Results) -> Table {
    let mut t = table(&[
        "pair",
        "us",
        "standard us",
        "theoretical",
        "measured",
        "realised",
        "standard of peak",
        "kernel of the standard",
    ]);
    for p in &r.pairs {
        let (dw, pw) = (&r.rows[p.first], &r.rows[p.first + 1]);
        let Speedup { theoretical, measured } = p.speedup;
        t.add_row([
            format!("{} + {}", dw.name, pw.name),
            us(&[dw, pw]),
            us(&[&p.standard]),
            format!("{theoretical:.2}"),
            format!("{measured:.2}"),
            percent(p.speedup.realised()),
            percent(p.standard.gmacs() / r.ceilings.peak_gmacs),
            p.standard.kernel.to_owned(),
        ]);
    }
    align(&mut t, &[0, 7]);
    t
}

fn networks_table(all: &[Results]) -> Table {
    let mut t = table(&["network", "M mult", "ms", "GMAC/s", "of peak", "at peak ms", "MB between", "realised"]);
    for (r, w) in all.iter().filter_map(|r| Some((r, r.whole.as_ref()?))) {
        t.add_row([
            w.row.name.clone(),
            format!("{:.1}", w.row.cost.multiplies as f64 / 1e6),
            milliseconds(&w.row),
            format!("{:.1}", w.row.gmacs()),
            percent(w.row.gmacs() / r.ceilings.peak_gmacs),
            format!("{:.2}", r.ideal_us().0 / 1e3),
            format!("{:.2}", w.activation_bytes as f64 / 1e6),
            r.total_speedup().map_or(String::new(), |s| percent(s.realised())),
        ]);
    }
    align(&mut t, &[0]);
    t
}

fn comparison_table(c: &Comparison) -> Table {
    let mut t = table(&["network", "layer", "before us", "now us", "times as fast", "kernel before", "now"]);
    for m in &c.matches {
        t.add_row([
            m.network.clone(),
            m.layer.clone(),
            format!("{:.1}", m.old_us),
            format!("{:.1}", m.new_us),
            format!("{:.2}", m.ratio()),
            m.old_kernel.clone(),
            if m.old_kernel == m.new_kernel { "the same".to_owned() } else { m.new_kernel.clone() },
        ]);
    }
    align(&mut t, &[0, 1, 5, 6]);
    t
}

fn milliseconds(row: &Row) -> String {
    format!("{}{:.2}", if row.is_disturbed() { "*" } else { "" }, row.us() / 1e3)
}

fn table(head: &[&str]) -> Table {
    let mut t = Table::new();
    t.load_preset(presets::NOTHING).set_header(head);
    t
}

/// Text to the left, numbers to the right.
fn align(t: &mut Table, text: &[usize]) {
    for (i, column) in t.column_iter_mut().enumerate() {
        column.set_cell_alignment(if text.contains(&i) { CellAlignment::Left } else { CellAlignment::Right });
    }
}

/// The time of all of these together, marked where it is not that of the clock.
fn us(rows: &[&Row]) -> String {
    let mark = if rows.iter().any(|r| r.is_disturbed()) { "*" } else { "" };
    format!("{mark}{:.1}", rows.iter().map(|r| r.us()).sum::<f64>())
}

pub fn percent(fraction: f64) -> String {
    format!("{:.0}%", 100.0 * fraction)
}

#[cfg(test)]
#[allow(unused)]
mod tests {
    use super::super::figures::tests::sample;
    use super::*;
    use serde_json::Value;

    #[test]
    fn every_line_has_the_fields_that_other_tools_read() {
        let results = sample();
        let lines: Vec<Value> = lines(&results).map(|l| serde_json::to_value(&l).unwrap()).collect();
        assert_eq!(lines.len(), 3);
        for line in &lines {
            for text in ["layer", "dtype", "layout", "isa", "kernel"] {
                assert!(line[text].is_string(), "{text}");
            }
            for number in ["threads", "macs", "min_us", "median_us", "gmacs", "peak_gmacs"] {
                assert!(line[number].is_number(), "{number}");
            }
            let (macs, us) = (line["macs"].as_f64().unwrap(), line["min_us"].as_f64().unwrap());
            assert!((line["gmacs"].as_f64().unwrap() - macs / us / 1e3).abs() < 1e-9);
        }
        assert!(lines[0].get("pair").is_none());
        assert_eq!(lines[2]["pair"]["pointwise"], "pw");
    }

    #[test]
    fn the_text_has_head_layers_pairs_and_totals() {
        let text = text(&[sample()], None);
        for part in [
            "a machine",
            "scalar",
            "1 thread",
            "2026-01-01",
            "peak 60.0",
            "L1 200",
            "some_kernel",
            "8.69",
            "6.25",
            "72%",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(text.lines().all(|l| l.len() < 200), "{text}");
        assert!(!text.contains('*'), "{text}");
    }

    #[test]
    fn disturbed_times_are_marked_and_explained() {
        let mut results = sample();
        results.pairs[0].standard.processor_us = Some(1000.0);
        let text = text(&[results.clone()], None);
        assert!(text.contains("*1000.0") && text.contains("Other programs"), "{text}");
        let last = lines(&results).last().unwrap();
        assert_eq!((last.min_us, last.processor_us), (2000.0, Some(1000.0)));
    }
}
