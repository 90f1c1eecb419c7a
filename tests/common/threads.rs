//! An executor that shares nothing with the library's own.

use lightconv::parallel::Parallel;

/// One fresh thread per task.
pub struct Threads(pub usize);

impl Parallel for Threads {
    fn threads(&self) -> usize {
        self.0
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|s| {
            for t in 0..tasks {
                s.spawn(move || task(t));
            }
        });
    }
}
