//! Builds the plans and times them, all layers in turn, in rounds: what disturbs the machine then disturbs all alike.

use super::Error;
use super::args::Args;
use super::buffer::{Buffer, Random};
use super::cases::Job;
use super::ceilings::Meter;
use super::figures::{Kind, PairRow, Results, Row, Speedup, Whole, WinogradRow};
use super::machine;
use super::timing::Samples;
use indicatif::{ProgressBar, ProgressStyle};
use lightconv::network::{Layer, NetworkPlan, Weights};
use lightconv::parallel::{Parallel, Rayon, Serial};
use lightconv::{Activation, Conv2dPlan, Cost, Epilogue, Isa, Options, View, ViewMut, registry};
use rayon::ThreadPoolBuilder;
use std::time::Duration;

/// Passes over all layers.
const ROUNDS: u32 = 8;

/// Time in each round to see whether the peak is higher than it was at first.
const PEAK_TIME: Duration = Duration::from_millis(20);

/// What is timed.
enum Runs {
    Layer(Box<Conv2dPlan>),
    Network(Box<NetworkPlan>),
}

/// The same of either plan.
macro_rules! either {
    ($runs:expr, $plan:ident => $of:expr) => {
        match $runs {
            Runs::Layer($plan) => $of,
            Runs::Network($plan) => $of,
        }
    };
}

/// A layer or a network, ready to run.
struct Case {
    name: String,
    runs: Runs,
    input: Buffer,
    output: Buffer,
    scratch: Buffer,
    samples: Samples,
    budget: Duration,
}

impl Case {
    fn layer(layer: &Layer, activation: Activation, args: &Args, isa: Isa, winograd: bool) -> Result<Self, Error> {
        let mut random = Random::new(1);
        let mut buffer = |len| Buffer::new(len, || random.next());
        let mut options = Options::new().isa(isa).threads(args.threads).tuning(args.tuning).winograd(winograd);
        if let Some(kernel) = &args.kernel {
            options = options.kernel(kernel);
        }
        let weights = buffer(layer.shape.weight_len()?)?;
        let bias = buffer(layer.shape.c_out)?;
        let epilogue = Epilogue::activation(activation);
        let plan = Conv2dPlan::new(&layer.shape, args.layout, weights.get(), Some(bias.get()), epilogue, &options)?;
        Case::new(layer.name.clone(), Runs::Layer(Box::new(plan)), args)
    }

    fn network(job: &Job, args: &Args, isa: Isa) -> Result<Self, Error> {
        let weights = Weights::random(&job.network, 1)?;
        let options = Options::new().isa(isa).threads(args.threads).tuning(args.tuning);
        let plan = NetworkPlan::new(&job.network, args.layout, |name| weights.get(name), &options)?;
        Case::new(job.network.name.clone(), Runs::Network(Box::new(plan)), args)
    }

    fn new(name: String, runs: Runs, args: &Args) -> Result<Self, Error> {
        let mut random = Random::new(1);
        let [input, output] = either!(&runs, plan => [plan.input_dims(), plan.output_dims()]);
        Ok(Case {
            name,
            input: Buffer::new(input.elements()?, || random.next())?,
            output: Buffer::zeros(output.elements()?)?,
            scratch: Buffer::zeros(either!(&runs, plan => plan.scratch_len()))?,
            runs,
            samples: Samples::default(),
            budget: args.budget() / ROUNDS,
        })
    }

    /// Times the plan for a round.
    fn round(&mut self, pool: &dyn Parallel) -> Result<(), lightconv::Error> {
        let (layout, dims) = either!(&self.runs, plan => (plan.layout(), [plan.input_dims(), plan.output_dims()]));
        let input = View::dense(layout, dims[0], self.input.get())?;
        let mut output = ViewMut::dense(layout, dims[1], self.output.get_mut())?;
        let (runs, scratch) = (&self.runs, self.scratch.get_mut());
        self.samples.round(self.budget, || match runs {
            Runs::Layer(plan) => plan.run_with(pool, &input, None, &mut output, scratch),
            Runs::Network(plan) => plan.run_with(pool, &input, &mut output, scratch),
        })
    }

    fn cost(&self) -> Cost {
        either!(&self.runs, plan => plan.cost())
    }

    fn into_row(self, isa: Isa, threads: usize) -> Row {
        let (min_us, median_us) = self.samples.summary();
        let (kind, kernel, isa) = match &self.runs {
            Runs::Layer(plan) => (Kind::of(plan.shape()), plan.kernel_name(), plan.isa()),
            Runs::Network(_) => (Kind::Standard, "all layers", isa),
        };
        Row {
            kind,
            kernel,
            isa: isa.name(),
            cost: self.cost(),
            name: self.name,
            min_us,
            median_us,
            processor_us: self.samples.processor_us().filter(|_| threads == 1),
            calls: self.samples.calls(),
        }
    }

