//! What a case is. The table of them is in `table`.

use super::systems::System;

/// Something to measure, on one set of nodes.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// The systems; the same twice is a measure of the noise.
    pub(crate) systems: &'static [System],
    /// Which are compared: places in `systems`, what should be better first.
    pub(crate) pairs: &'static [(usize, usize)],
    pub(crate) placement: Placement,
    /// Properties of all systems, as `name=value`.
    pub(crate) properties: &'static [&'static str],
    /// Of Kafka alone: what is best for it here.
    pub(crate) for_kafka: &'static [&'static str],
    pub(crate) kind: Kind,
    pub(crate) rows: &'static [Row],
}

/// How the runs of a case are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Every system runs throughout; the generator's command is the row's.
    Load,
    /// Each run has a fresh node, warmed up with these arguments of the row's command.
    Fresh { warm_up: &'static str, needs_data: bool },
    /// From nothing to the first answer, then left alone.
    Start,
    /// Filled, killed, started again.
    Restart,
}

/// Which processors broker and generator have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// The broker has processor 1, the generator processor 0.
    Pinned,
    /// Both have all.
    Free,
}

impl Placement {
    pub(crate) const fn describe(self) -> &'static str {
        match self {
            Self::Pinned => "broker on CPU 1, generator on CPU 0",
            Self::Free => "broker and generator on any CPU",
        }
    }
}

/// One load and what is read off it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// For the report.
    pub(crate) what: &'static str,
    /// The generator's command.
    pub(crate) command: &'static str,
    /// Its arguments, whole and short.
    pub(crate) full: &'static str,
    pub(crate) short: &'static str,
    /// Seconds that a run takes, averaged over the systems, whole and short; pauses, preparations
    /// and fresh nodes included.
    pub(crate) seconds: [f64; 2],
    /// Pairs of the short form, at most.
    pub(crate) short_pairs_max: usize,
    /// Runs before the first that counts, where the row is not the first: zero where the rows
    /// before it have warmed up all that it needs.
    pub(crate) warm_ups_later: usize,
    pub(crate) figures: &'static [Figure],
}

/// A number of the report: one sample's value, or one divided by another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) value: &'static str,
    /// Divides the value; empty for none.
    pub(crate) by: &'static str,
    pub(crate) factor: f64,
    pub(crate) better: Better,
    /// Whether others at work spoil it.
    pub(crate) is_wall: bool,
    /// For pairs of the case, by place: how many times better the first shall be.
    pub(crate) goals: &'static [(usize, f64)],
    /// What the first system of the case shall not exceed, or with `Better::More` reach.
    pub(crate) limit: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Less,
    More,
    /// It says something of the run, not of the system.
    Neither,
}

/// A cost.
pub(crate) const fn less(
    name: &'static str,
    value: &'static str,
    by: &'static str,
    factor: f64,
) -> Figure {
    let (better, is_wall, goals, limit) = (Better::Less, false, &[], None);
    Figure { name, value, by, factor, better, is_wall, goals, limit }
}

/// A rate.
pub(crate) const fn more(
    name: &'static str,
    value: &'static str,
    by: &'static str,
    factor: f64,
) -> Figure {
    Figure { better: Better::More, is_wall: true, ..less(name, value, by, factor) }
}

/// About the run.
pub(crate) const fn about(
    name: &'static str,
    value: &'static str,
    by: &'static str,
    factor: f64,
) -> Figure {
    Figure { better: Better::Neither, ..less(name, value, by, factor) }
}

impl Figure {
    pub(crate) const fn wall(self) -> Self {
        Self { is_wall: true, ..self }
    }

    pub(crate) const fn goals(self, goals: &'static [(usize, f64)]) -> Self {
        Self { goals, ..self }
    }

    pub(crate) const fn limit(self, limit: f64) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// How many times better `ours` is than `peer`. A cost of nothing, as of a process that slept
    /// throughout, is so many times less than any other.
    pub(crate) fn ratio(&self, ours: f64, peer: f64) -> f64 {
        const TO_NOTHING: f64 = 10_000.0;
        match self.better {
            Better::Less if ours <= 0.0 && peer > 0.0 => TO_NOTHING,
            Better::Less => peer / ours,
            Better::More => ours / peer,
            Better::Neither => f64::NAN,
        }
    }
}

impl Row {
    /// The generator's arguments.
    pub(crate) fn arguments(&self, form: Form) -> Vec<&'static str> {
        let arguments = match form {
            Form::Whole => self.full,
            Form::Short | Form::Smoke => self.short,
        };
        let smoke = match form {
            Form::Smoke if self.short.contains("--partitions 5000") => SMOKE_PARTITIONS,
            Form::Smoke => smoke(self.command),
            Form::Whole | Form::Short => "",
        };
        arguments.split_whitespace().chain(smoke.split_whitespace()).collect()
    }

    /// Seconds of one run.
    pub(crate) const fn budget(&self, form: Form) -> f64 {
        match form {
            Form::Whole => self.seconds[0],
            Form::Short | Form::Smoke => self.seconds[1],
        }
    }

    /// Pairs that count.
    pub(crate) fn pairs(&self, wanted: usize, form: Form) -> usize {
        match form {
            Form::Whole => wanted,
            Form::Short | Form::Smoke => wanted.min(self.short_pairs_max),
        }
    }

    /// Runs before the first that counts: a JVM is slow until it is warm.
    pub(crate) fn warm_ups(&self, kind: Kind, is_first: bool, wanted: usize) -> usize {
        match kind {
            Kind::Load if is_first => wanted,
            Kind::Load => wanted.min(self.warm_ups_later),
            Kind::Fresh { .. } | Kind::Start | Kind::Restart => 0,
        }
    }
}

/// How much of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Whole,
    /// All cases together fit into forty minutes.
    Short,
    /// Whether everything runs; the figures mean nothing.
    Smoke,
}

const SMOKE_PARTITIONS: &str = "--partitions 300 --requests 1000";

/// What a command is told last, which is what counts.
fn smoke(command: &str) -> &'static str {
    match command {
        "produce" => "--requests 1000",
        "open-loop" => "--seconds 1 --lead-in 0.2",
        "groups" => "--members 30 --partitions 60",
        "topics" => "--topics 200",
        "catch-up" => "--requests 4000 --seconds 1",
        "compact" => "--megabytes 100 --keys 50000",
        _ => "",
    }
}
