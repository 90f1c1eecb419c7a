//! The micro-kernels of one tier for what the blocks need beside convolution.

use super::elementwise::LinesFn;
use super::pool::{LineFn, PlanesFn, WindowsFn};
use super::shuffle::{PairsFn, ShuffleFn};

/// One function per operation. There is no choice between several as there is for convolution, hence no registry row.
pub(crate) struct Ops {
    /// Sum of two tensors.
    pub add: LinesFn,
    /// Product of two tensors.
    pub multiply: LinesFn,
    /// Product with one factor per line.
    pub scale: LinesFn,
    /// Greatest of a window, for outputs next to each other.
    pub maximum: WindowsFn,
    /// Sum of a window, or average.
    pub sum: WindowsFn,
    /// Greatest of the taps of every window along a line.
    pub maximum_line: LineFn,
    /// Sum of the taps of every window along a line, or average.
    pub sum_line: LineFn,
    /// Averages of whole planes.
    pub average_planes: PlanesFn,
    /// Channel shuffle, channels last.
    pub shuffle: ShuffleFn,
    /// Channel shuffle of a concatenation in two groups, channels last.
    pub pairs: PairsFn,
}

/// The table of a tier, from the modules `elementwise`, `pool` and `shuffle` beside it.
macro_rules! ops {
    () => {
        $crate::kernel::ops::Ops {
            add: elementwise::add,
            multiply: elementwise::multiply,
            scale: elementwise::scale,
            maximum: pool::maximum,
            sum: pool::sum,
            maximum_line: pool::maximum_line,
            sum_line: pool::sum_line,
            average_planes: pool::average_planes,
            shuffle: shuffle::pixels,
            pairs: shuffle::pairs,
        }
    };
}
pub(crate) use ops;
