//! The plots of the page, as SVG.
//!
//! Colours are names rather than colours: each is a grey of its own that no screen shows, and the page's style sheet puts
//! the colour for light or dark in its place.

use super::compare::Comparison;
use super::figures::{Kind, Results};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

type Error = Box<dyn std::error::Error + Send + Sync>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Text and axes.
pub const INK: RGBColor = RGBColor(0x01, 0x01, 0x01);
/// Lines of the grid.
pub const GRID: RGBColor = RGBColor(0x02, 0x02, 0x02);
/// Limits and diagonals.
pub const LIMIT: RGBColor = RGBColor(0x03, 0x03, 0x03);
/// Series of points.
pub const SERIES: [RGBColor; 4] =
    [RGBColor(0x11, 0x11, 0x11), RGBColor(0x22, 0x22, 0x22), RGBColor(0x33, 0x33, 0x33), RGBColor(0x44, 0x44, 0x44)];

/// Narrow enough that its text can be read on a phone.
const SIZE: (u32, u32) = (460, 400);
/// The library takes the size of a font to be that of its whole line.
const FONT: (&str, u32) = ("sans-serif", 17);

/// A plot with what it says in words.
pub struct Plot {
    pub svg: String,
    pub title: &'static str,
    pub caption: String,
}

/// Points of one kind, and what they are.
struct Series {
    name: &'static str,
    points: Vec<(f64, f64)>,
}

fn draw(f: impl FnOnce(&Area<'_>) -> Result<(), Error>) -> Result<String, Error> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        f(&area)?;
        area.present()?;
    }
    Ok(svg)
}

/// The range that holds all of the values, with some room, on a logarithmic axis.
fn range(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (mut least, mut most) = (f64::INFINITY, 0.0f64);
    for v in values.filter(|v| v.is_finite() && *v > 0.0) {
        (least, most) = (least.min(v), most.max(v));
    }
    if most == 0.0 { 0.5..2.0 } else { least / 1.3..most * 1.3 }
}

/// 0.02, 3, 150: the digits that a tick needs.
fn tick(v: &f64) -> String {
    if *v >= 1.0 { format!("{v:.0}") } else { format!("{}", (v * 1e4).round() / 1e4) }
}

/// A chart with logarithmic axes: limits as lines, points by series, and whatever `more` draws on top.
fn chart(
    area: &Area<'_>,
    axes: [(&str, std::ops::Range<f64>); 2],
    limits: &[(String, Vec<(f64, f64)>)],
    series: &[Series],
    right: u32,
    more: impl FnOnce(&dyn Fn((f64, f64)) -> (i32, i32)) -> Result<(), Error>,
) -> Result<(), Error> {
    let text = |size: u32| (FONT.0, size).into_font().color(&INK);
    let [(x_name, x), (y_name, y)] = axes;
    let legend = if series.len() > 1 { 24 } else { 0 };
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_top(8 + legend)
        .margin_right(8 + right)
        .x_label_area_size(38)
        .y_label_area_size(52)
        .build_cartesian_2d(x.clone().log_scale(), y.clone().log_scale())?;
    chart
        .configure_mesh()
        .x_desc(x_name)
        .y_desc(y_name)
        .x_labels(6)
        .y_labels(6)
        .max_light_lines(1)
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(text(16))
        .axis_desc_style(text(FONT.1))
        .x_label_formatter(&tick)
        .y_label_formatter(&tick)
        .draw()?;
    for (name, line) in limits {
        chart.draw_series(LineSeries::new(line.iter().copied(), LIMIT.stroke_width(1)))?;
        if let Some(&(x, y)) = line.first() {
            let at = chart.backend_coord(&(x, y));
            area.draw(&Text::new(name.clone(), (at.0 + 4, at.1 - 15), text(15)))?;
        }
    }
    for (i, s) in series.iter().enumerate() {
        // Shapes differ as well as colours.
        let style = SERIES[i % SERIES.len()].filled();
        let points = s.points.iter().copied();
        match i {
            0 => chart.draw_series(points.map(|p| Circle::new(p, 3, style)))?,
            1 => chart.draw_series(points.map(|p| TriangleMarker::new(p, 5, style)))?,
            2 => chart.draw_series(points.map(|p| Cross::new(p, 3, style.stroke_width(2))))?,
            _ => chart.draw_series(points.map(|p| Circle::new(p, 3, SERIES[3].stroke_width(2))))?,
        };
        if legend > 0 {
            let at = (62 + 98 * i as i32, 14);
            match i {
                0 => area.draw(&Circle::new(at, 4, style))?,
                1 => area.draw(&TriangleMarker::new(at, 5, style))?,
                2 => area.draw(&Cross::new(at, 4, style.stroke_width(2)))?,
                _ => area.draw(&Circle::new(at, 4, SERIES[3].stroke_width(2)))?,
            }
            area.draw(&Text::new(s.name, (at.0 + 9, at.1 - 7), text(FONT.1)))?;
        }
    }
    more(&|p| chart.backend_coord(&p))
}

