//! Record batches seen from outside.

#[cfg(test)]
mod checks;
#[cfg(test)]
mod golden;
