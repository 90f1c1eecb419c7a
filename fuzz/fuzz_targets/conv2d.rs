//! Plans from arbitrary bytes, run on every tier that the machine has and compared with the reference, bit for bit.
//! Errors are fine; panics, wrong results, and accesses that the sanitizer dislikes are not.
#![no_main]

// The cases of the property tests, without their random generator.
#[allow(dead_code)]
#[path = "../../tests/common"]
mod common {
    pub mod case;
    pub mod data;
    pub mod winograd;
}

use common::case::{Case, Placement};
use common::data::{Data, Expected, Kind};
use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use lightconv::{Activation, Conv2dPlan, Conv2dShape, Epilogue, Isa, Layout, Options, Padding, Residual, registry};

/// Most multiplies of a case that is run, not only planned.
const BUDGET: u64 = 100_000;
/// Most elements of one of its tensors.
const ELEMENTS: usize = 1 << 16;

#[derive(Debug)]
struct Input {
    case: Case,
    kind: Kind,
    row: usize,
}

/// A field that is mostly small, and now and then anything at all.
fn field(u: &mut Unstructured<'_>, most: usize) -> arbitrary::Result<usize> {
    match u.arbitrary::<u8>()? {
        0 => u.arbitrary(),
        1 => Ok(0),
        2..=9 => u.int_in_range(0..=4 * most),
        _ => u.int_in_range(1..=most),
    }
}

fn placement(u: &mut Unstructured<'_>) -> arbitrary::Result<Placement> {
    if u.ratio(2, 5)? {
        return Ok(Placement { exact: true, ..Placement::default() });
    }
    let mut small = || u.int_in_range(0..=6);
    let (before, after, row_slack, outer_slack, offset) = (small()?, small()?, small()?, small()?, small()?);
    let lone_stride = if u.ratio(1, 4)? { Some(u.arbitrary()?) } else { None };
    Ok(Placement { before, after, row_slack, outer_slack, offset, exact: u.arbitrary()?, lone_stride })
}

impl<'a> Arbitrary<'a> for Input {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let groups = field(u, 12)?;
        let (c_in, c_out) = match u.int_in_range(0..=4)? {
            0 => (field(u, 70)?, field(u, 70)?),
            // Depthwise with a multiplier.
            1 => (groups, groups.wrapping_mul(field(u, 3)?)),
            _ => (groups.wrapping_mul(field(u, 12)?), groups.wrapping_mul(field(u, 12)?)),
        };
        let [kh, kw] = *u.choose(&[[1, 1], [3, 3], [3, 3], [5, 5], [0, 0]])?;
        let (kh, kw) = if kh == 0 { (field(u, 7)?, field(u, 7)?) } else { (kh, kw) };
        let stride =
            if u.arbitrary()? { [field(u, 4)?, field(u, 4)?] } else { [1 + usize::from(u.arbitrary::<bool>()?); 2] };
        let dilation = if u.ratio(1, 3)? { [field(u, 3)?, field(u, 3)?] } else { [1; 2] };
        let pad = |u: &mut Unstructured<'_>, k: usize, d: usize| {
            // Within reach, but for a few.
            let reach = k.saturating_sub(1).saturating_mul(d);
            if u.ratio(1, 32)? { u.arbitrary() } else { u.int_in_range(0..=reach.min(64)) }
        };
        let padding = Padding {
            top: pad(u, kh, dilation[0])?,
            bottom: pad(u, kh, dilation[0])?,
            left: pad(u, kw, dilation[1])?,
            right: pad(u, kw, dilation[1])?,
        };
        let shape = Conv2dShape {
            n: field(u, 2)?,
            c_in,
            h: field(u, 20)?,
            w: field(u, 40)?,
            c_out,
            kh,
            kw,
            stride,
            dilation,
            padding,
            groups: if u.ratio(1, 4)? { 1 } else { groups },
        };
        let activation = match u.int_in_range(0..=7)? {
            0 => Activation::None,
            1 => Activation::Relu,
            2 => Activation::Relu6,
            3 => Activation::Clamp { lo: u.arbitrary()?, hi: u.arbitrary()? },
            4 => Activation::HardSwish,
            5 => Activation::HardSigmoid,
            6 => Activation::Silu,
            _ => Activation::Sigmoid,
        };
        let residual = *u.choose(&[Residual::None, Residual::BeforeActivation, Residual::AfterActivation])?;
        let case = Case {
            shape,
            layout: *u.choose(&[Layout::Nhwc, Layout::Nchw])?,
            epilogue: Epilogue::activation(activation).with_residual(residual),
            bias: u.arbitrary()?,
            input: placement(u)?,
            output: placement(u)?,
            residual: placement(u)?,
            parts: field(u, 4)?,
            seed: u.arbitrary()?,
        };
        let kind = *u.choose(&[Kind::Integers, Kind::Integers, Kind::Specials])?;
        Ok(Input { case, kind, row: u.arbitrary()? })
    }
}

/// Whether the tensors of a case can be made.
fn small(case: &Case) -> bool {
    let s = &case.shape;
    let padded = |h: usize, w: usize, c: usize| {
        let all = c.checked_add(12)?.checked_mul(h)?.checked_mul(w.checked_add(8)?)?.checked_mul(s.n)?;
        (all <= ELEMENTS).then_some(())
    };
    s.multiplies().is_ok_and(|m| m <= BUDGET)
        && s.weight_len().is_ok_and(|l| l <= ELEMENTS)
        && s.check().is_ok_and(|(oh, ow)| padded(s.h, s.w, s.c_in).and_then(|()| padded(oh, ow, s.c_out)).is_some())
}

fuzz_target!(|input: Input| {
    let Input { case, kind, row } = input;
    if !small(&case) {
        // Planned with what weights there can be. Nothing to run, but it must not panic or ask for the moon.
        let len = case.shape.weight_len().unwrap_or(0).min(ELEMENTS);
        let options = Options::new().threads(case.parts);
        let _ = Conv2dPlan::new(&case.shape, case.layout, &vec![0.5; len], None, case.epilogue, &options);
        return;
    }
    let data = Data::new(&case, kind);
    let bias = data.bias.as_deref();
    let mut expected = None;
    let rows: Vec<_> = registry::kernels().collect();
    let named = rows[row % rows.len()];
    let named = (named.isa().is_available()).then(|| (named.isa(), Some(named.name())));
    for (isa, name) in Isa::available().map(|i| (i, None)).chain(named) {
        if name.is_some_and(|n| common::winograd::tile_of(n).is_some()) {
            // With data of its own: see `Data::for_kernel`.
            let data = Data::for_kernel(&case, kind, name);
            let Ok(plan) = case.plan(isa, name, &data.weights, data.bias.as_deref()) else { continue };
            let expected = Expected::new(&case, &data).expect("the reference takes every shape");
            let result = data.run(&case, &plan).and_then(|output| expected.compare(&output));
            result.unwrap_or_else(|e| panic!("{}, {kind:?}: {e}\n{case:?}", plan.kernel_name()));
            continue;
        }
        let Ok(plan) = case.plan(isa, name, &data.weights, bias) else { continue };
        let expected =
            expected.get_or_insert_with(|| Expected::new(&case, &data).expect("the reference takes every shape"));
        let result = data.run(&case, &plan).and_then(|output| expected.compare(&output));
        result.unwrap_or_else(|e| panic!("{}, {kind:?}: {e}\n{case:?}", plan.kernel_name()));
    }
});
