//! Instruction-set tiers: which there are, which this machine has, and the cap.
//!
//! A tier can be had if the CPU has it and the cap allows it. The cap is the environment variable `LIGHTCONV_ISA`, read
//! once per plan at creation, and the caller's own choice in the plan's options. Asking by name for a tier that is not
//! there is an error, never a silent step down.

use crate::error::Error;

/// An instruction-set tier, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Isa {
    /// Plain Rust, one lane.
    Scalar,
    /// Four lanes by the `wide` crate: SSE2, NEON, wasm simd128, or whatever the target's baseline gives.
    Portable,
    /// x86-64 with AVX2 and FMA: eight lanes, 16 registers.
    Avx2,
    /// x86-64 with AVX-512F and AVX-512VL: sixteen lanes, 32 registers.
    Avx512,
    /// AArch64 NEON: four lanes, 32 registers.
    Neon,
}

/// The kind of cores that kernels are chosen for, where a tier has kernels for one kind: so far NEON, in NHWC. Elsewhere it
/// changes nothing. It is never detected: a phone has cores of both kinds, a thread may move between them, and a plan made on
/// one has to be the plan made on the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tuning {
    /// Big cores, which reorder instructions and are bound by how many there are. The default: phones run what is urgent on
    /// these, and the kernels for them lose less on a little core in time than the others lose on a big one in energy.
    #[default]
    OutOfOrder,
    /// Little cores such as the Cortex-A53 and A55, which wait for every load that was not begun early. Kernels for them take
    /// half as many instructions again, in an order in which no multiply-add waits.
    InOrder,
}

impl Tuning {
    /// Both kinds.
    pub const ALL: [Tuning; 2] = [Tuning::OutOfOrder, Tuning::InOrder];

    /// The name in reports and on command lines.
    pub const fn name(self) -> &'static str {
        match self {
            Tuning::OutOfOrder => "out-of-order",
            Tuning::InOrder => "in-order",
        }
    }
}

impl Isa {
    /// All tiers, of every architecture.
    pub const ALL: [Isa; 5] = [Isa::Scalar, Isa::Portable, Isa::Avx2, Isa::Avx512, Isa::Neon];

    /// The name used in kernel names, in `LIGHTCONV_ISA` and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Isa::Scalar => "scalar",
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
            Isa::Neon => "neon",
        }
    }

    /// The tier of this name.
    ///
    /// # Errors
    /// An unknown name; the error lists the known ones.
    pub fn from_name(name: &str) -> Result<Isa, Error> {
        Isa::ALL
            .into_iter()
            .find(|i| i.name() == name)
            .ok_or(Error::Isa { isa: "unknown", expected: "one of scalar, portable, avx2, avx512, neon" })
    }

    /// Whether this machine can run the tier, whatever the cap says.
    ///
    /// Without the `std` feature there is no run-time detection: a tier is available if the crate was compiled for it.
    pub fn is_available(self) -> bool {
        match self {
            Isa::Scalar | Isa::Portable => true,
            Isa::Avx2 => has_avx2(),
            Isa::Avx512 => has_avx512(),
            Isa::Neon => has_neon(),
        }
    }

    /// The tiers that this machine can run, the least first.
    pub fn available() -> impl Iterator<Item = Isa> {
        Isa::ALL.into_iter().filter(|i| i.is_available())
    }

    /// The best tier that this machine can run under the cap of `LIGHTCONV_ISA`.
    ///
    /// # Errors
    /// `LIGHTCONV_ISA` names a tier that is unknown or that the machine lacks.
    pub fn best() -> Result<Isa, Error> {
        match Self::environment_cap()? {
            Some(cap) => cap.require(),
            None => Ok(Isa::available().last().unwrap_or(Isa::Scalar)),
        }
    }

    /// This tier if the machine has it.
    ///
    /// # Errors
    /// The machine lacks it.
    pub fn require(self) -> Result<Isa, Error> {
        if self.is_available() {
            Ok(self)
        } else {
            Err(Error::Isa { isa: self.name(), expected: "a tier that this machine has" })
        }
    }

    /// Tiers whose kernels may be chosen where this one is the cap: itself and those below it of the same machine.
    pub(crate) fn allows(self, other: Isa) -> bool {
        other == self || (other < self && other.is_available())
    }

    #[cfg(feature = "std")]
    fn environment_cap() -> Result<Option<Isa>, Error> {
        match std::env::var("LIGHTCONV_ISA") {
            Ok(v) if !v.is_empty() => Isa::from_name(&v).map(Some),
            Ok(_) | Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(Error::Isa { isa: "unknown", expected: "LIGHTCONV_ISA in plain letters" })
            }
        }
    }

    #[cfg(not(feature = "std"))]
    fn environment_cap() -> Result<Option<Isa>, Error> {
        Ok(None)
    }
}

