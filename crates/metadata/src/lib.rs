//! What the cluster is, and who may change it.
