//! AlexNet: "ImageNet Classification with Deep Convolutional Neural Networks" (2012), and its one-column form of "One
//! weird trick for parallelizing convolutional neural networks" (arXiv:1404.5997). The light networks' papers compare
//! with it.
//!
//! The papers that compare with it give 720 M multiply-adds and 60 M parameters. Those are the 724 406 816 and 60 965 224 of
//! the network in two columns, rounded and cut; in one column it has 714 188 480 and 61 100 840.

use super::graph::{Builder, Conv};
use super::{CLASSES, Network};
use crate::error::Error;
use crate::plan::Pooling;
use alloc::format;

/// Output channels, kernel, groups, and whether a pooling follows, of the convolutions after the first.
type Layers = [(usize, usize, usize, bool); 4];

const ONE_COLUMN: (usize, Layers) =
    (64, [(192, 5, 1, true), (384, 3, 1, false), (256, 3, 1, false), (256, 3, 1, true)]);
const TWO_COLUMNS: (usize, Layers) =
    (96, [(256, 5, 2, true), (384, 3, 1, false), (384, 3, 2, false), (256, 3, 2, true)]);
/// Torchvision's numbers of the convolutions.
const MODULES: [usize; 5] = [0, 3, 6, 8, 10];

/// AlexNet in one column, as torchvision has it, for one image of `resolution` x `resolution` pixels and 1000 classes.
///
/// The layers are `conv1` to `conv5`, then `fc1` to `fc3`. The first fully connected layer sees the whole map (6 x 6 of
/// 224 x 224 pixels), so that the resolution changes its size.
///
/// ```
/// let network = lightconv::network::alexnet(224)?;
/// assert_eq!(network.trained_parameters(), 61_100_840);
/// # Ok::<(), lightconv::Error>(())
/// ```
///
/// # Errors
/// A resolution that leaves no pixel, or so large that a layer's size overflows.
pub fn alexnet(resolution: usize) -> Result<Network, Error> {
    build("alexnet", resolution, 2, ONE_COLUMN)
}

/// AlexNet as first published, in two columns that are two groups here; local response normalisation, which counts
/// neither multiplies nor parameters in any table, is left out. Its 55 x 55 map after the first layer takes 227 x 227
/// pixels; 224 are given as the paper gives them, and padded by 2.
///
/// # Errors
/// As [`alexnet`].
pub fn alexnet_columns(resolution: usize) -> Result<Network, Error> {
    build("alexnet_columns", resolution, 2, TWO_COLUMNS)
}

fn build(name: &str, resolution: usize, pad: usize, (first, layers): (usize, Layers)) -> Result<Network, Error> {
    let mut b = Builder::new(resolution)?;
    let module = |i: usize| format!("features.{}", MODULES[i]);
    let mut x = b.conv("conv1", 0, Conv::new(first, 11).stride(4).pad(pad).relu().biased(module(0)))?;
    x = b.pool("pool1", Pooling::Max, x, 3, 2, 0)?;
    for (i, (c_out, kernel, groups, pools)) in (1..).zip(layers) {
        let conv = Conv::new(c_out, kernel).groups(groups).relu().biased(module(i));
        x = b.conv(format!("conv{}", i + 1), x, conv)?;
        if pools {
            x = b.pool(format!("pool{}", i + 1), Pooling::Max, x, 3, 2, 0)?;
        }
    }
    x = b.fully_connected("fc1", x, Conv::new(4096, 1).relu().biased("classifier.1"))?;
    x = b.fully_connected("fc2", x, Conv::new(4096, 1).relu().biased("classifier.4"))?;
    b.fully_connected("fc3", x, Conv::new(CLASSES, 1).biased("classifier.6"))?;
    Ok(b.finish(format!("{name}_{resolution}")))
}
