//! The results as one page without any other file: plots, and the tables behind them.
//!
//! It is well-formed XML as well as HTML, so that any tool can read it.

use super::compare::Comparison;
use super::figures::{Bound, Results, Row};
use super::plots::{self, Plot};
use super::report::{WINOGRAD_HEAD, WINOGRAD_TITLE, percent, winograd_rows};
use maud::{Markup, PreEscaped, html};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Colours for light and dark, one column on a narrow screen; tables scroll by themselves where they are too wide.
const STYLE: &str = r##"
:root { color-scheme: light dark; --page: #ffffff; --card: #f6f7f9; --ink: #1b1f24; --soft: #59636e; --grid: #d9dee4;
  --limit: #7a8490; --a: #c0362c; --b: #0b66c3; --c: #16803c; --d: #8a4fbf; }
@media (prefers-color-scheme: dark) { :root { --page: #0f1216; --card: #181c22; --ink: #e6eaef; --soft: #9aa5b1;
  --grid: #313944; --limit: #8b96a3; --a: #ff8a7a; --b: #6cb6ff; --c: #5fd38a; --d: #c9a2ff; } }
body { margin: 0 auto; padding: 1rem; max-width: 72rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.15rem; margin: 0 0 .3rem; }
p { margin: .3rem 0 .8rem; } .soft, figcaption { color: var(--soft); font-size: .9rem; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); gap: 1rem; }
figure, section, details { margin: 0 0 1rem; padding: .8rem; background: var(--card); border-radius: .6rem; }
.plots figure { margin: 0; } .plots { margin: 1rem 0; }
svg { width: 100%; height: auto; display: block; }
svg [fill="#010101"] { fill: var(--ink); } svg [stroke="#010101"] { stroke: var(--ink); }
svg [fill="#020202"] { fill: var(--grid); } svg [stroke="#020202"] { stroke: var(--grid); }
svg [fill="#030303"] { fill: var(--limit); } svg [stroke="#030303"] { stroke: var(--limit); }
svg [fill="#111111"] { fill: var(--a); } svg [stroke="#111111"] { stroke: var(--a); }
svg [fill="#222222"] { fill: var(--b); } svg [stroke="#222222"] { stroke: var(--b); }
svg [fill="#333333"] { fill: var(--c); } svg [stroke="#333333"] { stroke: var(--c); }
svg [fill="#444444"] { fill: var(--d); } svg [stroke="#444444"] { stroke: var(--d); }
svg circle { opacity: .8; }
.wide { overflow-x: auto; } summary { cursor: pointer; font-weight: 600; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: .15rem .5rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--grid); }
th { color: var(--soft); font-weight: 600; } th:first-child, td:first-child, .left { text-align: left; }
"##;

/// The whole page.
pub fn page(all: &[Results], comparison: Option<&Comparison>) -> Result<String, Error> {
    let Some(first) = all.first() else { return Err("nothing was measured".into()) };
    let mut all_plots = vec![plots::roofline(all)?];
    all_plots.extend(plots::speedups(all)?);
    all_plots.extend(plots::networks(all)?);
    if let Some(c) = comparison {
        all_plots.extend(plots::comparison(c)?);
    }
    let threads = if first.threads == 1 { "1 thread".to_owned() } else { format!("{} threads", first.threads) };
    let body = html! {
        header {
            h1 { "What saved multiplies save" }
            p.soft {
                (first.machine) ", " (first.isa) ", " (threads) ", f32, " (first.layout) ", " (first.date) ". Peak "
                (format!("{:.1}", first.ceilings.peak_gmacs)) " billion multiplies a second; reads"
                @for (i, level) in first.ceilings.levels.iter().enumerate() {
                    @if i > 0 { "," } " " (level.name) " " (format!("{:.0}", level.gbs))
                }
                " GB/s."
            }
        }
        (networks_table(all))
        div.plots { @for plot in &all_plots { (figure(plot)) } }
        @if let Some(c) = comparison { (comparison_table(c)) }
        @for results in all { (details(results)) }
        p.soft {
            "Times are the least of many runs. The bound of a layer is the peak, or reading input, weights and output once "
            "from the smallest memory that holds them. Taps in the padding count as multiplies. A star marks processor time "
            "where other programs ran within every call."
        }
    };
    // Empty elements are closed, as XML wants them; HTML does not mind.
    let head = concat!(
        "<meta charset=\"utf-8\"/><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>",
        "<title>What saved multiplies save</title>"
    );
    let body = body.into_string();
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>{head}<style>{STYLE}</style></head>\n<body>{body}</body>\n</html>\n"
    ))
}