/// Every layer under the roofs of multiplies and memory.
pub fn roofline(all: &[Results]) -> Result<Plot, Error> {
    let rows = || all.iter().flat_map(|r| &r.rows);
    let series: Vec<Series> = Kind::ALL
        .map(|kind| Series {
            name: kind.name(),
            points: rows().filter(|r| r.kind == kind).map(|r| (r.cost.intensity(), r.gmacs())).collect(),
        })
        .into();
    let ceilings = &all[0].ceilings;
    let peak = all.iter().map(|r| r.ceilings.peak_gmacs).fold(0.0, f64::max);
    let x = range(rows().map(|r| r.cost.intensity()));
    let y = range(rows().map(|r| r.gmacs()).chain([peak]));
    let mut limits = vec![("peak".to_owned(), vec![(x.start, peak), (x.end, peak)])];
    for level in &ceilings.levels {
        // From the left or lower edge to the ridge.
        let (from, ridge) = (x.start.max(y.start / level.gbs), peak / level.gbs);
        if from < ridge && from < x.end {
            let end = ridge.min(x.end);
            limits.push((level.name.clone(), vec![(from, from * level.gbs), (end, end * level.gbs)]));
        }
    }
    let svg = draw(|area| {
        let axes = [("multiplies per byte", x), ("10^9 multiplies per second", y)];
        chart(area, axes, &limits, &series, 0, |_| Ok(()))
    })?;
    Ok(Plot {
        svg,
        title: "Roofline",
        caption: format!(
            "{} layers. No layer can be above the peak of the multiply units, nor above the line of the memory that holds \
             its tensors, unless it skips taps in the padding.",
            rows().count()
        ),
    })
}

/// What is saved on paper against what is saved on the clock.
pub fn speedups(all: &[Results]) -> Result<Option<Plot>, Error> {
    let of = |ghost: bool| {
        let pairs = all.iter().flat_map(|r| r.pairs.iter().map(move |p| (r, p)));
        let chosen = pairs.filter(move |(r, p)| r.rows[p.first].name.ends_with(".primary") == ghost);
        chosen.map(|(_, p)| (p.speedup.theoretical, p.speedup.measured)).collect::<Vec<_>>()
    };
    let winograd = all.iter().flat_map(|r| {
        r.winograd.iter().map(|w| {
            let speedup = w.speedup(&r.rows[w.layer]);
            (speedup.theoretical, speedup.measured)
        })
    });
    let mut series = vec![
        Series { name: "separable", points: of(false) },
        Series { name: "Ghost", points: of(true) },
        Series { name: "Winograd", points: winograd.collect() },
    ];
    series.retain(|s| !s.points.is_empty());
    if series.is_empty() {
        return Ok(None);
    }
    let both = range(series.iter().flat_map(|s| s.points.iter().flat_map(|p| [p.0, p.1])));
    let diagonal = (String::new(), vec![(both.start, both.start), (both.end, both.end)]);
    let count: usize = series.iter().map(|s| s.points.len()).sum();
    let svg = draw(|area| {
        let axes = [("theoretical speed-up", both.clone()), ("measured speed-up", both)];
        chart(area, axes, &[diagonal], &series, 0, |_| Ok(()))
    })?;
    Ok(Some(Plot {
        svg,
        title: "Saved on paper, saved on the clock",
        caption: format!(
            "{count} times two layers, or Winograd's algorithm, against the standard convolution that each replaces. On the line, all of the saving is \
             realised; above it, the standard convolution is further from the peak."
        ),
    }))
}

