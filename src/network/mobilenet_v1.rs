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

use super::{Layer, Network};
use crate::error::{Error, Expected, Value};
use crate::shape::Conv2dShape;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

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
/// Classes of ImageNet.
const CLASSES: usize = 1000;
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
    if !(width > 0.0 && width.is_finite()) {
        let expected = Expected::Text("a positive number");
        return Err(Error::Argument { argument: "width", value: Value::Float(width as f32), expected });
    }
    if resolution == 0 {
        return Err(Error::size("resolution", resolution, Expected::AtLeast(1)));
    }
    // The conversion rounds down, and saturates where the check of the shapes then fails.
    let channels = |full: usize| ((full as f64 * width) as usize).max(MIN_CHANNELS);
    let mut layers: Vec<Layer> = Vec::new();
    let mut push = |name: String, shape: Conv2dShape| -> Result<(usize, usize), Error> {
        let out = shape.check()?;
        shape.multiplies()?;
        layers.push(Layer { name, shape });
        Ok(out)
    };

    let mut c = channels(FIRST);
    let first = Conv2dShape::new(1, resolution, resolution, 3, c, [3, 3]).stride(2).pad(1);
    let (mut h, mut w) = push("conv0".to_string(), first)?;
    for (i, (full, stride)) in (1..).zip(BLOCKS) {
        let c_out = channels(full);
        let standard = Conv2dShape::new(1, h, w, c, c_out, [3, 3]).stride(stride).pad(1);
        if separable {
            let depthwise = Conv2dShape { c_out: c, groups: c, ..standard };
            (h, w) = push(format!("dw{i}"), depthwise)?;
            push(format!("pw{i}"), Conv2dShape::new(1, h, w, c, c_out, [1, 1]))?;
        } else {
            (h, w) = push(format!("conv{i}"), standard)?;
        }
        c = c_out;
    }
    push("fc".to_string(), Conv2dShape::new(1, 1, 1, c, CLASSES, [1, 1]))?;
    Ok(Network { name: format!("{name}_{width:?}_{resolution}"), layers })
}
