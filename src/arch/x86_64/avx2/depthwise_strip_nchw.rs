//! Depthwise 3x3, NCHW, strips of the image itself: the micro-kernels of [`crate::kernel::depthwise_strip_nchw`].
//!
//! Nine weights, three columns, a sum, two that are carried and a mask are all sixteen registers; the bias is an operand in memory.
//! That is why it is assembly: the compiler keeps weights and masks on the stack, whose loads are instructions too, and
//! instructions are what binds. 3x3 on 7 x 7 x 1024 took 21 us from the same steps in Rust, 15.6 so; with stride 2 on 16 x 16 x 576 24 and 15.

#[macro_use]
mod code;

use super::vector::F32x8;
use crate::kernel::NO_CLAMP;
use crate::kernel::depthwise_strip_nchw::{DepthwiseStripNchw, Planes, Rows};
use crate::vector::Vector;
use core::arch::asm;
use core::arch::x86_64::*;

/// Stride 1: 8 pixels.
pub(super) static K3S1: DepthwiseStripNchw =
    DepthwiseStripNchw { lanes: LANES, stride: 1, least_columns: 5, along: 40, micro: micro::<1> };

/// Stride 2: 8 pixels.
pub(super) static K3S2: DepthwiseStripNchw =
    DepthwiseStripNchw { lanes: LANES, stride: 2, least_columns: 4, along: 20, micro: micro::<2> };

/// Pixels of a strip.
const LANES: usize = 8;

/// Which columns of a strip may be outside.
mod at {
    pub(super) const MIDDLE: u8 = 0;
    /// The one before the first.
    pub(super) const BEGIN: u8 = 1;
    /// The one after the last.
    pub(super) const END: u8 = 2;
    pub(super) const BOTH: u8 = BEGIN | END;
    /// All after the first ones, and what follows them may not be read.
    pub(super) const NARROW: u8 = 4;
    /// None; half a vector each of two planes.
    pub(super) const TWO: u8 = 8;
    pub(super) const TWO_END: u8 = TWO | END;
}

/// What strips read beside images and weights.
#[repr(C, align(32))]
struct Constants {
    /// The columns inside the image of the vectors that begin one before the first column, seven after it, and with it.
    left: [i32; LANES],
    high_left: [i32; LANES],
    first: [i32; LANES],
    /// Those of the last vector that a row's last strip reads.
    last: [i32; LANES],
    clamp: [[f32; LANES]; 2],
}

impl Constants {
    fn new<const S: usize>(t: &Planes) -> Self {
        // Of the vector `from` columns after the first window's middle one, the lanes inside the image.
        let mask = |from: isize| {
            let inside = |lane| (0..t.w as isize).contains(&(t.column as isize + from + lane as isize));
            core::array::from_fn(|lane| -i32::from(inside(lane)))
        };
        let last = (t.ow.saturating_sub(LANES) * S) as isize;
        Constants {
            left: mask(-1),
            high_left: mask(LANES as isize - 1),
            first: mask(0),
            last: mask(last + if S == 1 { 1 } else { LANES as isize }),
            clamp: [[t.clamp.0; LANES], [t.clamp.1; LANES]],
        }
    }
}

/// A row outside of the image, a column before its first one to the last of a strip with stride 2.
static ZEROS: [f32; 1 + 2 * LANES] = [0.0; 1 + 2 * LANES];

/// A plane's weights and bias, one lane to all, from `[bias][3][3]`.
///
/// # Safety
/// The CPU has AVX2; ten floats are readable.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn filter(p: *const f32) -> ([__m256; 9], __m256) {
    // SAFETY: as the caller promises.
    let splat = |n: usize| unsafe { _mm256_broadcast_ss(&*p.add(n)) };
    (core::array::from_fn(|tap| splat(1 + tap)), splat(0))
}

