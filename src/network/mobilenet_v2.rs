//! MobileNetV2: "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (arXiv:1801.04381), table 2.
//!
//! What the published figures count, found by comparing them with the exact totals:
//! - Multiply-adds are those of all convolutions and of the fully connected layer, and are cut, not rounded: 1.0-224 has
//!   300 774 272, published as 300 M. All 22 pairs of width and resolution that the authors list with their checkpoints
//!   (`slim/nets/mobilenet`) come out so.
//! - Parameters in that list are weights alone: 3 469 760 at width 1 (3.47 M), 6 059 840 at 1.4 (6.06 M). The paper's 3.4 M
//!   is the same, cut. With scale and shift of the normalisations and the bias of the last layer there are 3 504 872,
//!   torchvision's figure.
//! - The paper gives 585 M and 6.9 M for width 1.4. The table gives 582 195 824, as the authors' list does (582 M); the
//!   other 2.8 M, and 0.8 M parameters, are no layer of the network as it was released.

use super::graph::{Builder, Conv, check_width, divisible};
use super::{CLASSES, Network};
use crate::epilogue::{Activation, Residual};
use crate::error::Error;
use alloc::format;

/// Expansion, output channels at width 1, blocks, stride of the first.
const STAGES: [(usize, usize, usize, usize); 7] =
    [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)];

/// MobileNetV2 for one image of `resolution` x `resolution` pixels and 1000 classes, all channel counts times `width`.
///
/// The layers are `conv0`, then `b1.dw`, `b1.project`, `b2.expand`, `b2.dw`, `b2.project` to those of `b17`, then `conv18`
/// and `fc`. Channels are rounded to multiples of 8; the last convolution is not thinned below 1280. Weights are
/// published under torchvision's names.
///
/// ```
/// let network = lightconv::network::mobilenet_v2(1.0, 224)?;
/// assert_eq!(network.cost()?.multiplies, 300_774_272); // published: 300 M
/// # Ok::<(), lightconv::Error>(())
/// ```
///
/// # Errors
/// A width that is not a positive number, a resolution of 0, or either so large that a layer's size overflows.
pub fn mobilenet_v2(width: f64, resolution: usize) -> Result<Network, Error> {
    check_width(width)?;
    let channels = |full: usize| divisible(full as f64 * width, 8);
    let mut b = Builder::new(resolution)?;
    let first = Conv::new(channels(32), 3).stride(2).activation(Activation::Relu6);
    let mut x = b.conv("conv0", 0, first.normed("features.0.0", "features.0.1"))?;
    let mut i = 0;
    for (expansion, full, blocks, first_stride) in STAGES {
        for block in 0..blocks {
            i += 1;
            let stride = if block == 0 { first_stride } else { 1 };
            let (input, c, c_out, path) = (x, b.dims(x).c, channels(full), format!("features.{i}.conv"));
            let hidden = c * expansion;
            // The expansion comes first in torchvision's list, where there is one.
            let k = usize::from(expansion != 1);
            if expansion != 1 {
                let expand = Conv::new(hidden, 1).activation(Activation::Relu6);
                x = b.conv(format!("b{i}.expand"), x, expand.normed(format!("{path}.0.0"), format!("{path}.0.1")))?;
            }
            let dw = Conv::depthwise(hidden, 3).stride(stride).activation(Activation::Relu6);
            x = b.conv(format!("b{i}.dw"), x, dw.normed(format!("{path}.{k}.0"), format!("{path}.{k}.1")))?;
            let project = Conv::new(c_out, 1).normed(format!("{path}.{}", k + 1), format!("{path}.{}", k + 2));
            let name = format!("b{i}.project");
            x = if stride == 1 && c == c_out {
                b.conv_onto(name, x, project, input, Residual::AfterActivation)?
            } else {
                b.conv(name, x, project)?
            };
        }
    }
    let last = Conv::new(divisible(1280.0 * width.max(1.0), 8), 1).activation(Activation::Relu6);
    let x = b.conv("conv18", x, last.normed("features.18.0", "features.18.1"))?;
    let x = b.global_average("pool", x)?;
    b.fully_connected("fc", x, Conv::new(CLASSES, 1).biased("classifier.1"))?;
    Ok(b.finish(format!("mobilenet_v2_{width:?}_{resolution}")))
}
