//! The tests that need nothing of their process for themselves, in one program: the cases, the data and the reference that
//! they share are compiled once.
//!
//! ```text
//! cargo test --release --test suite kernels::
//! ```
//!
//! Programs of their own have the tests of the environment, which belongs to a whole process; of guarded pages, which
//! bring their allocator; of the benches and the example, whose sources they compile; and of the repository's files, which
//! need not wait for the others.

mod alloc;
mod axis;
mod block_counts;
mod blocks;
mod common;
mod concurrency;
mod counts;
mod coverage;
mod hostile;
mod kernels;
mod network_plan;
mod networks;
mod ops;
#[cfg(unix)]
mod ops_guard;
mod reference;
mod winograd;

#[global_allocator]
static ALLOCATOR: common::allocator::Counting = common::allocator::Counting;
