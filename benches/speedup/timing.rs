//! Timing of short calls: batches long enough for the clock, the least and the median of many.

use cpu_time::ThreadTime;
use std::time::{Duration, Instant};

/// A batch of calls lasts at least this long, so that reading the clock (some 30 ns) does not count.
const LEAST_BATCH: Duration = Duration::from_micros(20);

/// From this length on, the processor time of a call counts beside that of the clock. Shorter calls find quiet moments
/// enough, and the system's accounting, wrong by some microseconds at times, would make them look faster than they are.
const LEAST_PROCESSOR_TIME: Duration = Duration::from_millis(1);

/// Even the longest call is timed this often in a round.
const LEAST_SAMPLES: usize = 3;

/// Timings of one case, gathered over any number of rounds.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// Calls in a batch; 0 until the first round.
    batch: u32,
    /// Seconds per call, one per batch.
    seconds: Vec<f64>,
    /// Least processor time of a call that the calling thread had, in seconds.
    processor: Option<f64>,
}

/// What a batch of calls took.
struct Elapsed {
    clock: Duration,
    /// Time in which the calling thread really ran, if the system tells.
    processor: Option<Duration>,
}

impl Samples {
    /// One round: brings the caches to what `call` leaves them in, then times batches until `budget` is spent.
    pub fn round<E>(&mut self, budget: Duration, mut call: impl FnMut() -> Result<(), E>) -> Result<(), E> {
        let end = Instant::now() + budget;
        call()?;
        if self.batch == 0 {
            self.batch = batch_of(time(1, &mut call)?.clock.min(time(1, &mut call)?.clock));
        }
        for _ in 1..self.batch {
            call()?;
        }
        let mut taken = 0;
        while taken < LEAST_SAMPLES || Instant::now() < end {
            let elapsed = time(self.batch, &mut call)?;
            let per_call = |d: Duration| d.as_secs_f64() / f64::from(self.batch);
            self.seconds.push(per_call(elapsed.clock));
            if let Some(p) = elapsed.processor.map(per_call) {
                self.processor = Some(self.processor.unwrap_or(p).min(p));
            }
            taken += 1;
        }
        Ok(())
    }

    /// The least and the median time of a call, in microseconds. Both are infinite before the first round.
    pub fn summary(&self) -> (f64, f64) {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |i: usize| sorted.get(i).map_or(f64::INFINITY, |s| s * 1e6);
        (at(0), at(sorted.len() / 2))
    }

    /// The least processor time of the calling thread in a call, in microseconds, if the call is long and the system
    /// tells. It lies well below the least time on the clock where other programs took their turn within every call.
    pub fn processor_us(&self) -> Option<f64> {
        let is_long = self.summary().0 >= LEAST_PROCESSOR_TIME.as_secs_f64() * 1e6;
        self.processor.filter(|_| is_long).map(|s| s * 1e6)
    }

    /// How many calls have been timed.
    pub fn calls(&self) -> u64 {
        self.seconds.len() as u64 * u64::from(self.batch)
    }
}

fn time<E>(calls: u32, call: &mut impl FnMut() -> Result<(), E>) -> Result<Elapsed, E> {
    let processor = ThreadTime::try_now().ok();
    let start = Instant::now();
    for _ in 0..calls {
        call()?;
    }
    let clock = start.elapsed();
    let processor = processor.and_then(|t| t.try_elapsed().ok());
    Ok(Elapsed { clock, processor })
}

/// Calls in a batch if one call takes `one`.
fn batch_of(one: Duration) -> u32 {
    let one = one.as_nanos().max(1);
    LEAST_BATCH.as_nanos().div_ceil(one) as u32
}

#[cfg(test)]
#[allow(unused)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn short_calls_are_batched_and_long_ones_are_not() {
        assert_eq!(batch_of(Duration::from_micros(30)), 1);
        assert_eq!(batch_of(Duration::from_micros(7)), 3);
        assert_eq!(batch_of(Duration::ZERO), 20_000);
    }

    #[test]
    fn the_least_and_the_median_come_from_all_rounds() {
        let s = Samples { batch: 2, seconds: vec![4e-6, 1e-6, 2e-6, 9e-6, 3e-6], processor: None };
        let (min, median) = s.summary();
        assert!((min - 1.0).abs() < 1e-9 && (median - 3.0).abs() < 1e-9);
        assert_eq!(s.calls(), 10);
        assert_eq!(Samples::default().summary().0, f64::INFINITY);
    }

    #[test]
    fn a_call_is_timed_per_call_whatever_the_budget() {
        let mut s = Samples::default();
        for _ in 0..2 {
            s.round(Duration::ZERO, || {
                std::thread::sleep(Duration::from_millis(2));
                Ok::<_, Infallible>(())
            })
            .unwrap();
        }
        assert!(s.calls() >= 2 * LEAST_SAMPLES as u64);
        assert!(s.summary().0 >= 2000.0, "{:?}", s.summary());
        // A thread that sleeps uses next to no processor time.
        assert!(s.processor_us().is_none_or(|us| us < 1000.0), "{s:?}");
    }

    #[test]
    fn processor_time_is_that_of_long_calls() {
        let short = Samples { batch: 1, seconds: vec![0.9e-3, 2e-3], processor: Some(0.8e-3) };
        assert_eq!(short.processor_us(), None);
        let long = Samples { seconds: vec![1.5e-3, 2e-3], ..short };
        assert!((long.processor_us().unwrap() - 800.0).abs() < 1e-9);
    }

    #[test]
    fn an_error_of_the_call_ends_the_round() {
        assert_eq!(Samples::default().round(Duration::ZERO, || Err("no")), Err("no"));
    }
}