/// The weights and biases of two planes for half a vector of outputs each, in the order of the sums.
///
/// # Safety
/// The CPU has AVX2; twenty floats are readable.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn filter_of_two<const S: usize>(p: *const f32) -> ([__m256; 9], __m256) {
    let mut both = [_mm256_setzero_ps(); 10];
    for (n, both) in both.iter_mut().enumerate() {
        // From one broadcast each: the compiler would shuffle, on the port that multiplies.
        macro_rules! join {
            ($lanes:literal) => {
                asm!(
                    "vbroadcastss {a}, [{p}]",
                    "vbroadcastss {b}, [{p} + 40]",
                    concat!("vblendps {a}, {a}, {b}, ", $lanes),
                    p = in(reg) p.add(n),
                    a = out(ymm_reg) *both,
                    b = out(ymm_reg) _,
                    options(pure, readonly, nostack, preserves_flags)
                )
            };
        }
        // SAFETY: as the caller promises.
        unsafe { if S == 1 { join!("0xf0") } else { join!("0xcc") } }
    }
    (core::array::from_fn(|tap| both[1 + tap]), both[0])
}

/// The micro-kernel for stride `S`, 1 or 2.
///
/// # Safety
/// The CPU has AVX2 and FMA. Rows of the image are readable, outputs writable. A row has as many columns as [`DepthwiseStripNchw`]
/// accepts.
#[target_feature(enable = "avx2,fma")]
unsafe fn micro<const S: usize>(t: &Planes) {
    // SAFETY: as the caller promises.
    unsafe { if t.clamp == NO_CLAMP { planes::<S, false>(t) } else { planes::<S, true>(t) } }
}

/// # Safety
/// As [`micro`].
#[target_feature(enable = "avx2,fma")]
unsafe fn planes<const S: usize, const CLAMP: bool>(t: &Planes) {
    let constants = Constants::new::<S>(t);
    let all = t.rows_of(S, t.rows);
    // With stride 2 and an even number of columns, no window reaches beyond.
    let beyond = S == 1 || t.beyond;
    let strip = |plane: usize| Strip {
        t,
        constants: &constants,
        weights: t.weights.wrapping_add(plane * 10),
        x: t.input.wrapping_add(plane * t.in_plane),
        out: t.out.wrapping_add(plane * t.out_plane),
    };
    // SAFETY: as the caller promises; all strips are inside the rows.
    unsafe {
        let Some(last) = t.ow.checked_sub(LANES) else {
            // What follows a row belongs to outputs beyond its end, but for the last window's column in a first vector.
            let readable = |plane: usize| t.followed(plane) && (S == 1 || t.w >= t.column + LANES);
            let alike = |&plane: &usize| readable(plane) && t.whole(plane, LANES) == t.rows;
            let count = (0..t.planes).rev().find(alike).map_or(0, |plane| plane + 1);
            if beyond {
                strip(0).one_by_one::<S, CLAMP, { at::BOTH }>(&all, count);
            } else {
                strip(0).one_by_one::<S, CLAMP, { at::BEGIN }>(&all, count);
            }
            for plane in count..t.planes {
                strip(plane).one_by_one::<S, CLAMP, { at::NARROW }>(&t.rows_of(S, t.whole(plane, LANES)), 1);
            }
            return;
        };
        match (last, beyond) {
            (0, true) => return strip(0).one_by_one::<S, CLAMP, { at::BOTH }>(&all, t.planes),
            (0, false) => return strip(0).one_by_one::<S, CLAMP, { at::BEGIN }>(&all, t.planes),
            _ => {}
        }
        if !t.carried.is_null() {
            for strip in (0..t.planes).map(strip) {
                strip.along::<S, CLAMP>(&all);
            }
            return;
        }
        // What is left of a row behind whole vectors is taken of two planes at once, if it is half a vector at most. Its last column is not
        // masked but shifted in with stride 1, so that it counts whether there is one.
        let by_two = if (1..=LANES / 2).contains(&(t.ow % LANES)) { t.planes / 2 * 2 } else { 0 };
        if t.beyond {
            strip(0).two_by_two::<S, CLAMP, { at::TWO_END }>(&all, by_two);
        } else {
            strip(0).two_by_two::<S, CLAMP, { at::TWO }>(&all, by_two);
        }
        if beyond {
            strip(by_two).side_by_side::<S, CLAMP, true>(&all, t.planes - by_two);
        } else {
            strip(by_two).side_by_side::<S, CLAMP, false>(&all, t.planes - by_two);
        }
    }
}

