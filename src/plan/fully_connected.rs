//! The plan of a fully connected layer: a pointwise convolution whose pixels are the vectors of the batch.
//!
//! So that the vectors share the loads of the weights as pixels do, the batch becomes one row of pixels, channels last. A
//! batch of one-pixel images is that in memory already, in either layout, if channels lie next to each other; views that
//! put something between them are copied through scratch.

use super::common::{INPUT, OUTPUT, RESIDUAL, check_scratch, check_view};
use super::conv2d::{Conv2dPlan, Options};
use crate::cost::Cost;
use crate::epilogue::{Epilogue, Residual};
use crate::error::{Error, Expected, Value};
use crate::isa::Isa;
use crate::parallel::{Parallel, Serial};
use crate::shape::Conv2dShape;
use crate::tensor::{Dims, Extent, Layout, Strides, View, ViewMut};
use alloc::string::String;
use alloc::vec::Vec;

/// A fully connected layer on a batch of vectors, ready to run any number of times.
///
/// It keeps the promises of [`Conv2dPlan`], which computes it. Input and output are tensors of one pixel per image,
/// `[n, 1, 1, c]`, as a global pooling gives them.
///
/// ```
/// use lightconv::{Epilogue, FullyConnectedPlan, Layout, Options, View, ViewMut};
///
/// // 2 outputs of 3 inputs each, 1 vector.
/// let weights = [1.0, 2.0, 3.0, 0.5, 0.0, 0.0];
/// let plan =
///     FullyConnectedPlan::new(1, 3, 2, Layout::Nhwc, &weights, Some(&[10.0, 0.0]), Epilogue::NONE, &Options::new())?;
/// let (input, mut output) = ([1.0, 1.0, 2.0], [0.0; 2]);
/// let mut scratch = vec![0.0; plan.scratch_len()];
/// plan.run(
///     &View::dense(Layout::Nhwc, plan.input_dims(), &input)?,
///     &mut ViewMut::dense(Layout::Nhwc, plan.output_dims(), &mut output)?,
///     &mut scratch,
/// )?;
/// assert_eq!(output, [19.0, 0.5]);
/// # Ok::<(), lightconv::Error>(())
/// ```
#[derive(Debug)]
pub struct FullyConnectedPlan {
    plan: Conv2dPlan,
    layout: Layout,
    residual: bool,
}

impl FullyConnectedPlan {
    /// Makes a plan for `n` vectors.
    ///
    /// - `weights`: `[c_out][c_in]`
    /// - `bias`: `[c_out]`
    /// - `layout`: of input, output and residual
    ///
    /// # Errors
    /// As [`Conv2dPlan::new`]. A kernel asked for by name is one of layout NHWC, in either layout.
    #[expect(clippy::too_many_arguments, reason = "those of a convolution, with three sizes in place of a shape")]
    pub fn new(
        n: usize,
        c_in: usize,
        c_out: usize,
        layout: Layout,
        weights: &[f32],
        bias: Option<&[f32]>,
        epilogue: Epilogue,
        options: &Options<'_>,
    ) -> Result<Self, Error> {
        // In the caller's words first: `n` is the width of the convolution below.
        Conv2dShape::new(n, 1, 1, c_in, c_out, [1, 1]).check()?;
        let shape = Conv2dShape::new(1, 1, n, c_in, c_out, [1, 1]);
        let plan = Conv2dPlan::new(&shape, Layout::Nhwc, weights, bias, epilogue, options)?;
        let plan = FullyConnectedPlan { plan, layout, residual: epilogue.residual != Residual::None };
        plan.try_scratch_len().ok_or(Error::Overflow { argument: "scratch", value: n })?;
        Ok(plan)
    }

    /// Computes on the calling thread. `scratch` is any memory of [`scratch_len`](Self::scratch_len) floats; what it
    /// holds does not matter.
    ///
    /// # Errors
    /// As [`Conv2dPlan::run`].
    pub fn run(&self, input: &View<'_>, output: &mut ViewMut<'_>, scratch: &mut [f32]) -> Result<(), Error> {
        self.run_with(&Serial, input, None, output, scratch)
    }

