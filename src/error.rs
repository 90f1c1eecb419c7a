//! The one error of the crate: which argument, what value, what was expected.

use core::fmt;

/// A value found in an argument, as an [`Error`] reports it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A length, a dimension, a stride.
    Size(usize),
    /// A bound of an activation.
    Float(f32),
    /// A name: an ISA, a layout, a network.
    Name(&'static str),
}

/// What an argument should have been, as an [`Error`] reports it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Expected {
    /// Exactly this.
    Exactly(usize),
    /// This or more.
    AtLeast(usize),
    /// This or less.
    AtMost(usize),
    /// A multiple of this.
    MultipleOf(usize),
    /// In words.
    Text(&'static str),
}

/// What was wrong with a call. Every constructor and every `run` reports bad input with it, before any work is done;
/// it holds no allocation.
///
/// ```
/// use lightconv::{Conv2dShape, Error};
/// let e: Error = Conv2dShape::new(1, 8, 8, 0, 16, [3, 3]).check().unwrap_err();
/// assert_eq!(e.to_string(), "c_in is 0, expected at least 1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// An argument has a value that makes no sense.
    Argument {
        /// Name of the argument.
        argument: &'static str,
        /// The value found.
        value: Value,
        /// What would have been right.
        expected: Expected,
    },
    /// A product or a sum of dimensions does not fit `isize::MAX` bytes.
    Overflow {
        /// The quantity that overflows.
        argument: &'static str,
        /// One of the factors.
        value: usize,
    },
    /// The instruction set was asked for and cannot be had here.
    Isa {
        /// The tier asked for.
        isa: &'static str,
        /// Why not.
        expected: &'static str,
    },
    /// A combination that no kernel computes.
    Unsupported {
        /// The argument that no kernel takes.
        argument: &'static str,
        /// Its value.
        value: Value,
        /// What the kernels take.
        expected: &'static str,
    },
}

impl Error {
    pub(crate) const fn size(argument: &'static str, value: usize, expected: Expected) -> Self {
        Error::Argument { argument, value: Value::Size(value), expected }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Size(v) => write!(f, "{v}"),
            Value::Float(v) => write!(f, "{v}"),
            Value::Name(v) => write!(f, "`{v}`"),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Exactly(v) => write!(f, "{v}"),
            Expected::AtLeast(v) => write!(f, "at least {v}"),
            Expected::AtMost(v) => write!(f, "at most {v}"),
            Expected::MultipleOf(v) => write!(f, "a multiple of {v}"),
            Expected::Text(v) => f.write_str(v),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Argument { argument, value, expected } => write!(f, "{argument} is {value}, expected {expected}"),
            Error::Overflow { argument, value } => {
                write!(f, "{argument} overflows with {value}, expected at most isize::MAX bytes in all")
            }
            Error::Isa { isa, expected } => write!(f, "isa is `{isa}`, expected {expected}"),
            Error::Unsupported { argument, value, expected } => {
                write!(f, "{argument} is {value}, which no kernel supports, expected {expected}")
            }
        }
    }
}

impl core::error::Error for Error {}
