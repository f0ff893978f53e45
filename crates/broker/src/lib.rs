//! One node: everything above, hosted.
