//! What the process before left of itself in the log directory: whether it stopped in order, and
//! if not, whether it said why.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use ottla_env::{DiskExt, Env, Open};
use ottla_log::{CLEAN_SHUTDOWN, CleanShutdown};
use ottla_types::BrokerEpoch;
use ottla_types::planted::{self, Bug};

use crate::identity::META_PROPERTIES;

/// Written when a sync has failed. As long as the machine runs, its page cache may show bytes that
/// the device does not have, and call them clean: they are written again before they are trusted.
const SYNC_FAILED: &str = ".ottla-sync-failed";

/// Written where the directory was, when it was found to be gone: nothing may be formatted there.
pub(crate) const VANISHED: &str = ".ottla-vanished";

/// The notes in a log directory about its last process.
#[derive(Debug)]
pub(crate) struct LastStop {
    place: PathBuf,
    clean: AtomicBool,
    sync_failed: AtomicBool,
}

impl LastStop {
    /// Of a directory that nobody used before.
    #[cfg(test)]
    pub(crate) fn none(place: &Path) -> Self {
        let place = place.to_owned();
        Self { place, clean: AtomicBool::new(false), sync_failed: AtomicBool::new(false) }
    }

    /// Reads the notes.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) async fn read(env: &Env, place: &Path) -> io::Result<Self> {
        let clean = CleanShutdown::read(&env.disk, place).await?.is_some();
        let sync_failed = exists(env, &place.join(SYNC_FAILED)).await?;
        if sync_failed {
            tracing::warn!(
                "a sync of the data folder has failed before: what is found behind the recovery \
                 points is written again before it is trusted"
            );
        }
        // What was not written again is no cleaner for a stop in order.
        let clean = clean && !sync_failed;
        let (clean, sync_failed) = (AtomicBool::new(clean), AtomicBool::new(sync_failed));
        Ok(Self { place: place.to_owned(), clean, sync_failed })
    }

    /// The last process stopped in order, and nobody wrote since.
    pub(crate) fn was_clean(&self) -> bool {
        self.clean.load(Ordering::Relaxed)
    }

    /// A sync has failed, and what it should have written was not written again yet.
    pub(crate) fn sync_has_failed(&self) -> bool {
        self.sync_failed.load(Ordering::Relaxed)
    }

    /// From now on the directory is written to: the next start must not take it for clean. Durable
    /// when this returns.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) async fn on_begun(&self, env: &Env) -> io::Result<()> {
        if planted::is(Bug::CleanShutdownFileKept) {
            return Ok(());
        }
        remove(env, &self.place, CLEAN_SHUTDOWN).await
    }

    /// The partitions that there were are known: what is made from now on is new.
    pub(crate) fn on_recovered(&self) {
        self.clean.store(false, Ordering::Relaxed);
    }

    /// Everything that was found, of every partition, was written again and is durable.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) async fn on_all_durable(&self, env: &Env) -> io::Result<()> {
        if self.sync_failed.swap(false, Ordering::Relaxed) {
            remove(env, &self.place, SYNC_FAILED).await?;
        }
        Ok(())
    }

    /// The very last thing of a stop in order.
    ///
    /// # Errors
    /// When the disk refuses: the next start reads what it need not have read.
    pub(crate) async fn on_stopped(&self, env: &Env, epoch: BrokerEpoch) -> io::Result<()> {
        CleanShutdown { broker_epoch: Some(epoch) }.write(&env.disk, &self.place).await
    }
}

/// Ends the node because its log directory has failed, and leaves a note for the next start, if the
/// disk takes one.
pub(crate) async fn fail(env: &Env, place: &Path, why: &str) {
    if is_gone(env, place).await {
        note(env, place, VANISHED).await;
        let place = place.display();
        env.process.halt(&format!(
            "the data folder {place} is gone ({why}): bring it back, for example by mounting it"
        ));
    } else {
        note(env, place, SYNC_FAILED).await;
        env.process.halt(why);
    }
}

/// No directory is used without the file that says whose it is.
async fn is_gone(env: &Env, place: &Path) -> bool {
    matches!(exists(env, &place.join(META_PROPERTIES)).await, Ok(false))
}

async fn note(env: &Env, place: &Path, name: &str) {
    let path = place.join(name);
    // Whatever fails here, there is nothing left to be done about it.
    if env.disk.make_dir(place).await.is_ok()
        && let Ok(file) = env.disk.open_file(&path, Open::Ensure).await
    {
        let _synced = env.disk.sync_files(vec![file]).await;
        let _synced = env.disk.sync_names(place).await;
        let parent = place.parent().filter(|parent| !parent.as_os_str().is_empty());
        let _synced = env.disk.sync_names(parent.unwrap_or_else(|| Path::new("."))).await;
    }
}

async fn exists(env: &Env, path: &Path) -> io::Result<bool> {
    match env.disk.open_file(path, Open::Existing).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

async fn remove(env: &Env, place: &Path, name: &str) -> io::Result<()> {
    match env.disk.unlink(&place.join(name)).await {
        Ok(()) => env.disk.sync_names(place).await,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
