//! What the machine could do at most: multiplies with every unit busy, and reads from each level of memory.
//!
//! A multiply counts with the add that follows it. Each figure is the best of many short bursts.

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod plain;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use super::buffer::Buffer;
use super::machine::Cache;
use lightconv::Isa;
use lightconv::parallel::{Parallel, Serial};
use std::time::{Duration, Instant};

/// `steps` times `chains` independent `step(x, y, chain)`: no compiler may fold a floating-point sum, and it does not know
/// the values. There are more chains than latency times units of any core here (4 x 4).
macro_rules! multiply_loop {
    ($steps:expr, $chains:expr, $splat:expr, $step:expr) => {{
        let (x, y) = ($splat(std::hint::black_box(0.5)), $splat(std::hint::black_box(0.5)));
        let mut chains = [x; $chains];
        for (i, c) in chains.iter_mut().enumerate() {
            *c = $splat(std::hint::black_box(i as f32));
        }
        for _ in 0..$steps {
            for c in &mut chains {
                *c = $step(x, y, *c);
            }
        }
        std::hint::black_box(chains);
    }};
}

/// Reads `data` `passes` times in loads of `lanes` elements, less what does not fill eight of them.
macro_rules! read_loop {
    ($data:expr, $passes:expr, $lanes:literal, $zero:expr, $load:expr, $join:expr) => {{
        let mut any = [$zero; 8];
        for _ in 0..$passes {
            for piece in std::hint::black_box($data).chunks_exact(8 * $lanes) {
                for (i, a) in any.iter_mut().enumerate() {
                    // SAFETY: `piece` has 8 * lanes elements, and i is below 8.
                    *a = $join(*a, unsafe { $load(piece.as_ptr().add(i * $lanes)) });
                }
            }
        }
        std::hint::black_box(any);
    }};
}
use {multiply_loop, read_loop};

/// Time given to each measurement, in all.
const PEAK_TIME: Duration = Duration::from_millis(300);
const READ_TIME: Duration = Duration::from_millis(100);

/// Long enough that neither the clock nor starting the threads counts, short enough to be left alone by other programs.
const LEAST_BURST: Duration = Duration::from_micros(300);

/// Least and greatest size of the buffers that stand for main memory.
const MEMORY_BYTES: [usize; 2] = [64 << 20, 512 << 20];

/// A level of memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// `L1`, `L2`, ... or `memory`
    pub name: String,
    /// Bytes that all threads have of it together.
    pub bytes: usize,
    /// Read bandwidth of all threads together, in 10^9 bytes per second.
    pub gbs: f64,
}

/// The limits of a number of threads with one instruction set.
#[derive(Clone, Debug, PartialEq)]
pub struct Ceilings {
    /// 10^9 multiplies per second.
    pub peak_gmacs: f64,
    /// The fastest level first, main memory last.
    pub levels: Vec<Level>,
}

impl Ceilings {
    /// The smallest level that holds `bytes`.
    pub fn level_of(&self, bytes: u64) -> Option<&Level> {
        self.levels.iter().find(|l| l.bytes as u64 >= bytes)
    }
}

/// Measures peaks and bandwidths.
///
/// What each core has for itself, its multipliers and private caches, is measured on one and taken times the cores in
/// use: so another program on one of the others does not lower it. What they share is measured with all of them at work.
pub struct Meter<'a> {
    loops: Loops,
    threads: usize,
    /// Threads that can run at once.
    cores: usize,
    pool: &'a dyn Parallel,
}

impl<'a> Meter<'a> {
    /// For a tier that the machine has, and the threads of the pool.
    pub fn new(isa: Isa, pool: &'a dyn Parallel) -> Result<Self, lightconv::Error> {
        let threads = pool.threads();
        let cores = std::thread::available_parallelism().map_or(threads, |n| n.get().min(threads));
        Ok(Meter { loops: Loops::of(isa.require()?), threads, cores, pool })
    }

    /// All ceilings.
    pub fn ceilings(&self, caches: &[Cache]) -> Result<Ceilings, String> {
        let peak_gmacs = self.peak(PEAK_TIME);
        let mut levels = Vec::new();
        let mut inner = None;
        for cache in caches {
            let bytes = cache.bytes_of(self.threads);
            let own = bytes / self.threads;
            let one = read(&Serial, &self.loops, between(inner, own))?;
            let gbs = match cache.shared_by {
                1 => one * self.cores as f64,
                _ => self.read_shared(one, between(inner, own))?,
            };
            levels.push(Level { name: format!("L{}", cache.level), bytes, gbs });
            inner = Some(own);
        }
        let largest = levels.last().map_or(0, |l| l.bytes);
        let memory = largest.saturating_mul(4).clamp(MEMORY_BYTES[0], MEMORY_BYTES[1]);
        let one = read(&Serial, &self.loops, memory)?;
        let gbs = self.read_shared(one, memory / self.threads)?;
        levels.push(Level { name: "memory".to_owned(), bytes: usize::MAX, gbs });
        Ok(Ceilings { peak_gmacs, levels })
    }

    /// Most multiplies per second, in 10^9, that bursts within `total` reach.
    pub fn peak(&self, total: Duration) -> f64 {
        let time = total / self.loops.multiply.len() as u32;
        let rate = |&(multiply, per_step): &(fn(u64), u64)| {
            let burst = |steps| elapsed(|| multiply(steps));
            best_rate(time, burst) * per_step as f64
        };
        self.cores as f64 * self.loops.multiply.iter().map(rate).fold(0.0, f64::max)
    }

