//! Which output pixels a tile of [`super::igemm_nhwc`] has.

use super::Shares;
use core::ops::Range;

/// Lines of output pixels, each cut into tiles whose sizes differ by one at most.
#[derive(Clone, Copy)]
pub(super) struct Tiling {
    lines: usize,
    len: usize,
    per_line: usize,
    sizes: Shares,
    /// Products of a pixel and a tap that are computed.
    pub(super) products: f64,
}

impl Tiling {
    pub(super) fn new(lines: usize, len: usize, mr: usize, products: f64) -> Self {
        let per_line = len.div_ceil(mr);
        Tiling { lines, len, per_line, sizes: Shares::new(len, per_line), products }
    }

    /// Tiles of an image.
    pub(super) fn tiles(&self) -> usize {
        self.lines * self.per_line
    }

    /// The output pixels of a tile.
    pub(super) fn range(&self, tile: usize) -> Range<usize> {
        let (first, tile) =
            if self.lines == 1 { (0, tile) } else { (tile / self.per_line * self.len, tile % self.per_line) };
        let pixels = self.sizes.range(tile);
        first + pixels.start..first + pixels.end
    }

    /// How many tiles from this one on are of its size, where all pixels are one line.
    pub(super) fn alike(&self, tile: usize) -> usize {
        self.sizes.alike(tile)
    }
}