/// Input vectors that outputs end with, one after another, down a strip or along a row: the first one's place and the bytes to the next;
/// with stride 2 the bytes to its second row; the same of outputs, and how many there are. Of two planes, the bytes to the second one's
/// rows and outputs.
struct Steps {
    x: *const f32,
    step: usize,
    row: usize,
    plane: usize,
    second: usize,
    out: *mut f32,
    out_step: usize,
    out_plane: usize,
    outputs: usize,
}

impl Steps {
    /// With outputs that are not wanted.
    fn aside(self, out: &mut [f32; LANES]) -> Self {
        Steps { out: out.as_mut_ptr(), out_step: 0, out_plane: LANES / 2 * size_of::<f32>(), ..self }
    }
}

/// Assembly for rows, after its code the operands that are not the same down a strip and along a row. A macro, since no function
/// with a target feature is inlined for sure, and weights are to stay in registers from one to the next.
macro_rules! rows {
    ($strip:ident $filter:ident $bias:ident $a:ident $b:ident; [$($code:expr),*] $($operands:tt)*) => {
        asm!(
            "// {constants} {a} {b}",
            $($code,)*
            $($operands)*
            constants = in(reg) $strip.constants,
            bias = in(reg) &$bias,
            w0 = in(ymm_reg) $filter[0], w1 = in(ymm_reg) $filter[1], w2 = in(ymm_reg) $filter[2],
            w3 = in(ymm_reg) $filter[3], w4 = in(ymm_reg) $filter[4], w5 = in(ymm_reg) $filter[5],
            w6 = in(ymm_reg) $filter[6], w7 = in(ymm_reg) $filter[7], w8 = in(ymm_reg) $filter[8],
            a = inout(ymm_reg) $a, b = inout(ymm_reg) $b,
            left = out(ymm_reg) _, middle = out(ymm_reg) _, right = out(ymm_reg) _, sum = out(ymm_reg) _,
            options(nostack)
        )
    };
}

/// Assembly for the rows of a strip, after its code the operands that not every strip has.
macro_rules! rows_down {
    ($strip:ident $filter:ident $bias:ident $a:ident $b:ident; $steps:ident $mask:ident; [$code:expr] $($operands:tt)*) => {
        rows!($strip $filter $bias $a $b; [
            "2: // {row} {mask}", $code, "add {x}, {step}", "add {out}, {out_step}", "dec {outputs}", "jnz 2b"
        ]
            $($operands)*
            x = inout(reg) $steps.x => _,
            step = in(reg) $steps.step,
            row = in(reg) $steps.row,
            out = inout(reg) $steps.out => _,
            out_step = in(reg) $steps.out_step,
            outputs = inout(reg) $steps.outputs => _,
            mask = in(ymm_reg) $mask,
        )
    };
}

