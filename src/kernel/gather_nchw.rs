//! Gathering for [`super::igemm_nchw`] and its like: the inputs under some outputs, channels before rows, into rows of whole vectors.

use crate::vector::Vector;

/// A run of a tile's pixels that one tap reads from one input row.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    /// First pixel of the tile.
    pub to: usize,
    /// Element of the channel.
    pub from: usize,
    pub len: usize,
}

/// Gathers one tap of a tile, for some channels.
pub(crate) struct Gather {
    pub runs: *const Run,
    pub count: usize,
    /// Distance in the input between neighbouring pixels of a run.
    pub stride: usize,
    pub from: *const f32,
    /// Elements from a channel's first to its last, and from one channel to the next.
    #[cfg_attr(not(target_arch = "aarch64"), allow(dead_code))]
    pub plane: usize,
    pub channel: usize,
    pub channels: usize,
    pub to: *mut f32,
    /// Floats of a row of `to`, whole vectors.
    pub width: usize,
    /// Whether the runs leave pixels out.
    pub padded: bool,
}

/// A gathering function.
pub(crate) type GatherFn = unsafe fn(&Gather);

/// Copies the runs of each channel into rows of `width` floats, with zeros for pixels that no run covers.
///
/// # Safety
/// The CPU has the tier of `V`. Runs stay inside the channel and, in order and without overlap, inside a row of `to`,
/// which has `channels * width` floats; or, if none are padded, rows of `width` floats from where each run begins.
#[inline(always)]
pub(crate) unsafe fn gather<V: Vector>(g: &Gather) {
    // SAFETY: as the caller promises. A vector stored beyond a run's end stays inside its row, or the store is partial;
    // what it spoils is written by a later run, or is zero again at the end.
    unsafe {
        for c in 0..g.channels {
            let (from, to) = (g.from.wrapping_add(c * g.channel), g.to.add(c * g.width));
            if g.padded {
                for i in (0..g.width).step_by(V::LANES) {
                    V::zero().store(to.add(i));
                }
            }
            for r in 0..g.count {
                let run = *g.runs.add(r);
                let mut i = 0;
                while i < run.len {
                    let n = (run.len - i).min(V::LANES);
                    let p = from.wrapping_add(run.from + i * g.stride);
                    let x = match g.stride {
                        1 if n == V::LANES => V::load(p),
                        1 => V::load_range(p, 0, n),
                        2 => {
                            // Up to the last element that is needed, not to the one after it.
                            let span = 2 * n - 1;
                            let low = V::load_range(p, 0, span.min(V::LANES));
                            let high = V::load_range(p.wrapping_add(V::LANES), 0, span.saturating_sub(V::LANES));
                            low.deinterleave(high).0
                        }
                        _ => {
                            for e in 0..n {
                                *to.add(run.to + i + e) = *p.wrapping_add(e * g.stride);
                            }
                            i += n;
                            continue;
                        }
                    };
                    if n == V::LANES {
                        x.store(to.add(run.to + i));
                    } else {
                        x.store_first(to.add(run.to + i), n);
                    }
                    i += n;
                }
            }
        }
    }
}
