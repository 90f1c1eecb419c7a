//! Borrowed views of tensors: a slice, a layout and strides, with the extents checked once.
//!
//! This is the one door between slices and the raw pointers that kernels work on: a view that exists covers only
//! elements of its slice, and a mutable view covers every element at most once.

use crate::error::{Error, Expected};
use crate::shape::product;

/// Order of the axes in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Channels last: `[n][h][w][c]`.
    Nhwc,
    /// Channels before rows: `[n][c][h][w]`.
    Nchw,
}

impl Layout {
    /// `nhwc` or `nchw`.
    pub const fn name(self) -> &'static str {
        match self {
            Layout::Nhwc => "nhwc",
            Layout::Nchw => "nchw",
        }
    }
}

/// Sizes of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dims {
    /// Images.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
}

impl Dims {
    /// `n` images of `h` rows, `w` columns and `c` channels.
    pub const fn new(n: usize, h: usize, w: usize, c: usize) -> Self {
        Dims { n, c, h, w }
    }

    /// Elements of a dense tensor of this size.
    ///
    /// # Errors
    /// A zero size or an overflow.
    pub fn elements(&self) -> Result<usize, Error> {
        for (argument, value) in [("n", self.n), ("c", self.c), ("h", self.h), ("w", self.w)] {
            if value == 0 {
                return Err(Error::size(argument, value, Expected::AtLeast(1)));
            }
        }
        product("tensor", &[self.n, self.c, self.h, self.w])
    }
}

/// Distances between neighbours on each axis, in elements. The innermost one (channel in NHWC, pixel in NCHW) is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Strides {
    /// From one image to the next.
    pub image: usize,
    /// From one row to the next.
    pub row: usize,
    /// From one column to the next; 1 in NCHW.
    pub pixel: usize,
    /// From one channel to the next; 1 in NHWC.
    pub channel: usize,
}

impl Strides {
    /// Strides of a dense tensor.
    pub const fn dense(layout: Layout, d: Dims) -> Self {
        match layout {
            Layout::Nhwc => Strides { image: d.h * d.w * d.c, row: d.w * d.c, pixel: d.c, channel: 1 },
            Layout::Nchw => Strides { image: d.c * d.h * d.w, row: d.w, pixel: 1, channel: d.h * d.w },
        }
    }
}

/// What the shared and the mutable view have in common: sizes, strides, checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extent {
    pub layout: Layout,
    pub dims: Dims,
    pub strides: Strides,
}

impl Extent {
    /// Checks that axes do not overlap and gives the length of the slice that the tensor spans.
    fn span(&self) -> Result<usize, Error> {
        let (d, s) = (self.dims, self.strides);
        d.elements()?;
        // Axes from the innermost outwards; each must step over all of the one before.
        let axes: [(&'static str, usize, usize); 4] = match self.layout {
            Layout::Nhwc => [
                ("channel stride", d.c, s.channel),
                ("pixel stride", d.w, s.pixel),
                ("row stride", d.h, s.row),
                ("image stride", d.n, s.image),
            ],
            Layout::Nchw => [
                ("pixel stride", d.w, s.pixel),
                ("row stride", d.h, s.row),
                ("channel stride", d.c, s.channel),
                ("image stride", d.n, s.image),
            ],
        };
        if axes[0].2 != 1 && axes[0].1 > 1 {
            return Err(Error::size(axes[0].0, axes[0].2, Expected::Exactly(1)));
        }
        let mut span = 1usize;
        for (argument, len, stride) in axes {
            if len > 1 && stride < span {
                return Err(Error::size(argument, stride, Expected::AtLeast(span)));
            }
            span = (len - 1)
                .checked_mul(stride)
                .and_then(|v| v.checked_add(span))
                .filter(|&v| v <= isize::MAX as usize / 4)
                .ok_or(Error::Overflow { argument, value: stride })?;
        }
        Ok(span)
    }

    fn fit(&self, offset: usize, len: usize) -> Result<(), Error> {
        let need = self.span()?.checked_add(offset).ok_or(Error::Overflow { argument: "offset", value: offset })?;
        if len < need {
            return Err(Error::size("slice length", len, Expected::AtLeast(need)));
        }
        Ok(())
    }

    /// Index of an element, relative to the view's first.
    #[inline]
    pub(crate) const fn index(&self, n: usize, y: usize, x: usize, c: usize) -> usize {
        let s = self.strides;
        n * s.image + y * s.row + x * s.pixel + c * s.channel
    }

    /// With the stride of axes of one element, which no access uses and any value may stand in, as in a dense tensor:
    /// kernels may then multiply by any stride.
    fn normalised(mut self) -> Self {
        let (d, s) = (self.dims, &mut self.strides);
        let mut span = 1;
        let axes = match self.layout {
            Layout::Nhwc => [(d.c, &mut s.channel), (d.w, &mut s.pixel), (d.h, &mut s.row), (d.n, &mut s.image)],
            Layout::Nchw => [(d.w, &mut s.pixel), (d.h, &mut s.row), (d.c, &mut s.channel), (d.n, &mut s.image)],
        };
        for (len, stride) in axes {
            if len == 1 {
                *stride = span;
            }
            span += (len - 1) * *stride;
        }
        self
    }

    fn channels(&self, first: usize, count: usize) -> Result<(Extent, usize), Error> {
        if first >= self.dims.c {
            return Err(Error::size("first channel", first, Expected::AtMost(self.dims.c - 1)));
        }
        if count == 0 || count > self.dims.c - first {
            let expected = if count == 0 { Expected::AtLeast(1) } else { Expected::AtMost(self.dims.c - first) };
            return Err(Error::size("channel count", count, expected));
        }
        let mut e = *self;
        e.dims.c = count;
        Ok((e, first * self.strides.channel))
    }
}

/// A read-only tensor over a borrowed slice.
///
/// ```
/// use lightconv::{Dims, Layout, View};
/// let data = [0.0f32; 2 * 3 * 8];
/// let all = View::dense(Layout::Nhwc, Dims::new(1, 2, 3, 8), &data).unwrap();
/// let second_half = all.channels(4, 4).unwrap(); // shares the memory, pixel stride 8
/// assert_eq!(second_half.dims().c, 4);
/// assert!(View::dense(Layout::Nhwc, Dims::new(1, 2, 3, 9), &data).is_err());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct View<'a, T = f32> {
    pub(crate) data: &'a [T],
    pub(crate) extent: Extent,
}

