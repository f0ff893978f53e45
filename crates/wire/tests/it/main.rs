//! The protocol against itself, against an oracle, and against hostile bytes.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a test may fail, and random numbers are cut on purpose"
)]

#[macro_use]
mod subject;
mod generated;
mod golden;
mod hostile;
mod hot;
mod oracle;
mod random;
mod round_trip;

use ottla_wire::messages::metadata_request::MetadataRequestTopic;
use ottla_wire::messages::{FetchRequest, MetadataRequest};
use ottla_wire::records::{MetadataRecord, TopicRecord};
use ottla_wire::{ApiKey, Reader, Writer};

#[test]
fn a_message_survives_the_wire() {
    for version in MetadataRequest::VERSIONS {
        let topic = MetadataRequestTopic { name: Some("t".into()), ..Default::default() };
        let request = MetadataRequest { topics: Some(vec![topic].into()), ..Default::default() };
        let mut bytes = Vec::new();
        request.encode(&mut Writer::new(&mut bytes), version).unwrap();
        let mut reader = Reader::new(&bytes);
        assert_eq!(MetadataRequest::decode(&mut reader, version), Ok(request), "version {version}");
        assert_eq!(reader.finish(), Ok(()));
    }
}

#[test]
fn a_stored_record_is_framed() {
    let record =
        MetadataRecord::Topic(TopicRecord { name: "foo".into(), ..TopicRecord::default() });
    let mut bytes = Vec::new();
    record.encode(&mut bytes, 0).unwrap();
    assert_eq!(bytes.get(..7), Some(&[1, 2, 0, 4, b'f', b'o', b'o'][..]));
    assert_eq!(MetadataRecord::decode(&bytes), Ok(record));
}

#[test]
fn header_versions_follow_the_flexible_versions() {
    check(ApiKey::Fetch, 11, (1, 0));
    check(ApiKey::Fetch, 12, (2, 1));
    check(ApiKey::ApiVersions, 3, (2, 0));
    check(ApiKey::SaslHandshake, 1, (1, 0));
    assert_eq!(FetchRequest::FLEXIBLE, 12);

    fn check(key: ApiKey, version: i16, expected: (i16, i16)) {
        let versions = key.header_versions(version);
        assert_eq!((versions.request, versions.response), expected, "{key:?} {version}");
    }
}