impl core::fmt::Display for Isa {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(all(target_arch = "x86_64", feature = "std"))]
fn has_avx2() -> bool {
    std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma")
}

#[cfg(all(target_arch = "x86_64", not(feature = "std")))]
fn has_avx2() -> bool {
    cfg!(all(target_feature = "avx2", target_feature = "fma"))
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx2() -> bool {
    false
}

#[cfg(all(target_arch = "x86_64", feature = "std"))]
fn has_avx512() -> bool {
    cfg!(feature = "avx512")
        && has_avx2()
        && std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512vl")
}

#[cfg(all(target_arch = "x86_64", not(feature = "std")))]
fn has_avx512() -> bool {
    has_avx2() && cfg!(all(feature = "avx512", target_feature = "avx512f", target_feature = "avx512vl"))
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx512() -> bool {
    false
}

#[cfg(all(target_arch = "aarch64", feature = "std"))]
fn has_neon() -> bool {
    std::arch::is_aarch64_feature_detected!("neon")
}

#[cfg(all(target_arch = "aarch64", not(feature = "std")))]
fn has_neon() -> bool {
    cfg!(target_feature = "neon")
}

#[cfg(not(target_arch = "aarch64"))]
fn has_neon() -> bool {
    false
}

/// Bytes of the data caches of one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caches {
    pub l1: usize,
    pub l2: usize,
}

impl Caches {
    /// What phone cores and old desktops have at least: Cortex-A55 to A78 come with 32 KiB or more, and 256 KiB or more.
    /// A plan built on a little core must suit a big one too, so on ARM these stand for all.
    const COMMON: Caches = Caches { l1: 32 << 10, l2: 256 << 10 };

    /// The cache sizes of this CPU where an instruction tells them (x86), else the common ones.
    pub(crate) fn detect() -> Caches {
        #[cfg(all(target_arch = "x86_64", feature = "std"))]
        {
            // Asked once in a process: the answer does not change, and a virtual machine may take 20 us for each question.
            static CACHES: std::sync::OnceLock<Caches> = std::sync::OnceLock::new();
            *CACHES.get_or_init(|| cpuid_caches().unwrap_or(Caches::COMMON))
        }
        #[cfg(all(target_arch = "x86_64", not(feature = "std")))]
        {
            cpuid_caches().unwrap_or(Caches::COMMON)
        }
        #[cfg(not(target_arch = "x86_64"))]
        Caches::COMMON
    }
}

/// Whether a multiply-add of 512 bits takes no longer than one of 256. Cores that split the former take 24 channels as three
/// half vectors in three quarters of the time of two whole ones; for the others that is half as long again.
pub(crate) fn has_long_datapath() -> bool {
    #[cfg(all(target_arch = "x86_64", feature = "std"))]
    {
        static LONG: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
        *LONG.get_or_init(cpuid_long_datapath)
    }
    #[cfg(all(target_arch = "x86_64", not(feature = "std")))]
    {
        cpuid_long_datapath()
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// What CPUID says of a leaf that it has.
#[cfg(target_arch = "x86_64")]
fn cpuid(leaf: u32, sub: u32) -> core::arch::x86_64::CpuidResult {
    // Older compilers have it as an unsafe function.
    #[allow(unused_unsafe)]
    // SAFETY: every x86-64 CPU has CPUID.
    unsafe {
        core::arch::x86_64::__cpuid_count(leaf, sub)
    }
}

/// By the family and model: AMD has a bit for it, leaf 0x8000001A's FP512, which virtual machines do not always pass on; Intel has
/// none.
#[cfg(target_arch = "x86_64")]
fn cpuid_long_datapath() -> bool {
    let has_avx512f = cpuid(0, 0).eax >= 7 && cpuid(7, 0).ebx & (1 << 16) != 0;
    let signature = cpuid(1, 0).eax;
    let base = signature >> 8 & 15;
    let family = if base == 15 { base + (signature >> 20 & 255) } else { base };
    let model = (signature >> 12 & 0xf0) | (signature >> 4 & 15);
    has_avx512f && long_datapath(cpuid(0, 0).ebx, family, model)
}

#[cfg(target_arch = "x86_64")]
const AMD: u32 = u32::from_le_bytes(*b"Auth");
#[cfg(target_arch = "x86_64")]
const INTEL: u32 = u32::from_le_bytes(*b"Genu");

/// Cores with AVX-512 of a vendor (the first four letters), family and model, for [`has_long_datapath`].
#[cfg(target_arch = "x86_64")]
const fn long_datapath(vendor: u32, family: u32, model: u32) -> bool {
    match vendor {
        // Zen 4 splits; Zen 5 does in notebooks (Strix and Krackan Point, Strix Halo), not in servers and on desktops.
        AMD => family >= 0x1a && !matches!(model, 0x20..=0x3f | 0x60..=0x7f),
        // Clients have one port for 512 bits, and two for 256: Cannon, Ice, Tiger and Rocket Lake. Servers have two of either.
        INTEL => family == 6 && !matches!(model, 0x66 | 0x7d | 0x7e | 0x8c | 0x8d | 0xa7),
        _ => false,
    }
}

// Zen 4; Zen 5 in servers, on desktops and in notebooks; Intel's Ice Lake for clients and for servers; others.
#[cfg(target_arch = "x86_64")]
const _: () = {
    assert!(!long_datapath(AMD, 0x19, 0x61));
    assert!(long_datapath(AMD, 0x1a, 0x02) && long_datapath(AMD, 0x1a, 0x44) && !long_datapath(AMD, 0x1a, 0x24));
    assert!(!long_datapath(INTEL, 6, 0x7e) && long_datapath(INTEL, 6, 0x6a));
    assert!(!long_datapath(0, 6, 0x6a));
};

/// By the deterministic cache leaf: 0x8000001D on AMD, 4 on Intel; they have one format.
#[cfg(target_arch = "x86_64")]
fn cpuid_caches() -> Option<Caches> {
    let leaf = if cpuid(0x8000_0000, 0).eax >= 0x8000_001D && cpuid(0x8000_0001, 0).ecx & (1 << 22) != 0 {
        0x8000_001D
    } else if cpuid(0, 0).eax >= 4 {
        4
    } else {
        return None;
    };
    let mut found = [0usize; 2];
    for sub in 0..8 {
        let r = cpuid(leaf, sub);
        let (kind, level) = (r.eax & 31, (r.eax >> 5 & 7) as usize);
        if kind == 0 {
            break;
        }
        // 1 is a data cache, 3 a unified one.
        if (kind == 1 || kind == 3) && (1..=2).contains(&level) {
            let field = |v: u32, shift: u32, bits: u32| (v >> shift & ((1 << bits) - 1)) as usize + 1;
            found[level - 1] = field(r.ebx, 0, 12) * field(r.ebx, 12, 10) * field(r.ebx, 22, 10) * (r.ecx as usize + 1);
        }
        if found[0] > 0 && found[1] > 0 {
            break;
        }
    }
    (found[0] > 0 && found[1] > 0).then_some(Caches { l1: found[0], l2: found[1] })
}
