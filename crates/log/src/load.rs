//! Loading a segment that nobody has looked at yet.

use std::sync::Arc;

use ottla_env::Disk;

use crate::ReadError;
use crate::open::scan;
use crate::recovery::Rebuilt;
use crate::segment::{Loaded, Segment};

impl Segment {
    /// The open segment: opened now, unless somebody has done so before.
    pub(crate) async fn load(&self, disk: &Arc<dyn Disk>) -> Result<&Loaded, ReadError> {
        if let Some(loaded) = self.get() {
            return Ok(loaded);
        }
        let (loaded, scanned, _) = scan(disk, self, &mut Rebuilt::default()).await?;
        if let Some(fault) = scanned.fault {
            let position = scanned.tail.position;
            return Err(ReadError::Damaged { segment: self.base, position, fault });
        }
        scanned.tail.seal(&loaded.index);
        Ok(self.set(loaded))
    }
}
