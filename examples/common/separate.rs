//! A block as a caller computes it who has plans for single operations only: whole tensors between them, a plan for
//! the shuffle too, and channels copied where a tensor is a concatenation of what no plan can write in place.

use lightconv::parallel::Serial;
use lightconv::{
    Activation, ChannelShufflePlan, Conv2dPlan, Conv2dShape, Dims, Epilogue, Error, Layout, Options, Residual, View,
    ViewMut,
};

/// Channels of a tensor: its number, the first channel, how many.
pub type Port = (usize, usize, usize);

enum Op {
    Conv { plan: Box<Conv2dPlan>, from: Port, residual: Option<Port>, to: Port },
    Shuffle { plan: ChannelShufflePlan, from: Port, to: Port },
    Copy { from: Port, to: Port },
}

/// Operations on tensors, in this order; the first tensor is the input, the second the output.
pub struct Separate {
    layout: Layout,
    dims: Vec<Dims>,
    tensors: Vec<Vec<f32>>,
    scratch: Vec<f32>,
    ops: Vec<Op>,
}

impl Separate {
    pub fn new(layout: Layout, input: Dims, output: Dims) -> Result<Self, Error> {
        let mut all = Separate { layout, dims: vec![], tensors: vec![], scratch: vec![], ops: vec![] };
        all.tensor(input)?;
        all.tensor(output)?;
        Ok(all)
    }

    /// All channels of a new tensor.
    pub fn tensor(&mut self, dims: Dims) -> Result<Port, Error> {
        self.dims.push(dims);
        self.tensors.push(super::markers::fill(dims.elements()?));
        Ok((self.dims.len() - 1, 0, dims.c))
    }

    pub fn conv(
        &mut self,
        (shape, weights): (Conv2dShape, &[f32]),
        activation: Activation,
        from: Port,
        residual: Option<(Port, Residual)>,
        to: Port,
    ) -> Result<(), Error> {
        let epilogue = Epilogue::activation(activation).with_residual(residual.map_or(Residual::None, |r| r.1));
        let plan = Conv2dPlan::new(&shape, self.layout, weights, None, epilogue, &Options::new())?;
        self.scratch.resize(self.scratch.len().max(plan.scratch_len()), 0.0);
        self.ops.push(Op::Conv { plan: Box::new(plan), from, residual: residual.map(|r| r.0), to });
        Ok(())
    }

    pub fn shuffle(&mut self, groups: usize, from: Port, to: Port) -> Result<(), Error> {
        let plan = ChannelShufflePlan::new(groups, self.dims[from.0], self.layout, &Options::new())?;
        self.ops.push(Op::Shuffle { plan, from, to });
        Ok(())
    }

    pub fn copy(&mut self, from: Port, to: Port) {
        self.ops.push(Op::Copy { from, to });
    }

    pub fn run(&mut self) -> Result<(), Error> {
        let (layout, dims) = (self.layout, &self.dims);
        for op in &self.ops {
            let (Op::Conv { to, .. } | Op::Shuffle { to, .. } | Op::Copy { to, .. }) = op;
            let to = to.0;
            let mut written = std::mem::take(&mut self.tensors[to]);
            let tensors = &self.tensors;
            let view = |&(t, first, count): &Port| View::dense(layout, dims[t], &tensors[t])?.channels(first, count);
            let mut output = ViewMut::dense(layout, dims[to], &mut written)?;
            match op {
                Op::Conv { plan, from, residual, to } => {
                    let residual = residual.as_ref().map(view).transpose()?;
                    let mut output = output.channels(to.1, to.2)?;
                    plan.run_with(&Serial, &view(from)?, residual.as_ref(), &mut output, &mut self.scratch)?;
                }
                Op::Shuffle { plan, from, .. } => plan.run(&view(from)?, &mut output)?,
                Op::Copy { from, to } => {
                    let source = &tensors[from.0];
                    let (i, o, map) = (dims[from.0].c, dims[to.0].c, dims[to.0].h * dims[to.0].w);
                    match layout {
                        Layout::Nhwc => source.chunks_exact(i).zip(written.chunks_exact_mut(o)).for_each(|(x, y)| {
                            y[to.1..to.1 + to.2].copy_from_slice(&x[from.1..from.1 + from.2]);
                        }),
                        Layout::Nchw => {
                            written[to.1 * map..][..to.2 * map]
                                .copy_from_slice(&source[from.1 * map..][..from.2 * map]);
                        }
                    }
                }
            }
            self.tensors[to] = written;
        }
        Ok(())
    }

    /// The first number of the output.
    pub fn first(&self) -> f32 {
        self.tensors[1][0]
    }
}