    /// Computes on the caller's threads, with the residual if the plan has one.
    ///
    /// # Errors
    /// As [`Conv2dPlan::run_with`].
    pub fn run_with(
        &self,
        pool: &dyn Parallel,
        input: &View<'_>,
        residual: Option<&View<'_>>,
        output: &mut ViewMut<'_>,
        scratch: &mut [f32],
    ) -> Result<(), Error> {
        check_view(&INPUT, &input.extent, self.layout, self.input_dims())?;
        check_view(&OUTPUT, &output.extent, self.layout, self.output_dims())?;
        if residual.is_some() != self.residual {
            let (found, expected) = if self.residual {
                ("none", "a view of the output's size")
            } else {
                ("a view", "none, as the plan was made")
            };
            let expected = Expected::Text(expected);
            return Err(Error::Argument { argument: "residual", value: Value::Name(found), expected });
        }
        if let Some(r) = residual {
            check_view(&RESIDUAL, &r.extent, self.layout, self.output_dims())?;
        }
        check_scratch(scratch.len(), self.scratch_len())?;
        let (inner, scratch) = scratch.split_at_mut(self.plan.scratch_len());
        let (input, scratch) = vectors(input, scratch);
        let (residual, scratch) = match residual {
            Some(r) => {
                let (r, scratch) = vectors(r, scratch);
                (Some(r), scratch)
            }
            None => (None, scratch),
        };
        if output.extent.strides.channel == 1 {
            let extent = as_pixels(&output.extent);
            let mut pixels = ViewMut { data: &mut *output.data, extent };
            return self.plan.run_with(pool, &input, residual.as_ref(), &mut pixels, inner);
        }
        let d = output.dims();
        let dense = &mut scratch[..d.n * d.c];
        let mut pixels = ViewMut { data: &mut *dense, extent: dense_pixels(d) };
        self.plan.run_with(pool, &input, residual.as_ref(), &mut pixels, inner)?;
        for (n, vector) in dense.chunks_exact(d.c).enumerate() {
            for (c, &value) in vector.iter().enumerate() {
                output.data[output.extent.index(n, 0, 0, c)] = value;
            }
        }
        Ok(())
    }

    fn try_scratch_len(&self) -> Option<usize> {
        let inner = self.plan.scratch_len();
        if self.layout == Layout::Nhwc {
            return Some(inner);
        }
        let s = self.plan.shape();
        let outputs = if self.residual { s.c_out.checked_mul(2)? } else { s.c_out };
        let all = s.c_in.checked_add(outputs)?.checked_mul(s.w)?.checked_add(inner)?;
        (all <= isize::MAX as usize / size_of::<f32>()).then_some(all)
    }

    /// Floats of scratch that a run needs, all parts together.
    pub fn scratch_len(&self) -> usize {
        // It was found to fit when the plan was made.
        self.try_scratch_len().unwrap_or(usize::MAX)
    }

    /// Name of the kernel: a row of [`registry::kernels`](crate::registry::kernels), of layout NHWC.
    pub fn kernel_name(&self) -> &'static str {
        self.plan.kernel_name()
    }

    /// Tier of the kernel.
    pub fn isa(&self) -> Isa {
        self.plan.isa()
    }

    /// The kernels that were not chosen, each with the reason.
    pub fn why(&self) -> Vec<(&'static str, String)> {
        self.plan.why()
    }

    /// Multiplies, parameters and bytes.
    pub fn cost(&self) -> Cost {
        self.plan.cost()
    }

    /// The layout of input, output and residual.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Into how many parts a run is cut.
    pub fn threads(&self) -> usize {
        self.plan.threads()
    }

    /// Sizes of the input.
    pub fn input_dims(&self) -> Dims {
        let s = self.plan.shape();
        Dims::new(s.w, 1, 1, s.c_in)
    }

    /// Sizes of the output.
    pub fn output_dims(&self) -> Dims {
        let s = self.plan.shape();
        Dims::new(s.w, 1, 1, s.c_out)
    }
}

/// A batch of one-pixel images, whose channels lie next to each other, as one row of pixels.
fn as_pixels(e: &Extent) -> Extent {
    let (n, c, pixel) = (e.dims.n, e.dims.c, e.strides.image);
    // Of a lone image the stride is not used; the row is as long as its last pixel's end.
    let pixel = if n == 1 { c } else { pixel };
    let row = (n - 1) * pixel + c;
    Extent {
        layout: Layout::Nhwc,
        dims: Dims::new(1, 1, n, c),
        strides: Strides { image: row, row, pixel, channel: 1 },
    }
}

fn dense_pixels(d: Dims) -> Extent {
    let dims = Dims::new(1, 1, d.n, d.c);
    Extent { layout: Layout::Nhwc, dims, strides: Strides::dense(Layout::Nhwc, dims) }
}

/// The vectors of a view as pixels: in place, or copied to the start of `scratch`. Gives the rest of it.
fn vectors<'a>(view: &View<'a>, scratch: &'a mut [f32]) -> (View<'a>, &'a mut [f32]) {
    if view.extent.strides.channel == 1 {
        return (View { data: view.data, extent: as_pixels(&view.extent) }, scratch);
    }
    let d = view.dims();
    let (dense, rest) = scratch.split_at_mut(d.n * d.c);
    for (n, vector) in dense.chunks_exact_mut(d.c).enumerate() {
        for (c, value) in vector.iter_mut().enumerate() {
            *value = view.data[view.extent.index(n, 0, 0, c)];
        }
    }
    (View { data: dense, extent: dense_pixels(d) }, rest)
}
