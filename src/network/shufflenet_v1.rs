//! ShuffleNetV1: "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices"
//! (arXiv:1707.01083), table 1.
//!
//! What the published figures count, found by comparing them with the exact totals:
//! - The paper's multiply-adds at 1x, 143, 140, 137, 133 and 137 M for 1, 2, 3, 4 and 8 groups, leave the fully connected
//!   layer out; with it there are up to 1.5 M more.
//! - The paper gives one figure for all groups at 0.5x (38 M) and 0.25x (13 M). That is what one group has (38.2 and
//!   13.0 M without the fully connected layer); the others lie between 36.9 and 39.7 M, and 13.1 and 15.3 M.
//! - At 0.25x that takes 12 channels in the first convolution, as at 0.5x; a quarter of 24 would give 10.9 M.
//! - The authors' later list (ShuffleNet Series) has the fully connected layer in: 524 and 522 M at 2x with 3 and 8 groups,
//!   292 and 290 at 1.5x, 138 at 1x with 8, 38 and 40 at 0.5x, all as here; for 1x with 3 groups it says 138, where there
//!   are 137 460 672. Its parameters, 5.4, 6.5, 3.4, 4.3, 1.9, 2.4, 0.7 and 1.0 M, are those here, weights alone or not.
//! - Where a quarter of a stage's channels is no multiple of the groups (4 groups below 1x), the nearest multiple is
//!   taken; the papers do not say. The average pooling beside a unit with stride 2 does not count the padding.

use super::graph::{Builder, Conv, check_width};
use super::{CLASSES, Network};
use crate::epilogue::Residual;
use crate::error::{Error, Expected};
use crate::plan::Pooling;
use alloc::format;

/// Groups, and the output channels of stage 2 at width 1; each stage has twice those of the one before.
const GROUPS: [(usize, usize); 5] = [(1, 144), (2, 200), (3, 240), (4, 272), (8, 384)];
/// Output channels of the first convolution at width 1.
const FIRST: usize = 24;
/// Units of the stages.
const UNITS: [usize; 3] = [4, 8, 4];

/// ShuffleNetV1 with 1, 2, 3, 4 or 8 groups, for one image of `resolution` x `resolution` pixels and 1000 classes, all
/// channel counts times `width`.
///
/// The layers are `conv1`, then for every unit `s2.1` to `s4.4` `.gpw1`, `.dw`, `.gpw2`, then `fc`. The first pointwise layer of
/// all has one group. Weights are published under the names of the authors' later code (ShuffleNet Series).
///
/// ```
/// let network = lightconv::network::shufflenet_v1(3, 1.0, 224)?;
/// assert_eq!(network.name, "shufflenet_v1_g3_1.0_224");
/// # Ok::<(), lightconv::Error>(())
/// ```
///
/// # Errors
/// Other groups, a width that is not a positive number, a resolution of 0, or sizes that overflow.
pub fn shufflenet_v1(groups: usize, width: f64, resolution: usize) -> Result<Network, Error> {
    check_width(width)?;
    let Some((_, stage_2)) = GROUPS.into_iter().find(|g| g.0 == groups) else {
        return Err(Error::size("groups", groups, Expected::Text("1, 2, 3, 4 or 8")));
    };
    let c_2 = round((stage_2 as f64 * width) as usize, groups);
    // Between the published widths 1 and 2 the first convolution keeps its size, and it has at least 12 channels: that is
    // what the figures published for 1.5 and 0.25 count.
    let first = if width > 1.0 && width < 2.0 { FIRST } else { ((FIRST as f64 * width) as usize).max(FIRST / 2) };
    let mut b = Builder::new(resolution)?;
    let conv1 = Conv::new(round(first, groups), 3).stride(2).relu();
    let mut x = b.conv("conv1", 0, conv1.normed("first_conv.0", "first_conv.1"))?;
    x = b.max_pool_3_2(x)?;
    let mut i = 0;
    for (stage, units) in (2..).zip(UNITS) {
        let c_out = c_2 << (stage - 2);
        let middle = round(c_out / 4, groups);
        for unit in 0..units {
            let (input, c, name) = (x, b.dims(x).c, format!("s{stage}.{}", unit + 1));
            let path = format!("features.{i}");
            i += 1;
            let (stride, residual_c) = if unit == 0 { (2, c) } else { (1, 0) };
            if c_out <= residual_c {
                return Err(Error::size("channels of a stage", c_out, Expected::AtLeast(residual_c + 1)));
            }
            let first_groups = if stage == 2 && unit == 0 { 1 } else { groups };
            let gpw1 = Conv::new(middle, 1).groups(first_groups).relu();
            let normed = |conv: Conv, list: usize, k: usize| {
                let list = format!("{path}.branch_main_{list}");
                conv.normed(format!("{list}.{k}"), format!("{list}.{}", k + 1))
            };
            x = b.conv(format!("{name}.gpw1"), x, normed(gpw1, 1, 0))?;
            x = b.shuffle(format!("{name}.shuffle"), x, groups)?;
            x = b.conv(format!("{name}.dw"), x, normed(Conv::depthwise(middle, 3).stride(stride), 2, 0))?;
            let gpw2 = normed(Conv::new(c_out - residual_c, 1).groups(groups).relu(), 2, 2);
            let gpw2_name = format!("{name}.gpw2");
            x = if stride == 1 {
                b.conv_onto(gpw2_name, x, gpw2, input, Residual::BeforeActivation)?
            } else {
                // Averages of what a ReLU gave need no ReLU after the concatenation.
                let pooled = b.pool(format!("{name}.avgpool"), Pooling::Average, input, 3, 2, 1)?;
                let x = b.conv(gpw2_name, x, gpw2)?;
                b.concat(format!("{name}.concat"), &[pooled, x])?
            };
        }
    }
    x = b.global_average("pool", x)?;
    b.fully_connected("fc", x, Conv::new(CLASSES, 1).bare("classifier.0"))?;
    Ok(b.finish(format!("shufflenet_v1_g{groups}_{width:?}_{resolution}")))
}

/// To the nearest multiple of the groups, at least one.
fn round(channels: usize, groups: usize) -> usize {
    (channels.saturating_add(groups / 2) / groups * groups).max(groups)
}