/// Adds the rows that outputs of a strip end with, and writes what is complete.
macro_rules! add_down {
    ($at:expr; $strip:ident $filter:ident $bias:ident $a:ident $b:ident; $steps:expr) => {{
        let steps = $steps;
        let Constants { left, last, .. } = $strip.constants;
        let mask = _mm256_load_ps(if $at & at::BOTH == at::END { last } else { left }.as_ptr().cast());
        macro_rules! code {
            ($code:expr) => {
                rows_down!($strip $filter $bias $a $b; steps mask; [$code])
            };
        }
        macro_rules! two {
            ($code:expr) => {
                rows_down!(
                    $strip $filter $bias $a $b; steps mask; [concat!("// {second}\n", $code)]
                    plane = in(reg) steps.plane,
                    second = in(reg) steps.second,
                    out_plane = in(reg) steps.out_plane,
                )
            };
        }
        macro_rules! kind {
            ($stride:ident $middle:tt $clamp:tt; $two:expr, $two_end:expr) => {
                match $at {
                    at::MIDDLE => code!($stride!($clamp one "{a}" "{b}"; [all] $middle [all])),
                    at::BEGIN => code!($stride!($clamp one "{a}" "{b}"; [kept] $middle [all])),
                    at::END => code!($stride!($clamp one "{a}" "{b}"; [all] $middle [kept])),
                    at::BOTH => code!($stride!($clamp one "{a}" "{b}"; [kept] $middle [at "96"])),
                    at::TWO => two!($two),
                    at::TWO_END => two!($two_end),
                    _ => code!($stride!($clamp one "{a}" "{b}"; [at "0"] [at "64"] [at "96"])),
                }
            };
            (1 $clamp:tt) => {
                kind!(
                    stride_1 [all] $clamp;
                    stride_1!($clamp two "{a}" "{b}"; [two] [two] [two]),
                    stride_1!($clamp two "{a}" "{b}"; [two] [two] [moved])
                )
            };
            (2 $clamp:tt) => {
                kind!(stride_2 [] $clamp; stride_2!($clamp two; [all]), stride_2!($clamp two; [kept]))
            };
        }
        match (S, CLAMP) {
            (1, false) => kind!(1 false),
            (1, true) => kind!(1 true),
            (_, false) => kind!(2 false),
            (_, true) => kind!(2 true),
        }
    }};
}

/// Computes all rows of a strip, from the first to the last.
macro_rules! down {
    ($at:expr; $strip:ident $filter:ident $bias:ident; $rows:expr) => {{
        let (t, rows): (&Planes, &Rows) = ($strip.t, $rows);
        // Of outputs that are not wanted, or not whole.
        let mut aside = [0.0; LANES];
        let zeros = ZEROS.as_ptr().wrapping_add(1);
        // The sums carried: with stride 1 of the output row that ends with the next input row, `b`, and of the one after it.
        let (mut a, mut b) = ($bias, $bias);
        if let Some(from) = rows.begin_x {
            let steps = $strip.steps::<S>($strip.x.wrapping_add(from), core::ptr::null_mut(), rows.begin as usize);
            add_down!($at; $strip $filter $bias a b; steps.aside(&mut aside));
        } else {
            for y in -rows.begin..0 {
                let steps = $strip.one::<S>(y, zeros, core::ptr::null_mut());
                add_down!($at; $strip $filter $bias a b; steps.aside(&mut aside));
            }
        }
        let mut y = 0;
        while y < t.rows {
            let out = $strip.out.wrapping_add(y * t.out_row);
            if y == rows.first && rows.inside > 0 {
                let steps = $strip.steps::<S>($strip.x.wrapping_add(rows.inside_x), out, rows.inside);
                add_down!($at; $strip $filter $bias a b; steps);
                y += rows.inside;
            } else if S == 1 && y < rows.whole && t.end(y as isize, S) >= t.h as isize {
                let sums = $strip.clamp::<CLAMP>(b);
                if $at & at::TWO == 0 {
                    _mm256_storeu_ps(out, sums);
                } else {
                    _mm256_storeu2_m128(out.wrapping_add(t.out_plane), out, sums);
                }
                (a, b) = ($bias, a);
                y += 1;
            } else {
                let whole = y < rows.whole;
                let steps = $strip.one::<S>(y as isize, zeros, out);
                let steps = if whole { steps } else { steps.aside(&mut aside) };
                add_down!($at; $strip $filter $bias a b; steps);
                if !whole {
                    F32x8::load(aside.as_ptr()).store_first(out, t.ow);
                }
                y += 1;
            }
        }
    }};
}

