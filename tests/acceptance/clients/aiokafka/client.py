#!/usr/bin/env python3
"""aiokafka behind the command line of ../README.md; it knows the classic protocol only, and eager assignors."""

import asyncio
import os
import sys
import time

# Before this file's own folder, which has the library's name.
sys.path.pop(0)
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.append(sys.path.pop(0))

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import KafkaError

from events import HEARTBEAT_MS, expect, main, say, stopping, tell

ASSIGNORS = {"range": RangePartitionAssignor, "roundrobin": RoundRobinPartitionAssignor}


class Member(ConsumerRebalanceListener):
    """One member of a group."""

    def __init__(self, options):
        self.pending = {}
        self.consumer = AIOKafkaConsumer(
            bootstrap_servers=options.bootstrap,
            client_id=options.id,
            group_id=options.group,
            group_instance_id=options.static,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=options.session_ms,
            heartbeat_interval_ms=HEARTBEAT_MS,
            partition_assignment_strategy=[ASSIGNORS[options.assignor or "range"]],
            fetch_max_wait_ms=100,
        )
        self.topic = options.topic

    async def run(self):
        """Consumes until the standard input ends."""
        self.consumer.subscribe([self.topic], listener=self)
        await self.consumer.start()
        while not stopping.is_set():
            # Nothing else runs between the moment when they are taken out and this one.
            for partition, records in (await self.consumer.getmany(timeout_ms=200)).items():
                offsets = [record.offset for record in records]
                say("records", partition=partition.partition, offsets=offsets)
                self.pending[partition] = offsets[-1] + 1
            await self.commit(self.pending)
        await self.commit(self.pending)
        await self.consumer.stop()

    async def commit(self, some):
        """Commits, and says what the broker has acknowledged."""
        if not some:
            return
        offsets = dict(some)
        try:
            await asyncio.wait_for(self.consumer.commit(offsets), 5)
        except (KafkaError, asyncio.TimeoutError) as why:
            say("uncommitted", why=repr(why))
            return
        for partition, offset in offsets.items():
            # More may have been handed out meanwhile.
            if self.pending.get(partition) == offset:
                del self.pending[partition]
        say("committed", offsets={str(p.partition): o for p, o in offsets.items()})

    async def on_partitions_assigned(self, assigned):
        tell("assigned", [one.partition for one in assigned])

    async def on_partitions_revoked(self, revoked):
        await self.commit({p: o for p, o in self.pending.items() if p in revoked})
        for one in revoked:
            self.pending.pop(one, None)
        tell("revoked", [one.partition for one in revoked])


async def produce(options):
    """Sends at a rate until the standard input ends."""
    producer = AIOKafkaProducer(
        bootstrap_servers=options.bootstrap,
        enable_idempotence=True,
        linger_ms=5,
        compression_type=options.codec,
    )
    await producer.start()
    sent = 0
    answers = []
    while not stopping.is_set():
        for _ in range(options.rate // 100):
            answer = await producer.send(options.topic, str(sent).encode(), partition=sent % options.partitions)
            answers.append(answer)
            sent += 1
        await asyncio.sleep(0.01)
    await producer.flush()
    for answer in answers:
        await answer
    await producer.stop()


class Admin:
    """The calls of aiokafka's admin client that one node has an answer to; it deletes no groups."""

    def __init__(self, options):
        self.bootstrap = options.bootstrap
        self.topic = options.prefix + "-topic"
        self.group = options.prefix + "-group"
        self.first = TopicPartition(self.topic, 0)
        self.admin = AIOKafkaAdminClient(bootstrap_servers=options.bootstrap)

    async def run(self):
        await self.admin.start()
        await self.topics()
        await self.configs()
        await self.records()
        await self.live_group()
        await self.admin.delete_topics([self.topic])
        await self.until("delete topics", self.is_gone)
        await self.admin.close()

    @staticmethod
    async def until(call, question):
        for _ in range(100):
            if await question():
                break
            await asyncio.sleep(0.05)
        expect(call, await question(), "nothing for five seconds")

    async def is_gone(self):
        return self.topic not in await self.admin.list_topics()

    async def partitions(self):
        (found,) = await self.admin.describe_topics([self.topic])
        return len(found["partitions"])

    async def topics(self):
        await self.admin.create_topics([NewTopic(self.topic, 3, 1, topic_configs={"retention.ms": "86400000"})])
        expect("create and list topics", not await self.is_gone())
        expect("describe topics", await self.partitions() == 3)
        await self.admin.create_partitions({self.topic: NewPartitions(5)})

        async def grown():
            return await self.partitions() == 5

        await self.until("create partitions", grown)
        cluster = await self.admin.describe_cluster()
        expect("describe the cluster", len(cluster["brokers"]) == 1, cluster)

    async def value(self, name):
        (answer,) = await self.admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, self.topic)])
        (resource,) = answer.resources
        return {entry[0]: entry[1] for entry in resource[4]}[name]

    async def configs(self):
        expect("describe configs", await self.value("retention.ms") == "86400000")
        wanted = ConfigResource(ConfigResourceType.TOPIC, self.topic, configs={"segment.ms": "3600000"})
        await self.admin.alter_configs([wanted])

        async def replaced():
            return await self.value("retention.ms") == "604800000" and await self.value("segment.ms") == "3600000"

        await self.until("replace configs", replaced)

    async def records(self):
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap)
        await producer.start()
        first = int(time.time() * 1000) - 600_000
        for i in range(100):
            await producer.send_and_wait(self.topic, b"0123456789", partition=0, timestamp_ms=first + i)
        await producer.stop()
        low = await self.admin.delete_records({self.first: RecordsToDelete(before_offset=30)})
        expect("delete records", low == {self.first: 30}, low)
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap)
        await consumer.start()
        expect("list offsets: earliest", await consumer.beginning_offsets([self.first]) == {self.first: 30})
        expect("list offsets: latest", await consumer.end_offsets([self.first]) == {self.first: 100})
        found = await consumer.offsets_for_times({self.first: first + 40})
        expect("list offsets: by time", found[self.first].offset == 40, found)
        await consumer.stop()

    async def live_group(self):
        consumer = AIOKafkaConsumer(
            self.topic, bootstrap_servers=self.bootstrap, group_id=self.group, enable_auto_commit=False
        )
        await consumer.start()
        expect("join a group", len(consumer.assignment()) == 5, consumer.assignment())
        listed = await self.admin.list_consumer_groups()
        expect("list groups", (self.group, "consumer") in [tuple(one[:2]) for one in listed], listed)
        (answer,) = await self.admin.describe_consumer_groups([self.group])
        (found,) = answer.groups
        expect("describe a group", found[1] == self.group and found[2] == "Stable" and len(found[5]) == 1, found)
        await consumer.commit({self.first: 42})
        await consumer.stop()
        offsets = await self.admin.list_consumer_group_offsets(self.group)
        expect("offsets outlive the member", offsets[self.first].offset == 42, offsets)


async def member(options):
    await Member(options).run()


async def admin(options):
    await Admin(options).run()


if __name__ == "__main__":
    main(
        member=lambda options: asyncio.run(member(options)),
        produce=lambda options: asyncio.run(produce(options)),
        admin=lambda options: asyncio.run(admin(options)),
    )
