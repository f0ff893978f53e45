"""The few questions that the judge asks the broker itself, in versions old enough to be written by hand."""

import socket
import struct
import time

CREATE_TOPICS, LIST_OFFSETS, OFFSET_FETCH, FIND_COORDINATOR, FETCH = 19, 2, 9, 10, 1
CREATE_PARTITIONS, LIST_GROUPS = 37, 16
# A topic is answered, and a node serves, before it is known who leads each partition.
LED_SECONDS_MAX = 30
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
# Of a record batch: where its length, its attributes and its last offset (counted from its first) stand.
LENGTH_AT, ATTRIBUTES_AT, LAST_AT, BATCH_BYTES_MIN = 8, 21, 23, 61


def _text(value):
    return struct.pack(">h", len(value)) + value.encode()


def _batches(stored):
    """First offset, codec and last offset of each whole batch."""
    at = 0
    while at + BATCH_BYTES_MIN <= len(stored):
        base, length = struct.unpack_from(">qi", stored, at)
        attributes, last = struct.unpack_from(">hi", stored, at + ATTRIBUTES_AT)
        yield base, attributes & 7, base + last
        at += LENGTH_AT + 4 + length


class Answer:
    """A cursor over an answer."""

    def __init__(self, frame):
        self.frame = frame
        self.at = 0

    def take(self, form):
        """One number."""
        (value,) = struct.unpack_from(">" + form, self.frame, self.at)
        self.at += struct.calcsize(">" + form)
        return value

    def text(self):
        """A string, or None."""
        length = self.take("h")
        if length < 0:
            return None
        value = self.frame[self.at : self.at + length].decode()
        self.at += length
        return value

    def varint(self):
        """An unsigned number, seven bits a byte."""
        value, shift = 0, 0
        while True:
            byte = self.take("B")
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def short_text(self):
        """A string of the flexible versions."""
        length = self.varint() - 1
        value = self.frame[self.at : self.at + length].decode()
        self.at += length
        return value


