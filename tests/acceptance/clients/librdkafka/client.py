#!/usr/bin/env python3
"""librdkafka, through confluent-kafka, behind the command line of ../README.md."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka import ConsumerGroupState, KafkaError
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions
from confluent_kafka.admin import NewTopic, OffsetSpec, ResourceType

from events import HEARTBEAT_MS, expect, main, say, stopping, tell, until


class Member:
    """One member of a group."""

    def __init__(self, options):
        self.topic = options.topic
        self.wanted = options.pattern or options.topic
        self.pending = {}
        settings = {
            "bootstrap.servers": options.bootstrap,
            "client.id": options.id,
            "group.id": options.group,
            "group.protocol": options.protocol,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "reconnect.backoff.max.ms": 200,
            "fetch.wait.max.ms": 100,
        }
        if options.static:
            settings["group.instance.id"] = options.static
        if options.protocol == "classic":
            settings["session.timeout.ms"] = options.session_ms
            settings["heartbeat.interval.ms"] = HEARTBEAT_MS
            settings["partition.assignment.strategy"] = options.assignor or "range"
        elif options.assignor:
            settings["group.remote.assignor"] = options.assignor
        self.cooperative = options.protocol == "consumer" or options.assignor == "cooperative-sticky"
        self.consumer = Consumer(settings)

    def run(self):
        """Consumes until the standard input ends."""
        self.consumer.subscribe(
            [self.wanted], on_assign=self.on_assign, on_revoke=self.on_revoke, on_lost=self.on_lost
        )
        while not stopping.is_set():
            offsets = {}
            for message in self.consumer.consume(500, timeout=0.2):
                if message.error():
                    say("uncommitted", why=str(message.error()))
                    continue
                offsets.setdefault(message.partition(), []).append(message.offset())
            for partition, list_ in offsets.items():
                say("records", partition=partition, offsets=list_)
                self.pending[partition] = list_[-1] + 1
            self.commit(self.pending)
        self.commit(self.pending)
        self.consumer.close()

    def commit(self, some):
        """Commits, and says what the broker has acknowledged."""
        if not some:
            return
        offsets = dict(some)
        try:
            answers = self.consumer.commit(
                offsets=[TopicPartition(self.topic, p, o) for p, o in offsets.items()], asynchronous=False
            )
        except KafkaException as why:
            say("uncommitted", why=str(why))
            return
        good = {answer.partition: answer.offset for answer in answers if answer.error is None}
        for answer in answers:
            if answer.error is not None:
                say("uncommitted", why=str(answer.error))
        for partition, offset in good.items():
            if self.pending.get(partition) == offset:
                del self.pending[partition]
        say("committed", offsets={str(p): o for p, o in good.items()})

    def on_assign(self, consumer, partitions):
        tell("assigned", [one.partition for one in partitions])
        if self.cooperative:
            consumer.incremental_assign(partitions)
        else:
            consumer.assign(partitions)

    def on_revoke(self, consumer, partitions):
        numbers = [one.partition for one in partitions]
        self.commit({p: o for p, o in self.pending.items() if p in numbers})
        self.let_go(consumer, "revoked", partitions)

    def on_lost(self, consumer, partitions):
        self.let_go(consumer, "lost", partitions)

    def let_go(self, consumer, event, partitions):
        for one in partitions:
            self.pending.pop(one.partition, None)
        tell(event, [one.partition for one in partitions])
        if self.cooperative:
            consumer.incremental_unassign(partitions)
        else:
            consumer.unassign()


def produce(options):
    """Sends at a rate until the standard input ends."""
    producer = Producer(
        {
            "bootstrap.servers": options.bootstrap,
            "enable.idempotence": True,
            "linger.ms": 5,
            "compression.codec": options.codec or "none",
            "reconnect.backoff.max.ms": 200,
        }
    )
    sent = 0
    while not stopping.is_set():
        for _ in range(options.rate // 100):
            producer.produce(options.topic, str(sent).encode(), partition=sent % options.partitions)
            sent += 1
        producer.poll(0)
        time.sleep(0.01)
    left = producer.flush(60)
    if left:
        raise AssertionError(f"{left} records were not acknowledged")


class Admin:
    """The calls of librdkafka's admin client that one node has an answer to."""

    def __init__(self, options):
        self.admin = AdminClient({"bootstrap.servers": options.bootstrap})
        self.options = options
        self.topic = options.prefix + "-topic"
        self.group = options.prefix + "-group"

    def run(self):
        self.topics()
        self.configs()
        self.groups()
        for protocol in ("classic", "consumer"):
            self.live_group(protocol)
        self.records()
        self.one(self.admin.delete_topics([self.topic]))
        until("delete topics", lambda: self.topic not in self.admin.list_topics(timeout=10).topics)

    @staticmethod
    def one(futures):
        """The answer to a call about one thing."""
        (future,) = futures.values()
        return future.result(30)

    def refused(self, call, code, futures):
        try:
            self.one(futures)
        except KafkaException as why:
            expect(call, why.args[0].code() == code, why)
            return
        raise AssertionError(f"{call}: not refused")

    def partitions(self):
        return len(self.admin.list_topics(self.topic, timeout=10).topics[self.topic].partitions)

    def topics(self):
        self.one(self.admin.create_topics([NewTopic(self.topic, 3, 1, config={"retention.ms": "86400000"})]))
        until("create and list topics", lambda: self.topic in self.admin.list_topics(timeout=10).topics)
        self.refused(
            "create a topic twice",
            KafkaError.TOPIC_ALREADY_EXISTS,
            self.admin.create_topics([NewTopic(self.topic, 3, 1)]),
        )
        self.one(self.admin.create_partitions([NewPartitions(self.topic, 5)]))
        until("create partitions", lambda: self.partitions() == 5)
        self.refused(
            "create fewer partitions",
            KafkaError.INVALID_PARTITIONS,
            self.admin.create_partitions([NewPartitions(self.topic, 2)]),
        )

    def value(self, resource, name):
        return self.one(self.admin.describe_configs([resource]))[name].value

    def configs(self):
        plain = ConfigResource(ResourceType.TOPIC, self.topic)
        expect("describe configs", self.value(plain, "retention.ms") == "86400000")
        entry = ConfigEntry("retention.ms", "3600000", incremental_operation=AlterConfigOpType.SET)
        change = ConfigResource(ResourceType.TOPIC, self.topic, incremental_configs=[entry])
        self.one(self.admin.incremental_alter_configs([change]))
        until("alter configs", lambda: self.value(plain, "retention.ms") == "3600000")
        replaced = ConfigResource(ResourceType.TOPIC, self.topic, set_config={"segment.ms": "3600000"})
        self.one(self.admin.alter_configs([replaced]))
        until("replace configs", lambda: self.value(plain, "retention.ms") == "604800000")
        expect("replace configs: the new one", self.value(plain, "segment.ms") == "3600000")
        node = str(self.one({"": self.admin.describe_cluster()}).nodes[0].id)
        broker = ConfigResource(ResourceType.BROKER, node)
        expect("describe a broker's configs", self.value(broker, "node.id") == node)

    def committed(self):
        answer = self.one(self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(self.group)]))
        return {one.partition: one.offset for one in answer.topic_partitions}

    def alter(self, offset):
        wanted = ConsumerGroupTopicPartitions(self.group, [TopicPartition(self.topic, 0, offset)])
        return self.admin.alter_consumer_group_offsets([wanted])

    def listed(self, **filters):
        answer = self.one({"": self.admin.list_consumer_groups(**filters)})
        return [one.group_id for one in answer.valid]

    def groups(self):
        self.one(self.alter(42))
        expect("alter and list offsets", self.committed() == {0: 42}, self.committed())
        expect("list groups", self.group in self.listed(), self.listed())
        stable = self.listed(states={ConsumerGroupState.STABLE})
        expect("list groups of a state", self.group not in stable, stable)
        found = self.one(self.admin.describe_consumer_groups([self.group]))
        expect("describe an empty group", found.state == ConsumerGroupState.EMPTY, found.state)
        self.one(self.admin.delete_consumer_groups([self.group]))
        self.refused(
            "delete groups", KafkaError.GROUP_ID_NOT_FOUND, self.admin.delete_consumer_groups([self.group])
        )

    def live_group(self, protocol):
        settings = {
            "bootstrap.servers": self.options.bootstrap,
            "group.id": self.group,
            "client.id": "the-member",
            "group.protocol": protocol,
            "enable.auto.commit": False,
        }
        consumer = Consumer(settings)
        consumer.subscribe([self.topic])
        for _ in range(100):
            consumer.poll(0.1)
            if len(consumer.assignment()) == 5:
                break
        found = self.one(self.admin.describe_consumer_groups([self.group]))
        good = found.state == ConsumerGroupState.STABLE and len(found.members) == 1
        good = good and found.members[0].client_id == "the-member"
        good = good and len(found.members[0].assignment.topic_partitions) == 5
        expect(f"describe a {protocol} group", good, vars(found))
        self.refused(
            f"delete a {protocol} group with members",
            KafkaError.NON_EMPTY_GROUP,
            self.admin.delete_consumer_groups([self.group]),
        )
        consumer.commit(offsets=[TopicPartition(self.topic, 0, 7)], asynchronous=False)
        consumer.close()
        until(f"offsets outlive the member of a {protocol} group", lambda: self.committed() == {0: 7})
        self.one(self.admin.delete_consumer_groups([self.group]))

    def offset(self, spec):
        return self.one(self.admin.list_offsets({TopicPartition(self.topic, 0): spec})).offset

    def records(self):
        producer = Producer({"bootstrap.servers": self.options.bootstrap})
        first = int(time.time() * 1000) - 600_000
        for i in range(100):
            producer.produce(self.topic, b"0123456789", partition=0, timestamp=first + i)
        producer.flush(30)
        expect("list offsets: latest", self.offset(OffsetSpec.latest()) == 100)
        expect("list offsets: by time", self.offset(OffsetSpec.for_timestamp(first + 10)) == 10)
        expect("list offsets: max timestamp", self.offset(OffsetSpec.max_timestamp()) == 99)
        low = self.one(self.admin.delete_records([TopicPartition(self.topic, 0, 30)])).low_watermark
        expect("delete records", low == 30, low)
        expect("list offsets: earliest", self.offset(OffsetSpec.earliest()) == 30)


if __name__ == "__main__":
    main(
        member=lambda options: Member(options).run(),
        produce=produce,
        admin=lambda options: Admin(options).run(),
    )
