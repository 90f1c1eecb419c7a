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
use rayon::ThreadPool;
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
pub struct Meter<'a> {
    loops: Loops,
    threads: usize,
    pool: Option<&'a ThreadPool>,
}

impl<'a> Meter<'a> {
    /// For a tier that the machine has, on all threads of the pool or on the calling one.
    pub fn new(isa: Isa, pool: Option<&'a ThreadPool>) -> Result<Self, lightconv::Error> {
        Ok(Meter { loops: Loops::of(isa.require()?), threads: pool.map_or(1, ThreadPool::current_num_threads), pool })
    }

    /// All ceilings.
    pub fn ceilings(&self, caches: &[Cache]) -> Result<Ceilings, String> {
        let peak_gmacs = self.peak(PEAK_TIME);
        let mut levels = Vec::new();
        let mut inner = None;
        for cache in caches {
            let bytes = cache.bytes_of(self.threads);
            let own = bytes / self.threads;
            levels.push(Level {
                name: format!("L{}", cache.level),
                bytes,
                gbs: self.read(between(inner, own), READ_TIME)?,
            });
            inner = Some(own);
        }
        let largest = levels.last().map_or(0, |l| l.bytes);
        let memory = largest.saturating_mul(4).clamp(MEMORY_BYTES[0], MEMORY_BYTES[1]);
        let gbs = self.read(memory / self.threads, READ_TIME)?;
        levels.push(Level { name: "memory".to_owned(), bytes: usize::MAX, gbs });
        Ok(Ceilings { peak_gmacs, levels })
    }

    /// Most multiplies per second, in 10^9, that bursts within `total` reach.
    pub fn peak(&self, total: Duration) -> f64 {
        let time = total / self.loops.multiply.len() as u32;
        let rate = |&(multiply, per_step): &(fn(u64), u64)| {
            let burst = |steps| self.time(&|_| multiply(steps));
            best_rate(time, self.least_burst(), burst) * (per_step * self.threads as u64) as f64
        };
        self.loops.multiply.iter().map(rate).fold(0.0, f64::max)
    }

    /// Read bandwidth in 10^9 bytes per second where each thread reads `bytes` of its own over and over.
    fn read(&self, bytes: usize, total: Duration) -> Result<f64, String> {
        let buffer = |_| Buffer::new(bytes / size_of::<f32>(), || 1.0);
        let buffers = (0..self.threads).map(buffer).collect::<Result<Vec<_>, _>>()?;
        let burst = |passes| self.time(&|thread| (self.loops.read)(buffers[thread].get(), passes));
        Ok(best_rate(total, self.least_burst(), burst) * (bytes * self.threads) as f64)
    }

    /// Long enough that neither the clock nor waking the threads counts.
    fn least_burst(&self) -> Duration {
        Duration::from_micros(if self.threads == 1 { 300 } else { 4000 })
    }

    /// Time until all threads have done `work`, which gets the thread's number.
    fn time(&self, work: &(dyn Fn(usize) + Sync)) -> Duration {
        let start = Instant::now();
        match self.pool {
            Some(pool) => drop(pool.broadcast(|context| work(context.index()))),
            None => work(0),
        }
        start.elapsed()
    }
}

/// Size of a buffer that is well inside a level and well outside the one below: the geometric mean of both.
fn between(inner: Option<usize>, own: usize) -> usize {
    match inner {
        Some(inner) => ((inner as f64) * (own as f64)).sqrt() as usize,
        None => own / 2,
    }
}

/// Repetitions per nanosecond of the best of many bursts; `burst` gives the time of that many repetitions.
fn best_rate(total: Duration, least_burst: Duration, burst: impl Fn(u64) -> Duration) -> f64 {
    let end = Instant::now() + total;
    let mut repetitions = 1;
    while burst(repetitions) < least_burst {
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
            [name(100), name(101), name(1000), name(1 << 40)].each_ref().map(|s| &**s)
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
            Duration::from_micros(repetitions * if calls.get() == 6 { 1 } else { 2 })
        };
        // 1, 2, 4, 8 repetitions to find the length, then at least three bursts of 8.
        let rate = best_rate(Duration::ZERO, Duration::from_micros(10), burst);
        assert!((rate - 1e-3).abs() < 1e-9, "{rate}");
    }

    #[test]
    fn every_tier_of_this_machine_has_a_believable_peak() {
        for isa in Isa::available() {
            let meter = Meter::new(isa, None).unwrap();
            let peak = meter.peak(Duration::from_millis(10));
            // Folded away, a loop would seem to do thousands.
            assert!(peak > 0.01 && peak < 2000.0, "{isa}: {peak}");
        }
    }
}
