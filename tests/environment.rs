//! The cap of `LIGHTCONV_ISA`, which is read when a plan is made.
//!
//! One test, alone in its process: the environment belongs to all threads.
#![cfg(feature = "std")]

use lightconv::{Conv2dPlan, Conv2dShape, Epilogue, Error, Isa, Layout, Options};

fn set(value: &str) {
    // SAFETY: no other thread of this process reads or writes the environment: this is its only test.
    unsafe { std::env::set_var("LIGHTCONV_ISA", value) };
}

fn plan(options: &Options<'_>) -> Result<Conv2dPlan, Error> {
    let shape = Conv2dShape::new(1, 8, 8, 64, 64, [3, 3]).pad(1);
    Conv2dPlan::new(&shape, Layout::Nhwc, &vec![0.5; 64 * 64 * 9], None, Epilogue::NONE, options)
}

#[test]
fn the_variable_caps_the_tier_and_a_wrong_one_is_an_error() {
    let best = Isa::available().last().unwrap();
    assert!(best > Isa::Scalar);
    for value in ["", best.name()] {
        set(value);
        assert_eq!(Isa::best(), Ok(best));
        assert_eq!(plan(&Options::new()).unwrap().isa(), best);
    }
    for isa in Isa::available() {
        set(isa.name());
        assert_eq!(Isa::best(), Ok(isa));
        assert!(plan(&Options::new()).unwrap().isa() <= isa, "the cap {isa} is passed");
    }
    set("scalar");
    assert_eq!(plan(&Options::new()).unwrap().isa(), Isa::Scalar);
    // The caller's own choice stands above the variable.
    assert_eq!(plan(&Options::new().isa(best)).unwrap().isa(), best);
    let foreign =
        Isa::ALL.into_iter().find(|i| !i.is_available()).expect("no machine has the tiers of all architectures");
    for value in ["sse9", "AVX2", " scalar", foreign.name()] {
        set(value);
        assert!(Isa::best().is_err(), "`{value}`");
        let message = plan(&Options::new()).unwrap_err().to_string();
        assert!(message.contains("isa") && message.contains("expected"), "`{value}`: {message}");
        assert!(plan(&Options::new().isa(Isa::Scalar)).is_ok());
    }
}
