//! The figures of a report, and how they follow from counts, times and ceilings.

use super::ceilings::Ceilings;
use lightconv::{Conv2dShape, Cost};

/// The clock may be this many times ahead of the processor time before a call counts as disturbed.
const DISTURBED: f64 = 1.05;

/// Kinds of convolution that have rooflines and difficulties of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Standard,
    Pointwise,
    Grouped,
    Depthwise,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Standard, Kind::Pointwise, Kind::Grouped, Kind::Depthwise];

    pub fn of(shape: &Conv2dShape) -> Kind {
        if shape.is_depthwise() {
            Kind::Depthwise
        } else if shape.groups > 1 {
            Kind::Grouped
        } else if shape.is_pointwise() {
            Kind::Pointwise
        } else {
            Kind::Standard
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Kind::Standard => "standard",
            Kind::Pointwise => "pointwise",
            Kind::Grouped => "grouped",
            Kind::Depthwise => "depthwise",
        }
    }
}

/// A layer with its measurement.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    pub kind: Kind,
    pub kernel: &'static str,
    pub isa: &'static str,
    pub cost: Cost,
    pub min_us: f64,
    pub median_us: f64,
    /// Least processor time of a call, if it is long and all on one thread.
    pub processor_us: Option<f64>,
    /// Calls timed.
    pub calls: u64,
}

impl Row {
    /// The time to compare by, in microseconds: the least on the clock, or the processor time where no call was left
    /// alone by other programs. A long call would otherwise suffer more from them than a short one, and pairs look better
    /// than they are.
    pub fn us(&self) -> f64 {
        match self.processor_us {
            Some(us) if self.is_disturbed() => us,
            _ => self.min_us,
        }
    }

    /// Whether other programs took their turn within every call.
    pub fn is_disturbed(&self) -> bool {
        self.processor_us.is_some_and(|us| us * DISTURBED < self.min_us)
    }

    /// 10^9 multiplies per second in [`us`](Self::us).
    pub fn gmacs(&self) -> f64 {
        self.cost.multiplies as f64 / self.us() / 1e3
    }
}

/// What limits a layer: multiplies, or reading its tensors once from the level of memory that holds them.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// 10^9 multiplies per second.
    pub gmacs: f64,
    /// `multiplies`, or the level.
    pub by: String,
}

impl Bound {
    /// The roofline (Williams, Waterman and Patterson, 2009): the peak, or intensity times bandwidth if that is less.
    pub fn of(cost: &Cost, ceilings: &Ceilings) -> Bound {
        let peak = Bound { gmacs: ceilings.peak_gmacs, by: "multiplies".to_owned() };
        match ceilings.level_of(cost.bytes) {
            Some(level) if cost.intensity() * level.gbs < peak.gmacs => {
                Bound { gmacs: cost.intensity() * level.gbs, by: level.name.clone() }
            }
            _ => peak,
        }
    }
}

/// Multiplies and time of something, and of the standard convolutions in its place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speedup {
    /// Standard over light, in multiplies.
    pub theoretical: f64,
    /// Standard over light, in time.
    pub measured: f64,
}

impl Speedup {
    /// From (multiplies, microseconds) of the standard and of the light form.
    pub fn of(standard: (u64, f64), light: (u64, f64)) -> Speedup {
        Speedup { theoretical: standard.0 as f64 / light.0 as f64, measured: standard.1 / light.1 }
    }

    /// The part of the theoretical speed-up that the clock shows.
    pub fn realised(&self) -> f64 {
        self.measured / self.theoretical
    }
}

/// A pair with its measurement.
#[derive(Clone, Debug)]
pub struct PairRow {
    /// Index of the depthwise layer; the pointwise one is the next.
    pub first: usize,
    pub standard: Row,
    pub speedup: Speedup,
}

/// A network with its measurement, run as a whole.
#[derive(Clone, Debug)]
pub struct Whole {
    /// All layers; the name is the network's.
    pub row: Row,
    /// Bytes of the block of intermediate tensors.
    pub activation_bytes: usize,
    /// Bytes of packed weights.
    pub weight_bytes: usize,
}

