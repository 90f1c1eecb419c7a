//! MobileNetV3: "Searching for MobileNetV3" (arXiv:1905.02244), tables 1 and 2.
//!
//! What the published figures count, found by comparing them with the exact totals:
//! - Large has 216 589 760 multiply-adds in its convolutions and fully connected layers, those of squeeze-and-excite
//!   included: 217 M, as the authors list it with their checkpoints (`slim/nets/mobilenet`). The paper's 219 M has 2.4 M
//!   more, which no layer explains; the divisions of hard-swish (1.5 M), the scaling by squeeze-and-excite (0.6 M) and the
//!   averages (0.6 M), which are left out here, would come to 219.3 M.
//! - Small has 56 510 400: 56 M, cut. An earlier version of the paper had another network of this name, with 66 M.
//! - Parameters with scale and shift of every normalisation and the biases are 5 483 032 and 2 542 856, torchvision's
//!   figures; the published 5.4 M and 2.5 M are these cut.
//! - Large at width 0.75 has 154 560 624 multiply-adds and 3 993 528 parameters, published as 155 M and 4.0 M. At 1.25 it
//!   has 355 925 920, published as 356 M; the 7.5 M parameters published with it leave the layer of 1280 as it is, which
//!   would make 355 M multiply-adds.

use super::graph::{Builder, Conv, check_width, divisible};
use super::{CLASSES, Network};
use crate::epilogue::{Activation, Residual};
use crate::error::Error;
use alloc::format;

/// Kernel, expansion, output channels at width 1, squeeze-and-excite, hard-swish instead of ReLU, stride.
///
/// The expansion is a factor, as in the authors' code, and not a number of channels, as in the paper's tables: the same at
/// width 1, and what gives the published totals at other widths.
type Block = (usize, f64, usize, bool, bool, usize);

const LARGE: [Block; 15] = [
    (3, 1.0, 16, false, false, 1),
    (3, 4.0, 24, false, false, 2),
    (3, 3.0, 24, false, false, 1),
    (5, 3.0, 40, true, false, 2),
    (5, 3.0, 40, true, false, 1),
    (5, 3.0, 40, true, false, 1),
    (3, 6.0, 80, false, true, 2),
    (3, 2.5, 80, false, true, 1),
    (3, 2.3, 80, false, true, 1),
    (3, 2.3, 80, false, true, 1),
    (3, 6.0, 112, true, true, 1),
    (3, 6.0, 112, true, true, 1),
    (5, 6.0, 160, true, true, 2),
    (5, 6.0, 160, true, true, 1),
    (5, 6.0, 160, true, true, 1),
];

const SMALL: [Block; 11] = [
    (3, 1.0, 16, true, false, 2),
    (3, 4.5, 24, false, false, 2),
    (3, 88.0 / 24.0, 24, false, false, 1),
    (5, 4.0, 40, true, true, 2),
    (5, 6.0, 40, true, true, 1),
    (5, 6.0, 40, true, true, 1),
    (5, 3.0, 48, true, true, 1),
    (5, 3.0, 48, true, true, 1),
    (5, 6.0, 96, true, true, 2),
    (5, 6.0, 96, true, true, 1),
    (5, 6.0, 96, true, true, 1),
];

/// MobileNetV3-Large for one image of `resolution` x `resolution` pixels and 1000 classes, all channel counts times
/// `width`.
///
/// The layers are `conv0`, then `b1.dw`, `b1.project`, `b2.expand`, `b2.dw`, `b2.project` to those of `b15`, with
/// `.se.squeeze` and `.se.excite` where a block has squeeze-and-excite, then `conv16`, `fc1` and `fc2`. Channels are
/// rounded to multiples of 8. Weights are published under torchvision's names.
///
/// ```
/// let network = lightconv::network::mobilenet_v3_large(1.0, 224)?;
/// assert_eq!(network.trained_parameters(), 5_483_032); // published: 5.4 M
/// # Ok::<(), lightconv::Error>(())
/// ```
///
/// # Errors
/// A width that is not a positive number, a resolution of 0, or either so large that a layer's size overflows.
pub fn mobilenet_v3_large(width: f64, resolution: usize) -> Result<Network, Error> {
    build("mobilenet_v3_large", &LARGE, 1280, width, resolution)
}

/// MobileNetV3-Small; the layers are named as in [`mobilenet_v3_large`], with 11 blocks and `conv12`.
///
/// # Errors
/// As [`mobilenet_v3_large`].
pub fn mobilenet_v3_small(width: f64, resolution: usize) -> Result<Network, Error> {
    build("mobilenet_v3_small", &SMALL, 1024, width, resolution)
}

fn build(name: &str, blocks: &[Block], last: usize, width: f64, resolution: usize) -> Result<Network, Error> {
    check_width(width)?;
    let channels = |full: usize| divisible(full as f64 * width, 8);
    let mut b = Builder::new(resolution)?;
    b.epsilon(1e-3);
    let first = Conv::new(channels(16), 3).stride(2).activation(Activation::HardSwish);
    let mut x = b.conv("conv0", 0, first.normed("features.0.0", "features.0.1"))?;
    for (i, &(kernel, expansion, full, squeezes, swish, stride)) in (1..).zip(blocks) {
        let (input, c, c_out) = (x, b.dims(x).c, channels(full));
        let hidden = divisible(c as f64 * expansion, 8);
        let activation = if swish { Activation::HardSwish } else { Activation::Relu };
        // Position in torchvision's list.
        let mut k = 0;
        let mut path = || {
            k += 1;
            format!("features.{i}.block.{}", k - 1)
        };
        let normed = |conv: Conv, path: &str| conv.normed(format!("{path}.0"), format!("{path}.1"));
        if hidden != c {
            let expand = normed(Conv::new(hidden, 1).activation(activation), &path());
            x = b.conv(format!("b{i}.expand"), x, expand)?;
        }
        let dw = normed(Conv::depthwise(hidden, kernel).stride(stride).activation(activation), &path());
        x = b.conv(format!("b{i}.dw"), x, dw)?;
        if squeezes {
            let path = path();
            let modules = [format!("{path}.fc1"), format!("{path}.fc2")];
            x = b.squeeze_excite(&format!("b{i}.se"), x, divisible((hidden / 4) as f64, 8), modules)?;
        }
        let (name, project) = (format!("b{i}.project"), normed(Conv::new(c_out, 1), &path()));
        x = if stride == 1 && c == c_out {
            b.conv_onto(name, x, project, input, Residual::AfterActivation)?
        } else {
            b.conv(name, x, project)?
        };
    }
    let i = blocks.len() + 1;
    let head = Conv::new(6 * b.dims(x).c, 1).activation(Activation::HardSwish);
    x = b.conv(format!("conv{i}"), x, head.normed(format!("features.{i}.0"), format!("features.{i}.1")))?;
    x = b.global_average("pool", x)?;
    // Not thinned, as in the authors' code.
    let fc1 = Conv::new(divisible(last as f64 * width.max(1.0), 8), 1)
        .activation(Activation::HardSwish)
        .biased("classifier.0");
    x = b.fully_connected("fc1", x, fc1)?;
    b.fully_connected("fc2", x, Conv::new(CLASSES, 1).biased("classifier.3"))?;
    Ok(b.finish(format!("{name}_{width:?}_{resolution}")))
}
