//! A number that counts the arithmetic done with it.

use core::cell::Cell;
use core::cmp::Ordering;
use core::ops::{Add, Div, Mul};
use num_traits::{FromPrimitive, Zero};

/// Operations seen by the [`Counted`] numbers that share a counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Multiplies, and divisions: the one division per element of an average is a multiply with a constant.
    pub multiplies: u64,
    /// Adds.
    pub adds: u64,
}

/// A number that computes as `V` does and counts its multiplies and adds, for exact counts of any code that is generic
/// over the number type.
///
/// An operation is counted when at least one operand carries a counter; the result carries it on. Constants, such as
/// the zero that padded taps read, carry none. So one pass through [`conv2d`](super::conv2d) can count two things:
/// with the counter on the *weights*, every tap is counted; with the counter on the *input*, only the taps that fall
/// into the image multiply a number with a counter. Comparisons are not counted.
///
/// ```
/// use core::cell::Cell;
/// use lightconv::reference::{Counted, Counts};
/// let counter = Cell::new(Counts::default());
/// let a = Counted::new(3, &counter);
/// let b = a * a + Counted::constant(1);
/// assert_eq!((b.value(), counter.get()), (10, Counts { multiplies: 1, adds: 1 }));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Counted<'c, V> {
    value: V,
    counter: Option<&'c Cell<Counts>>,
}

impl<'c, V> Counted<'c, V> {
    /// A number whose operations are counted in `counter`.
    pub const fn new(value: V, counter: &'c Cell<Counts>) -> Self {
        Counted { value, counter: Some(counter) }
    }

    /// A number that carries no counter.
    pub const fn constant(value: V) -> Self {
        Counted { value, counter: None }
    }

    /// The number itself.
    pub fn value(self) -> V {
        self.value
    }

    fn count(a: &Self, b: &Self, multiplies: u64, adds: u64) -> Option<&'c Cell<Counts>> {
        let counter = a.counter.or(b.counter)?;
        let counts = counter.get();
        counter.set(Counts { multiplies: counts.multiplies + multiplies, adds: counts.adds + adds });
        Some(counter)
    }
}

impl<V: Add<Output = V>> Add for Counted<'_, V> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let counter = Self::count(&self, &other, 0, 1);
        Counted { value: self.value + other.value, counter }
    }
}

impl<V: Mul<Output = V>> Mul for Counted<'_, V> {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let counter = Self::count(&self, &other, 1, 0);
        Counted { value: self.value * other.value, counter }
    }
}

impl<V: Div<Output = V>> Div for Counted<'_, V> {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        let counter = Self::count(&self, &other, 1, 0);
        Counted { value: self.value / other.value, counter }
    }
}

impl<V: Zero> Zero for Counted<'_, V> {
    fn zero() -> Self {
        Counted::constant(V::zero())
    }

    fn is_zero(&self) -> bool {
        self.value.is_zero()
    }
}

impl<V: FromPrimitive> FromPrimitive for Counted<'_, V> {
    fn from_i64(n: i64) -> Option<Self> {
        V::from_i64(n).map(Counted::constant)
    }

    fn from_u64(n: u64) -> Option<Self> {
        V::from_u64(n).map(Counted::constant)
    }

    fn from_f64(n: f64) -> Option<Self> {
        V::from_f64(n).map(Counted::constant)
    }
}

impl<V: PartialEq> PartialEq for Counted<'_, V> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<V: PartialOrd> PartialOrd for Counted<'_, V> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.value.partial_cmp(&other.value)
    }
}
