//! The APIs that can be asked, by the schema of `crates/wire`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::decode::{self, Errors};
use super::encode;
use super::value::Value;
use crate::command;
use crate::generate::{self, schema};
use schema::{Kind, Message, Versions};

/// One API with its two messages.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) name: String,
    pub(super) key: i16,
    versions: Versions,
    pub(super) request: Message,
    response: Message,
}

/// All APIs that have messages, in the order of their keys, and the names of errors.
#[derive(Debug)]
pub(super) struct Catalog {
    pub(super) apis: Vec<Api>,
    pub(super) errors: Errors,
}

impl Catalog {
    /// Reads the schema.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn read() -> Result<Self, String> {
        let schema = generate::load(&command::root().join("crates/wire/schema"));
        let schema = schema.map_err(|error| error.to_string())?;
        let (mut requests, mut responses) = (BTreeMap::new(), BTreeMap::new());
        for message in schema.messages {
            match message.kind.clone() {
                Kind::Request(name) => drop(requests.insert(name, message)),
                Kind::Response(name) => drop(responses.insert(name, message)),
                Kind::Metadata(_) | Kind::Data => {}
            }
        }
        let apis = schema.apis.into_iter().filter_map(|api| {
            let (request, response) = (requests.remove(&api.name)?, responses.remove(&api.name)?);
            Some(Api { name: api.name, key: api.key, versions: api.versions, request, response })
        });
        let errors = schema.errors.into_iter().map(|error| (error.code.into(), error.name));
        Ok(Self { apis: apis.collect(), errors: errors.collect() })
    }

    /// The API of that name.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn api(&self, name: &str) -> Result<&Api, String> {
        let found = self.apis.iter().find(|api| api.name == name);
        found.ok_or_else(|| format!("there is no API {name}"))
    }
}

impl Api {
    /// The versions that Kafka 4 knows.
    pub(super) fn versions(&self) -> RangeInclusive<i16> {
        self.versions.low..=self.versions.high
    }

    /// A request's header: `claimed` is the version that it names, `version` how it is written.
    pub(super) fn header(&self, version: i16, claimed: i16, correlation: i32) -> Vec<u8> {
        let mut header = Vec::new();
        header.extend(self.key.to_be_bytes());
        header.extend(claimed.to_be_bytes());
        header.extend(correlation.to_be_bytes());
        header.extend([0, 4]);
        header.extend(b"diff");
        if encode::is_flexible(&self.request, version) {
            header.push(0);
        }
        header
    }

    /// What an answer says that follows its correlation id.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn answer(
        &self,
        version: i16,
        bytes: &[u8],
        errors: &Errors,
    ) -> Result<Value, String> {
        let tagged = encode::is_flexible(&self.response, version) && self.name != "ApiVersions";
        let ((true, [0, body @ ..]) | (false, body)) = (tagged, bytes) else {
            return Err("a header with tags".to_owned());
        };
        decode::body(&self.response, version, body, errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_of_the_schema_has_its_api() {
        let catalog = Catalog::read().unwrap();
        assert!(catalog.apis.len() > 30, "{}", catalog.apis.len());
        assert_eq!(catalog.api("Fetch").unwrap().key, 1);
        assert!(catalog.api("Fetsch").is_err());
    }

    #[test]
    fn headers_are_flexible_where_their_requests_are() {
        let catalog = Catalog::read().unwrap();
        let fetch = catalog.api("Fetch").unwrap();
        assert_eq!(fetch.header(4, 4, 7).len(), 14);
        assert_eq!(fetch.header(12, 12, 7).len(), 15);
    }
}
