//! Producer, consumer and admin in pure Rust, on the ports.
//!
//! A [`Client`] is one application's view of one cluster. It belongs to the event loop that it was
//! made on, shares its connections and its metadata, and makes the three things one works with:
//!
//! ```
//! # use ottla_client::{Client, NewTopic, Record, ClientError};
//! # use ottla_env::Env;
//! async fn hello(env: Env) -> Result<(), ClientError> {
//!     let client = Client::builder(env).bootstrap("127.0.0.1:9092".parse()?).build();
//!
//!     client.admin().create_topic(NewTopic::new("greetings").partitions(3)).await?;
//!
//!     let producer = client.producer().build();
//!     let delivered = producer.send(Record::to("greetings").key("en").value("hello")).await?;
//!     println!("written to {}", delivered.await?);
//!
//!     let mut consumer = client.consumer().group("readers").subscribe(["greetings"]).build()?;
//!     loop {
//!         let record = consumer.next().await?;
//!         println!("{record}");
//!         consumer.commit().await?;
//!     }
//! }
//! ```
//!
//! Nothing here reads a clock, opens a socket or draws a number but through [`ottla_env::Env`]:
//! the same client runs against a cluster of processes and inside of the simulator.

mod admin;
mod client;
mod cluster;
mod connection;
mod consumer;
mod error;
mod metadata;
mod offsets;
mod producer;
mod reach;
mod request;
mod versions;
mod wait;

pub use admin::{
    Admin, AdminError, ClusterDescription, CommittedOffset, ConfigChange, ConfigEntry,
    ConfigResource, ConfigSource, ConfigSynonym, EligibleReplicas, FeatureChange, FeatureLevels,
    GroupDescription, GroupListing, GroupMember, ListedOffset, LogDirDescription, NewTopic,
    OffsetSpec, QuorumDescription, QuorumListener, QuorumReplica, RegisteredBroker,
};
pub use client::{Client, ClientBuilder, ClientError, partition};
pub use cluster::Resolver;
pub use consumer::{
    Assignor, ConsumeError, Consumer, ConsumerBuilder, ConsumerRecord, GroupProtocol, Isolation,
    OffsetReset, Rebalance,
};
pub use error::{BrokerError, CallError, RequestError};
pub use metadata::{Node, PartitionMetadata, TopicMetadata};
pub use ottla_records::Compression;
pub use producer::{
    Acks, ChoosePartition, Delivered, Delivery, Partitioner, Pour, Poured, PouredRecord,
    ProduceError, Producer, ProducerBuilder, Record,
};
pub use reach::Unreached;
