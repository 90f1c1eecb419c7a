//! Which output pixels a tile of [`super::igemm_nhwc`] has, and which tiles and panels a part computes.

use super::{Part, Problem, Shares};
use crate::tensor::Layout;
use core::ops::Range;

/// Most pixels of a tile: as many as a set of the first cache has ways, where they lie a multiple of 4 KiB apart, and so share
/// one.
pub(super) fn most_pixels(p: &Problem) -> usize {
    let apart = p.shape.c_in.wrapping_mul(p.shape.stride[1]).wrapping_mul(size_of::<f32>());
    if p.layout == Layout::Nhwc && apart.is_multiple_of(4096) { 8 } else { usize::MAX }
}

/// Lines of output pixels, each cut alike into tiles whose sizes differ by one at most. Tiles follow each other column by
/// column: those of a column see the same padding at the left and right.
///
/// The last pixels of all lines may be cut otherwise: down one column after the other, where each line by itself would end in a
/// short tile.
#[derive(Clone, Copy)]
pub(super) struct Tiling {
    len: usize,
    tiles: Tiles,
    /// Products of a pixel and a tap that are computed.
    pub(super) products: f64,
}

impl Tiling {
    pub(super) fn new(lines: usize, len: usize, mr: usize, products: f64) -> Self {
        let tiles = Tiles { images: 1, lines, sizes: Shares::new(len, len.div_ceil(mr)), down: Shares::NONE };
        Tiling { len, tiles, products }
    }

    /// Full tiles of lines that are rows, and the columns left at their ends cut down; none if no column is left.
    pub(super) fn joined(rows: usize, len: usize, mr: usize, products: f64) -> Option<Self> {
        let (full, left) = (len / mr, len % mr * rows);
        (full > 0 && left > 0).then(|| {
            let (sizes, down) = (Shares::new(full * mr, full), Shares::new(left, left.div_ceil(mr)));
            Tiling { len, tiles: Tiles { images: 1, lines: rows, sizes, down }, products }
        })
    }

    /// Tiles of an image.
    pub(super) fn tiles(&self) -> usize {
        self.tiles.count()
    }

    /// Those that go down columns; they follow the others.
    pub(super) fn down(&self) -> usize {
        self.tiles.down.of
    }

    /// Whether each tile lies in one of so many rows, but for those that go down columns.
    pub(super) fn in_rows(&self, rows: usize) -> bool {
        self.tiles.lines == rows
    }

    /// The output pixels of a tile, in rows of `ow`.
    pub(super) fn pixels(&self, tile: usize, ow: usize) -> Pixels {
        let Some(down) = tile.checked_sub(self.tiles.across()) else {
            let Range { start, end } = self.range(tile);
            return Pixels { y: start / ow, x: start % ow, count: end - start, down: false };
        };
        let Range { start, end } = self.tiles.down.range(down);
        let x = self.tiles.sizes.units() + start / self.tiles.lines;
        Pixels { y: start % self.tiles.lines, x, count: end - start, down: true }
    }

    /// Those of a tile that does not go down columns, row after row.
    pub(super) fn range(&self, tile: usize) -> Range<usize> {
        let lines = self.tiles.lines;
        let (line, column) = if lines == 1 { (0, tile) } else { (tile % lines, tile / lines) };
        let pixels = self.tiles.sizes.range(column);
        line * self.len + pixels.start..line * self.len + pixels.end
    }

    /// The tiles of `images` images.
    pub(super) fn of_images(&self, images: usize) -> Tiles {
        Tiles { images, ..self.tiles }
    }

    /// How many tiles from this one on are of its size, where all pixels are one line.
    pub(super) fn alike(&self, tile: usize) -> usize {
        self.tiles.sizes.alike(tile)
    }
}

/// The output pixels of a tile: so many from one on, row after row, or down one column after the other.
#[derive(Clone, Copy)]
pub(super) struct Pixels {
    pub y: usize,
    pub x: usize,
    pub count: usize,
    pub down: bool,
}

impl Pixels {
    /// Row and column of each.
    #[inline(always)]
    pub(super) fn places(self, p: &Problem) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (oh, ow) = (p.oh, p.ow);
        let (mut y, mut x) = (self.y, self.x);
        (0..self.count).map(move |_| {
            let place = (y, x);
            if self.down {
                y += 1;
                if y == oh {
                    (y, x) = (0, x + 1);
                }
            } else {
                x += 1;
                if x == ow {
                    (y, x) = (y + 1, 0);
                }
            }
            place
        })
    }
}