fn figure(plot: &Plot) -> Markup {
    html! {
        figure {
            h2 { (plot.title) }
            (PreEscaped(&plot.svg))
            figcaption { (plot.caption) }
        }
    }
}

/// A table, in a box that scrolls.
fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Markup {
    html! {
        div.wide {
            table {
                thead { tr { @for h in head { th { (h) } } } }
                tbody { @for row in rows { tr { @for cell in &row { td { (cell) } } } } }
            }
        }
    }
}

fn networks_table(all: &[Results]) -> Markup {
    let head = ["network", "10⁶ multiplies", "ms", "of peak", "MB between layers", "MB of weights", "saving realised"];
    let rows: Vec<Vec<String>> = all
        .iter()
        .filter_map(|r| {
            let w = r.whole.as_ref()?;
            Some(vec![
                w.row.name.clone(),
                format!("{:.1}", w.row.cost.multiplies as f64 / 1e6),
                starred(&w.row, w.row.us() / 1e3, 2),
                percent(w.row.gmacs() / r.ceilings.peak_gmacs),
                format!("{:.2}", w.activation_bytes as f64 / 1e6),
                format!("{:.1}", w.weight_bytes as f64 / 1e6),
                r.total_speedup().map_or("–".to_owned(), |s| percent(s.realised())),
            ])
        })
        .collect();
    html! { @if !rows.is_empty() { section { h2 { "Networks" } (table(&head, rows.into_iter())) } } }
}

fn details(r: &Results) -> Markup {
    let layers = r.rows.iter().map(|row| {
        let bound = Bound::of(&row.cost, &r.ceilings);
        vec![
            row.name.clone(),
            row.kind.name().to_owned(),
            format!("{:.2}", row.cost.multiplies as f64 / 1e6),
            starred(row, row.us(), 1),
            format!("{:.1}", row.gmacs()),
            percent(row.gmacs() / r.ceilings.peak_gmacs),
            bound.by,
            percent(row.gmacs() / bound.gmacs),
            row.kernel.to_owned(),
        ]
    });
    let pairs = r.pairs.iter().map(|p| {
        let (a, b) = (&r.rows[p.first], &r.rows[p.first + 1]);
        vec![
            format!("{} + {}", a.name, b.name),
            format!("{:.1}", a.us() + b.us()),
            starred(&p.standard, p.standard.us(), 1),
            format!("{:.2}", p.speedup.theoretical),
            format!("{:.2}", p.speedup.measured),
            percent(p.speedup.realised()),
            percent(p.standard.gmacs() / r.ceilings.peak_gmacs),
        ]
    });
    let (multiplies, us) = r.total();
    let head = ["layer", "kind", "10⁶ mult.", "µs", "10⁹/s", "of peak", "bound by", "of bound", "kernel"];
    let pair_head = ["pair", "µs", "standard µs", "theoretical", "measured", "realised", "standard of peak"];
    html! {
        details open=[r.whole.is_none().then_some("open")] {
            summary { (r.title) }
            p.soft {
                (r.rows.len()) " layers, " (format!("{:.1}", multiplies as f64 / 1e6)) " million multiplies, "
                (format!("{:.2}", us / 1e3)) " ms one by one."
                @for reason in &r.left_out { " Left out: " (reason) "." }
            }
            (table(&head, layers))
            @if !r.pairs.is_empty() {
                h2 { "Pairs and what they replace" }
                (table(&pair_head, pairs))
            }
            @if !r.winograd.is_empty() {
                h2 { (WINOGRAD_TITLE) }
                (table(&WINOGRAD_HEAD, winograd_rows(r).map(Vec::from)))
            }
        }
    }
}

