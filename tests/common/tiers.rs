//! The tiers whose kernels are in the library as it was compiled.

use lightconv::Isa;

pub const TIERS: &[Isa] = if cfg!(all(target_arch = "x86_64", feature = "avx512")) {
    &[Isa::Scalar, Isa::Portable, Isa::Avx2, Isa::Avx512]
} else if cfg!(target_arch = "x86_64") {
    &[Isa::Scalar, Isa::Portable, Isa::Avx2]
} else if cfg!(target_arch = "aarch64") {
    &[Isa::Scalar, Isa::Portable, Isa::Neon]
} else {
    &[Isa::Scalar, Isa::Portable]
};
