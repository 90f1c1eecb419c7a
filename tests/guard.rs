//! No kernel touches a byte outside the caller's slices: every slice lies flush against inaccessible pages, once with its
//! end and once with its start. So do the packed weights, through the allocator of this test.
#![cfg(unix)]

mod common;

use common::case::{Backwards, Case};
use common::data::{Data, Kind};
use common::pages::{Arena, Flush, announced, explain_faults, map_guarded, page};
use common::rows::{cases, rows};
use common::strategy::{accepted_cases, runner};
use lightconv::{Conv2dPlan, Conv2dShape, Isa};
use proptest::test_runner::TestCaseError;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The system's allocator; while a plan is being made, every block lies flush against an inaccessible page with its end,
/// as far as its alignment lets it.
struct Guarding;

thread_local! {
    static GUARD_ALLOCATIONS: Cell<bool> = const { Cell::new(false) };
}

/// Guarded blocks, to tell them from the system's. Few at a time: a plan is a few allocations.
static BLOCKS: [AtomicUsize; 256] = [const { AtomicUsize::new(0) }; 256];

/// Pages of a guarded block, at a page's distance in front of it.
fn guarded_pages(layout: Layout) -> usize {
    layout.size().next_multiple_of(page()).max(page())
}

fn guarded_start(p: *mut u8) -> *mut u8 {
    p.map_addr(|a| a & !(page() - 1))
}

// SAFETY: blocks come from the system's allocator or from mappings of their own, are as large and aligned as asked for,
// and go back to where they came from.
unsafe impl GlobalAlloc for Guarding {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let guard = GUARD_ALLOCATIONS.try_with(Cell::get).unwrap_or(false) && layout.align() <= 4096;
        if guard {
            // One page per block at least, so that the start is found from any pointer into its first page.
            let (first, inner) = map_guarded(layout.size());
            if first.is_null() {
                return first;
            }
            let at = (inner - layout.size()) & !(layout.align() - 1);
            let p = first.wrapping_add(at);
            for slot in &BLOCKS {
                if slot.compare_exchange(0, p.addr(), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                    return p;
                }
            }
            return std::ptr::null_mut();
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        let own = BLOCKS.iter().any(|b| b.compare_exchange(p.addr(), 0, Ordering::Relaxed, Ordering::Relaxed).is_ok());
        if own {
            let start = guarded_start(p).wrapping_sub(page());
            // SAFETY: the whole mapping of `alloc`, which nobody uses any more.
            unsafe { libc::munmap(start.cast(), guarded_pages(layout) + 2 * page()) };
        } else {
            // SAFETY: the caller's promise; it came from there.
            unsafe { System.dealloc(p, layout) }
        }
    }
}

#[global_allocator]
static ALLOCATOR: Guarding = Guarding;

fn with_guarded_allocations<R>(f: impl FnOnce() -> R) -> R {
    GUARD_ALLOCATIONS.set(true);
    let result = f();
    GUARD_ALLOCATIONS.set(false);
    result
}

struct Arenas([Arena; 6]);

impl Arenas {
    fn run(&mut self, case: &Case, data: &Data, isa: Isa, row: &str, flush: Flush) -> Result<Vec<f32>, String> {
        let [input, weights, bias, residual, output, scratch] = &mut self.0;
        let input = input.place(&data.input, flush);
        let weights = weights.place(&data.weights, flush);
        let bias = data.bias.as_ref().map(|b| bias.place(b, flush));
        let residual = data.residual.as_ref().map(|r| residual.place(r, flush));
        let g = case.output();
        let output = output.place(&vec![f32::NAN; g.len], flush);
        let say = |e| format!("{flush:?}: {e}");
        let plan: Conv2dPlan =
            with_guarded_allocations(|| case.plan(isa, Some(row), weights, bias.as_deref())).map_err(say)?;
        let scratch = scratch.place(&vec![f32::NAN; plan.scratch_len()], flush);
        let input = case.input().view(input).map_err(say)?;
        let residual = match (case.residual(), residual) {
            (Some(g), Some(r)) => Some(g.view(r).map_err(say)?),
            _ => None,
        };
        g.with_view_mut(output, |out| plan.run_with(&Backwards(case.parts), &input, residual.as_ref(), out, scratch))
            .map_err(say)?;
        Ok(output.to_vec())
    }
}

// One test in this binary: the signal handler and the announced text are the process's.
#[test]
fn nothing_outside_the_slices_is_touched() {
    explain_faults();
    let arenas = std::cell::RefCell::new(Arenas(std::array::from_fn(|_| Arena::new())));
    let (here, _) = rows();
    assert!(!here.is_empty());
    for row in here {
        let ran = Cell::new(0u32);
        let check = |mut case: Case| {
            for p in [&mut case.input, &mut case.output, &mut case.residual] {
                // Slices that begin and end with an element of the tensor.
                (p.exact, p.offset) = (true, 0);
                p.after += std::mem::take(&mut p.before);
            }
            let data = Data::new(&case, Kind::Integers);
            let text = format!("touched memory outside a slice: {}, {case:?}\n", row.name());
            let mut arenas = arenas.borrow_mut();
            let [end, start] = announced(&text, || {
                [Flush::End, Flush::Start].map(|f| arenas.run(&case, &data, row.isa(), row.name(), f))
            });
            let (end, start) = (end.map_err(TestCaseError::fail)?, start.map_err(TestCaseError::fail)?);
            if end.iter().zip(&start).any(|(a, b)| a.to_bits() != b.to_bits()) {
                return Err(TestCaseError::fail("the result depends on where the slices lie"));
            }
            ran.set(ran.get() + 1);
            Ok(())
        };
        let result = runner(cases()).run(&accepted_cases(row, 60_000), check);
        result.unwrap_or_else(|e| panic!("{}: {e}", row.name()));
        assert!(ran.get() >= cases(), "{}: only {} cases ran", row.name(), ran.get());
        // Inputs that are copied, for the sets of the cache or since rows begin anywhere in a line.
        for shape in [(32, 32, 9, 20), (9, 13, 40, 130)].map(|(h, w, i, o)| Conv2dShape::new(1, h, w, i, o, [1, 1])) {
            if row.refuses(&shape).is_none() {
                let case = Case::dense(shape, row.layout());
                check(case).unwrap_or_else(|e| panic!("{}: {e}", row.name()));
            }
        }
    }
}

#[test]
#[ignore = "ends the process: shows that the pages guard"]
fn reading_past_a_slice_is_fatal() {
    let mut arena = Arena::new();
    let slice = arena.place(&[1.0; 5], Flush::End);
    // SAFETY: none. This is the crime that the other test is about.
    let beyond = unsafe { std::ptr::read_volatile(slice.as_ptr().add(5)) };
    panic!("read {beyond} from an inaccessible page");
}
