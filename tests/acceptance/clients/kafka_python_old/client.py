#!/usr/bin/env python3
"""kafka-python as it was for four years, before 2.1; it knows the classic protocol only, and eager assignors."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from kafka import ConsumerRebalanceListener, KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from events import HEARTBEAT_MS, expect, main, say, stopping, tell, until

ASSIGNORS = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}


class Member(ConsumerRebalanceListener):
    """One member of a group."""

    def __init__(self, options):
        self.pending = {}
        self.consumer = KafkaConsumer(
            bootstrap_servers=options.bootstrap,
            client_id=options.id,
            group_id=options.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=options.session_ms,
            heartbeat_interval_ms=HEARTBEAT_MS,
            partition_assignment_strategy=[ASSIGNORS[options.assignor or "range"]],
            reconnect_backoff_max_ms=200,
            fetch_max_wait_ms=100,
        )
        self.consumer.subscribe([options.topic], listener=self)

    def run(self):
        """Consumes until the standard input ends."""
        while not stopping.is_set():
            for partition, records in self.consumer.poll(timeout_ms=200).items():
                offsets = [record.offset for record in records]
                say("records", partition=partition.partition, offsets=offsets)
                self.pending[partition] = offsets[-1] + 1
            self.commit(self.pending)
        self.commit(self.pending)
        self.consumer.close()

    def commit(self, some):
        """Commits, and says what the broker has acknowledged."""
        if not some:
            return
        offsets = dict(some)
        try:
            self.consumer.commit({p: OffsetAndMetadata(o, "") for p, o in offsets.items()})
        except KafkaError as why:
            say("uncommitted", why=repr(why))
            return
        for partition in offsets:
            self.pending.pop(partition, None)
        say("committed", offsets={str(p.partition): o for p, o in offsets.items()})

    def on_partitions_assigned(self, assigned):
        tell("assigned", [one.partition for one in assigned])

    def on_partitions_revoked(self, revoked):
        self.commit({p: o for p, o in self.pending.items() if p in revoked})
        for one in revoked:
            self.pending.pop(one, None)
        tell("revoked", [one.partition for one in revoked])


def produce(options):
    """Sends at a rate until the standard input ends."""
    producer = KafkaProducer(
        bootstrap_servers=options.bootstrap,
        acks="all",
        linger_ms=5,
        compression_type=options.codec,
        retries=1000,
        max_in_flight_requests_per_connection=1,
        reconnect_backoff_max_ms=200,
    )
    sent = 0
    answers = []
    while not stopping.is_set():
        for _ in range(options.rate // 100):
            answers.append(producer.send(options.topic, str(sent).encode(), partition=sent % options.partitions))
            sent += 1
        time.sleep(0.01)
    producer.flush(60)
    for answer in answers:
        answer.get(1)
    producer.close()


class Admin:
    """The calls of its admin client that one node has an answer to, and that a broker of 4.x has not dropped."""

    def __init__(self, options):
        self.bootstrap = options.bootstrap
        self.admin = KafkaAdminClient(bootstrap_servers=options.bootstrap)
        self.topic = options.prefix + "-topic"
        self.group = options.prefix + "-group"
        self.first = TopicPartition(self.topic, 0)

    def run(self):
        self.topics()
        self.configs()
        self.records()
        self.live_group()
        self.admin.delete_topics([self.topic])
        until("delete topics", lambda: self.topic not in self.admin.list_topics())

    def topics(self):
        wanted = [NewTopic(self.topic, 3, 1, topic_configs={"retention.ms": "86400000"})]
        self.admin.create_topics(wanted)
        until("create and list topics", lambda: self.topic in self.admin.list_topics())
        until("describe topics", lambda: len(self.partitions()) == 3)
        try:
            self.admin.create_topics(wanted)
        except KafkaError as why:
            expect("create a topic twice", type(why).__name__ == "TopicAlreadyExistsError", why)
        else:
            raise AssertionError("create a topic twice: not refused")
        self.admin.create_partitions({self.topic: NewPartitions(5)})
        until("create partitions", lambda: len(self.partitions()) == 5)

    def partitions(self):
        (found,) = self.admin.describe_topics([self.topic])
        return found["partitions"]

    def retention(self):
        (answer,) = self.admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, self.topic)])
        _code, _message, _kind, _name, entries = answer.resources[0]
        return next(entry[1] for entry in entries if entry[0] == "retention.ms")

    def configs(self):
        expect("describe configs", self.retention() == "86400000", self.retention())
        wanted = ConfigResource(ConfigResourceType.TOPIC, self.topic, {"retention.ms": "3600000"})
        self.admin.alter_configs([wanted])
        until("replace configs", lambda: self.retention() == "3600000")

    def records(self):
        producer = KafkaProducer(bootstrap_servers=self.bootstrap)
        first = int(time.time() * 1000) - 600_000
        for i in range(100):
            producer.send(self.topic, b"0123456789", partition=0, timestamp_ms=first + i)
        producer.close()
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap)
        expect("list offsets: latest", consumer.end_offsets([self.first]) == {self.first: 100})
        expect("list offsets: earliest", consumer.beginning_offsets([self.first]) == {self.first: 0})
        timed = consumer.offsets_for_times({self.first: first + 10})[self.first]
        expect("list offsets: by time", timed.offset == 10, timed)
        consumer.close()

    def live_group(self):
        consumer = KafkaConsumer(
            self.topic,
            bootstrap_servers=self.bootstrap,
            group_id=self.group,
            client_id="the-member",
            enable_auto_commit=False,
        )
        for _ in range(100):
            consumer.poll(100)
            if len(consumer.assignment()) == 5:
                break
        (found,) = self.admin.describe_consumer_groups([self.group])
        good = found.state == "Stable" and len(found.members) == 1 and found.members[0].client_id == "the-member"
        expect("describe a group", good, found)
        listed = self.admin.list_consumer_groups()
        expect("list groups", (self.group, "consumer") in listed, listed)
        consumer.commit({self.first: OffsetAndMetadata(7, "word")})
        consumer.close()
        found = self.admin.list_consumer_group_offsets(self.group)
        expect("offsets outlive the member", found == {self.first: OffsetAndMetadata(7, "word")}, found)
        ((_, answer),) = self.admin.delete_consumer_groups([self.group])
        expect("delete groups", answer.__name__ == "NoError", answer)


if __name__ == "__main__":
    main(
        member=lambda options: Member(options).run(),
        produce=produce,
        admin=lambda options: Admin(options).run(),
    )
