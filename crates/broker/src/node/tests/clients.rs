//! What clients say that they are.

use ottla_wire::messages::{ApiVersionsRequest, ApiVersionsResponse};

use super::{ApiKey, Client, Life, Node, OK, Reader, World};

/// The code of a request that is not as it should be.
const INVALID_REQUEST: i16 = 42;

impl Client {
    /// Says what it is, as clients do first; the error that comes back.
    async fn introduce(&mut self, name: &'static str, version: &'static str) -> i16 {
        let request = ApiVersionsRequest {
            client_software_name: name.into(),
            client_software_version: version.into(),
            ..Default::default()
        };
        self.send(ApiKey::ApiVersions, 3, |writer| request.encode(writer, 3)).await;
        let frame = self.answer(ApiKey::ApiVersions, 3).await.frame;
        ApiVersionsResponse::decode(&mut Reader::new(&frame[4..]), 3).unwrap().error_code
    }
}

/// Each software with its connections, once there are as many kinds as expected.
async fn connected(life: &Life, node: &Node, expected: &[&str]) {
    for _ in 0..100 {
        let clients = node.broker.clients.connected();
        let told = clients
            .iter()
            .map(|(software, count)| format!("{} {}: {count}", software.name, software.version));
        if told.collect::<Vec<_>>() == expected {
            return;
        }
        life.pause(10).await;
    }
    panic!("not {expected:?} but {:?}", node.broker.clients.connected());
}

#[test]
fn what_a_client_says_that_it_is_is_known_while_it_is_connected() {
    World::new(71).live(async |life| {
        let node = life.node(&[]).await;
        let (mut one, mut other) = (life.client().await, life.client().await);
        assert_eq!(one.introduce("apache-kafka-java", "4.3.1").await, OK);
        assert_eq!(other.introduce("librdkafka", "2.16.0").await, OK);
        connected(&life, &node, &["apache-kafka-java 4.3.1: 1", "librdkafka 2.16.0: 1"]).await;
        assert_eq!(one.introduce("librdkafka", "2.16.0").await, OK);
        connected(&life, &node, &["librdkafka 2.16.0: 2"]).await;
        assert_eq!(one.introduce("", "2.16.0").await, INVALID_REQUEST);
        connected(&life, &node, &["librdkafka 2.16.0: 2"]).await;
        drop((one, other));
        connected(&life, &node, &[]).await;
    });
}
