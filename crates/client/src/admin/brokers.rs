//! Brokers, whether or not they serve.

use std::borrow::Cow;

use ottla_wire::messages::DescribeClusterRequest;

use super::{Admin, AdminError, Repeat};
use crate::error::BrokerError;

/// A broker that is registered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RegisteredBroker {
    /// Its node id.
    pub id: i32,
    /// The host that it advertises.
    pub host: String,
    /// The port that it advertises.
    pub port: i32,
    /// The rack or zone that it stands in, if it says so.
    pub rack: Option<String>,
    /// Whether it is kept from serving.
    pub is_fenced: bool,
}

impl Admin {
    /// The brokers that serve; with `fenced`, those that are registered and do not as well.
    ///
    /// # Errors
    /// When nobody answers in time, or the cluster is too old to tell of fenced ones.
    pub async fn registered_brokers(
        &self,
        fenced: bool,
    ) -> Result<Vec<RegisteredBroker>, AdminError> {
        let request = DescribeClusterRequest {
            include_fenced_brokers: fenced,
            ..DescribeClusterRequest::default()
        };
        self.ask("list the brokers", Repeat::Always, &request, |answer| {
            let answer = answer.get();
            BrokerError::check_with(answer.error_code, answer.error_message.as_deref())?;
            let brokers = answer.brokers.iter().map(|broker| RegisteredBroker {
                id: broker.broker_id,
                host: broker.host.into_owned(),
                port: broker.port,
                rack: broker.rack.map(Cow::into_owned),
                is_fenced: broker.is_fenced,
            });
            Ok(brokers.collect())
        })
        .await
    }
}
