//! What can go wrong between a client and its cluster: on the way, and in an answer.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use ottla_wire::{ApiKey, DecodeError, EncodeError, ErrorCode};

/// A request that got no answer that can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nobody was reached.
    #[error("no connection to {address}: {why}; is a broker listening there?")]
    Connect {
        /// Who was tried.
        address: SocketAddr,
        /// What the operating system said.
        why: String,
    },
    /// The connection ended. The broker may have served the request all the same.
    #[error("the connection to {address} ended before {api:?} was answered: {why}")]
    Lost {
        /// Who was asked.
        address: SocketAddr,
        /// What was asked.
        api: ApiKey,
        /// How it ended.
        why: String,
    },
    /// No answer came in time. The broker may serve the request all the same.
    #[error(
        "{address} did not answer {api:?} within {after:?}; raise `request_timeout` if it is busy"
    )]
    TimedOut {
        /// Who was asked.
        address: SocketAddr,
        /// What was asked.
        api: ApiKey,
        /// How long it was waited for.
        after: Duration,
    },
    /// Broker and client have no version of the API in common.
    #[error("{address} does not serve a version of {api:?} that this client speaks")]
    Unsupported {
        /// Who was asked.
        address: SocketAddr,
        /// What was to be asked.
        api: ApiKey,
    },
    /// The request says what the version in common has no words for.
    #[error("{address} serves a version of {api:?} that is too old for this request: {why}")]
    Unsayable {
        /// Who was asked.
        address: SocketAddr,
        /// What was to be asked.
        api: ApiKey,
        /// What cannot be said.
        why: EncodeError,
    },
    /// The answer is none.
    #[error("{address} answered {api:?} with bytes that are no answer: {why}")]
    Garbage {
        /// Who was asked.
        address: SocketAddr,
        /// What was asked.
        api: ApiKey,
        /// Where decoding stopped.
        why: DecodeError,
    },
    /// Whoever listens there is no Kafka broker, or not on that port.
    #[error("{address} speaks {speaks}, not Kafka's protocol in plain text")]
    Stranger {
        /// Who was asked.
        address: SocketAddr,
        /// What it speaks: `HTTP`, `TLS`.
        speaks: String,
    },
    /// A broker has a name, and nobody knows its address.
    #[error(
        "the address of {host:?} is unknown; give the client a `resolver`, or the broker an IP address in advertised.listeners"
    )]
    Unresolved {
        /// The name.
        host: String,
    },
    /// No address to begin with.
    #[error("no bootstrap address; call `bootstrap` on the builder")]
    NoBootstrap,
    /// Metadata names a broker that it does not describe.
    #[error("broker {id} is not known yet")]
    UnknownBroker {
        /// Its node id.
        id: i32,
    },
}

impl CallError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub const fn is_retriable(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Lost { .. }
            | Self::TimedOut { .. }
            | Self::UnknownBroker { .. } => true,
            Self::Unsupported { .. }
            | Self::Unsayable { .. }
            | Self::Garbage { .. }
            | Self::Stranger { .. }
            | Self::Unresolved { .. }
            | Self::NoBootstrap => false,
        }
    }

    /// Whether it is certain that no broker has seen the request.
    #[must_use]
    pub const fn is_unsent(&self) -> bool {
        !matches!(self, Self::Lost { .. } | Self::TimedOut { .. } | Self::Garbage { .. })
    }
}

/// What a broker answered instead of doing what it was asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct BrokerError {
    code: i16,
    message: Option<String>,
}

impl BrokerError {
    /// `Ok` for code 0.
    pub(crate) fn check(code: i16) -> Result<(), Self> {
        Self::check_with(code, None)
    }

    /// `Ok` for code 0; else the code with the broker's own words, if it has any.
    pub(crate) fn check_with(code: i16, message: Option<&str>) -> Result<(), Self> {
        match code {
            0 => Ok(()),
            _ => Err(Self { code, message: message.map(str::to_owned) }),
        }
    }

    /// An error without words of the broker's own.
    pub(crate) const fn of(code: ErrorCode) -> Self {
        Self { code: code.code(), message: None }
    }

    /// Kafka's error; `None` for a number that this client does not know.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        ErrorCode::from_wire(self.code)
    }

    /// Kafka's number of the error.
    #[must_use]
    pub const fn number(&self) -> i16 {
        self.code
    }

    /// The broker's own words, where it has sent any.
    #[must_use]
    pub fn words(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// Whether it is this error.
    #[must_use]
    pub fn is(&self, code: ErrorCode) -> bool {
        self.code() == Some(code)
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        self.code().is_some_and(ErrorCode::retriable)
    }

    /// Whether what the client knows of leaders, topics or coordinators is out of date.
    #[must_use]
    pub(crate) fn is_stale_metadata(&self) -> bool {
        matches!(
            self.code(),
            Some(
                ErrorCode::NotLeaderOrFollower
                    | ErrorCode::LeaderNotAvailable
                    | ErrorCode::UnknownTopicOrPartition
                    | ErrorCode::UnknownTopicId
                    | ErrorCode::InconsistentTopicId
                    | ErrorCode::FencedLeaderEpoch
                    | ErrorCode::UnknownLeaderEpoch
                    | ErrorCode::ReplicaNotAvailable
                    | ErrorCode::ListenerNotFound
                    | ErrorCode::KafkaStorageError
                    | ErrorCode::OffsetNotAvailable
            )
        )
    }

    /// Whether another broker may be the group's coordinator by now, or this one is not ready.
    #[must_use]
    pub(crate) fn is_about_coordinator(&self) -> bool {
        matches!(
            self.code(),
            Some(
                ErrorCode::NotCoordinator
                    | ErrorCode::CoordinatorNotAvailable
                    | ErrorCode::CoordinatorLoadInProgress
            )
        )
    }
}

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.code().map_or("an unknown error", ErrorCode::name);
        let words = self.message.as_deref().or_else(|| self.code().map(ErrorCode::message));
        write!(f, "{name} ({})", self.code)?;
        words.map_or(Ok(()), |words| write!(f, ": {words}"))
    }
}

impl fmt::Debug for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for BrokerError {}

/// A request that was not served: no answer, or an answer that says why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No answer that can be read.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The broker refused.
    #[error("the broker refused: {0}")]
    Refused(#[from] BrokerError),
}

impl RequestError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self {
            Self::Call(error) => error.is_retriable(),
            Self::Refused(error) => error.is_retriable(),
        }
    }

    /// The broker's error, if it was the broker that refused.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Call(_) => None,
            Self::Refused(error) => error.code(),
        }
    }
}
