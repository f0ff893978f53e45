//! What a shard is told without having asked: one slot, in which later news join earlier ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use ottla_coordinator::TopicChanges;
use ottla_metadata::MetadataImage;
use ottla_types::{TopicId, TopicName};

/// What has happened since the shard looked last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// The newest metadata.
    pub(super) image: Option<Arc<MetadataImage>>,
    /// Topics that came or grew; no more than there are.
    changed: BTreeSet<TopicName>,
    /// Topics that went; as many as somebody deleted since.
    deleted: BTreeMap<TopicId, TopicName>,
    /// The partition is this node's no more.
    pub(super) over: bool,
}

impl News {
    /// These, with what came later.
    pub(super) fn then(&mut self, later: Self) {
        self.image = later.image.or_else(|| self.image.take());
        self.changed.extend(later.changed);
        self.deleted.extend(later.deleted);
        self.over |= later.over;
    }

    /// Whether there is nothing to tell but the image.
    pub(super) fn is_nothing(&self) -> bool {
        self.changed.is_empty() && self.deleted.is_empty()
    }

    /// What a shard is told of the topics.
    pub(super) fn changes(self) -> TopicChanges {
        TopicChanges {
            deleted: self.deleted.into_iter().map(|(id, name)| (name, id)).collect(),
            changed: self.changed.into_iter().collect(),
        }
    }
}

/// The slot. The publisher fills it, the shard empties it; neither waits for the other.
#[derive(Debug, Default)]
pub(super) struct NewsSlot(Mutex<Slot>);

#[derive(Debug, Default)]
struct Slot {
    news: News,
    waiting: Option<Waker>,
}

impl NewsSlot {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The metadata has changed, and with it these topics.
    pub(super) fn tell(&self, image: &Arc<MetadataImage>, changes: &TopicChanges) {
        let mut slot = self.slot();
        if slot.news.over {
            return;
        }
        let deleted = changes.deleted.iter().map(|(name, id)| (*id, name.clone()));
        slot.news.then(News {
            image: Some(Arc::clone(image)),
            changed: changes.changed.iter().cloned().collect(),
            deleted: deleted.collect(),
            over: false,
        });
        Self::wake(slot);
    }

    /// The shard is to end.
    pub(super) fn end(&self) {
        let mut slot = self.slot();
        slot.news.over = true;
        Self::wake(slot);
    }

    /// Told first, woken afterwards: whoever is woken looks at once.
    fn wake(mut slot: MutexGuard<'_, Slot>) {
        let waiting = slot.waiting.take();
        drop(slot);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// The news, once there are any.
    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<News> {
        let mut slot = self.slot();
        if slot.news == News::default() {
            slot.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(std::mem::take(&mut slot.news))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(changed: &[&str], deleted: &[(&str, u128)]) -> TopicChanges {
        let name = |name: &str| TopicName::parse(name).unwrap();
        TopicChanges {
            deleted: deleted.iter().map(|(n, id)| (name(n), TopicId::from_u128(*id))).collect(),
            changed: changed.iter().map(|n| name(n)).collect(),
        }
    }

    #[test]
    fn later_news_join_earlier_ones() {
        let (slot, cx) = (NewsSlot::default(), &mut Context::from_waker(Waker::noop()));
        assert!(slot.poll(cx).is_pending());
        let image = |name| Arc::new(MetadataImage::empty(name));
        let (old, new) = (image("old"), image("new"));
        slot.tell(&old, &changes(&["a", "b"], &[("x", 1)]));
        slot.tell(&new, &changes(&["b", "c"], &[("y", 2)]));
        slot.end();
        let Poll::Ready(news) = slot.poll(cx) else { panic!("there are news") };
        assert!(news.over && news.image.as_ref() == Some(&new));
        assert_eq!(news.changes(), changes(&["a", "b", "c"], &[("x", 1), ("y", 2)]));
        assert!(slot.poll(cx).is_pending());
    }
}
