//! What can be learnt of the machine without asking for anything special.

use std::path::Path;
use sysinfo::{CpuRefreshKind, RefreshKind, System};

/// One level of cache.
#[derive(Clone, Debug, PartialEq)]
pub struct Cache {
    /// 1, 2, 3
    pub level: u32,
    /// Size of one of them.
    pub bytes: usize,
    /// Logical processors that share one.
    pub shared_by: usize,
}

impl Cache {
    /// Bytes that `threads` threads have of this level together.
    pub fn bytes_of(&self, threads: usize) -> usize {
        self.bytes * threads.div_ceil(self.shared_by)
    }
}

/// Name of the processor, or of the architecture if the system does not tell.
pub fn cpu_name() -> String {
    let system = System::new_with_specifics(RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing()));
    let brand = system.cpus().first().map(|c| c.brand().trim().to_owned()).unwrap_or_default();
    if brand.is_empty() { std::env::consts::ARCH.to_owned() } else { brand }
}

/// Date and time in UTC.
pub fn date() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// Data caches, the smallest first: as the system describes them, or else a usual size of each.
pub fn caches() -> Vec<Cache> {
    let found = caches_in(Path::new("/sys/devices/system/cpu/cpu0/cache"));
    if found.is_empty() { usual_caches() } else { found }
}

fn usual_caches() -> Vec<Cache> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    vec![
        Cache { level: 1, bytes: 32 << 10, shared_by: 1 },
        Cache { level: 2, bytes: 512 << 10, shared_by: 1 },
        Cache { level: 3, bytes: 8 << 20, shared_by: cores },
    ]
}

/// Reads a Linux cache directory; what cannot be read or understood is left out.
fn caches_in(directory: &Path) -> Vec<Cache> {
    let Ok(entries) = directory.read_dir() else { return Vec::new() };
    let mut found: Vec<Cache> = entries.flatten().filter_map(|e| cache_in(&e.path())).collect();
    found.sort_by_key(|c| c.level);
    found.dedup_by_key(|c| c.level);
    // Sizes that do not grow with the level would make the choice of a level meaningless.
    if found.windows(2).all(|w| w[0].bytes < w[1].bytes) { found } else { Vec::new() }
}

fn cache_in(directory: &Path) -> Option<Cache> {
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).ok().map(|s| s.trim().to_owned());
    if read("type")? == "Instruction" {
        return None;
    }
    let level = read("level")?.parse().ok()?;
    let bytes = size(&read("size")?).filter(|&b| b > 0)?;
    let shared_by = read("shared_cpu_list").map_or(1, |s| count_of_list(&s)).max(1);
    Some(Cache { level, bytes, shared_by })
}

/// `32K`, `1024K`, `8M` in bytes.
fn size(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(['K', 'M']);
    let unit = match &text[digits.len()..] {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        _ => return None,
    };
    digits.parse::<usize>().ok()?.checked_mul(unit)
}

/// Number of processors in a list such as `0-3,8`.
fn count_of_list(text: &str) -> usize {
    text.split(',')
        .filter_map(|range| match range.split_once('-') {
            Some((a, b)) => (b.parse::<usize>().ok()? + 1).checked_sub(a.parse().ok()?),
            None => range.parse::<usize>().ok().map(|_| 1),
        })
        .sum()
}

#[cfg(test)]
#[allow(unused)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_lists_are_read() {
        assert_eq!(size("32K"), Some(32 << 10));
        assert_eq!(size("8M"), Some(8 << 20));
        assert_eq!(size("64"), Some(64));
        assert_eq!(size("KM"), None);
        assert_eq!(count_of_list("0-3,8"), 5);
        assert_eq!(count_of_list("0"), 1);
        assert_eq!(count_of_list("?"), 0);
    }

    #[test]
    fn a_missing_directory_gives_the_usual_sizes() {
        assert!(caches_in(Path::new("/nowhere/at/all")).is_empty());
        assert!(!caches().is_empty());
        assert!(usual_caches().windows(2).all(|w| w[0].bytes < w[1].bytes));
    }

    #[test]
    fn private_caches_add_up_over_threads_and_shared_ones_do_not() {
        let private = Cache { level: 1, bytes: 100, shared_by: 1 };
        let shared = Cache { level: 3, bytes: 100, shared_by: 4 };
        assert_eq!((private.bytes_of(4), shared.bytes_of(4), shared.bytes_of(5)), (400, 100, 200));
    }

    #[test]
    fn the_head_has_a_name_and_a_date() {
        assert!(!cpu_name().is_empty());
        assert!(date().ends_with("UTC"));
    }
}
