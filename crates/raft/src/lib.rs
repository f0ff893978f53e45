//! KRaft consensus as a pure machine.