    /// Of a network: its row, and its memory.
    fn into_whole(self, isa: Isa, threads: usize) -> Option<Whole> {
        let Runs::Network(plan) = &self.runs else { return None };
        let (activation_bytes, weight_bytes) = (plan.activation_bytes(), 4 * plan.packed_len());
        Some(Whole { row: self.into_row(isa, threads), activation_bytes, weight_bytes })
    }
}

/// Measures ceilings, layers and the standard convolutions of the pairs.
pub fn run(args: &Args, job: &Job) -> Result<Results, Error> {
    if let Some(name) = &args.kernel
        && registry::kernels().all(|k| k.name() != name)
    {
        return Err(format!("unknown kernel `{name}`, expected one of the tables in README.md").into());
    }
    if args.threads == 1 {
        return run_in(&Serial, args, job);
    }
    let pool = ThreadPoolBuilder::new().num_threads(args.threads).build()?;
    // From inside the pool, so that no call pays for waking it.
    pool.install(|| run_in(&Rayon::in_pool(&pool), args, job))
}

fn run_in(pool: &dyn Parallel, args: &Args, job: &Job) -> Result<Results, Error> {
    let isa = match args.isa {
        Some(isa) => isa.require()?,
        None => Isa::best()?,
    };
    let mut left_out = Vec::new();
    let mut cases = Vec::new();
    // Where layers are left out, pairs would no longer find theirs.
    let pairs = if args.kernel.is_some() { &[][..] } else { &job.pairs };
    for layer in &job.network.layers {
        match Case::layer(layer, job.activation(layer), args, isa, args.winograd) {
            Ok(case) => cases.push(case),
            Err(e) if args.kernel.is_some() => left_out.push(format!("{}: {e}", layer.name)),
            Err(e) => return Err(format!("layer `{}`: {e}", layer.name).into()),
        }
    }
    if let (true, Some(kernel)) = (cases.is_empty(), &args.kernel) {
        return Err(format!("no layer for kernel `{kernel}`: {}", left_out.join("; ")).into());
    }
    for pair in pairs {
        let mut case =
            Case::layer(&pair.standard, job.activation(&job.network.layers[pair.first + 1]), args, isa, args.winograd)?;
        case.budget /= 2;
        cases.push(case);
    }
    // The direct form of the layers whose plan changed the arithmetic.
    let mut direct = Vec::new();
    for (i, layer) in job.network.layers.iter().enumerate().filter(|_| args.winograd) {
        let cost = cases[i].cost();
        if cost.performed_multiplies != cost.multiplies {
            direct.push(i);
            cases.push(Case::layer(layer, job.activation(layer), args, isa, false)?);
        }
    }

    let mut whole = match job.is_whole() && args.kernel.is_none() {
        true => Some(Case::network(job, args, isa)?),
        false => None,
    };

    let bar = ProgressBar::new(u64::from(ROUNDS) * cases.len() as u64 + 1);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len}, {eta} left: {msg}")?);
    bar.set_message("ceilings");
    let meter = Meter::new(isa, pool)?;
    let mut ceilings = meter.ceilings(&machine::caches())?;
    bar.inc(1);
    for _ in 0..ROUNDS {
        ceilings.peak_gmacs = ceilings.peak_gmacs.max(meter.peak(PEAK_TIME));
        for case in &mut cases {
            bar.set_message(case.name.clone());
            case.round(pool)?;
            bar.inc(1);
        }
        if let Some(whole) = &mut whole {
            bar.set_message(job.network.name.clone());
            whole.round(pool)?;
        }
    }
    bar.finish_and_clear();

    let directs = cases.split_off(cases.len() - direct.len()).into_iter().map(|c| c.into_row(isa, args.threads));
    let winograd = direct.iter().zip(directs).map(|(&layer, direct)| WinogradRow { layer, direct }).collect();
    let layers = cases.len() - pairs.len();
    let standards = cases.split_off(layers).into_iter().map(|c| c.into_row(isa, args.threads));
    let rows: Vec<Row> = cases.into_iter().map(|c| c.into_row(isa, args.threads)).collect();
    let pairs = pairs.iter().zip(standards).map(|(pair, standard)| {
        let (dw, pw) = (&rows[pair.first], &rows[pair.first + 1]);
        let light = (dw.cost.multiplies + pw.cost.multiplies, dw.us() + pw.us());
        let speedup = Speedup::of((standard.cost.multiplies, standard.us()), light);
        PairRow { first: pair.first, standard, speedup }
    });
    Ok(Results {
        title: job.network.name.clone(),
        machine: machine::cpu_name(),
        date: machine::date(),
        layout: args.layout.name(),
        isa: isa.name(),
        threads: args.threads,
        ceilings,
        pairs: pairs.collect(),
        whole: whole.and_then(|w| w.into_whole(isa, args.threads)),
        winograd,
        rows,
        left_out,
    })
}
