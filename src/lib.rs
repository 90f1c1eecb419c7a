//! Convolution kernels for light networks (MobileNet, ShuffleNet, GhostNet): the multiplies that these networks save on
//! paper, saved on the clock.
//!
//! A [`Conv2dPlan`] is made once per layer: it checks the arguments, chooses a kernel for this machine, packs the weights
//! and sizes the scratch memory. [`Conv2dPlan::run`] then computes, with the caller's tensors, memory and threads; it
//! allocates nothing, takes no lock, detects nothing, and never touches a byte outside the caller's slices.
//!
//! ```
//! use lightconv::{Activation, Conv2dPlan, Conv2dShape, Dims, Epilogue, Layout, Options, View, ViewMut};
//!
//! // A depthwise 3x3 layer with ReLU6: 1 image, 14 x 14 pixels, 64 channels.
//! let shape = Conv2dShape::new(1, 14, 14, 64, 64, [3, 3]).groups(64).pad(1);
//! let weights = vec![0.1f32; 64 * 9]; // OIHW
//! let bias = vec![0.5f32; 64];
//! let epilogue = Epilogue::activation(Activation::Relu6);
//! let plan = Conv2dPlan::new(&shape, Layout::Nhwc, &weights, Some(&bias), epilogue, &Options::new())?;
//!
//! let input = vec![1.0f32; 14 * 14 * 64];
//! let mut output = vec![0.0f32; 14 * 14 * 64];
//! let mut scratch = vec![0.0f32; plan.scratch_len()];
//! let dims = Dims::new(1, 14, 14, 64);
//! plan.run(
//!     &View::dense(Layout::Nhwc, dims, &input)?,
//!     &mut ViewMut::dense(Layout::Nhwc, dims, &mut output)?,
//!     &mut scratch,
//! )?;
//! assert!((output[5 * 14 * 64] - 1.1).abs() < 1e-6); // at the left edge 6 of the 9 taps see the image
//! # Ok::<(), lightconv::Error>(())
//! ```
//!
//! # Features
//! - `std` (default): run-time CPU detection and the `LIGHTCONV_ISA` cap. Without it the crate is `no_std` + `alloc`
//!   and uses the tiers that it was compiled for.
//! - `rayon` (default): [`parallel::Rayon`].
//! - `avx512` (default): the kernels for AVX-512. They are more than half of what is compiled for x86-64; without them AVX2
//!   serves those CPUs.
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod arch;
mod axis;
pub mod block;
pub mod cost;
pub mod epilogue;
pub mod error;
pub mod isa;
mod kernel;
pub mod network;
mod pack;
pub mod parallel;
pub mod plan;
pub mod reference;
pub mod registry;
pub mod shape;
pub mod tensor;
mod vector;

pub use cost::Cost;
pub use epilogue::{Activation, Epilogue, Residual};
pub use error::Error;
pub use isa::{Isa, Tuning};
pub use plan::{
    ChannelShufflePlan, Conv2dPlan, Elementwise, ElementwisePlan, FullyConnectedPlan, Options, PoolPlan, Pooling,
};
pub use shape::{Conv2dShape, Padding};
pub use tensor::{Dims, Layout, Strides, View, ViewMut};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
