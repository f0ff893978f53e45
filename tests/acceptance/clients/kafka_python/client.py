#!/usr/bin/env python3
"""kafka-python behind the command line of ../README.md; it knows the classic protocol only."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, OffsetSpec
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from kafka.errors import KafkaConnectionError, KafkaError, NoError
from kafka.structs import OffsetAndMetadata

from events import HEARTBEAT_MS, expect, main, say, stopping, tell, until

ASSIGNORS = {
    "range": RangePartitionAssignor,
    "roundrobin": RoundRobinPartitionAssignor,
    "sticky": StickyPartitionAssignor,
    "cooperative-sticky": CooperativeStickyAssignor,
}


class Member(ConsumerRebalanceListener):
    """One member of a group."""

    def __init__(self, options):
        self.pending = {}
        self.consumer = KafkaConsumer(
            bootstrap_servers=options.bootstrap,
            client_id=options.id,
            group_id=options.group,
            group_instance_id=options.static,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=options.session_ms,
            heartbeat_interval_ms=HEARTBEAT_MS,
            partition_assignment_strategy=[ASSIGNORS[options.assignor or "range"]],
            reconnect_backoff_max_ms=200,
            fetch_max_wait_ms=100,
        )
        self.consumer.subscribe([options.topic], listener=self)
        # Of 3.0.12, a leader that joins before it knows the topic joins again as soon as it does, and forgets, if a
        # poll ends meanwhile, to take what it is assigned: with Apache Kafka, too.
        self.consumer.topics()

    def run(self):
        """Consumes until the standard input ends."""
        while not stopping.is_set():
            for partition, records in self.poll().items():
                offsets = [record.offset for record in records]
                say("records", partition=partition.partition, offsets=offsets)
                self.pending[partition] = offsets[-1] + 1
            self.commit(self.pending)
        self.commit(self.pending)
        self.consumer.close()

    def poll(self):
        """What there is; nothing while no broker can be reached, which poll may tell by an exception."""
        try:
            return self.consumer.poll(timeout_ms=200)
        except KafkaConnectionError:
            time.sleep(0.1)
            return {}

    def commit(self, some):
        """Commits, and says what the broker has acknowledged."""
        if not some:
            return
        offsets = dict(some)
        try:
            self.consumer.commit({p: OffsetAndMetadata(o, "", -1) for p, o in offsets.items()}, timeout_ms=5000)
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
        self.let_go("revoked", revoked)

    def on_partitions_lost(self, lost):
        self.let_go("lost", lost)

    def let_go(self, event, partitions):
        for one in partitions:
            self.pending.pop(one, None)
        tell(event, [one.partition for one in partitions])


def produce(options):
    """Sends at a rate until the standard input ends."""
    producer = KafkaProducer(
        bootstrap_servers=options.bootstrap,
        acks="all",
        linger_ms=5,
        compression_type=options.codec,
        reconnect_backoff_max_ms=200,
    )
    sent = 0
    answers = []
    while not stopping.is_set():
        for _ in range(options.rate // 100):
            future = producer.send(options.topic, str(sent).encode(), partition=sent % options.partitions)
            answers.append(future)
            sent += 1
        time.sleep(0.01)
    producer.flush(60)
    for answer in answers:
        answer.get(1)
    producer.close()


class Admin:
    """The calls of kafka-python's admin client that one node has an answer to."""

    def __init__(self, options):
        self.bootstrap = options.bootstrap
        self.admin = KafkaAdminClient(bootstrap_servers=options.bootstrap)
        self.topic = options.prefix + "-topic"
        self.group = options.prefix + "-group"
        self.first = TopicPartition(self.topic, 0)

    def run(self):
        self.topics()
        self.configs()
        self.groups()
        self.live_group()
        self.records()
        self.cluster()
        self.admin.delete_topics([self.topic])
        until("delete topics", lambda: self.topic not in self.admin.list_topics())

    def refused(self, call, error, question):
        try:
            question()
        except KafkaError as why:
            expect(call, type(why).__name__ == error, why)
            return
        raise AssertionError(f"{call}: not refused")

    def topics(self):
        wanted = {self.topic: {"num_partitions": 3, "replication_factor": 1, "configs": {"retention.ms": "86400000"}}}
        self.admin.create_topics(wanted, wait_for_metadata=True)
        expect("create and list topics", self.topic in self.admin.list_topics())
        expect("describe topics", len(self.partitions()) == 3)
        self.refused("create a topic twice", "TopicAlreadyExistsError", lambda: self.admin.create_topics(wanted))
        self.admin.create_partitions({self.topic: 5})
        until("create partitions", lambda: len(self.partitions()) == 5)
        self.refused(
            "create fewer partitions",
            "InvalidPartitionsError",
            lambda: self.admin.create_partitions({self.topic: 2}),
        )

    def partitions(self):
        (found,) = self.admin.describe_topics([self.topic])
        return found["partitions"]

    def config(self, kind, name, key):
        resource = ConfigResource(kind, name)
        found = self.admin.describe_configs([resource], config_filter="all")
        return found[kind.name.lower()][name][key]["value"]

    def configs(self):
        def retention():
            return self.config(ConfigResourceType.TOPIC, self.topic, "retention.ms")

        expect("describe configs", retention() == "86400000", retention())
        self.admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, self.topic, {"retention.ms": "3600000"})])
        until("alter configs", lambda: retention() == "3600000")
        self.admin.reset_configs([ConfigResource(ConfigResourceType.TOPIC, self.topic, ["retention.ms"])])
        until("delete a config", lambda: retention() == "604800000")
        node = str(self.admin.describe_cluster()["brokers"][0]["broker_id"])
        found = self.config(ConfigResourceType.BROKER, node, "node.id")
        expect("describe a broker's configs", found == node, found)
        found = self.admin.list_config_resources(["topic"])
        expect("list config resources", self.topic in found["topic"], found)

    def committed(self):
        found = self.admin.list_group_offsets(self.group)[self.group]
        return {partition.partition: (one.offset, one.metadata) for partition, one in found.items()}

    def groups(self):
        answer = self.admin.alter_group_offsets(self.group, {self.first: OffsetAndMetadata(42, "word", -1)})
        expect("alter offsets", answer[self.first] is NoError, answer)
        expect("list offsets", self.committed() == {0: (42, "word")}, self.committed())
        listed = [one["group_id"] for one in self.admin.list_groups()]
        expect("list groups", self.group in listed, listed)
        listed = [one["group_id"] for one in self.admin.list_groups(states_filter=["Stable"])]
        expect("list groups of a state", self.group not in listed, listed)
        listed = [one["group_id"] for one in self.admin.list_groups(types_filter=["classic"])]
        expect("list groups of a type", self.group in listed, listed)
        found = self.admin.describe_groups([self.group])[self.group]
        expect("describe an empty group", found["group_state"] == "Empty", found)
        answer = self.admin.delete_group_offsets(self.group, [self.first])
        expect("delete offsets", answer[self.first] is NoError and self.committed() == {}, answer)
        self.admin.alter_group_offsets(self.group, {self.first: OffsetAndMetadata(1, "", -1)})
        answer = self.admin.delete_groups([self.group])
        expect("delete groups", answer[self.group] == "OK", answer)
        answer = self.admin.delete_groups([self.group])
        expect("delete an unknown group", answer[self.group] == "GroupIdNotFoundError", answer)

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
        found = self.admin.describe_groups([self.group])[self.group]
        good = found["group_state"] == "Stable" and len(found["members"]) == 1
        good = good and found["members"][0]["client_id"] == "the-member"
        expect("describe a group", good, found)
        answer = self.admin.delete_groups([self.group])
        expect("delete a group with members", answer[self.group] == "NonEmptyGroupError", answer)
        answer = self.admin.alter_group_offsets(self.group, {self.first: OffsetAndMetadata(1, "", -1)})
        expect("alter offsets of a group with members", answer[self.first].__name__ == "UnknownMemberIdError", answer)
        consumer.commit({self.first: OffsetAndMetadata(7, "", -1)})
        consumer.close()
        expect("offsets outlive the member", self.committed() == {0: (7, "")}, self.committed())
        answer = self.admin.delete_groups([self.group])
        expect("delete a group that had members", answer[self.group] == "OK", answer)

    def offset(self, spec):
        return self.admin.list_partition_offsets({self.first: spec})[self.first].offset

    def records(self):
        producer = KafkaProducer(bootstrap_servers=self.bootstrap)
        first = int(time.time() * 1000) - 600_000
        for i in range(100):
            producer.send(self.topic, b"0123456789", partition=0, timestamp_ms=first + i)
        producer.close()
        expect("list offsets: latest", self.offset(OffsetSpec.LATEST) == 100)
        expect("list offsets: by time", self.offset(first + 10) == 10)
        expect("list offsets: max timestamp", self.offset(OffsetSpec.MAX_TIMESTAMP) == 99)
        answer = self.admin.delete_records({self.first: 30})[self.first]
        expect("delete records", answer["low_watermark"] == 30, answer)
        expect("list offsets: earliest", self.offset(OffsetSpec.EARLIEST) == 30)

    def cluster(self):
        found = self.admin.describe_features()
        expect("describe features", "metadata.version" in str(found), found)
        found = self.admin.describe_log_dirs()
        expect("describe log directories", self.topic in str(found))
        found = self.admin.describe_metadata_quorum()
        expect("describe the quorum", "leader_id" in str(found), found)
        found = self.admin.list_partition_reassignments()
        expect("list reassignments", not found, found)


if __name__ == "__main__":
    main(
        member=lambda options: Member(options).run(),
        produce=produce,
        admin=lambda options: Admin(options).run(),
    )
