//! Load generator and side-by-side runner.

fn main() {}
