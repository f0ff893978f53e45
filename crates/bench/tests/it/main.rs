//! Budgets that are counted, not timed.

mod allocations;
mod decoding;
