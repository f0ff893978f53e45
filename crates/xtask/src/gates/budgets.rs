//! The budgets, each with its reason: the one table to change when a figure changes for good.

use std::fmt;

/// A figure and what it may be.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) name: &'static str,
    pub(super) unit: &'static str,
    pub(super) limit: Limit,
    /// Why this much and no more; said when it is exceeded.
    pub(super) why: &'static str,
}

/// What a figure may be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit {
    /// Not above this.
    AtMost(f64),
    /// Counted exactly, so that a step back of [`TOLERANCE`] shows. The goal is where the figure is
    /// to come; once the record is there, nothing may lead away from it again.
    Recorded { figure: f64, goal: f64 },
}

/// By how much a counted figure may be above the recorded one: compilers and C libraries differ.
const TOLERANCE: f64 = 0.02;

/// What a limit says of a figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Within,
    /// Below the record by more than the tolerance.
    Better,
    Exceeded,
}

impl Limit {
    /// What is not a number is no figure, and exceeds.
    pub(super) fn judge(self, value: f64) -> Verdict {
        match value {
            value if self.least().is_some_and(|least| value < least) => Verdict::Better,
            value if value <= self.most() => Verdict::Within,
            _ => Verdict::Exceeded,
        }
    }

    fn most(self) -> f64 {
        match self {
            Self::AtMost(most) => most,
            Self::Recorded { figure, goal } if figure <= goal => goal.min(figure + allowed(figure)),
            Self::Recorded { figure, .. } => figure + allowed(figure),
        }
    }

    /// Below this the record is out of date.
    fn least(self) -> Option<f64> {
        match self {
            Self::AtMost(_) => None,
            Self::Recorded { figure, .. } => Some(figure - allowed(figure)),
        }
    }
}

fn allowed(figure: f64) -> f64 {
    figure * TOLERANCE
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {:.2}", self.most())?;
        match self {
            Self::AtMost(_) => Ok(()),
            Self::Recorded { figure, goal } => write!(f, " (recorded {figure}, goal {goal})"),
        }
    }
}

/// Counted requests are small: one batch of one record of 100 bytes, five at a time on one
/// connection (see `counted`).
pub(super) const GATES: [Gate; 11] = [
    Gate {
        name: "produce-instructions",
        unit: "a request",
        limit: Limit::Recorded { figure: 6_600.0, goal: 3_000.0 },
        why: "what is unbatched costs the broker by the request, not by the byte",
    },
    Gate {
        name: "fetch-instructions",
        unit: "a request",
        limit: Limit::Recorded { figure: 11_040.0, goal: 3_000.0 },
        why: "whoever reads at the end of a log asks for every few messages",
    },
    Gate {
        name: "produce-allocations",
        unit: "a request",
        limit: Limit::AtMost(0.05),
        why: "what a steady request needs belongs to its loop or its connection already",
    },
    Gate {
        name: "fetch-allocations",
        unit: "a request",
        limit: Limit::AtMost(0.05),
        why: "what a steady request needs belongs to its loop or its connection already",
    },
    Gate {
        name: "produce-syscalls",
        unit: "a request",
        limit: Limit::Recorded { figure: 0.84, goal: 0.82 },
        why: "five requests share a poll, a read, an append and an answer",
    },
    Gate {
        name: "fetch-syscalls",
        unit: "a request",
        limit: Limit::Recorded { figure: 2.65, goal: 1.62 },
        why: "one read of the log, and a fifth of what five share",
    },
    Gate {
        name: "lock-waits",
        unit: "an append",
        limit: Limit::AtMost(0.1),
        why: "the loops share partitions, which is right only while nobody waits for another",
    },
    Gate {
        name: "idle-rss",
        unit: "MiB",
        limit: Limit::AtMost(18.0),
        why: "Apache Kafka takes 311 to 375 MB",
    },
    Gate {
        name: "idle-rss-5000",
        unit: "MiB",
        limit: Limit::AtMost(55.0),
        why: "a partition that nobody uses costs its state, and neither files nor buffers",
    },
    Gate { name: "idle-wakes", unit: "a second", limit: Limit::AtMost(2.0), why: "nothing polls" },
    Gate {
        name: "start",
        unit: "ms",
        limit: Limit::AtMost(150.0),
        why: "the median of nine starts, and generous to a busy machine: a quiet one needs a tenth",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_may_not_rise_and_is_told_when_it_falls() {
        let far = Limit::Recorded { figure: 1_000.0, goal: 500.0 };
        check(far, 979.0, Verdict::Better);
        check(far, 1_020.0, Verdict::Within);
        check(far, 1_021.0, Verdict::Exceeded);
        let there = Limit::Recorded { figure: 1_000.0, goal: 1_010.0 };
        check(there, 1_010.0, Verdict::Within);
        check(there, 1_011.0, Verdict::Exceeded);
        check(Limit::AtMost(2.0), 0.0, Verdict::Within);
        check(Limit::AtMost(2.0), 2.1, Verdict::Exceeded);
        check(Limit::AtMost(2.0), f64::NAN, Verdict::Exceeded);
    }

    fn check(limit: Limit, value: f64, expected: Verdict) {
        assert_eq!(limit.judge(value), expected, "{value}: {limit}");
    }

    #[test]
    fn gates_have_names_of_their_own() {
        for (at, gate) in GATES.iter().enumerate() {
            assert!(GATES[..at].iter().all(|other| other.name != gate.name), "{}", gate.name);
        }
    }
}