fn comparison_table(c: &Comparison) -> Markup {
    let head = ["network", "layer", "before µs", "now µs", "times as fast", "kernel before", "kernel now"];
    let rows = c.matches.iter().map(|m| {
        vec![
            m.network.clone(),
            m.layer.clone(),
            format!("{:.1}", m.old_us),
            format!("{:.1}", m.new_us),
            format!("{:.2}", m.ratio()),
            m.old_kernel.clone(),
            m.new_kernel.clone(),
        ]
    });
    html! {
        details {
            summary { "Before and now" }
            p.soft { (c.file) ": " (c.summary()) "." }
            (table(&head, rows))
        }
    }
}

/// A time, marked where it is not that of the clock.
fn starred(row: &Row, time: f64, digits: usize) -> String {
    format!("{}{time:.digits$}", if row.is_disturbed() { "*" } else { "" })
}

#[cfg(test)]
#[allow(unused)]
mod tests {
    use super::super::compare::{Comparison, Match};
    use super::super::figures::{Kind, Whole, WinogradRow, tests::sample};
    use super::*;

    /// The sample as a network, with a name that has to be escaped.
    fn network() -> Results {
        let mut r = sample();
        r.title = "a < b & \"c\"".to_owned();
        let mut row = r.pairs[0].standard.clone();
        row.name = r.title.clone();
        r.whole = Some(Whole { row, activation_bytes: 1 << 20, weight_bytes: 1 << 22 });
        r.rows[0].name = "<script>".to_owned();
        r.winograd.push(WinogradRow { layer: 1, direct: r.pairs[0].standard.clone() });
        r.left_out.push("x: too <small>".to_owned());
        r
    }

    fn texts(page: &str) -> String {
        let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
        let document = roxmltree::Document::parse_with_options(page, options).unwrap_or_else(|e| panic!("{e}\n{page}"));
        assert!(document.descendants().all(|n| !n.has_tag_name("script")));
        document.descendants().filter(|n| n.is_text()).filter_map(|n| n.text()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_page_is_well_formed_and_holds_everything() {
        let m = Match {
            network: "n".to_owned(),
            layer: "<i>".to_owned(),
            old_us: 2.0,
            new_us: 1.0,
            old_kernel: "old".to_owned(),
            new_kernel: "new".to_owned(),
            whole: false,
        };
        let c = Comparison {
            file: "old & older.json".to_owned(),
            matches: vec![m.clone(), Match { whole: true, ..m }],
            new: 1,
        };
        let page = page(&[network(), sample()], Some(&c)).unwrap();
        let texts = texts(&page);
        for part in [
            "a < b & \"c\"",
            "<script>",
            "too <small>",
            "old & older.json",
            "Roofline",
            "72%",
            "L2",
            "2.000",
            "Winograd",
        ] {
            assert!(texts.contains(part), "{part}");
        }
        assert_eq!(page.matches("<svg").count(), 4);
        // One file: nothing is fetched.
        assert!(!page.contains("href") && !page.contains("src=") && !page.contains("url("));
        // Every colour of a plot is one that the style sheet replaces.
        for (i, _) in page.match_indices("fill=\"#").chain(page.match_indices("stroke=\"#")) {
            let colour: String = page[i..].split('"').nth(1).unwrap().to_owned();
            assert!(STYLE.contains(&format!("\"{colour}\"")), "{colour}");
        }
    }

    #[test]
    fn plots_without_points_are_left_out() {
        let mut bare = sample();
        bare.pairs.clear();
        let page = page(&[bare], None).unwrap();
        texts(&page);
        assert_eq!(page.matches("<svg").count(), 1);
        assert!(super::page(&[], None).is_err());
    }

    #[test]
    fn numbers_beyond_all_measure_do_not_break_the_page() {
        let mut r = network();
        for row in &mut r.rows {
            row.min_us = f64::INFINITY;
            row.processor_us = None;
        }
        r.ceilings.levels.clear();
        texts(&page(&[r], None).unwrap());
    }
}
