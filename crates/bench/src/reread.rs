//! Small fetches, all of them alike: what one costs is the difference between two counts.

use std::rc::Rc;

use ottla_types::Offset;

use crate::load::Load;
use crate::options::Options;
use crate::{frames, measure};

/// The same request again and again.
#[derive(Debug)]
struct RereadLoad {
    frame: Rc<[u8]>,
    left: u64,
}

impl Load for RereadLoad {
    fn next(&mut self, _connection: usize) -> Option<Rc<[u8]>> {
        self.left = self.left.checked_sub(1)?;
        Some(Rc::clone(&self.frame))
    }

    fn on_answer(&mut self, _connection: usize, answer: &[u8]) -> Result<(), String> {
        match frames::fetched(answer, Offset::ZERO)?.next {
            Offset::ZERO => Err("the first batch did not come".to_owned()),
            _ => Ok(()),
        }
    }
}

/// Reads the first batch of a topic's first partition as often as it is told.
///
/// # Errors
/// When no topic is named, or it has no batch.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let topic = options.topic.as_deref().ok_or("--topic NAME is needed")?;
    let frame = frames::fetch_one_batch(topic, 0, Offset::ZERO).into();
    let mut load = RereadLoad { frame, left: options.requests };
    let mut connections = crate::open(options.address, options.connections)?;
    measure("reread", options, &mut connections, options.in_flight, &mut load)?;
    println!("reread.requests {}", options.requests);
    Ok(())
}
