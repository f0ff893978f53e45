//! The real world: ports over tokio loops, files and sockets.
