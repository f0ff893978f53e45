//! The fake world: one thread, one seed, with its faults and its checkers.
