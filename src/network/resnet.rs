//! ResNet-50: "Deep Residual Learning for Image Recognition" (arXiv:1512.03385), table 1; ResNeXt-50 32x4d: "Aggregated
//! Residual Transformations for Deep Neural Networks" (arXiv:1611.05431), table 1. The light networks' papers compare
//! with them.
//!
//! What the published figures count, found by comparing them with the exact totals:
//! - ResNet-50 as first published has 3 857 973 248 multiply-adds with the fully connected layer: 3.8 G, cut. With the
//!   stride in the 3x3 convolutions there are 4 089 184 256, the 4.1 G that the paper of ResNeXt gives.
//! - ResNeXt-50 32x4d has 4 230 479 872: 4.2 G.
//! - Parameters are 25 502 912 and 24 959 680 weights (25.5 and 25.0 M), 25 557 032 and 25 028 904 with normalisation and
//!   biases, torchvision's figures.

use super::graph::{Builder, Conv};
use super::{CLASSES, Network};
use crate::epilogue::Residual;
use crate::error::Error;
use alloc::format;

/// Blocks of the stages.
const BLOCKS: [usize; 4] = [3, 4, 6, 3];

/// ResNet-50 for one image of `resolution` x `resolution` pixels and 1000 classes, as all frameworks have it today: where a
/// stage halves the map, its first 3x3 convolution has the stride.
///
/// The layers are `conv1`, then for every block `s1.1` to `s4.3` `.reduce`, `.conv`, `.side` (in the first block of a stage) and
/// `.expand`, then `fc`. Weights are published under torchvision's names.
///
/// ```
/// let network = lightconv::network::resnet50(224)?;
/// assert_eq!(network.trained_parameters(), 25_557_032); // published: 25.5 M
/// # Ok::<(), lightconv::Error>(())
/// ```
///
/// # Errors
/// A resolution of 0 or so large that a layer's size overflows.
pub fn resnet50(resolution: usize) -> Result<Network, Error> {
    build("resnet50", resolution, 64, 1, false)
}

/// ResNet-50 as first published: where a stage halves the map, its first pointwise convolution has the stride.
///
/// # Errors
/// As [`resnet50`].
pub fn resnet50_v1(resolution: usize) -> Result<Network, Error> {
    build("resnet50_v1", resolution, 64, 1, true)
}

/// ResNeXt-50 with 32 groups of 4 channels in the first stage; the layers are named as in [`resnet50`].
///
/// # Errors
/// As [`resnet50`].
pub fn resnext50_32x4d(resolution: usize) -> Result<Network, Error> {
    build("resnext50_32x4d", resolution, 128, 32, false)
}

fn build(name: &str, resolution: usize, width: usize, groups: usize, early: bool) -> Result<Network, Error> {
    let mut b = Builder::new(resolution)?;
    let mut x = b.conv("conv1", 0, Conv::new(64, 7).stride(2).relu().normed("conv1", "bn1"))?;
    x = b.max_pool_3_2(x)?;
    for (stage, blocks) in BLOCKS.into_iter().enumerate() {
        let (middle, c_out) = (width << stage, 256 << stage);
        for block in 0..blocks {
            let (input, name, path) =
                (x, format!("s{}.{}", stage + 1, block + 1), format!("layer{}.{block}", stage + 1));
            let normed = |conv: Conv, k: usize| conv.normed(format!("{path}.conv{k}"), format!("{path}.bn{k}"));
            let stride = if stage > 0 && block == 0 { 2 } else { 1 };
            let (first, second) = if early { (stride, 1) } else { (1, stride) };
            x = b.conv(format!("{name}.reduce"), x, normed(Conv::new(middle, 1).stride(first).relu(), 1))?;
            let conv = Conv::new(middle, 3).stride(second).groups(groups).relu();
            x = b.conv(format!("{name}.conv"), x, normed(conv, 2))?;
            let mut onto = input;
            if block == 0 {
                let side = Conv::new(c_out, 1).stride(stride);
                let side = side.normed(format!("{path}.downsample.0"), format!("{path}.downsample.1"));
                onto = b.conv(format!("{name}.side"), input, side)?;
            }
            let expand = normed(Conv::new(c_out, 1).relu(), 3);
            x = b.conv_onto(format!("{name}.expand"), x, expand, onto, Residual::BeforeActivation)?;
        }
    }
    x = b.global_average("pool", x)?;
    b.fully_connected("fc", x, Conv::new(CLASSES, 1).biased("fc"))?;
    Ok(b.finish(format!("{name}_{resolution}")))
}
