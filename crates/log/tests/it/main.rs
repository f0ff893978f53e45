//! A log seen from outside, on a disk that can crash.

#[cfg(test)]
mod crash;
#[cfg(test)]
mod memory_disk;
#[cfg(test)]
mod reading;
#[cfg(test)]
mod support;
#[cfg(test)]
mod times;
#[cfg(test)]
mod writing;
