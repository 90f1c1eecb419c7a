//! Geometry of a convolution: sizes, output size, valid ranges. Checked arithmetic only.

use crate::error::{Error, Expected};
use core::ops::Range;

/// Rows and columns of zeros around the image, per side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Columns to the left.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Padding {
    /// `h` rows above and below, `w` columns left and right.
    pub const fn symmetric(h: usize, w: usize) -> Self {
        Padding { top: h, left: w, bottom: h, right: w }
    }
}

/// Shape of a 2-D convolution. Sizes are in elements; count multiplies with [`Conv2dShape::multiplies`].
///
/// `groups = 1` is standard convolution, `1 < groups` grouped, `groups = c_in` depthwise with the channel multiplier
/// `c_out / c_in`, `kh = kw = 1` pointwise. Weights are OIHW: `[c_out][c_in / groups][kh][kw]`. The output has
/// `oh = (h + top + bottom - ((kh - 1) * dilation + 1)) / stride + 1` rows, columns alike; padded taps read zero.
///
/// ```
/// use lightconv::Conv2dShape;
/// // The first depthwise layer of MobileNetV1.
/// let s = Conv2dShape::new(1, 112, 112, 32, 32, [3, 3]).groups(32).pad(1);
/// assert_eq!(s.check().unwrap(), (112, 112));
/// assert_eq!(s.multiplies().unwrap(), 112 * 112 * 32 * 9);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv2dShape {
    /// Images.
    pub n: usize,
    /// Input channels.
    pub c_in: usize,
    /// Input rows.
    pub h: usize,
    /// Input columns.
    pub w: usize,
    /// Output channels.
    pub c_out: usize,
    /// Kernel rows.
    pub kh: usize,
    /// Kernel columns.
    pub kw: usize,
    /// Stride of rows and of columns.
    pub stride: [usize; 2],
    /// Dilation of rows and of columns; 1 is dense.
    pub dilation: [usize; 2],
    /// Zeros around the image.
    pub padding: Padding,
    /// Groups; both channel counts are multiples of it.
    pub groups: usize,
}

impl Conv2dShape {
    /// A standard convolution of `n` images of `h` rows, `w` columns and `c_in` channels, with stride and dilation 1
    /// and no padding.
    pub const fn new(n: usize, h: usize, w: usize, c_in: usize, c_out: usize, kernel: [usize; 2]) -> Self {
        Conv2dShape {
            n,
            c_in,
            h,
            w,
            c_out,
            kh: kernel[0],
            kw: kernel[1],
            stride: [1, 1],
            dilation: [1, 1],
            padding: Padding { top: 0, left: 0, bottom: 0, right: 0 },
            groups: 1,
        }
    }

    /// A 1-D convolution over `len` samples: the case of one row (`h = kh = 1`). Stride, dilation and padding apply to
    /// columns; set them with [`stride_hw`](Self::stride_hw), [`dilation_hw`](Self::dilation_hw) and
    /// [`pad_hw`](Self::pad_hw) with 1, 1 and 0 for the rows.
    ///
    /// ```
    /// use lightconv::Conv2dShape;
    /// let s = Conv2dShape::new_1d(1, 100, 16, 32, 9).stride_hw(1, 2).pad_hw(0, 4);
    /// assert_eq!(s.check().unwrap(), (1, 50));
    /// ```
    pub const fn new_1d(n: usize, len: usize, c_in: usize, c_out: usize, kernel: usize) -> Self {
        Self::new(n, 1, len, c_in, c_out, [1, kernel])
    }

    /// The same with this many groups.
    pub const fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    /// The same with this stride on both axes.
    pub const fn stride(self, stride: usize) -> Self {
        self.stride_hw(stride, stride)
    }

    /// The same with these strides of rows and of columns.
    pub const fn stride_hw(mut self, rows: usize, columns: usize) -> Self {
        self.stride = [rows, columns];
        self
    }

