//! Packed weights: one aligned block per plan, read front to back by the kernels.

use alloc::vec::Vec;
#[cfg(target_arch = "x86_64")]
use core::ops::Range;

/// A cache line, so that packed panels and vectors never straddle two without need.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
struct Line([f32; LINE]);

/// Floats of a cache line.
const LINE: usize = 16;

/// A block of `f32` that starts on a cache line.
pub(crate) struct Aligned {
    lines: Vec<Line>,
    len: usize,
}

impl Aligned {
    /// Zeros.
    pub(crate) fn new(len: usize) -> Self {
        Aligned { lines: alloc::vec![Line([0.0; LINE]); len.div_ceil(LINE)], len }
    }

    /// Number of floats.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// First element.
    pub(crate) fn as_ptr(&self) -> *const f32 {
        self.lines.as_ptr().cast()
    }

    /// For writing elements front to back.
    pub(crate) fn writer(&mut self) -> Writer<'_> {
        Writer(self.as_mut_slice().iter_mut())
    }

    /// All elements.
    #[cfg(target_arch = "x86_64")]
    fn as_slice(&self) -> &[f32] {
        // SAFETY: as below.
        unsafe { core::slice::from_raw_parts(self.as_ptr(), self.len) }
    }

    /// All elements, for writing.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: `Line` is sixteen floats without padding, and the vector holds at least `len` of them.
        unsafe { core::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

/// Packed weights one after another in one block, each on a cache line of its own, as far from each other as the longest of all but
/// the last is long. The first line holds that distance in lines, as the bits of a float.
#[cfg(target_arch = "x86_64")]
pub(crate) fn join(parts: &[Aligned]) -> Aligned {
    let longest = parts.iter().rev().skip(1).map(Aligned::len).max().unwrap_or(0).next_multiple_of(LINE);
    let last = parts.last().map_or(0, Aligned::len);
    let mut all = Aligned::new(LINE + longest * parts.len().saturating_sub(1) + last);
    let elements = all.as_mut_slice();
    elements[0] = f32::from_bits((longest / LINE) as u32);
    for (i, part) in parts.iter().enumerate() {
        elements[LINE + i * longest..][..part.len()].copy_from_slice(part.as_slice());
    }
    all
}

/// Where part `i` of [`join`]ed weights begins.
///
/// # Safety
/// `joined` is the first element of a block that [`join`] made of more than `i` parts.
#[cfg(target_arch = "x86_64")]
pub(crate) unsafe fn part(joined: *const f32, i: usize) -> *const f32 {
    // SAFETY: the first element is there, and so is the part.
    unsafe { joined.add(LINE * (1 + i * (*joined).to_bits() as usize)) }
}

/// Writes elements one after the other; what lies beyond the end is dropped.
pub(crate) struct Writer<'a>(core::slice::IterMut<'a, f32>);

impl Writer<'_> {
    pub(crate) fn put(&mut self, value: f32) {
        if let Some(element) = self.0.next() {
            *element = value;
        }
    }
}

/// Weights in OIHW, as the caller gave them, with the bias.
pub(crate) struct Source<'a> {
    pub weights: &'a [f32],
    pub bias: Option<&'a [f32]>,
    /// Input channels per group.
    pub cg_in: usize,
    pub kh: usize,
    pub kw: usize,
}

impl Source<'_> {
    /// Weight of output channel `o`, input channel `i` of its group, at row `ky` and column `kx`.
    pub(crate) fn weight(&self, o: usize, i: usize, ky: usize, kx: usize) -> f32 {
        self.weights[((o * self.cg_in + i) * self.kh + ky) * self.kw + kx]
    }

    /// Those of some output channels.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn of_outputs(&self, channels: Range<usize>) -> Source<'_> {
        let k = self.cg_in * self.kh * self.kw;
        Source {
            weights: &self.weights[channels.start * k..channels.end * k],
            bias: self.bias.map(|bias| &bias[channels]),
            ..*self
        }
    }

    /// Depthwise filters of some channels: the bias, then all taps, whose row and column `tap` tells from their number.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn depthwise(&self, channels: usize, tap: impl Fn(usize) -> (usize, usize)) -> Aligned {
        let taps = self.kh * self.kw;
        let mut packed = Aligned::new(channels * (taps + 1));
        let mut out = packed.writer();
        for c in 0..channels {
            out.put(self.bias(c));
            for (ky, kx) in (0..taps).map(&tap) {
                out.put(self.weight(c, 0, ky, kx));
            }
        }
        packed
    }

    /// Bias of output channel `o`. Never `-0.0`: kernels may leave out taps in the padding, and adding their zeros to a
    /// negative zero would change its sign.
    pub(crate) fn bias(&self, o: usize) -> f32 {
        self.bias.map_or(0.0, |b| b[o] + 0.0)
    }
}