/// A layer by Winograd's algorithm, and its measurement in the direct form.
#[derive(Clone, Debug)]
pub struct WinogradRow {
    /// Index of the layer.
    pub layer: usize,
    pub direct: Row,
}

impl WinogradRow {
    /// The direct form against `row`, the layer by Winograd's algorithm.
    pub fn speedup(&self, row: &Row) -> Speedup {
        Speedup::of((self.direct.cost.multiplies, self.direct.us()), (row.cost.performed_multiplies, row.us()))
    }
}

/// Everything measured in a run.
#[derive(Clone, Debug)]
pub struct Results {
    pub title: String,
    pub machine: String,
    pub date: String,
    pub layout: &'static str,
    /// Highest instruction set allowed.
    pub isa: &'static str,
    pub threads: usize,
    pub ceilings: Ceilings,
    pub rows: Vec<Row>,
    pub pairs: Vec<PairRow>,
    /// The network as a whole, unless only some of its layers were measured.
    pub whole: Option<Whole>,
    pub winograd: Vec<WinogradRow>,
    /// Layers left out, with the reason.
    pub left_out: Vec<String>,
}

impl Results {
    /// Multiplies and microseconds of all layers together.
    pub fn total(&self) -> (u64, f64) {
        (self.rows.iter().map(|r| r.cost.multiplies).sum(), self.rows.iter().map(Row::us).sum())
    }

    /// All layers against the same with every pair replaced by its standard convolution; none without pairs.
    pub fn total_speedup(&self) -> Option<Speedup> {
        let light = self.total();
        let mut standard = light;
        for pair in &self.pairs {
            for layer in &self.rows[pair.first..pair.first + 2] {
                standard.0 -= layer.cost.multiplies;
                standard.1 -= layer.us();
            }
            standard.0 += pair.standard.cost.multiplies;
            standard.1 += pair.standard.us();
        }
        (!self.pairs.is_empty()).then(|| Speedup::of(standard, light))
    }

    /// What the pairs of each kind realise: the kind, the geometric mean, the least, and the number of the pair that has it.
    pub fn realised(&self) -> Vec<(&'static str, f64, f64, usize)> {
        let is_ghost = |p: &PairRow| self.rows[p.first].name.ends_with(".primary");
        let of = |(kind, ghost): (&'static str, bool)| {
            let pairs = self.pairs.iter().enumerate().filter(|(_, p)| is_ghost(p) == ghost);
            let all: Vec<(usize, f64)> = pairs.map(|(i, p)| (i, p.speedup.realised())).collect();
            let least = all.iter().min_by(|a, b| a.1.total_cmp(&b.1))?;
            let mean = geometric_mean(all.iter().map(|a| a.1))?;
            Some((kind, mean, least.1, least.0))
        };
        [("separable pairs", false), ("Ghost modules", true)].into_iter().filter_map(of).collect()
    }

    /// Microseconds of all layers at the peak, and at the bound of each.
    pub fn ideal_us(&self) -> (f64, f64) {
        let at = |gmacs: f64, r: &Row| r.cost.multiplies as f64 / gmacs / 1e3;
        let peak = self.rows.iter().map(|r| at(self.ceilings.peak_gmacs, r)).sum();
        let bound = self.rows.iter().map(|r| at(Bound::of(&r.cost, &self.ceilings).gmacs, r)).sum();
        (peak, bound)
    }
}

/// The geometric mean; none of nothing.
pub fn geometric_mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let logarithms: Vec<f64> = values.map(f64::ln).collect();
    (!logarithms.is_empty()).then(|| (logarithms.iter().sum::<f64>() / logarithms.len() as f64).exp())
}

#[cfg(test)]
#[allow(unused)]
pub mod tests {
    use super::super::ceilings::Level;
    use super::*;

    fn row(name: &str, shape: &Conv2dShape, min_us: f64) -> Row {
        let cost = Cost::of(shape).unwrap();
        let name = name.to_owned();
        Row {
            name,
            kind: Kind::of(shape),
            kernel: "some_kernel",
            isa: "scalar",
            cost,
            min_us,
            median_us: 2.0 * min_us,
            processor_us: Some(min_us),
            calls: 7,
        }
    }

