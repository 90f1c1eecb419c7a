//! The assembly of a vector of outputs: operands are named as where [`super`] gives them.
//!
//! `x` is the place of the middle column in the input row, `row` the bytes to the next one, `out` that of the output; `left`, `middle`, `right`
//! and `sum` are free. Half vectors of two planes: the second one's rows are `plane` and `second` bytes after `x`, its outputs `out_plane`
//! after `out`.

/// Loads a vector of a row, so many bytes after `x`: all of it; or the columns inside the image, whose mask is in a register, or at an
/// offset in `Constants`, from where the vector's own register takes it; or half a vector each of two planes; or the same with a column more,
/// from the middle one, where none is inside the image.
#[rustfmt::skip]
macro_rules! vector {
    ($to:literal $at:expr; all) => {
        concat!("vmovups {", $to, "}, [{x}", $at, "]\n")
    };
    ($to:literal $at:expr; kept) => {
        concat!("vmaskmovps {", $to, "}, {mask}, [{x}", $at, "]\n")
    };
    ($to:literal $at:expr; at $mask:literal) => {
        concat!(
            "vmovaps {", $to, "}, [{constants} + ", $mask, "]\n",
            "vmaskmovps {", $to, "}, {", $to, "}, [{x}", $at, "]\n"
        )
    };
    ($to:literal $at:expr; two) => {
        concat!(
            "vmovups {", $to, ":x}, [{x}", $at, "]\n",
            "vinsertf128 {", $to, "}, {", $to, "}, [{x} + {plane}", $at, "], 1\n"
        )
    };
    ($to:literal $at:expr; moved) => {
        concat!("vpsrldq {", $to, "}, {middle}, 4\n")
    };
}

/// `sum` = what a row adds with the weights of a kernel row.
#[rustfmt::skip]
macro_rules! sum {
    ($w0:literal $w1:literal $w2:literal) => {
        concat!(
            "vmulps {sum}, {left}, {", $w0, "}\n",
            "vfmadd231ps {sum}, {", $w1, "}, {middle}\n",
            "vfmadd231ps {sum}, {right}, {", $w2, "}\n"
        )
    };
}

/// The bias and what a row adds to the output row that begins with it, which is carried on. `left` is lost.
#[rustfmt::skip]
macro_rules! begin {
    ($carry:tt) => {
        concat!(
            "vfmadd213ps {left}, {w0}, [{bias}]\n",
            "vfmadd231ps {left}, {w1}, {middle}\n",
            "vfmadd231ps {left}, {right}, {w2}\n",
            "vmovaps ", $carry, ", {left}\n"
        )
    };
}

/// Stores `sum`, which is complete, in one place or half of it each in two planes; a NaN stays one. With a clamp, `free` is lost.
#[rustfmt::skip]
macro_rules! end {
    (false one $free:literal) => {
        "vmovups [{out}], {sum}\n"
    };
    (false two $free:literal) => {
        "vmovups [{out}], {sum:x}\nvextractf128 [{out} + {out_plane}], {sum}, 1\n"
    };
    (true $places:ident $free:literal) => {
        concat!(
            "vmovaps {", $free, "}, [{constants} + 128]\nvmaxps {sum}, {", $free, "}, {sum}\n",
            "vmovaps {", $free, "}, [{constants} + 160]\nvminps {sum}, {", $free, "}, {sum}\n",
            end!(false $places $free)
        )
    };
}

/// The place of the next sums, if they are in memory: bytes after these.
macro_rules! next {
    ("{a}" $bytes:literal) => {
        ""
    };
    ($a:tt $bytes:literal) => {
        concat!("add {carried}, ", $bytes, "\n")
    };
}

/// A row with stride 1, which ends the sums carried in `b`; those in `a` go on.
macro_rules! stride_1 {
    ($clamp:tt $places:ident $a:tt $b:tt; [$($left:tt)*] [$($middle:tt)*] [$($right:tt)*]) => {
        concat!(
            vector!("left" " - 4"; $($left)*),
            vector!("middle" ""; $($middle)*),
            vector!("right" " + 4"; $($right)*),
            sum!("w6" "w7" "w8"),
            "vaddps {sum}, {sum}, ", $b, "\n",
            end!($clamp $places "b"),
            sum!("w3" "w4" "w5"),
            stride_1!($a $b),
            begin!($a),
            next!($a 64)
        )
    };
    ("{a}" "{b}") => {
        "vaddps {b}, {a}, {sum}\n"
    };
    ($a:tt $b:tt) => {
        concat!("vaddps {sum}, {sum}, ", $a, "\nvmovaps ", $b, ", {sum}\n")
    };
}

/// The columns of a row with stride 2, parted into even and odd ones; `row` is added to its address.
macro_rules! columns_2 {
    ($row:literal; [$($left:tt)*] [] [$($high:tt)*]) => {
        concat!(
            vector!("left" concat!($row, " - 4"); $($left)*),
            vector!("sum" $row; all),
            vector!("right" concat!($row, " + 32"); $($high)*),
            "vshufps {left}, {left}, [{x}", $row, " + 28], 0x88\n",
            columns_2!()
        )
    };
    ($row:literal; [$($left:tt)*] [$($low:tt)*] [$($high:tt)*]) => {
        concat!(
            vector!("left" concat!($row, " - 4"); $($left)*),
            vector!("sum" concat!($row, " + 28"); at "32"),
            "vshufps {left}, {left}, {sum}, 0x88\n",
            vector!("sum" $row; $($low)*),
            vector!("right" concat!($row, " + 32"); $($high)*),
            columns_2!()
        )
    };
    ($row:literal; two $second:literal [$($inside:tt)*]) => {
        concat!(
            vector!("left" concat!($row, " - 4"); all),
            "vshufps {left}, {left}, [{x} + ", $second, " - 4], 0x88\n",
            vector!("sum" $row; $($inside)*),
            vector!("right" concat!(" + ", $second); $($inside)*),
            columns_2!()
        )
    };
    () => {
        "vshufps {middle}, {sum}, {right}, 0x88
        vshufps {right}, {sum}, {right}, 0xdd\n"
    };
}

/// Two rows with stride 2, of which the second ends the sums carried in `a` and begins others.
macro_rules! stride_2 {
    ($clamp:tt two; [$($inside:tt)*]) => {
        stride_2!(
            $clamp two "{a}";
            columns_2!(""; two "{plane}" [$($inside)*]),
            columns_2!(" + {row}"; two "{second}" [$($inside)*])
        )
    };
    ($clamp:tt one $a:tt $b:tt; [$($left:tt)*] [$($low:tt)*] [$($high:tt)*]) => {
        stride_2!(
            $clamp one $a;
            columns_2!(""; [$($left)*] [$($low)*] [$($high)*]),
            columns_2!(" + {row}"; [$($left)*] [$($low)*] [$($high)*])
        )
    };
    ($clamp:tt $places:ident $a:tt; $first:expr, $second:expr) => {
        concat!(
            $first,
            sum!("w3" "w4" "w5"),
            "vaddps {b}, {sum}, ", $a, "\n",
            $second,
            sum!("w6" "w7" "w8"),
            "vaddps {sum}, {b}, {sum}\n",
            begin!($a),
            "vpermpd {sum}, {sum}, 0xd8\n",
            end!($clamp $places "left"),
            next!($a 32)
        )
    };
}