impl<'a, T> View<'a, T> {
    /// A dense tensor at the start of `data`.
    ///
    /// # Errors
    /// Zero or overflowing sizes, or a slice that is too short.
    pub fn dense(layout: Layout, dims: Dims, data: &'a [T]) -> Result<Self, Error> {
        dims.elements()?;
        Self::strided(layout, dims, Strides::dense(layout, dims), 0, data)
    }

    /// A tensor whose first element is `data[offset]`, with the given strides.
    ///
    /// # Errors
    /// Zero or overflowing sizes, strides that make elements overlap, or a slice that is too short.
    pub fn strided(layout: Layout, dims: Dims, strides: Strides, offset: usize, data: &'a [T]) -> Result<Self, Error> {
        let extent = Extent { layout, dims, strides };
        extent.fit(offset, data.len())?;
        Ok(View { data: &data[offset..], extent: extent.normalised() })
    }

    /// Channels `first..first + count` of this tensor, in place.
    ///
    /// # Errors
    /// A range that is empty or not inside.
    pub fn channels(&self, first: usize, count: usize) -> Result<View<'a, T>, Error> {
        let (extent, offset) = self.extent.channels(first, count)?;
        Ok(View { data: &self.data[offset..], extent })
    }

    /// Sizes.
    pub const fn dims(&self) -> Dims {
        self.extent.dims
    }

    /// Strides in elements; that of an axis of one element is what a dense tensor would have.
    pub const fn strides(&self) -> Strides {
        self.extent.strides
    }

    /// Layout.
    pub const fn layout(&self) -> Layout {
        self.extent.layout
    }

    /// Element at image `n`, row `y`, column `x`, channel `c`.
    ///
    /// # Panics
    /// Outside the tensor.
    #[inline]
    pub fn at(&self, n: usize, y: usize, x: usize, c: usize) -> T
    where
        T: Copy,
    {
        assert!(n < self.dims().n && y < self.dims().h && x < self.dims().w && c < self.dims().c);
        self.get(n, y, x, c)
    }

    /// [`View::at`] of an element that is known to be inside the tensor.
    #[inline]
    pub(crate) fn get(&self, n: usize, y: usize, x: usize, c: usize) -> T
    where
        T: Copy,
    {
        self.data[self.extent.index(n, y, x, c)]
    }
}

/// A writable tensor over a borrowed slice. Elements between the strides are never touched.
#[derive(Debug)]
pub struct ViewMut<'a, T = f32> {
    pub(crate) data: &'a mut [T],
    pub(crate) extent: Extent,
}

impl<'a, T> ViewMut<'a, T> {
    /// A dense tensor at the start of `data`.
    ///
    /// # Errors
    /// As [`View::dense`].
    pub fn dense(layout: Layout, dims: Dims, data: &'a mut [T]) -> Result<Self, Error> {
        dims.elements()?;
        Self::strided(layout, dims, Strides::dense(layout, dims), 0, data)
    }

    /// A tensor whose first element is `data[offset]`, with the given strides: one half of a concatenation, say.
    ///
    /// # Errors
    /// As [`View::strided`].
    pub fn strided(
        layout: Layout,
        dims: Dims,
        strides: Strides,
        offset: usize,
        data: &'a mut [T],
    ) -> Result<Self, Error> {
        let extent = Extent { layout, dims, strides };
        extent.fit(offset, data.len())?;
        Ok(ViewMut { data: &mut data[offset..], extent: extent.normalised() })
    }

    /// Channels `first..first + count` of this tensor, in place.
    ///
    /// # Errors
    /// A range that is empty or not inside.
    pub fn channels(&mut self, first: usize, count: usize) -> Result<ViewMut<'_, T>, Error> {
        let (extent, offset) = self.extent.channels(first, count)?;
        Ok(ViewMut { data: &mut self.data[offset..], extent })
    }

    /// The same tensor, read-only.
    pub fn as_view(&self) -> View<'_, T> {
        View { data: self.data, extent: self.extent }
    }

    /// Sizes.
    pub const fn dims(&self) -> Dims {
        self.extent.dims
    }

    /// Strides in elements; that of an axis of one element is what a dense tensor would have.
    pub const fn strides(&self) -> Strides {
        self.extent.strides
    }

    /// Layout.
    pub const fn layout(&self) -> Layout {
        self.extent.layout
    }

    /// Writes the element at image `n`, row `y`, column `x`, channel `c`.
    ///
    /// # Panics
    /// Outside the tensor.
    #[inline]
    pub fn set(&mut self, n: usize, y: usize, x: usize, c: usize, value: T) {
        assert!(n < self.dims().n && y < self.dims().h && x < self.dims().w && c < self.dims().c);
        self.data[self.extent.index(n, y, x, c)] = value;
    }
}
