//! How large another process is, as Linux tells it.

use crate::Outcome;
use std::fs;

/// Memory may grow by this much while a broker is attacked: caches and allocator slack.
const GROWTH_KIB_MAX: u64 = 64 * 1024;

/// Files may be opened by this much: topics that the attack made by chance, and its connections.
const GROWTH_FILES_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct Process {
    id: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    resident_kib: u64,
    open_files: usize,
}

impl Process {
    pub(super) fn new(id: u64) -> Self {
        Self { id }
    }

    /// Its size now.
    ///
    /// # Errors
    /// When it is gone.
    pub(super) fn size(&self) -> Result<Size, String> {
        let gone = |error| format!("process {} is gone: {error}", self.id);
        let status = fs::read_to_string(format!("/proc/{}/status", self.id)).map_err(gone)?;
        let open = fs::read_dir(format!("/proc/{}/fd", self.id)).map_err(gone)?;
        Ok(Size { resident_kib: resident_kib(&status), open_files: open.count() })
    }
}

fn resident_kib(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}

impl Size {
    pub(super) fn has_not_grown(&self, after: &Self) -> Outcome {
        println!("before {self:?}\nafter  {after:?}");
        let memory = after.resident_kib.saturating_sub(self.resident_kib);
        let files = after.open_files.saturating_sub(self.open_files);
        if memory > GROWTH_KIB_MAX || files > GROWTH_FILES_MAX {
            return Err(format!("it has grown by {memory} KiB and {files} open files"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_the_status() {
        assert_eq!(resident_kib("Name:\tx\nVmRSS:\t  1234 kB\nThreads: 1"), 1_234);
        assert_eq!(resident_kib("Name:\tx"), 0);
    }

    #[test]
    fn growth_is_told() {
        let size = |resident_kib, open_files| Size { resident_kib, open_files };
        assert!(size(10, 10).has_not_grown(&size(9, 9)).is_ok());
        assert!(size(10, 10).has_not_grown(&size(1_000, 200)).is_ok());
        assert!(size(10, 10).has_not_grown(&size(100_000, 10)).is_err());
        assert!(size(10, 10).has_not_grown(&size(10, 1_000)).is_err());
    }
}
