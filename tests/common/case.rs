//! One case: a convolution, where its tensors lie in memory, and how it is run. Used by the fuzz target as well.

use lightconv::parallel::Parallel;
use lightconv::{
    Conv2dPlan, Conv2dShape, Dims, Epilogue, Error, Isa, Layout, Options, Residual, Strides, View, ViewMut,
};
use std::convert::Infallible;

/// Where a tensor lies inside its slice.
#[derive(Clone, Copy, Debug, Default)]
pub struct Placement {
    /// Channels of a wider tensor that come before.
    pub before: usize,
    /// Channels of a wider tensor that come after.
    pub after: usize,
    /// Elements between rows.
    pub row_slack: usize,
    /// Elements between images, and between channels in NCHW.
    pub outer_slack: usize,
    /// Elements of the slice in front of the tensor.
    pub offset: usize,
    /// The slice ends with the tensor's last element, and the view is made at once instead of as a range of channels.
    pub exact: bool,
    /// Stride of the axes that have one element, which nothing may depend on.
    pub lone_stride: Option<usize>,
}

/// A [`Placement`] worked out for one tensor.
#[derive(Clone, Copy, Debug)]
pub struct Geometry {
    pub layout: Layout,
    pub dims: Dims,
    pub strides: Strides,
    /// Index of the first element.
    pub offset: usize,
    /// Length of the slice.
    pub len: usize,
    /// The channels that the view is cut from, and the first of them.
    wide: Option<(usize, usize)>,
}

impl Geometry {
    pub fn new(layout: Layout, dims: Dims, p: &Placement) -> Self {
        let channels = p.before + dims.c + p.after;
        let mut strides = match layout {
            Layout::Nhwc => {
                let row = dims.w * channels + p.row_slack;
                Strides { image: dims.h * row + p.outer_slack, row, pixel: channels, channel: 1 }
            }
            Layout::Nchw => {
                let row = dims.w + p.row_slack;
                let channel = dims.h * row + p.outer_slack;
                Strides { image: channels * channel + p.row_slack, row, pixel: 1, channel }
            }
        };
        if let Some(lone) = p.lone_stride.filter(|_| channels == dims.c) {
            let innermost_is_channel = layout == Layout::Nhwc;
            for (len, stride, innermost) in [
                (dims.n, &mut strides.image, false),
                (dims.h, &mut strides.row, false),
                (dims.w, &mut strides.pixel, !innermost_is_channel),
                (dims.c, &mut strides.channel, innermost_is_channel),
            ] {
                if len == 1 && !innermost {
                    *stride = lone;
                }
            }
        }
        let wide = (!p.exact && channels > dims.c).then_some((channels, p.before));
        let offset = p.offset + p.before * strides.channel;
        let mut g = Geometry { layout, dims, strides, offset, len: 0, wide };
        let last = g.index(dims.n - 1, dims.h - 1, dims.w - 1, dims.c - 1);
        g.len = last + 1 + if p.exact { 0 } else { p.after * strides.channel + p.outer_slack };
        g
    }

    pub fn dense(layout: Layout, dims: Dims) -> Self {
        Self::new(layout, dims, &Placement { exact: true, ..Placement::default() })
    }

    #[inline]
    pub fn index(&self, n: usize, y: usize, x: usize, c: usize) -> usize {
        let s = self.strides;
        // Wrapping, because a stride that is only multiplied by zero may be anything.
        self.offset + n * s.image + y * s.row + x * s.pixel + c * s.channel
    }

    /// Calls `f` for all positions, in one order for every layout, up to an error. Inlined loops: four nested iterators take
    /// several times as long, where the tests spend half of their time.
    #[inline(always)]
    pub fn try_each<E>(&self, mut f: impl FnMut([usize; 4]) -> Result<(), E>) -> Result<(), E> {
        let d = self.dims;
        for n in 0..d.n {
            for y in 0..d.h {
                for x in 0..d.w {
                    for c in 0..d.c {
                        f([n, y, x, c])?;
                    }
                }
            }
        }
        Ok(())
    }

    /// [`Self::try_each`] of what does not fail.
    #[inline(always)]
    pub fn each(&self, mut f: impl FnMut([usize; 4])) {
        let Ok(()) = self.try_each(|at| {
            f(at);
            Ok::<_, Infallible>(())
        });
    }

