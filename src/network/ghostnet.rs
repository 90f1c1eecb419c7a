//! GhostNet: "GhostNet: More Features from Cheap Operations" (arXiv:1911.11907), table 1.
//!
//! What the published figures count, found by comparing them with the exact totals:
//! - Multiply-adds are those of all convolutions and fully connected layers, squeeze-and-excite included: 42 328 152 at
//!   0.5x, 141 150 512 at 1x, published as 42 and 141 M. At 1.3x there are 227 003 256; the published 226 M is this cut, if
//!   squeeze-and-excite has exactly a quarter of the channels (226 995 784) instead of the multiple of 4 of the authors' code.
//! - Parameters, 2.6, 5.2 and 7.3 M, are weights alone: 2 571 564, 5 153 336 and 7 321 608.

use super::graph::{Builder, Conv, Tensor, check_width, divisible};
use super::{CLASSES, Network};
use crate::epilogue::Residual;
use crate::error::Error;
use alloc::format;

/// Kernel, expanded channels, output channels at width 1, squeeze-and-excite, stride.
type Block = (usize, usize, usize, bool, usize);

/// The stages; the authors' names of weights count blocks within them.
const STAGES: [&[Block]; 9] = [
    &[(3, 16, 16, false, 1)],
    &[(3, 48, 24, false, 2)],
    &[(3, 72, 24, false, 1)],
    &[(5, 72, 40, true, 2)],
    &[(5, 120, 40, true, 1)],
    &[(3, 240, 80, false, 2)],
    &[
        (3, 200, 80, false, 1),
        (3, 184, 80, false, 1),
        (3, 184, 80, false, 1),
        (3, 480, 112, true, 1),
        (3, 672, 112, true, 1),
    ],
    &[(5, 672, 160, true, 2)],
    &[(5, 960, 160, false, 1), (5, 960, 160, true, 1), (5, 960, 160, false, 1), (5, 960, 160, true, 1)],
];

/// GhostNet for one image of `resolution` x `resolution` pixels and 1000 classes, all channel counts times `width`.
///
/// The layers are `conv0`, then for every block `b1` to `b16` `.ghost1.primary`, `.ghost1.cheap`, with stride 2 `.dw`, with
/// squeeze-and-excite `.se.squeeze` and `.se.excite`, `.ghost2.primary`, `.ghost2.cheap`, and `.side.dw` and `.side.pw` where the
/// shortcut is not the identity; then `conv17`, `head` and `fc`. Channels are rounded to multiples of 4. Weights are
/// published under the names of the authors' PyTorch code.
///
/// ```
/// let network = lightconv::network::ghostnet(1.0, 224)?;
/// assert_eq!(network.cost()?.multiplies, 141_150_512); // published: 141 M
/// # Ok::<(), lightconv::Error>(())
/// ```
///
/// # Errors
/// A width that is not a positive number, a resolution of 0, or either so large that a layer's size overflows.
pub fn ghostnet(width: f64, resolution: usize) -> Result<Network, Error> {
    check_width(width)?;
    let channels = |full: usize| divisible(full as f64 * width, 4);
    let mut b = Builder::new(resolution)?;
    let mut x = b.conv("conv0", 0, Conv::new(channels(16), 3).stride(2).relu().normed("conv_stem", "bn1"))?;
    let mut i = 0;
    for (stage, blocks) in STAGES.into_iter().enumerate() {
        for (within, &(kernel, expanded, full, squeezes, stride)) in blocks.iter().enumerate() {
            i += 1;
            let (name, path) = (format!("b{i}"), format!("blocks.{stage}.{within}"));
            let (input, c, hidden, c_out) = (x, b.dims(x).c, channels(expanded), channels(full));
            x = module(&mut b, &format!("{name}.ghost1"), &format!("{path}.ghost1"), x, hidden, true)?;
            if stride > 1 {
                let dw = Conv::depthwise(hidden, kernel).stride(stride);
                let dw = dw.normed(format!("{path}.conv_dw"), format!("{path}.bn_dw"));
                x = b.conv(format!("{name}.dw"), x, dw)?;
            }
            if squeezes {
                let modules = [format!("{path}.se.conv_reduce"), format!("{path}.se.conv_expand")];
                x = b.squeeze_excite(&format!("{name}.se"), x, divisible(hidden as f64 * 0.25, 4), modules)?;
            }
            x = module(&mut b, &format!("{name}.ghost2"), &format!("{path}.ghost2"), x, c_out, false)?;
            x = if stride == 1 && c == c_out {
                b.add(format!("{name}.add"), x, input)?
            } else {
                let side = Conv::depthwise(c, kernel).stride(stride);
                let side = side.normed(format!("{path}.shortcut.0"), format!("{path}.shortcut.1"));
                let y = b.conv(format!("{name}.side.dw"), input, side)?;
                let side = Conv::new(c_out, 1).normed(format!("{path}.shortcut.2"), format!("{path}.shortcut.3"));
                b.conv_onto(format!("{name}.side.pw"), y, side, x, Residual::AfterActivation)?
            };
        }
    }
    x = b.conv("conv17", x, Conv::new(channels(960), 1).relu().normed("blocks.9.0.conv", "blocks.9.0.bn1"))?;
    x = b.global_average("pool", x)?;
    x = b.fully_connected("head", x, Conv::new(1280, 1).relu().biased("conv_head"))?;
    b.fully_connected("fc", x, Conv::new(CLASSES, 1).biased("classifier"))?;
    Ok(b.finish(format!("ghostnet_{width:?}_{resolution}")))
}

/// A Ghost module: half of the channels by a pointwise convolution, the other half from them by a depthwise one.
fn module(b: &mut Builder, name: &str, path: &str, x: Tensor, c_out: usize, relu: bool) -> Result<Tensor, Error> {
    // Channels are multiples of 4, so the halves are whole.
    let half = c_out / 2;
    let then = |conv: Conv| if relu { conv.relu() } else { conv };
    let normed = |conv: Conv, list: &str| conv.normed(format!("{path}.{list}.0"), format!("{path}.{list}.1"));
    let primary = normed(then(Conv::new(half, 1)), "primary_conv");
    let primary = b.conv(format!("{name}.primary"), x, primary)?;
    let cheap = normed(then(Conv::depthwise(half, 3)), "cheap_operation");
    let cheap = b.conv(format!("{name}.cheap"), primary, cheap)?;
    b.concat(format!("{name}.concat"), &[primary, cheap])
}
