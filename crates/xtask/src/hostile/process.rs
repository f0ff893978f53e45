//! How large another process is, as Linux tells it.

use crate::Outcome;
use std::fs;

/// Memory may grow by this much while a broker is attacked: caches and allocator slack.
const GROWTH_KIB_MAX: u64 = 64 * 1024;

/// Connections that may still be open once their clients have gone: those whose answers, a topic of
/// thousands of partitions made by chance, take a while.
const GROWTH_SOCKETS_MAX: usize = 256;

#[derive(Debug)]
pub(super) struct Process {
    id: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    resident_kib: u64,
    open_sockets: usize,
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
        let targets = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        let sockets = targets.filter(|target| target.to_string_lossy().starts_with("socket:"));
        Ok(Size { resident_kib: resident_kib(&status), open_sockets: sockets.count() })
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
        let sockets = after.open_sockets.saturating_sub(self.open_sockets);
        if memory > GROWTH_KIB_MAX || sockets > GROWTH_SOCKETS_MAX {
            return Err(format!("it has grown by {memory} KiB and {sockets} open sockets"));
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
        let size = |resident_kib, open_sockets| Size { resident_kib, open_sockets };
        assert!(size(10, 10).has_not_grown(&size(9, 9)).is_ok());
        assert!(size(10, 10).has_not_grown(&size(1_000, 200)).is_ok());
        assert!(size(10, 10).has_not_grown(&size(100_000, 10)).is_err());
        assert!(size(10, 10).has_not_grown(&size(10, 1_000)).is_err());
    }
}