    /// The same with this dilation on both axes.
    pub const fn dilation(self, dilation: usize) -> Self {
        self.dilation_hw(dilation, dilation)
    }

    /// The same with these dilations of rows and of columns.
    pub const fn dilation_hw(mut self, rows: usize, columns: usize) -> Self {
        self.dilation = [rows, columns];
        self
    }

    /// The same with this padding on all four sides.
    pub const fn pad(self, pad: usize) -> Self {
        self.pad_hw(pad, pad)
    }

    /// The same with `rows` above and below and `columns` left and right.
    pub const fn pad_hw(mut self, rows: usize, columns: usize) -> Self {
        self.padding = Padding::symmetric(rows, columns);
        self
    }

    /// The same with this padding per side.
    pub const fn padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// Checks everything and gives the output's rows and columns.
    ///
    /// # Errors
    /// A zero size, a channel count that the groups do not divide, padding beyond the kernel's reach
    /// (`(k - 1) * dilation`: an output that sees only padding), a kernel larger than the padded image, or a product
    /// that overflows.
    pub fn check(&self) -> Result<(usize, usize), Error> {
        let at_least_1 = [
            ("n", self.n),
            ("c_in", self.c_in),
            ("h", self.h),
            ("w", self.w),
            ("c_out", self.c_out),
            ("kh", self.kh),
            ("kw", self.kw),
            ("stride of rows", self.stride[0]),
            ("stride of columns", self.stride[1]),
            ("dilation of rows", self.dilation[0]),
            ("dilation of columns", self.dilation[1]),
            ("groups", self.groups),
        ];
        for (argument, value) in at_least_1 {
            if value == 0 {
                return Err(Error::size(argument, value, Expected::AtLeast(1)));
            }
        }
        for (argument, value) in [("c_in", self.c_in), ("c_out", self.c_out)] {
            if value % self.groups != 0 {
                return Err(Error::size(argument, value, Expected::MultipleOf(self.groups)));
            }
        }
        let p = self.padding;
        let oh = axis(
            self.h,
            self.kh,
            self.stride[0],
            self.dilation[0],
            [("padding.top", p.top), ("padding.bottom", p.bottom)],
            "kh",
        )?;
        let ow = axis(
            self.w,
            self.kw,
            self.stride[1],
            self.dilation[1],
            [("padding.left", p.left), ("padding.right", p.right)],
            "kw",
        )?;
        product("input", &[self.n, self.c_in, self.h, self.w])?;
        product("output", &[self.n, self.c_out, oh, ow])?;
        product("weights", &[self.c_out, self.c_in / self.groups, self.kh, self.kw])?;
        Ok((oh, ow))
    }

    /// Checks the shape as the geometry of a pooling, which is that of a depthwise convolution with one output channel
    /// per input channel (`groups = c_in = c_out`) and no dilation; gives the output's rows and columns. Every window
    /// then covers at least one element of the image.
    ///
    /// # Errors
    /// As [`check`](Self::check), and other channel counts, groups or dilations.
    pub fn check_pool(&self) -> Result<(usize, usize), Error> {
        let out = self.check()?;
        for (argument, value, expected) in [
            ("c_out", self.c_out, self.c_in),
            ("groups", self.groups, self.c_in),
            ("dilation of rows", self.dilation[0], 1),
            ("dilation of columns", self.dilation[1], 1),
        ] {
            if value != expected {
                return Err(Error::size(argument, value, Expected::Exactly(expected)));
            }
        }
        Ok(out)
    }

    /// Multiplies, padded taps included: `n * oh * ow * c_out * (c_in / groups) * kh * kw`.
    ///
    /// # Errors
    /// As [`check`](Self::check), and where the count does not fit 64 bits.
    pub fn multiplies(&self) -> Result<u64, Error> {
        let (oh, ow) = self.check()?;
        let factors = [self.n, oh, ow, self.c_out, self.c_in / self.groups, self.kh, self.kw];
        factors
            .iter()
            .try_fold(1u64, |a, &f| a.checked_mul(f as u64))
            .ok_or(Error::Overflow { argument: "multiplies", value: self.c_out })
    }

