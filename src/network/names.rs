//! Networks by name, as command lines give them.

use super::{Network, alexnet, alexnet_columns, ghostnet, mobilenet_v1, mobilenet_v1_standard, mobilenet_v2};
use super::{mobilenet_v3_large, mobilenet_v3_small, resnet50, resnet50_v1, resnext50_32x4d, shufflenet_v1};
use super::{shufflenet_v2, shufflenet_v2_torchvision, vgg16};
use crate::error::Error;

/// A constructor, by what its name is followed by.
#[derive(Clone, Copy)]
enum Maker {
    /// Width multiplier and resolution.
    Sized(fn(f64, usize) -> Result<Network, Error>),
    /// Groups, width multiplier and resolution.
    Grouped(fn(usize, f64, usize) -> Result<Network, Error>),
    /// Resolution.
    Fixed(fn(usize) -> Result<Network, Error>),
}

const MAKERS: [(&str, Maker); 15] = [
    ("mobilenet_v1", Maker::Sized(mobilenet_v1)),
    ("mobilenet_v1_standard", Maker::Sized(mobilenet_v1_standard)),
    ("mobilenet_v2", Maker::Sized(mobilenet_v2)),
    ("mobilenet_v3_large", Maker::Sized(mobilenet_v3_large)),
    ("mobilenet_v3_small", Maker::Sized(mobilenet_v3_small)),
    ("shufflenet_v1", Maker::Grouped(shufflenet_v1)),
    ("shufflenet_v2", Maker::Sized(shufflenet_v2)),
    ("shufflenet_v2_torchvision", Maker::Sized(shufflenet_v2_torchvision)),
    ("ghostnet", Maker::Sized(ghostnet)),
    ("resnet50", Maker::Fixed(resnet50)),
    ("resnet50_v1", Maker::Fixed(resnet50_v1)),
    ("resnext50_32x4d", Maker::Fixed(resnext50_32x4d)),
    ("alexnet", Maker::Fixed(alexnet)),
    ("alexnet_columns", Maker::Fixed(alexnet_columns)),
    ("vgg16", Maker::Fixed(vgg16)),
];

/// What [`by_name`] knows.
pub fn names() -> impl Iterator<Item = &'static str> {
    MAKERS.iter().map(|m| m.0)
}

/// The network of this name: one of [`names`], which width multiplier and resolution may follow, as in a
/// [`Network::name`]: `mobilenet_v2_0.75_160`, `shufflenet_v1_g8_0.5_224`, `resnet50_160`. Without them it is the full
/// network (ShuffleNetV1 with 3 groups) for 224 x 224 pixels. `None` if the name is none of these.
///
/// ```
/// use lightconv::network;
/// assert_eq!(network::by_name("mobilenet_v2_0.75_160").unwrap()?, network::mobilenet_v2(0.75, 160)?);
/// assert!(network::by_name("mobilenet_v9").is_none());
/// # Ok::<(), lightconv::Error>(())
/// ```
///
/// # Errors
/// Those of the network's own function, for a size that makes no sense.
pub fn by_name(name: &str) -> Option<Result<Network, Error>> {
    MAKERS.iter().find_map(|&(known, maker)| make(maker, name.strip_prefix(known)?))
}

/// The network, if its size is well formed.
fn make(maker: Maker, size: &str) -> Option<Result<Network, Error>> {
    let both = |text: &str| -> Option<(f64, usize)> {
        if text.is_empty() {
            return Some((1.0, 224));
        }
        let (width, resolution) = text.strip_prefix('_')?.split_once('_')?;
        Some((width.parse().ok()?, resolution.parse().ok()?))
    };
    Some(match maker {
        Maker::Sized(f) => {
            let (width, resolution) = both(size)?;
            f(width, resolution)
        }
        Maker::Grouped(f) => {
            let (groups, rest) = match size.strip_prefix("_g") {
                None => (3, size),
                Some(text) => {
                    let end = text.find('_').unwrap_or(text.len());
                    (text[..end].parse().ok()?, &text[end..])
                }
            };
            let (width, resolution) = both(rest)?;
            f(groups, width, resolution)
        }
        Maker::Fixed(f) if size.is_empty() => f(224),
        Maker::Fixed(f) => f(size.strip_prefix('_')?.parse().ok()?),
    })
}
