//! What the tests of kernels share: cases, data, comparison with the reference, and the list of registry rows.
#![allow(dead_code)] // every test program uses a part of it

pub mod allocator;
pub mod block_strategy;
pub mod blocks;
pub mod case;
pub mod data;
pub mod ops;
#[cfg(unix)]
pub mod pages;
pub mod rows;
pub mod strategy;
pub mod threads;
pub mod tiers;
pub mod winograd;