    /// A depthwise separable pair: 451584 and 12845056 multiplies, 115605504 as one.
    pub fn sample() -> Results {
        let dw = Conv2dShape::new(1, 14, 14, 256, 256, [3, 3]).groups(256).pad(1);
        let pw = Conv2dShape::new(1, 14, 14, 256, 256, [1, 1]);
        let standard = Conv2dShape { groups: 1, ..dw };
        let rows = vec![row("dw", &dw, 20.0), row("pw", &pw, 300.0)];
        let standard = row("dw + pw as one", &standard, 2000.0);
        let light = (rows[0].cost.multiplies + rows[1].cost.multiplies, 320.0);
        let speedup = Speedup::of((standard.cost.multiplies, 2000.0), light);
        let level = |name: &str, bytes, gbs| Level { name: name.to_owned(), bytes, gbs };
        Results {
            title: "sample".to_owned(),
            machine: "a machine".to_owned(),
            date: "2026-01-01 00:00 UTC".to_owned(),
            layout: "nhwc",
            isa: "scalar",
            threads: 1,
            ceilings: Ceilings {
                peak_gmacs: 60.0,
                levels: vec![level("L1", 1 << 15, 200.0), level("L2", 1 << 20, 100.0)],
            },
            rows,
            pairs: vec![PairRow { first: 0, standard, speedup }],
            whole: None,
            winograd: vec![],
            left_out: vec![],
        }
    }

    #[test]
    fn ratios_are_standard_over_light() {
        let s = Speedup::of((800, 40.0), (100, 10.0));
        assert_eq!((s.theoretical, s.measured, s.realised()), (8.0, 4.0, 0.5));
        let r = sample();
        let all = r.total_speedup().unwrap();
        assert_eq!((all.theoretical, all.measured), (r.pairs[0].speedup.theoretical, 2000.0 / 320.0));
        assert!((all.theoretical - 115_605_504.0 / 13_296_640.0).abs() < 1e-12);
        let realised = r.pairs[0].speedup.realised();
        let [(kind, mean, least, 0)] = r.realised()[..] else { panic!("one kind, whose first pair is the least") };
        assert_eq!((kind, least), ("separable pairs", realised));
        assert!((mean - realised).abs() < 1e-12);
        assert_eq!(Results { pairs: vec![], ..r }.total_speedup(), None);
    }

    #[test]
    fn the_bound_is_the_lower_of_both_roofs() {
        let r = sample();
        // 451584 multiplies on 2 * 200704 + 9 * 4 * 256 + ... bytes: about 1.1 a byte, in L2.
        let dw = Bound::of(&r.rows[0].cost, &r.ceilings);
        assert_eq!(dw.by, "multiplies");
        let slow = Ceilings { peak_gmacs: 600.0, ..r.ceilings.clone() };
        let dw = Bound::of(&r.rows[0].cost, &slow);
        assert_eq!(dw.by, "L2");
        assert!((dw.gmacs - r.rows[0].cost.intensity() * 100.0).abs() < 1e-9);
    }

    #[test]
    fn processor_time_counts_only_where_every_call_was_disturbed() {
        let mut row = sample().rows[0].clone();
        row.processor_us = Some(19.5);
        assert_eq!((row.us(), row.is_disturbed()), (20.0, false));
        row.processor_us = Some(10.0);
        assert_eq!((row.us(), row.is_disturbed()), (10.0, true));
        row.processor_us = None;
        assert_eq!((row.us(), row.is_disturbed()), (20.0, false));
    }

    #[test]
    fn totals_are_sums() {
        let r = sample();
        assert_eq!(r.total(), (13_296_640, 320.0));
        let (peak, bound) = r.ideal_us();
        assert!((peak - 13_296_640.0 / 60e3).abs() < 1e-9);
        assert!(bound >= peak);
        assert!((r.rows[1].gmacs() - 12_845_056.0 / 300e3).abs() < 1e-9);
    }
}
