//! Every bound in one place, each with its arithmetic.

/// Kafka's longest topic name: 255, the longest file name, less room for `-` and a partition.
pub const TOPIC_NAME_BYTES_MAX: usize = 249;

/// `socket.request.max.bytes`: the largest frame a listener takes.
pub const REQUEST_BYTES_MAX: usize = 100 * 1024 * 1024;

/// The largest answer that is encoded as a whole: more than any honest question asks for. Records
/// are not part of it.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Different names that one request may ask about, where a name is short and what is told of it is
/// not: 100,000 of them hold 10 MiB at the most while they are looked up.
pub const NAMES_PER_REQUEST_MAX: usize = 100_000;

/// Produce requests of one connection that may wait for replication at once; each holds about
/// 100 bytes and no record bytes.
pub const PARKED_PRODUCE_MAX: usize = 64;

/// What the records of one compressed batch may inflate to when the node has to look at them: 128
/// times the default of `message.max.bytes`. One batch at a time on each loop.
pub const INFLATED_BATCH_BYTES_MAX: usize = 128 * 1024 * 1024;

/// Records of one refused batch that its producer is told of: a few are enough to find a mistake,
/// and 200 bytes each keep the answer below 20 KiB. Kafka tells of all.
pub const RECORD_ERRORS_MAX: usize = 100;
