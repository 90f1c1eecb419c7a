//! ShuffleNetV2: "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design" (arXiv:1807.11164), table 5.
//!
//! What the published figures count, found by comparing them with the exact totals:
//! - Multiply-adds are those of all convolutions, of the fully connected layer, and one for every element of the global
//!   average: 40 526 624, 145 864 472, 299 020 848 and 590 884 344, published as 41, 146, 299 and 591 M. Without the
//!   averages, as [`Network::cost`] counts, 0.5x would be 40 M.
//! - They are those of a network whose side branch, where stage 2 begins, gives as many channels as it reads. With halves
//!   from both branches, as torchvision has it, there are 144 907 992 at 1x.
//! - Parameters, 1.4, 2.3, 3.5 and 7.4 M, are the same to the published digit with and without normalisation, and for both
//!   networks.

use super::graph::{Builder, Conv, Tensor};
use super::{CLASSES, Network};
use crate::error::{Error, Expected, Value};
use alloc::format;

/// Output channels of the stages and of the last convolution, for each published width.
const WIDTHS: [(f64, [usize; 3], usize); 4] = [
    (0.5, [48, 96, 192], 1024),
    (1.0, [116, 232, 464], 1024),
    (1.5, [176, 352, 704], 1024),
    (2.0, [244, 488, 976], 2048),
];

/// Output channels of the first convolution, the same for every width.
const FIRST: usize = 24;
/// Units of the stages.
const UNITS: [usize; 3] = [4, 8, 4];

/// ShuffleNetV2 for one image of `resolution` x `resolution` pixels and 1000 classes; `width` is 0.5, 1, 1.5 or 2, since
/// its channels are a table rather than a multiple.
///
/// The layers are `conv1`, then for every unit `s2.1` to `s4.4` `.pw1`, `.dw`, `.pw2`, with `.side.dw` and `.side.pw` before
/// them in the first unit of a stage, then `conv5` and `fc`. Where a stage begins, the side branch keeps the channels of its
/// input, as in the authors' code.
///
/// ```
/// let network = lightconv::network::shufflenet_v2(1.0, 224)?;
/// assert_eq!(network.cost()?.multiplies, 145_814_296); // published: 146 M
/// # Ok::<(), lightconv::Error>(())
/// ```
///
/// # Errors
/// Another width, a resolution of 0 or so large that a layer's size overflows.
pub fn shufflenet_v2(width: f64, resolution: usize) -> Result<Network, Error> {
    build("shufflenet_v2", width, resolution, false)
}

/// ShuffleNetV2 as torchvision has it: both branches of a stage's first unit give half of the channels, which is less
/// work in stage 2. The layers are named as in [`shufflenet_v2`]; weights are published under torchvision's names.
///
/// ```
/// let network = lightconv::network::shufflenet_v2_torchvision(1.0, 224)?;
/// assert_eq!(network.trained_parameters(), 2_278_604);
/// # Ok::<(), lightconv::Error>(())
/// ```
///
/// # Errors
/// As [`shufflenet_v2`].
pub fn shufflenet_v2_torchvision(width: f64, resolution: usize) -> Result<Network, Error> {
    build("shufflenet_v2_torchvision", width, resolution, true)
}

fn build(name: &str, width: f64, resolution: usize, halves: bool) -> Result<Network, Error> {
    let Some((_, stages, last)) = WIDTHS.into_iter().find(|w| w.0 == width) else {
        let expected = Expected::Text("0.5, 1, 1.5 or 2");
        return Err(Error::Argument { argument: "width", value: Value::Float(width as f32), expected });
    };
    let mut b = Builder::new(resolution)?;
    let mut x = b.conv("conv1", 0, Conv::new(FIRST, 3).stride(2).relu().normed("conv1.0", "conv1.1"))?;
    x = b.max_pool_3_2(x)?;
    for ((stage, c_out), units) in (2..).zip(stages).zip(UNITS) {
        for unit in 0..units {
            let (name, path) = (format!("s{stage}.{}", unit + 1), format!("stage{stage}.{unit}"));
            let half = c_out / 2;
            let parts = if unit == 0 {
                let c = b.dims(x).c;
                let normed = |conv: Conv, k: usize| {
                    conv.normed(format!("{path}.branch1.{k}"), format!("{path}.branch1.{}", k + 1))
                };
                let side_c = if halves { half } else { c };
                let side = b.conv(format!("{name}.side.dw"), x, normed(Conv::depthwise(c, 3).stride(2), 0))?;
                let side = b.conv(format!("{name}.side.pw"), side, normed(Conv::new(side_c, 1).relu(), 2))?;
                [side, branch(&mut b, &name, &path, x, [half, c_out - side_c], 2)?]
            } else {
                let kept = b.channels(format!("{name}.kept"), x, 0, half)?;
                let other = b.channels(format!("{name}.other"), x, half, half)?;
                [kept, branch(&mut b, &name, &path, other, [half; 2], 1)?]
            };
            let joined = b.concat(format!("{name}.concat"), &parts)?;
            x = b.shuffle(format!("{name}.shuffle"), joined, 2)?;
        }
    }
    x = b.conv("conv5", x, Conv::new(last, 1).relu().normed("conv5.0", "conv5.1"))?;
    x = b.global_average("pool", x)?;
    b.fully_connected("fc", x, Conv::new(CLASSES, 1).biased("fc"))?;
    Ok(b.finish(format!("{name}_{width:?}_{resolution}")))
}

/// The branch that computes: pointwise, depthwise, pointwise, to `c[0]` channels and from these to `c[1]`.
fn branch(b: &mut Builder, name: &str, path: &str, x: Tensor, c: [usize; 2], stride: usize) -> Result<Tensor, Error> {
    let normed = |conv: Conv, k: usize| conv.normed(format!("{path}.branch2.{k}"), format!("{path}.branch2.{}", k + 1));
    let y = b.conv(format!("{name}.pw1"), x, normed(Conv::new(c[0], 1).relu(), 0))?;
    let y = b.conv(format!("{name}.dw"), y, normed(Conv::depthwise(c[0], 3).stride(stride), 3))?;
    b.conv(format!("{name}.pw2"), y, normed(Conv::new(c[1], 1).relu(), 5))
}
