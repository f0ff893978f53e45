//! Record batches: check, read, build, compress.
