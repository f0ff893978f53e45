//! Record batches seen from outside.

#[cfg(test)]
mod checks;
