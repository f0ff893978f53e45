#!/usr/bin/env python3
"""kafka-python as of the years before Kafka 1.0, told which release of brokers it talks to.

    client.py BOOTSTRAP TOPIC CODEC RELEASE COUNT EXPECTED

Sends COUNT records with values `old N`, reads EXPECTED from the beginning of the topic and prints their values. From
release 0.9 on it reads as a member of a group that commits, and a second member finds nothing left.
"""

import sys

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

SECONDS = 30


def produce(bootstrap, topic, codec, release, count):
    producer = KafkaProducer(
        bootstrap_servers=bootstrap,
        api_version=release,
        compression_type=None if codec == "none" else codec,
        acks=-1,
        # So that some records share a set, and some do not.
        linger_ms=20,
        batch_size=300,
    )
    sent = [producer.send(topic, key=b"k%d" % n, value=b"old %d" % n) for n in range(count)]
    producer.flush(SECONDS)
    offsets = [future.get(SECONDS).offset for future in sent]
    assert offsets == list(range(offsets[0], offsets[0] + count)), offsets
    producer.close(SECONDS)


def consumer(bootstrap, topic, release, idle_ms):
    groups = release >= (0, 9)
    made = KafkaConsumer(
        bootstrap_servers=bootstrap,
        api_version=release,
        group_id=f"readers of {topic}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        consumer_timeout_ms=idle_ms,
    )
    if groups:
        made.subscribe([topic])
    else:
        made.assign([TopicPartition(topic, 0)])
    return made


def consume(bootstrap, topic, release, expected):
    reader = consumer(bootstrap, topic, release, SECONDS * 1000)
    values = []
    while len(values) < expected:
        record = next(reader)
        assert record.offset == len(values), (record.offset, len(values))
        values.append(record.value.decode())
    # Before 0.8.1 nobody kept offsets.
    if release >= (0, 8, 1):
        reader.commit()
        assert reader.committed(TopicPartition(topic, 0)) == expected
    reader.close()
    if release >= (0, 8, 1):
        again = consumer(bootstrap, topic, release, 2000)
        assert [record.value for record in again] == []
        again.close()
    return values


def main():
    bootstrap, topic, codec, release, count, expected = sys.argv[1:]
    release = tuple(int(part) for part in release.split("."))
    produce(bootstrap, topic, codec, release, int(count))
    print("\n".join(consume(bootstrap, topic, release, int(expected))))


main()
