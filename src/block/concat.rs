//! Parallel branches whose outputs are concatenated (Inception, arXiv:1409.4842).
//!
//! Every branch writes its channels of the output tensor itself: the concatenation is an address. What lies between the
//! operations of a branch is a strip.

use super::builder::Builder;
use super::program::MOST_STEPS;
use super::{Filter, block_cost, block_plan, output_of};
use crate::cost::Cost;
use crate::epilogue::Activation;
use crate::error::{Error, Expected};
use crate::plan::{Options, Pooling};
use crate::shape::Conv2dShape;
use crate::tensor::{Dims, Layout};
use alloc::vec::Vec;

/// An operation of a branch.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Branch {
    /// A convolution with bias and activation.
    Conv(Conv2dShape, Activation),
    /// A pooling; its shape is that of a depthwise convolution, as in [`PoolPlan`](crate::PoolPlan).
    Pool(Pooling, Conv2dShape),
}

impl Branch {
    fn shape(&self) -> &Conv2dShape {
        match self {
            Branch::Conv(shape, _) | Branch::Pool(_, shape) => shape,
        }
    }

    fn check(&self) -> Result<(), Error> {
        match self {
            Branch::Conv(shape, activation) => activation.check().and_then(|()| shape.check().map(|_| ())),
            Branch::Pool(_, shape) => shape.check_pool().map(|_| ()),
        }
    }

    fn cost(&self) -> Result<Cost, Error> {
        match self {
            Branch::Conv(shape, _) => Cost::of(shape),
            Branch::Pool(Pooling::Max, shape) => Cost::max_pool(shape),
            Branch::Pool(Pooling::Average, shape) => Cost::average_pool(shape),
        }
    }
}

/// Most operations of a branch.
const MOST: usize = MOST_STEPS;

/// Shape of parallel branches.
#[derive(Clone, Debug, PartialEq)]
pub struct ConcatShape {
    input: Dims,
    branches: Vec<Vec<Branch>>,
    output: Dims,
}

impl ConcatShape {
    /// Branches, each a chain of operations that starts with the input; their outputs, in this order, are the channels of
    /// the block's output.
    ///
    /// # Errors
    /// No branch, a branch without operations or with more than 32, operations whose sizes do not follow from one to the
    /// next, outputs of different sizes, and what the shapes' own checks refuse.
    pub fn new(input: Dims, branches: Vec<Vec<Branch>>) -> Result<Self, Error> {
        input.elements()?;
        let mut output: Option<Dims> = None;
        for branch in &branches {
            if branch.is_empty() || branch.len() > MOST {
                let expected = if branch.is_empty() { Expected::AtLeast(1) } else { Expected::AtMost(MOST) };
                return Err(Error::size("operations of a branch", branch.len(), expected));
            }
            let mut dims = input;
            for operation in branch {
                operation.check()?;
                let s = operation.shape();
                for (argument, found, wanted) in
                    [("branch n", s.n, dims.n), ("branch h", s.h, dims.h), ("branch w", s.w, dims.w)]
                        .into_iter()
                        .chain([("branch c_in", s.c_in, dims.c)])
                {
                    if found != wanted {
                        return Err(Error::size(argument, found, Expected::Exactly(wanted)));
                    }
                }
                dims = output_of(s)?;
            }
            let all = output.get_or_insert(Dims { c: 0, ..dims });
            for (argument, found, wanted) in [("branch output h", dims.h, all.h), ("branch output w", dims.w, all.w)] {
                if found != wanted {
                    return Err(Error::size(argument, found, Expected::Exactly(wanted)));
                }
            }
            all.c = all.c.checked_add(dims.c).ok_or(Error::Overflow { argument: "output channels", value: dims.c })?;
        }
        let output = output.ok_or(Error::size("branches", 0, Expected::AtLeast(1)))?;
        output.elements()?;
        let shape = ConcatShape { input, branches, output };
        shape.cost()?;
        Ok(shape)
    }

    /// The branches.
    pub fn branches(&self) -> &[Vec<Branch>] {
        &self.branches
    }

    /// Sizes of the input.
    pub fn input_dims(&self) -> Dims {
        self.input
    }

    /// Sizes of the output.
    pub fn output_dims(&self) -> Dims {
        self.output
    }

    /// Cost of the block.
    ///
    /// # Errors
    /// A count that overflows.
    pub fn cost(&self) -> Result<Cost, Error> {
        let costs: Result<Vec<Cost>, Error> = self.branches.iter().flatten().map(Branch::cost).collect();
        block_cost(self.input, self.output, costs?)
    }
}

block_plan! {
    /// Parallel branches, ready to run any number of times.
    ConcatPlan, ConcatShape
}

impl ConcatPlan {
    /// Makes a plan. `weights` has one filter per convolution, branch by branch.
    ///
    /// # Errors
    /// Another number of filters, slices of another length; options that cannot be had, or a kernel asked for by name.
    pub fn new(
        shape: &ConcatShape,
        layout: Layout,
        weights: &[Filter<'_>],
        options: &Options<'_>,
    ) -> Result<Self, Error> {
        let convolutions = shape.branches.iter().flatten().filter(|b| matches!(b, Branch::Conv(..))).count();
        if weights.len() != convolutions {
            return Err(Error::size("number of filters", weights.len(), Expected::Exactly(convolutions)));
        }
        let mut b = Builder::new(layout, shape.input, shape.output, options)?;
        let mut filters = weights.iter();
        let mut first = 0;
        for branch in &shape.branches {
            b.phase();
            let mut from = b.input();
            for (i, operation) in branch.iter().enumerate() {
                let dims = output_of(operation.shape())?;
                let last = i + 1 == branch.len();
                let to = if last { b.output().channels(first, dims.c) } else { b.tensor(dims)? };
                match operation {
                    Branch::Conv(s, activation) => {
                        if let Some(filter) = filters.next() {
                            b.conv(s, filter, *activation, from, to)?;
                        }
                    }
                    Branch::Pool(pooling, s) => b.pool(*pooling, s, from, to)?,
                }
                from = to;
            }
            first += from.count;
        }
        Ok(ConcatPlan { shape: shape.clone(), program: b.finish()? })
    }
}
