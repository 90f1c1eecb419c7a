//! Tests of the speedup bench: its own unit tests, and whole runs of it on a small file of layers.

// A bench without harness cannot hold tests, so its modules are compiled here once more.
#[allow(dead_code)]
#[path = "../benches/speedup/main.rs"]
mod speedup;