/// The panels of output channels of all groups.
#[derive(Clone, Copy)]
pub(super) struct Panels {
    pub groups: usize,
    /// Vectors of a group, and of a panel; a group's last panel may have fewer.
    pub vectors: usize,
    pub each: usize,
}

impl Panels {
    fn per_group(&self) -> usize {
        self.vectors.div_ceil(self.each)
    }

    pub(super) fn count(&self) -> usize {
        self.groups * self.per_group()
    }

    /// The panel in which a place lies among all vectors of `tiles` tiles, panel by panel, and how many of its tiles are before.
    fn locate(&self, place: usize, tiles: usize) -> (usize, usize) {
        let (group, place) = (place / (self.vectors * tiles), place % (self.vectors * tiles));
        let panel = place / (self.each * tiles);
        let vectors = self.each.min(self.vectors - panel * self.each);
        (group * self.per_group() + panel, (place - panel * self.each * tiles) / vectors)
    }
}

/// The tiles of all images: lines of pixels, or of vectors of them, each cut alike. Those of an image follow each other column by
/// column; then come those of pixels that are in no line.
#[derive(Clone, Copy)]
pub(super) struct Tiles {
    pub images: usize,
    pub lines: usize,
    pub sizes: Shares,
    pub down: Shares,
}

impl Tiles {
    pub(super) fn count(&self) -> usize {
        self.images * (self.across() + self.down.of)
    }

    /// Those of an image's lines.
    fn across(&self) -> usize {
        self.lines * self.sizes.of
    }

    /// Pixels, or vectors of them, of an image.
    fn units(&self) -> usize {
        self.lines * self.sizes.units() + self.down.units()
    }

    /// The tile in which a place lies among all pixels of `panels` panels, tile by tile, and how many of its panels are before.
    fn locate(&self, place: usize, panels: usize) -> (usize, usize) {
        let (image, place) = (place / (panels * self.units()), place % (panels * self.units()));
        let each = self.lines * panels;
        let (tile, pixels, place) = if let Some(place) = place.checked_sub(each * self.sizes.units()) {
            let tile = self.down.find(place / panels);
            let pixels = self.down.range(tile);
            (self.across() + tile, pixels.len(), place - pixels.start * panels)
        } else {
            let column = self.sizes.find(place / each);
            let pixels = self.sizes.range(column);
            let place = place - pixels.start * each;
            let line = place / (pixels.len() * panels);
            (column * self.lines + line, pixels.len(), place % (pixels.len() * panels))
        };
        (image * (self.across() + self.down.of) + tile, place / pixels)
    }
}

/// Panels, and the tiles that pass over them.
pub(super) type Piece = (Range<usize>, Range<usize>);

const NONE: Piece = (0..0, 0..0);

/// What a part computes, in this order. Tiles and panels may be few, so that whole ones would leave a thread up
/// to twice another's work: one that two parts share is divided between them, a tile by its panels, or a panel by its tiles where
/// the work is cut `by_panels`.
pub(super) fn pieces(
    by_panels: bool,
    panels: &Panels,
    tiles: &Tiles,
    part: Part,
) -> impl Iterator<Item = Piece> + use<> {
    let (all_panels, all_tiles) = (panels.count(), tiles.count());
    let all = if part.of == 1 {
        // Blocks run a plan for every few rows: some dozens of divisions less.
        [(0..all_panels, 0..all_tiles), NONE, NONE]
    } else if by_panels {
        let share = part.range(panels.groups * panels.vectors * all_tiles);
        cut(all_tiles, panels.locate(share.start, all_tiles), panels.locate(share.end, all_tiles))
    } else {
        let share = part.range(tiles.images * tiles.units() * all_panels);
        cut(all_panels, tiles.locate(share.start, all_panels), tiles.locate(share.end, all_panels))
            .map(|(tiles, panels)| (panels, tiles))
    };
    all.into_iter().filter(|(panels, tiles)| !panels.is_empty() && !tiles.is_empty())
}

/// From one place to another, each some whole lines and `more` of the `all` elements of the next: the end of a line, whole ones,
/// and the beginning of one; some may be none.
fn cut(all: usize, (first, skipped): (usize, usize), (last, more): (usize, usize)) -> [Piece; 3] {
    if first == last {
        return [(first..first + 1, skipped..more), NONE, NONE];
    }
    let whole = first + usize::from(skipped > 0);
    [(first..whole, skipped..all), (whole..last, 0..all), (last..last + usize::from(more > 0), 0..more)]
}
