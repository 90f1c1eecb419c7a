//! One file per operation: choose, pack, size scratch, split, run.

pub(crate) mod common;
pub(crate) mod conv2d;
mod elementwise;
mod fully_connected;
mod pool;
mod shuffle;

pub use conv2d::{Conv2dPlan, Options};
pub use elementwise::{Elementwise, ElementwisePlan};
pub use fully_connected::FullyConnectedPlan;
pub use pool::{PoolPlan, Pooling};
pub use shuffle::ChannelShufflePlan;

// For plans of whole networks.
pub(crate) use common::{At, INPUT, OUTPUT, check_scratch, check_view};
