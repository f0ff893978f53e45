//! A log seen from outside, on a disk that can crash.

#[cfg(test)]
mod checkpoints;
#[cfg(test)]
mod compaction;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod deletion;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod inspect;
#[cfg(test)]
mod memory_disk;
#[cfg(all(test, feature = "planted"))]
mod planted;
#[cfg(test)]
mod producers;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod recovering;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod support;
#[cfg(test)]
mod times;
#[cfg(test)]
mod transactions;
#[cfg(test)]
mod truncation;
#[cfg(test)]
mod writing;