/// Time of networks over their multiplies.
pub fn networks(all: &[Results]) -> Result<Option<Plot>, Error> {
    let points: Vec<(&str, (f64, f64))> = all
        .iter()
        .filter_map(|r| Some(&r.whole.as_ref()?.row))
        .map(|row| (row.name.as_str(), (row.cost.multiplies as f64 / 1e6, row.us() / 1e3)))
        .collect();
    if points.is_empty() {
        return Ok(None);
    }
    let peak = all.iter().map(|r| r.ceilings.peak_gmacs).fold(0.0, f64::max);
    let x = range(points.iter().map(|p| p.1.0));
    let y = range(points.iter().flat_map(|p| [p.1.1, p.1.0 / peak]));
    let at_peak = vec![(x.start, x.start / peak), (x.end, x.end / peak)];
    let series = [Series { name: "", points: points.iter().map(|p| p.1).collect() }];
    let right = 150;
    let svg = draw(|area| {
        let axes = [("10^6 multiplies", x), ("milliseconds", y)];
        chart(area, axes, &[("peak".to_owned(), at_peak)], &series, right, |place| {
            // Names in a column at the right, each as high as its point if there is room.
            let mut names: Vec<((i32, i32), &str)> = points.iter().map(|&(name, p)| (place(p), name)).collect();
            names.sort_by_key(|n| n.0.1);
            let step = 16;
            let bottom = SIZE.1 as i32 - 52;
            let mut free = 16;
            for (i, (from, name)) in names.iter().enumerate() {
                let left = (names.len() - 1 - i) as i32;
                let y = from.1.max(free).min(bottom - step * left);
                free = y + step;
                let column = (SIZE.0 - right) as i32;
                area.draw(&PathElement::new(vec![(from.0 + 4, from.1), (column, y)], GRID))?;
                let style = (FONT.0, 15).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
                // Without the size, which is in the table.
                area.draw(&Text::new(short(name), (column + 3, y), style))?;
            }
            Ok(())
        })
    })?;
    Ok(Some(Plot {
        svg,
        title: "Networks",
        caption: format!(
            "Each network as a whole. The line is all multiplies at the peak of {peak:.1} billion a second; the distance \
             above it is what the rest costs."
        ),
    }))
}

/// The name without the width and resolution that most have.
fn short(name: &str) -> &str {
    name.strip_suffix("_224").map_or(name, |n| n.strip_suffix("_1.0").unwrap_or(n))
}

/// Times of two runs.
pub fn comparison(c: &Comparison) -> Result<Option<Plot>, Error> {
    if c.matches.is_empty() {
        return Ok(None);
    }
    let of = |whole| c.matches.iter().filter(|m| m.whole == whole).map(|m| (m.old_us, m.new_us)).collect();
    let mut series = vec![Series { name: "layers", points: of(false) }, Series { name: "networks", points: of(true) }];
    series.retain(|s| !s.points.is_empty());
    let both = range(c.matches.iter().flat_map(|m| [m.old_us, m.new_us]));
    let diagonal = (String::new(), vec![(both.start, both.start), (both.end, both.end)]);
    let svg = draw(|area| {
        let axes = [("microseconds before", both.clone()), ("microseconds now", both)];
        chart(area, axes, &[diagonal], &series, 0, |_| Ok(()))
    })?;
    Ok(Some(Plot { svg, title: "Before and now", caption: format!("{}. Below the line is faster.", c.summary()) }))
}