    pub fn view<'a, T>(&self, data: &'a [T]) -> Result<View<'a, T>, Error> {
        match self.wide {
            Some((channels, before)) => {
                let offset = self.offset - before * self.strides.channel;
                let dims = Dims { c: channels, ..self.dims };
                View::strided(self.layout, dims, self.strides, offset, data)?.channels(before, self.dims.c)
            }
            None => View::strided(self.layout, self.dims, self.strides, self.offset, data),
        }
    }

    /// Gives the writable view to `f`.
    pub fn with_view_mut<T, R>(
        &self,
        data: &mut [T],
        f: impl FnOnce(&mut ViewMut<'_, T>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        match self.wide {
            Some((channels, before)) => {
                let offset = self.offset - before * self.strides.channel;
                let dims = Dims { c: channels, ..self.dims };
                let mut all = ViewMut::strided(self.layout, dims, self.strides, offset, data)?;
                f(&mut all.channels(before, self.dims.c)?)
            }
            None => f(&mut ViewMut::strided(self.layout, self.dims, self.strides, self.offset, data)?),
        }
    }
}

/// A convolution, where its tensors lie, and how it is run.
#[derive(Clone)]
pub struct Case {
    pub shape: Conv2dShape,
    pub layout: Layout,
    pub epilogue: Epilogue,
    pub bias: bool,
    pub input: Placement,
    pub output: Placement,
    pub residual: Placement,
    /// Parts that the work may be cut into.
    pub parts: usize,
    /// Of the data.
    pub seed: u64,
}

impl std::fmt::Debug for Case {
    /// On three lines, also where asked for many: these are read, and pasted into a test.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Case { shape, layout, epilogue, bias, input, output, residual, parts, seed } = self;
        let text = format!(
            "Case {{ shape: {shape:?},\n layout: {layout:?}, epilogue: {epilogue:?}, bias: {bias}, parts: {parts}, seed: {seed},\n \
             input: {input:?}, output: {output:?}, residual: {residual:?} }}"
        );
        f.write_str(&text)
    }
}

impl Case {
    /// With a bias, in dense tensors, for two threads.
    pub fn dense(shape: Conv2dShape, layout: Layout) -> Self {
        let dense = Placement { exact: true, ..Placement::default() };
        let [input, output, residual] = [dense; 3];
        Case { shape, layout, epilogue: Epilogue::NONE, bias: true, input, output, residual, parts: 2, seed: 7 }
    }

    pub fn input(&self) -> Geometry {
        let s = &self.shape;
        Geometry::new(self.layout, Dims::new(s.n, s.h, s.w, s.c_in), &self.input)
    }

    pub fn output_dims(&self) -> Dims {
        let (oh, ow) = self.shape.check().expect("a valid shape");
        Dims::new(self.shape.n, oh, ow, self.shape.c_out)
    }

    pub fn output(&self) -> Geometry {
        Geometry::new(self.layout, self.output_dims(), &self.output)
    }

    pub fn residual(&self) -> Option<Geometry> {
        let some = self.epilogue.residual != Residual::None;
        some.then(|| Geometry::new(self.layout, self.output_dims(), &self.residual))
    }

    pub fn weight_len(&self) -> usize {
        self.shape.weight_len().expect("a valid shape")
    }

    /// Terms of one output's sum.
    pub fn terms(&self) -> usize {
        self.weight_len() / self.shape.c_out
    }

    /// A plan for this case, on a tier, of a kernel if one is named.
    pub fn plan(
        &self,
        isa: Isa,
        kernel: Option<&str>,
        weights: &[f32],
        bias: Option<&[f32]>,
    ) -> Result<Conv2dPlan, Error> {
        let mut options = Options::new().isa(isa).threads(self.parts);
        if let Some(name) = kernel {
            options = options.kernel(name);
        }
        Conv2dPlan::new(&self.shape, self.layout, weights, bias, self.epilogue, &options)
    }
}

/// A pool that runs its tasks one after another, the last first: parts that lean on the order show.
pub struct Backwards(pub usize);

impl Parallel for Backwards {
    fn threads(&self) -> usize {
        self.0
    }

    fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        (0..tasks).rev().for_each(task);
    }
}