/// Adds the rows that an output row ends with to the sums in memory, and writes what is complete: the first strip, those between, and the
/// last, which begins `$back` pixels before the end of those.
macro_rules! add_along {
    ($strip:ident $filter:ident $bias:ident $a:ident $b:ident; $steps:expr, $carried:expr, $back:expr) => {{
        let steps = $steps;
        let back = $back * size_of::<f32>();
        macro_rules! code {
            ($step:tt $begin:expr, $between:expr, $end:expr) => {
                rows!($strip $filter $bias $a $b; [
                    "// {row}", $begin, concat!("add {x}, ", $step), "add {out}, 32", "test {outputs}, {outputs}", "jz 3f",
                    "2:", $between, concat!("add {x}, ", $step), "add {out}, 32", "dec {outputs}", "jnz 2b",
                    "3:", "sub {x}, {back_x}", "sub {out}, {back}", $end
                ]
                    x = inout(reg) steps.x => _,
                    row = in(reg) steps.row,
                    back_x = in(reg) S * back,
                    out = inout(reg) steps.out => _,
                    back = in(reg) back,
                    outputs = inout(reg) steps.outputs => _,
                    carried = inout(reg) $carried => _,
                )
            };
        }
        macro_rules! kind {
            ($stride:ident $middle:tt $step:tt $clamp:tt $carry_a:tt $carry_b:tt) => {
                code!(
                    $step $stride!($clamp one $carry_a $carry_b; [at "0"] $middle [all]),
                    $stride!($clamp one $carry_a $carry_b; [all] $middle [all]),
                    $stride!($clamp one $carry_a $carry_b; [all] $middle [at "96"])
                )
            };
        }
        match (S, CLAMP) {
            (1, false) => kind!(stride_1 [all] "32" false "[{carried} + 32]" "[{carried}]"),
            (1, true) => kind!(stride_1 [all] "32" true "[{carried} + 32]" "[{carried}]"),
            (_, false) => kind!(stride_2 [] "64" false "[{carried}]" "{b}"),
            (_, true) => kind!(stride_2 [] "64" true "[{carried}]" "{b}"),
        }
    }};
}

/// A strip of a plane, or what begins with its first one.
#[derive(Clone, Copy)]
struct Strip<'a> {
    t: &'a Planes,
    constants: &'a Constants,
    /// `[bias][3][3]`
    weights: *const f32,
    /// The middle column of its first window, in the first row of the image.
    x: *const f32,
    /// Its first output.
    out: *mut f32,
}

