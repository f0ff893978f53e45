//! Feeding a file to a [`RecoveryScan`].

use std::io::{self, IoSlice};
use std::sync::Arc;

use ottla_env::{Disk, DiskExt, File};

use crate::recovery::{Rebuilt, RecoveryScan, ScannedSegment};

/// Bytes read at once.
const CHUNK_BYTES: u64 = 1 << 20;

/// A segment's file that is read from some batch on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScannedFile<'a> {
    pub(crate) file: &'a Arc<dyn File>,
    /// Its bytes.
    pub(crate) len: u64,
    /// Whether to write again what was read: a sync has failed before, and the kernel may take for
    /// clean what it could not write.
    pub(crate) rewrite: bool,
}

/// Reads a file from the scan's beginning to the file's end, or to what is not wanted.
pub(crate) async fn scan(
    disk: &Arc<dyn Disk>,
    ScannedFile { file, len, rewrite }: ScannedFile<'_>,
    mut scan: RecoveryScan<'_>,
    rebuilt: &mut Rebuilt,
) -> io::Result<ScannedSegment> {
    let mut at = scan.position();
    while at < len {
        let wanted = usize::try_from(CHUNK_BYTES.min(len - at)).expect("a MiB fits");
        let chunk = disk.read_at(file, at, wanted).await?;
        if chunk.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if rewrite {
            file.write_at(at, &[IoSlice::new(&chunk)])?;
        }
        at += chunk.len() as u64;
        if !scan.feed(&chunk, rebuilt) {
            break;
        }
    }
    Ok(scan.finish(len))
}