    /// Read bandwidth of all threads, each on `bytes` of its own, given that of one alone.
    fn read_shared(&self, one: f64, bytes: usize) -> Result<f64, String> {
        let all = if self.threads == 1 { one } else { read(self.pool, &self.loops, bytes)? };
        Ok(all.max(one))
    }
}

/// Read bandwidth in 10^9 bytes per second where each thread of a pool reads `bytes` of its own over and over.
fn read(pool: &dyn Parallel, loops: &Loops, bytes: usize) -> Result<f64, String> {
    let threads = pool.threads();
    let buffer = |_| Buffer::new(bytes / size_of::<f32>(), || 1.0);
    let buffers = (0..threads).map(buffer).collect::<Result<Vec<_>, _>>()?;
    let task = |thread: usize, passes| (loops.read)(buffers[thread].get(), passes);
    let burst = |passes| elapsed(|| pool.run(threads, &|thread| task(thread, passes)));
    Ok(best_rate(READ_TIME, burst) * (bytes * threads) as f64)
}

fn elapsed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

/// Size of a buffer that is well inside a level and well outside the one below: the geometric mean of both.
fn between(inner: Option<usize>, own: usize) -> usize {
    match inner {
        Some(inner) => ((inner as f64) * (own as f64)).sqrt() as usize,
        None => own / 2,
    }
}

/// Repetitions per nanosecond of the best of many bursts; `burst` gives the time of that many repetitions.
fn best_rate(total: Duration, burst: impl Fn(u64) -> Duration) -> f64 {
    let end = Instant::now() + total;
    let mut repetitions = 1;
    while burst(repetitions) < LEAST_BURST {
        repetitions *= 2;
    }
    let mut best = Duration::MAX;
    for taken in 0.. {
        if taken >= 3 && Instant::now() >= end {
            break;
        }
        best = best.min(burst(repetitions));
    }
    repetitions as f64 / best.as_nanos().max(1) as f64
}

/// The loops of a tier.
struct Loops {
    /// Loops of so many steps, and the multiplies of a step; where there are several, the fastest counts.
    multiply: Vec<(fn(u64), u64)>,
    /// Reads a slice so many times.
    read: fn(&[f32], u64),
}

impl Loops {
    /// The loops of a tier that the machine has.
    fn of(isa: Isa) -> Self {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => Loops {
                // SAFETY: the caller has seen that the machine has the tier.
                multiply: vec![(|steps| unsafe { x86_64::multiply_avx512(steps) }, 24 * 16)],
                // SAFETY: as above.
                read: |data, passes| unsafe { x86_64::read_avx512(data, passes) },
            },
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => Loops {
                // SAFETY: the caller has seen that the machine has the tier.
                multiply: vec![(|steps| unsafe { x86_64::multiply_avx2(steps) }, 12 * 8)],
                // SAFETY: as above.
                read: |data, passes| unsafe { x86_64::read_avx2(data, passes) },
            },
            #[cfg(target_arch = "aarch64")]
            Isa::Neon => Loops {
                // SAFETY: the caller has seen that the machine has the tier.
                multiply: vec![(|steps| unsafe { aarch64::multiply_neon(steps) }, 24 * 4)],
                // SAFETY: as above.
                read: |data, passes| unsafe { aarch64::read_neon(data, passes) },
            },
            Isa::Portable => Loops { multiply: vec![(plain::multiply_portable, 12 * 4)], read: plain::read_plain },
            // Twelve chains for one lane each, and forty-eight for a compiler that joins four.
            _ => Loops {
                multiply: vec![(plain::multiply_scalar::<12>, 12), (plain::multiply_scalar::<48>, 48)],
                read: plain::read_plain,
            },
        }
    }
}

#[cfg(test)]
#[allow(unused)]
mod tests {
    use super::*;

    fn level(name: &str, bytes: usize) -> Level {
        Level { name: name.to_owned(), bytes, gbs: 1.0 }
    }

    #[test]
    fn the_smallest_level_that_holds_the_bytes_is_found() {
        let c = Ceilings {
            peak_gmacs: 1.0,
            levels: vec![level("L1", 100), level("L2", 1000), level("memory", usize::MAX)],
        };
        let name = |bytes| c.level_of(bytes).unwrap().name.clone();
        assert_eq!(
            ["L1", "L2", "L2", "memory"],
            [name(100), name(101), name(1000), name(1 << 30)].each_ref().map(|s| &**s)
        );
    }

    #[test]
    fn buffers_lie_between_the_levels() {
        assert_eq!(between(None, 32 << 10), 16 << 10);
        let l2 = between(Some(32 << 10), 1 << 20);
        assert!(l2 > 64 << 10 && l2 < 512 << 10);
    }

    #[test]
    fn the_best_burst_counts() {
        let calls = std::cell::Cell::new(0);
        let burst = |repetitions: u64| {
            calls.set(calls.get() + 1);
            Duration::from_micros(repetitions * if calls.get() == 4 { 100 } else { 200 })
        };
        // 1 and 2 repetitions to find the length, then at least three bursts of 2.
        let rate = best_rate(Duration::ZERO, burst);
        assert!((rate - 1e-5).abs() < 1e-12, "{rate}");
    }

    #[test]
    fn every_tier_of_this_machine_has_a_believable_peak() {
        for isa in Isa::available() {
            let meter = Meter::new(isa, &Serial).unwrap();
            let peak = meter.peak(Duration::from_millis(10));
            // Folded away, a loop would seem to do thousands.
            assert!(peak > 0.01 && peak < 2000.0, "{isa}: {peak}");
        }
    }
}
