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
use lightconv::{Activation, Conv2dPlan, Epilogue, Isa, Options, View, ViewMut, registry};
use rayon::ThreadPoolBuilder;
use std::time::Duration;

/// Passes over all layers.
const ROUNDS: u32 = 8;

/// Time in each round to see whether the peak is higher than it was at first.
const PEAK_TIME: Duration = Duration::from_millis(20);

/// A layer ready to run.
struct Case {
    name: String,
    plan: Conv2dPlan,
    input: Buffer,
    output: Buffer,
    scratch: Buffer,
    samples: Samples,
    budget: Duration,
}

impl Case {
    fn new(layer: &Layer, activation: Activation, args: &Args, isa: Isa, winograd: bool) -> Result<Self, Error> {
        let mut random = Random::new(1);
        let mut buffer = |len| Buffer::new(len, || random.next());
        let mut options = Options::new().isa(isa).threads(args.threads).winograd(winograd);
        if let Some(kernel) = &args.kernel {
            options = options.kernel(kernel);
        }
        let weights = buffer(layer.shape.weight_len()?)?;
        let bias = buffer(layer.shape.c_out)?;
        let epilogue = Epilogue::activation(activation);
        let plan = Conv2dPlan::new(&layer.shape, args.layout, weights.get(), Some(bias.get()), epilogue, &options)?;
        Ok(Case {
            name: layer.name.clone(),
            input: buffer(plan.input_dims().elements()?)?,
            output: Buffer::zeros(plan.output_dims().elements()?)?,
            scratch: Buffer::zeros(plan.scratch_len())?,
            plan,
            samples: Samples::default(),
            budget: args.budget() / ROUNDS,
        })
    }

    /// Times the plan for a round.
    fn round(&mut self, pool: &dyn Parallel) -> Result<(), lightconv::Error> {
        let layout = self.plan.layout();
        let input = View::dense(layout, self.plan.input_dims(), self.input.get())?;
        let mut output = ViewMut::dense(layout, self.plan.output_dims(), self.output.get_mut())?;
        let (plan, scratch) = (&self.plan, self.scratch.get_mut());
        self.samples.round(self.budget, || plan.run_with(pool, &input, None, &mut output, scratch))
    }

    fn into_row(self, threads: usize) -> Row {
        let (min_us, median_us) = self.samples.summary();
        Row {
            name: self.name,
            kind: Kind::of(self.plan.shape()),
            kernel: self.plan.kernel_name(),
            isa: self.plan.isa().name(),
            cost: self.plan.cost(),
            min_us,
            median_us,
            processor_us: self.samples.processor_us().filter(|_| threads == 1),
            calls: self.samples.calls(),
        }
    }
}

/// A network ready to run.
struct WholeCase {
    plan: NetworkPlan,
    input: Buffer,
    output: Buffer,
    scratch: Buffer,
    samples: Samples,
    budget: Duration,
}

impl WholeCase {
    fn new(job: &Job, args: &Args, isa: Isa) -> Result<Self, Error> {
        let mut random = Random::new(1);
        let weights = Weights::random(&job.network, 1)?;
        let options = Options::new().isa(isa).threads(args.threads);
        let plan = NetworkPlan::new(&job.network, args.layout, |name| weights.get(name), &options)?;
        Ok(WholeCase {
            input: Buffer::new(plan.input_dims().elements()?, || random.next())?,
            output: Buffer::zeros(plan.output_dims().elements()?)?,
            scratch: Buffer::zeros(plan.scratch_len())?,
            plan,
            samples: Samples::default(),
            budget: args.budget() / ROUNDS,
        })
    }

    /// Times the plan for a round.
    fn round(&mut self, pool: &dyn Parallel) -> Result<(), lightconv::Error> {
        let layout = self.plan.layout();
        let input = View::dense(layout, self.plan.input_dims(), self.input.get())?;
        let mut output = ViewMut::dense(layout, self.plan.output_dims(), self.output.get_mut())?;
        let (plan, scratch) = (&self.plan, self.scratch.get_mut());
        self.samples.round(self.budget, || plan.run_with(pool, &input, &mut output, scratch))
    }

    fn into_whole(self, name: &str, isa: Isa, threads: usize) -> Whole {
        let (min_us, median_us) = self.samples.summary();
        Whole {
            row: Row {
                name: name.to_owned(),
                kind: Kind::Standard,
                kernel: "all layers",
                isa: isa.name(),
                cost: self.plan.cost(),
                min_us,
                median_us,
                processor_us: self.samples.processor_us().filter(|_| threads == 1),
                calls: self.samples.calls(),
            },
            activation_bytes: self.plan.activation_bytes(),
            weight_bytes: 4 * self.plan.packed_len(),
        }
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
        match Case::new(layer, job.activation(layer), args, isa, args.winograd) {
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
            Case::new(&pair.standard, job.activation(&job.network.layers[pair.first + 1]), args, isa, args.winograd)?;
        case.budget /= 2;
        cases.push(case);
    }
    // The direct form of the layers whose plan changed the arithmetic.
    let mut direct = Vec::new();
    for (i, layer) in job.network.layers.iter().enumerate().filter(|_| args.winograd) {
        let cost = cases[i].plan.cost();
        if cost.performed_multiplies != cost.multiplies {
            direct.push(i);
            cases.push(Case::new(layer, job.activation(layer), args, isa, false)?);
        }
    }

    let mut whole = match job.is_whole() && args.kernel.is_none() {
        true => Some(WholeCase::new(job, args, isa)?),
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

    let directs = cases.split_off(cases.len() - direct.len()).into_iter().map(|c| c.into_row(args.threads));
    let winograd = direct.iter().zip(directs).map(|(&layer, direct)| WinogradRow { layer, direct }).collect();
    let layers = cases.len() - pairs.len();
    let standards = cases.split_off(layers).into_iter().map(|c| c.into_row(args.threads));
    let rows: Vec<Row> = cases.into_iter().map(|c| c.into_row(args.threads)).collect();
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
        whole: whole.map(|w| w.into_whole(&job.network.name, isa, args.threads)),
        winograd,
        rows,
        left_out,
    })
}
