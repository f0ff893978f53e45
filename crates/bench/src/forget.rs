//! Files that are on the disk and nowhere else: what a cold read needs.

use std::fs::File;
use std::path::Path;

/// Writes the segments of the partitions whose folders begin with `prefix` to the disk and asks the
/// kernel to forget them.
///
/// # Errors
/// What the files say; one that was deleted meanwhile is passed over.
pub(crate) fn drop_from_cache(data: &Path, prefix: &str) -> Result<(), String> {
    let complain = |error: std::io::Error| format!("{}: {error}", data.display());
    for partition in std::fs::read_dir(data).map_err(complain)? {
        let partition = partition.map_err(complain)?;
        let wanted = partition.file_name().to_string_lossy().starts_with(prefix);
        if !wanted || !partition.path().is_dir() {
            continue;
        }
        for file in std::fs::read_dir(partition.path()).map_err(complain)?.flatten() {
            let path = file.path();
            if path.extension().is_some_and(|extension| extension == "log")
                && let Ok(file) = File::open(&path)
            {
                file.sync_all().map_err(complain)?;
                rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)
                    .map_err(|error| complain(error.into()))?;
            }
        }
    }
    Ok(())
}
