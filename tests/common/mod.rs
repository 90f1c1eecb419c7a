//! What the tests of kernels share: cases, data, comparison with the reference, and the list of registry rows.
#![allow(dead_code)] // every test binary uses a part of it

pub mod case;
pub mod data;
pub mod rows;
pub mod strategy;
pub mod threads;
pub mod tiers;
pub mod winograd;
