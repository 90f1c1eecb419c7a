//! VGG-16: "Very Deep Convolutional Networks for Large-Scale Image Recognition" (arXiv:1409.1556), table 1, column D. The
//! light networks' papers compare with it.
//!
//! It has 138 357 544 parameters (138 M). The 15 300 M multiply-adds that the paper of MobileNetV1 gives for it leave the
//! fully connected layers out, which makes 15 346 630 656; with them there are 15 470 264 320.

use super::graph::{Builder, Conv};
use super::{CLASSES, Network};
use crate::error::Error;
use crate::plan::Pooling;
use alloc::format;

/// Convolutions of each stage and their output channels; a pooling ends every stage.
const STAGES: [(usize, usize); 5] = [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)];

/// VGG-16 for one image of `resolution` x `resolution` pixels and 1000 classes.
///
/// The layers are `conv1.1`, `conv1.2` to `conv5.3`, then `fc1` to `fc3`. The first fully connected layer sees the whole map
/// (7 x 7 of 224 x 224 pixels), so that the resolution changes its size. Weights are published under torchvision's names.
///
/// ```
/// let network = lightconv::network::vgg16(224)?;
/// assert_eq!(network.trained_parameters(), 138_357_544); // published: 138 M
/// # Ok::<(), lightconv::Error>(())
/// ```
///
/// # Errors
/// A resolution below 32, or so large that a layer's size overflows.
pub fn vgg16(resolution: usize) -> Result<Network, Error> {
    let mut b = Builder::new(resolution)?;
    let (mut x, mut module) = (0, 0);
    for (stage, (convs, c_out)) in (1..).zip(STAGES) {
        for i in 1..=convs {
            let conv = Conv::new(c_out, 3).relu().biased(format!("features.{module}"));
            x = b.conv(format!("conv{stage}.{i}"), x, conv)?;
            module += 2;
        }
        x = b.pool(format!("pool{stage}"), Pooling::Max, x, 2, 2, 0)?;
        module += 1;
    }
    x = b.fully_connected("fc1", x, Conv::new(4096, 1).relu().biased("classifier.0"))?;
    x = b.fully_connected("fc2", x, Conv::new(4096, 1).relu().biased("classifier.3"))?;
    b.fully_connected("fc3", x, Conv::new(CLASSES, 1).biased("classifier.6"))?;
    Ok(b.finish(format!("vgg16_{resolution}")))
}