impl Strip<'_> {
    /// The strip from column `x` of the outputs on.
    fn from(&self, x: usize, stride: usize) -> Self {
        Strip { x: self.x.wrapping_add(x * stride), out: self.out.wrapping_add(x), ..*self }
    }

    /// Output rows that follow each other, whose last rows are inside the image, the first of them at `x`.
    fn steps<const S: usize>(&self, x: *const f32, out: *mut f32, outputs: usize) -> Steps {
        let [row, plane, out_step, out_plane] =
            [self.t.in_row, self.t.in_plane, self.t.out_row, self.t.out_plane].map(|floats| floats * size_of::<f32>());
        Steps { x, step: S * row, row, plane, second: row.wrapping_add(plane), out, out_step, out_plane, outputs }
    }

    /// Output row `y` alone, zeros in place of rows outside the image.
    fn one<const S: usize>(&self, y: isize, zeros: *const f32, out: *mut f32) -> Steps {
        // A row, and the bytes to that of the next plane.
        let row = |y: isize| match self.t.row(self.x, y) {
            Some(x) => (x, self.t.in_plane * size_of::<f32>()),
            None => (zeros, 0),
        };
        let end = self.t.end(y, S);
        let ((x, plane), (second, second_plane)) = (row(end), row(end + S as isize - 1));
        let row = (second as usize).wrapping_sub(x as usize);
        let second = row.wrapping_add(second_plane);
        Steps { step: 0, row, plane, second, out_step: 0, ..self.steps::<S>(x, out, 1) }
    }

    /// The same strip of the next plane.
    fn next(&self) -> Self {
        let t = self.t;
        let (x, out) = (self.x.wrapping_add(t.in_plane), self.out.wrapping_add(t.out_plane));
        Strip { weights: self.weights.wrapping_add(10), x, out, ..*self }
    }

    /// Planes whose rows are one strip.
    ///
    /// # Safety
    /// As [`micro`].
    #[target_feature(enable = "avx2,fma")]
    unsafe fn one_by_one<const S: usize, const CLAMP: bool, const AT: u8>(self, rows: &Rows, planes: usize) {
        let mut strip = self;
        for _ in 0..planes {
            // SAFETY: as the caller promises; columns outside the image are masked.
            unsafe {
                let (filter, bias) = filter(strip.weights);
                down!(AT; strip filter bias; rows);
            }
            strip = strip.next();
        }
    }

    /// Planes of several strips, one after the other. `BEYOND`: the last window reaches a column beyond the image.
    ///
    /// # Safety
    /// As [`micro`]; a row has more outputs than a vector.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn side_by_side<const S: usize, const CLAMP: bool, const BEYOND: bool>(self, rows: &Rows, planes: usize) {
        let last = self.t.ow - LANES;
        let mut first = self;
        for _ in 0..planes {
            // SAFETY: as the caller promises; columns outside the image are masked.
            unsafe {
                let (filter, bias) = filter(first.weights);
                down!(at::BEGIN; first filter bias; rows);
                let mut x = LANES;
                while x < last || !BEYOND && x < last + LANES {
                    let strip = first.from(x.min(last), S);
                    down!(at::MIDDLE; strip filter bias; rows);
                    x += LANES;
                }
                if BEYOND {
                    let strip = first.from(last, S);
                    down!(at::END; strip filter bias; rows);
                }
            }
            first = first.next();
        }
    }

    /// As [`Strip::side_by_side`], the last strips of two planes at once: half a vector each.
    ///
    /// # Safety
    /// As [`micro`]; a row has more outputs than a vector, behind whole ones half of one at most. The number of planes is even.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn two_by_two<const S: usize, const CLAMP: bool, const LAST: u8>(self, rows: &Rows, planes: usize) {
        let ow = self.t.ow;
        let mut first = self;
        for _ in 0..planes / 2 {
            // SAFETY: as the caller promises; columns outside the image are masked.
            unsafe {
                for plane in [first, first.next()] {
                    let (filter, bias) = filter(plane.weights);
                    down!(at::BEGIN; plane filter bias; rows);
                    for x in (LANES..=ow - LANES).step_by(LANES) {
                        let strip = plane.from(x, S);
                        down!(at::MIDDLE; strip filter bias; rows);
                    }
                }
                let (filter, bias) = filter_of_two::<S>(first.weights);
                let strip = first.from(ow - LANES / 2, S);
                down!(LAST; strip filter bias; rows);
            }
            first = first.next().next();
        }
    }

    /// All rows of the plane, one after the other from left to right.
    ///
    /// # Safety
    /// As [`micro`]; a row has more outputs than a vector, and there is place for the carried sums of a row and for a row of zeros.
    #[target_feature(enable = "avx2,fma")]
    unsafe fn along<const S: usize, const CLAMP: bool>(self, rows: &Rows) {
        let (strip, t) = (self, self.t);
        let last = t.ow - LANES;
        let between = (last - 1) / LANES;
        let back = (between + 1) * LANES - last;
        // SAFETY: as the caller promises; columns outside the image are masked.
        unsafe {
            let (filter, bias) = filter(strip.weights);
            let (mut a, mut b) = (bias, bias);
            for n in 0..(between + 2) * (3 - S) {
                _mm256_store_ps(t.carried.add(n * LANES), bias);
            }
            for y in -rows.begin..t.rows as isize {
                // What comes before the first output row is written there, and overwritten.
                let out = strip.out.wrapping_add(y.max(0) as usize * t.out_row);
                let steps = Steps { outputs: between, ..strip.one::<S>(y, t.zeros, out) };
                add_along!(strip filter bias a b; steps, t.carried, back);
            }
        }
    }

    /// # Safety
    /// The CPU has AVX2.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn clamp<const CLAMP: bool>(&self, x: __m256) -> __m256 {
        let [lo, hi] = &self.constants.clamp;
        // SAFETY: as the caller promises.
        unsafe {
            if CLAMP {
                _mm256_min_ps(_mm256_load_ps(hi.as_ptr()), _mm256_max_ps(_mm256_load_ps(lo.as_ptr()), x))
            } else {
                x
            }
        }
    }
}
