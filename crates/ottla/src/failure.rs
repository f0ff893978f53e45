//! Why a command did not do what it was asked for, and the exit code that says so.

use std::io;
use std::process::ExitCode;

use ottla_client::{AdminError, CallError, ClientError, ConsumeError, ProduceError, RequestError};
use ottla_types::InvalidTopicName;
use ottla_wire::ErrorCode;

/// What a command that talks to a cluster ends with instead of an answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line makes no sense: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The cluster does not do what it was asked for, or cannot be asked.
    #[error(transparent)]
    Cluster(Box<ClientError>),
    /// Told in the words that somebody found who knows the circumstances.
    #[error("{0}")]
    Told(String),
    /// Some of several things were not done, and each was told of on its own.
    #[error("not everything was done")]
    Items,
    /// The answer cannot be written.
    #[error("the answer cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// The command line makes no sense.
const USAGE: u8 = 2;

impl Failure {
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::Usage(what.into())
    }

    pub(crate) fn told(what: impl Into<String>) -> Self {
        Self::Told(what.into())
    }

    /// Says why on standard error; the exit code.
    pub(crate) fn end(&self) -> ExitCode {
        match self {
            // Whoever reads the answer has seen enough, as `head` does.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                return ExitCode::SUCCESS;
            }
            Self::Items => {}
            Self::Usage(_) | Self::Cluster(_) | Self::Told(_) | Self::Output(_) => {
                say(&self.to_string());
            }
        }
        match self {
            Self::Usage(_) => ExitCode::from(USAGE),
            Self::Cluster(_) | Self::Told(_) | Self::Items | Self::Output(_) => ExitCode::FAILURE,
        }
    }

    /// The request that got no answer, if that is what happened.
    pub(crate) fn call(&self) -> Option<&CallError> {
        let Self::Cluster(error) = self else { return None };
        match &**error {
            ClientError::Admin(error) => borrowed(&error.source),
            ClientError::Consume(ConsumeError::Call(error))
            | ClientError::Produce(ProduceError::Call { source: error, .. }) => Some(error),
            ClientError::Consume(
                ConsumeError::Group { source, .. } | ConsumeError::TimedOut { last: source, .. },
            )
            | ClientError::Produce(ProduceError::Lookup { source, .. }) => borrowed(source),
            ClientError::Consume(_)
            | ClientError::Produce(_)
            | ClientError::TopicName(_)
            | ClientError::Address(_) => None,
        }
    }
}

/// The call behind a request, where it was that which failed.
const fn borrowed(error: &RequestError) -> Option<&CallError> {
    match error {
        RequestError::Call(error) => Some(error),
        RequestError::Refused(_) => None,
    }
}

/// A line of what went wrong, or is worth knowing: never on standard output.
pub(crate) fn say(what: &str) {
    for line in what.lines() {
        eprintln!("ottla: {line}");
    }
}

/// Whether the cluster said that there is no such topic.
pub(crate) fn is_unknown_topic(error: &AdminError) -> bool {
    error.code() == Some(ErrorCode::UnknownTopicOrPartition)
}

impl From<AdminError> for Failure {
    fn from(error: AdminError) -> Self {
        Self::Cluster(Box::new(error.into()))
    }
}

impl From<ProduceError> for Failure {
    fn from(error: ProduceError) -> Self {
        Self::Cluster(Box::new(error.into()))
    }
}

impl From<ConsumeError> for Failure {
    fn from(error: ConsumeError) -> Self {
        Self::Cluster(Box::new(error.into()))
    }
}

impl From<InvalidTopicName> for Failure {
    fn from(error: InvalidTopicName) -> Self {
        Self::Usage(error.to_string())
    }
}
