//! MobileNetV1: "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications"
//! (arXiv:1704.04861), table 1.
//!
//! What the published figures count, found by comparing them with the exact totals:
//! - Multiply-adds are those of all convolutions and of the fully connected layer, taps in the padding included; no
//!   bias, normalisation, activation or pooling. So 1.0-224 has 568 740 352: 569 M. Without the fully connected layer
//!   it would be 567 716 352, the total of the per-layer table in the authors' code (`slim/nets/mobilenet_v1.py`).
//! - Parameters are weights alone in that table (3 185 088 for the convolutions of 1.0). With the fully connected layer
//!   they are 4 209 088, with one bias per output channel, into which inference folds the normalisation, 4 221 032;
//!   either is 4.2 M, and for all width multipliers the published digit is the same with and without biases.
//! - 1.0-160 has 290 675 200; the paper cuts that to 290 M, the authors' later table rounds it to 291 M.
//! - The network of standard convolutions has 4 866 269 184 without the fully connected layer, which the paper's
//!   4866 M leaves out (with it: 4 867 293 184); its 29.3 M parameters have it in (29 281 120 weights).

use super::graph::{Builder, Conv, check_width};
use super::{CLASSES, Network};
use crate::epilogue::Activation;
use crate::error::Error;
use alloc::format;

/// Output channels at width 1 and stride of every depthwise separable block.
const BLOCKS: [(usize, usize); 13] = [
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    // Table 1 says stride 2 here, on a 7 x 7 map that stays 7 x 7; its counts and the authors' code have stride 1.
    (1024, 1),
];

/// Output channels of the first convolution at width 1.
const FIRST: usize = 32;
/// A thinned layer keeps this many channels, as in the authors' code.
const MIN_CHANNELS: usize = 8;

/// MobileNetV1 for one image of `resolution` x `resolution` pixels and 1000 classes, all channel counts times `width`.
///
/// The layers are `conv0`, then `dw1`, `pw1` to `dw13`, `pw13`, then `fc`. Channels are rounded down, but to no less
/// than 8; every 3x3 layer is padded by 1, so that stride 2 halves a map, rounding up.
///
/// ```
/// let network = lightconv::network::mobilenet_v1(1.0, 224)?;
/// assert_eq!(network.cost()?.multiplies, 568_740_352); // published: 569 M
/// # Ok::<(), lightconv::Error>(())
/// ```
///
/// # Errors
/// A width that is not a positive number, a resolution of 0, or either so large that a layer's size overflows.
pub fn mobilenet_v1(width: f64, resolution: usize) -> Result<Network, Error> {
    build("mobilenet_v1", width, resolution, true)
}

/// The same network with a standard 3x3 convolution in the place of every depthwise separable pair (table 4 of the
/// paper). The layers are `conv0` to `conv13`, then `fc`.
///
/// # Errors
/// As [`mobilenet_v1`].
pub fn mobilenet_v1_standard(width: f64, resolution: usize) -> Result<Network, Error> {
    build("mobilenet_v1_standard", width, resolution, false)
}

fn build(name: &str, width: f64, resolution: usize, separable: bool) -> Result<Network, Error> {
    check_width(width)?;
    // The conversion rounds down, and saturates where the check of the shapes then fails.
    let channels = |full: usize| ((full as f64 * width) as usize).max(MIN_CHANNELS);
    let mut b = Builder::new(resolution)?;
    // There is no usual name for published weights: the layer's own, with the normalisation beside it.
    let named = |name: &str, conv: Conv| conv.activation(Activation::Relu6).normed(name, format!("{name}.norm"));
    let mut x = b.conv("conv0", 0, named("conv0", Conv::new(channels(FIRST), 3).stride(2)))?;
    for (i, (full, stride)) in (1..).zip(BLOCKS) {
        let (c, c_out) = (b.dims(x).c, channels(full));
        if separable {
            let (dw, pw) = (format!("dw{i}"), format!("pw{i}"));
            x = b.conv(dw.as_str(), x, named(&dw, Conv::depthwise(c, 3).stride(stride)))?;
            x = b.conv(pw.as_str(), x, named(&pw, Conv::new(c_out, 1)))?;
        } else {
            let conv = format!("conv{i}");
            x = b.conv(conv.as_str(), x, named(&conv, Conv::new(c_out, 3).stride(stride)))?;
        }
    }
    let x = b.global_average("pool", x)?;
    b.fully_connected("fc", x, Conv::new(CLASSES, 1).biased("fc"))?;
    Ok(b.finish(format!("{name}_{width:?}_{resolution}")))
}