class Broker:
    """One node, by its client address."""

    def __init__(self, bootstrap):
        host, port = bootstrap.rsplit(":", 1)
        self.address = (host, int(port))

    def ask(self, key, version, body):
        """One request on a connection of its own; its answer without the header."""
        return self._ask(struct.pack(">hhi", key, version, 1) + _text("judge") + body)

    def _ask(self, frame):
        with socket.create_connection(self.address, 30) as stream:
            stream.sendall(struct.pack(">i", len(frame)) + frame)
            (length,) = struct.unpack(">i", self._exactly(stream, 4))
            return Answer(self._exactly(stream, length)[4:])

    @staticmethod
    def _exactly(stream, count):
        data = b""
        while len(data) < count:
            part = stream.recv(count - len(data))
            if not part:
                raise ConnectionError("the node has closed the connection")
            data += part
        return data

    def create_topic(self, name, partitions):
        """Returns when every partition is led; version 2."""
        topic = _text(name) + struct.pack(">ihii", partitions, 1, 0, 0)
        answer = self.ask(CREATE_TOPICS, 2, struct.pack(">i", 1) + topic + struct.pack(">ib", 30000, 0))
        answer.take("i")
        answer.take("i")
        answer.text()
        code = answer.take("h")
        if code:
            raise AssertionError(f"topic {name} was not created: error {code}, {answer.text()}")
        self.ends(name, partitions)

    def create_partitions(self, name, count):
        """To so many altogether; returns when every one is led; version 0."""
        topic = _text(name) + struct.pack(">ii", count, -1)
        answer = self.ask(CREATE_PARTITIONS, 0, struct.pack(">i", 1) + topic + struct.pack(">ib", 30000, 0))
        answer.take("i")
        answer.take("i")
        answer.text()
        code = answer.take("h")
        if code:
            raise AssertionError(f"topic {name} does not grow: error {code}, {answer.text()}")
        self.ends(name, count)

    def has_coordinator(self, group):
        """Whether the group has one, and that one has loaded it; version 0."""
        if self.ask(FIND_COORDINATOR, 0, _text(group)).take("h"):
            return False
        try:
            self.committed(group, "none", 1)
        except AssertionError:
            return False
        return True

    def ends(self, topic, partitions):
        """How far each partition reaches, when all are led."""
        deadline = time.monotonic() + LED_SECONDS_MAX
        while True:
            try:
                return self._ends(topic, partitions)
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def _ends(self, topic, partitions):
        """Version 1."""
        wanted = b"".join(struct.pack(">iq", partition, -1) for partition in range(partitions))
        body = struct.pack(">ii", -1, 1) + _text(topic) + struct.pack(">i", partitions) + wanted
        answer = self.ask(LIST_OFFSETS, 1, body)
        answer.take("i")
        answer.text()
        ends = {}
        for _ in range(answer.take("i")):
            partition, code, _time, offset = (answer.take(form) for form in "ihqq")
            if code:
                raise AssertionError(f"the end of {topic}-{partition}: error {code}")
            ends[partition] = offset
        return ends

    def codecs(self, topic, partition, start, end):
        """How the batches between these offsets are compressed."""
        found = set()
        while start < end:
            batches = list(_batches(self._records(topic, partition, start)))
            if not batches:
                raise AssertionError(f"nothing is read at {topic}-{partition}@{start}")
            for base, codec, last in batches:
                if base < end:
                    found.add(CODECS[codec])
                start = last + 1
        return found

    def _records(self, topic, partition, offset):
        """What is stored there, as it is stored; version 4."""
        wanted = struct.pack(">iqi", partition, offset, 1 << 20)
        body = struct.pack(">iiiibi", -1, 1000, 1, 1 << 20, 0, 1) + _text(topic) + struct.pack(">i", 1) + wanted
        answer = self.ask(FETCH, 4, body)
        # Throttled for so long, one topic, its name, one partition.
        answer.take("i")
        answer.take("i")
        answer.text()
        answer.take("i")
        _partition, code, _high, _stable = (answer.take(form) for form in "ihqq")
        if code:
            raise AssertionError(f"{topic}-{partition}@{offset} cannot be read: error {code}")
        for _ in range(max(answer.take("i"), 0)):
            answer.take("q")
            answer.take("q")
        length = answer.take("i")
        return answer.frame[answer.at : answer.at + length]

    def committed(self, group, topic, partitions):
        """Each partition's committed offset, -1 where there is none; version 5."""
        wanted = struct.pack(f">i{partitions}i", partitions, *range(partitions))
        answer = self.ask(OFFSET_FETCH, 5, _text(group) + struct.pack(">i", 1) + _text(topic) + wanted)
        answer.take("i")
        found = {}
        for _ in range(answer.take("i")):
            answer.text()
            for _ in range(answer.take("i")):
                partition, offset, _epoch = (answer.take(form) for form in "iqi")
                answer.text()
                code = answer.take("h")
                if code:
                    raise AssertionError(f"the committed offset of {topic}-{partition}: error {code}")
                found[partition] = offset
        code = answer.take("h")
        if code:
            raise AssertionError(f"the committed offsets of {group}: error {code}")
        return found

    def group_state(self, group):
        """`Stable` when every member has what it shall have; None without such a group; version 4."""
        header = struct.pack(">hhi", LIST_GROUPS, 4, 1) + _text("judge") + b"\0"
        # No filter, no tagged fields.
        answer = self._ask(header + b"\1\0")
        answer.take("b")
        answer.take("i")
        code = answer.take("h")
        if code:
            raise AssertionError(f"the groups are not listed: error {code}")
        states = {}
        for _ in range(answer.varint() - 1):
            name, _kind, states[name] = answer.short_text(), answer.short_text(), answer.short_text()
            answer.take("b")
        return states.get(group)

    def protocol_type(self, group):
        """Of a group that is there, else None; version 0."""
        answer = self.ask(LIST_GROUPS, 0, b"")
        code = answer.take("h")
        if code:
            raise AssertionError(f"the groups are not listed: error {code}")
        groups = dict((answer.text(), answer.text()) for _ in range(answer.take("i")))
        return groups.get(group)