    /// Number of weights: `c_out * (c_in / groups) * kh * kw`.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn weight_len(&self) -> Result<usize, Error> {
        self.check()?;
        Ok(self.c_out * (self.c_in / self.groups) * self.kh * self.kw)
    }

    /// Input rows that some output rows read, of a checked shape: at least one.
    pub(crate) fn input_rows(&self, rows: Range<usize>) -> Range<usize> {
        let first = rows.start * self.stride[0];
        let end = (rows.end - 1) * self.stride[0] + (self.kh - 1) * self.dilation[0] + 1;
        first.saturating_sub(self.padding.top)..(end - self.padding.top).min(self.h)
    }

    /// The shape of some output rows of one image, of a checked shape. Its input is [`input_rows`](Self::input_rows).
    pub(crate) fn rows(&self, rows: Range<usize>) -> Conv2dShape {
        let input = self.input_rows(rows.clone());
        let mut part = *self;
        part.n = 1;
        part.h = input.len();
        part.padding.top = self.padding.top.saturating_sub(rows.start * self.stride[0]);
        let reach = (rows.len() - 1) * self.stride[0] + (self.kh - 1) * self.dilation[0] + 1;
        part.padding.bottom = reach.saturating_sub(part.padding.top + part.h);
        part
    }

    /// Whether every input channel is a group of its own.
    pub const fn is_depthwise(&self) -> bool {
        self.groups == self.c_in && self.groups > 1
    }

    /// Whether the kernel is one tap.
    pub const fn is_pointwise(&self) -> bool {
        self.kh == 1 && self.kw == 1
    }
}

/// The output positions `first..end` whose tap `k` (times dilation) falls into an axis of `len` elements.
///
/// Position `o` reads element `o * stride + k * dilation - before`.
pub fn valid_outputs(
    k: usize,
    len: usize,
    out: usize,
    stride: usize,
    dilation: usize,
    before: usize,
) -> (usize, usize) {
    let offset = k * dilation;
    let first = before.saturating_sub(offset).div_ceil(stride);
    // o * stride + offset - before < len
    let end = if len + before > offset { (len + before - offset).div_ceil(stride) } else { 0 };
    (first.min(out), end.min(out).max(first.min(out)))
}

/// Output length of one axis.
pub(crate) fn axis(
    len: usize,
    k: usize,
    stride: usize,
    dilation: usize,
    pads: [(&'static str, usize); 2],
    kernel_name: &'static str,
) -> Result<usize, Error> {
    let overflow = Error::Overflow { argument: kernel_name, value: k };
    let reach = (k - 1).checked_mul(dilation).ok_or(overflow)?;
    for (argument, value) in pads {
        if value > reach {
            return Err(Error::size(argument, value, Expected::AtMost(reach)));
        }
    }
    // Positions in the padding are negative numbers elsewhere, so all must fit a signed one with room to spare.
    let padded = len
        .checked_add(pads[0].1)
        .and_then(|v| v.checked_add(pads[1].1))
        .filter(|&v| v <= isize::MAX as usize / 4)
        .ok_or(overflow)?;
    if padded <= reach {
        // In taps, so that the message speaks of the argument that was passed.
        return Err(Error::size(kernel_name, k, Expected::AtMost((padded - 1) / dilation + 1)));
    }
    Ok((padded - 1 - reach) / stride + 1)
}

/// Product of sizes, if an array of that many `f32` can exist.
pub(crate) fn product(argument: &'static str, sizes: &[usize]) -> Result<usize, Error> {
    let mut all = 1usize;
    for &s in sizes {
        all = all
            .checked_mul(s)
            .filter(|&v| v <= isize::MAX as usize / 4)
            .ok_or(Error::Overflow { argument, value: s })?;
    }
    Ok(all)
}
