//! The caller's threads: a small trait, and two executors.
//!
//! A plan cuts its work into a fixed number of parts, each of which writes elements of its own. Which thread runs which
//! part, and how many threads there are, never changes a bit of the result.

/// Something that can run tasks side by side: the caller's thread pool.
///
/// ```
/// use lightconv::parallel::Parallel;
/// /// One fresh thread per task: simple, and slow for small work.
/// struct Threads(usize);
/// impl Parallel for Threads {
///     fn threads(&self) -> usize {
///         self.0
///     }
///     fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
///         std::thread::scope(|s| {
///             for t in 0..tasks {
///                 s.spawn(move || task(t));
///             }
///         });
///     }
/// }
/// let sum = std::sync::atomic::AtomicUsize::new(0);
/// Threads(2).run(4, &|t| {
///     sum.fetch_add(t, std::sync::atomic::Ordering::Relaxed);
/// });
/// assert_eq!(sum.into_inner(), 6);
/// ```
pub trait Parallel {
    /// How many tasks can really run at once. A plan never makes more.
    fn threads(&self) -> usize;

    /// Calls `task` with each of `0..tasks` exactly once, on any thread, in any order, and returns when all are done.
    ///
    /// A plan keeps count: a second call with one index does nothing, and a run that left an index out is an error.
    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync));
}

/// Everything on the calling thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Serial;

impl Parallel for Serial {
    fn threads(&self) -> usize {
        1
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        (0..tasks).for_each(task);
    }
}

/// Rayon's current pool, or a given one. Allocates nothing itself; rayon may grow its queues.
#[cfg(feature = "rayon")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Rayon<'a> {
    pool: Option<&'a rayon::ThreadPool>,
}

#[cfg(feature = "rayon")]
impl<'a> Rayon<'a> {
    /// The pool of the calling thread: the global one, outside any other.
    pub const fn current() -> Rayon<'static> {
        Rayon { pool: None }
    }

    /// This pool.
    pub const fn in_pool(pool: &'a rayon::ThreadPool) -> Self {
        Rayon { pool: Some(pool) }
    }
}

#[cfg(feature = "rayon")]
impl Parallel for Rayon<'_> {
    fn threads(&self) -> usize {
        self.pool.map_or_else(rayon::current_num_threads, |p| p.current_num_threads())
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        // Halving by `join` keeps the jobs on the stack.
        fn halve(first: usize, end: usize, task: &(dyn Fn(usize) + Sync)) {
            match end - first {
                0 => {}
                1 => task(first),
                n => {
                    let middle = first + n / 2;
                    rayon::join(|| halve(first, middle, task), || halve(middle, end, task));
                }
            }
        }
        match self.pool {
            Some(p) => p.install(|| halve(0, tasks, task)),
            None => halve(0, tasks, task),
        }
    }
}
