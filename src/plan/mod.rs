//! One file per operation: choose, pack, size scratch, split, run.

mod conv2d;

pub use conv2d::{Conv2dPlan, Options};
