//! Memory for tensors: placed, filled, and refused instead of aborting.
//!
//! Where tensors lie can halve the speed of a depthwise layer: many cores take a load for one of a store before it if the
//! addresses agree in their lowest 12 bits, and make it wait. A tensor that is read starts on a page here, one that is
//! written a quarter of a page further, so that the figures are the kernel's and not the allocator's.

/// Bytes after which addresses may be mistaken for each other.
const PAGE: usize = 4096;

/// `f32`s that start at a known place of a page.
#[derive(Debug)]
pub struct Buffer {
    data: Vec<f32>,
    first: usize,
}

impl Buffer {
    /// `len` elements with the values of `fill`, to be read; an error if there is no memory for them.
    pub fn new(len: usize, fill: impl FnMut() -> f32) -> Result<Self, String> {
        Buffer::placed(0, len, fill)
    }

    /// `len` zeros, to be written.
    pub fn zeros(len: usize) -> Result<Self, String> {
        Buffer::placed(PAGE / 4, len, || 0.0)
    }

    /// Starts `offset` bytes, a multiple of a cache line, after the start of a page.
    fn placed(offset: usize, len: usize, fill: impl FnMut() -> f32) -> Result<Self, String> {
        let slack = 2 * PAGE / size_of::<f32>();
        let mut data: Vec<f32> = Vec::new();
        data.try_reserve_exact(len.saturating_add(slack)).map_err(|_| format!("no memory for {len} numbers"))?;
        let first = (data.as_ptr().align_offset(PAGE) + offset / size_of::<f32>()).min(slack);
        data.resize(first, 0.0);
        // Written here, so that every page is one of its own and not the system's page of zeros.
        data.extend(std::iter::repeat_with(fill).take(len));
        Ok(Buffer { data, first })
    }

    /// The elements.
    pub fn get(&self) -> &[f32] {
        &self.data[self.first..]
    }

    /// The elements.
    pub fn get_mut(&mut self) -> &mut [f32] {
        &mut self.data[self.first..]
    }
}

/// Uniform numbers in [-1, 1), the same on every run.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    /// The next number: splitmix64 (Steele, Lea and Flood, 2014), cut to 24 bits.
    pub fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    }
}

#[cfg(test)]
#[allow(unused)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_where_and_what_they_should_be() {
        for len in [0, 1, 17, 100_000] {
            let mut read = Buffer::new(len, || 2.0).unwrap();
            let written = Buffer::zeros(len).unwrap();
            assert_eq!((read.get().len(), written.get().len()), (len, len));
            assert_eq!(read.get().as_ptr() as usize % PAGE, 0);
            assert_eq!(written.get().as_ptr() as usize % PAGE, 1024);
            assert!(read.get_mut().iter().all(|&x| x == 2.0) && written.get().iter().all(|&x| x == 0.0));
        }
        assert!(Buffer::zeros(usize::MAX / 4).is_err());
    }

    #[test]
    fn numbers_fill_the_interval() {
        let mut r = Random::new(1);
        let all: Vec<f32> = (0..10_000).map(|_| r.next()).collect();
        assert!(all.iter().all(|x| (-1.0..1.0).contains(x)));
        assert!(all.iter().any(|&x| x < -0.99) && all.iter().any(|&x| x > 0.99));
        assert!(all.iter().sum::<f32>().abs() < 300.0);
    }
}
