"""Which client plays a member, and how it is set up."""

from dataclasses import dataclass
from typing import Optional

from .history import Broken, ReadAgain


@dataclass(frozen=True)
class Variant:
    """A client library with one group protocol and one assignor."""

    name: str
    # Whose command line: a name that `../groups` has prepared.
    program: str
    protocol: str = "classic"
    assignor: Optional[str] = None
    # How late it tells what it did, in microseconds: kcat's words are read from a pipe.
    slack_us: int = 0
    # Whether a static member that has stopped may come back before its session is over.
    static: bool = True
    # Whether it speaks KIP-848 with expressions that the broker resolves.
    patterns: bool = True
    # Why it does not always pass some scenarios, whatever the broker; which, and what it breaks there.
    weakness: str = ""
    weak_in: tuple = ()
    weak_to: type = Broken
    # Without groups: it reads the partitions it is told to, all of them.
    groups: bool = True
    # kcat drops, but commits, what it is handed between SIGTERM and its end.
    careless: bool = False

    def arguments(self):
        """What makes a member of this kind."""
        chosen = ["--protocol", self.protocol]
        return chosen + (["--assignor", self.assignor] if self.assignor else [])


# What each program can compress with; all four, where nothing is said.
CODECS = {
    "kafkajs": ["gzip"],
    # zstd came with 2.1.
    "sarama-1.0": ["gzip", "snappy", "lz4"],
    # Snappy and LZ4 it writes, too, and reads nothing or too little of them as other libraries frame them; zstd takes a
    # newer Node.js than most have.
    "platformatic": ["gzip"],
}
EVERY_CODEC = ["gzip", "snappy", "lz4", "zstd"]


def codecs_of(program):
    """What it can compress with."""
    return CODECS.get(program, EVERY_CODEC)


VARIANTS = {
    one.name: one
    for one in (
        Variant("java-classic", "java", assignor="range"),
        Variant("java-cooperative", "java", assignor="cooperative-sticky"),
        Variant("java-consumer", "java", protocol="consumer"),
        Variant("librdkafka-classic", "librdkafka", assignor="range"),
        Variant("librdkafka-cooperative", "librdkafka", assignor="cooperative-sticky"),
        Variant("librdkafka-consumer", "librdkafka", protocol="consumer"),
        Variant("franz-classic", "franz", assignor="range"),
        Variant("franz-cooperative", "franz", assignor="cooperative-sticky"),
        # Apache Kafka, too, answers its restarted static member with UNRELEASED_INSTANCE_ID, and it gives up for a while.
        Variant("franz-consumer", "franz", protocol="consumer", static=False),
        Variant("kafka-python-classic", "kafka-python", assignor="range"),
        Variant("kafka-python-cooperative", "kafka-python", assignor="cooperative-sticky"),
        Variant("kcat-classic", "kcat", assignor="range", slack_us=500_000, careless=True),
        Variant("kcat-cooperative", "kcat", assignor="cooperative-sticky", slack_us=500_000, careless=True),
        Variant("java-2.1-classic", "java-2.1", assignor="range", static=False),
        Variant("java-3.9-classic", "java-3.9", assignor="range"),
        Variant("java-3.9-cooperative", "java-3.9", assignor="cooperative-sticky"),
        Variant(
            "java-3.9-consumer", "java-3.9", protocol="consumer", patterns=False,
            weak_in=("handover", "killed", "static", "surplus", "growth", "restart"), weak_to=ReadAgain,
            weakness="its consumer of the new protocol, a preview then, may begin a partition anew that comes to it while "
            "it looks up the offsets of others (KAFKA-17674, mended in 4.0)",
        ),
        Variant("java-4.4-classic", "java-4.4", assignor="range"),
        Variant("java-4.4-cooperative", "java-4.4", assignor="cooperative-sticky"),
        Variant("java-4.4-consumer", "java-4.4", protocol="consumer"),
        Variant("aiokafka-classic", "aiokafka", assignor="range"),
        Variant("kafkajs-classic", "kafkajs", static=False),
        Variant("sarama-classic", "sarama", assignor="range"),
        Variant("sarama-1.0-classic", "sarama-1.0", assignor="range", static=False),
        Variant("kafka-go-classic", "kafka-go", assignor="range", static=False),
        Variant("kafka-python-2.0-classic", "kafka-python-2.0", assignor="range", static=False),
        Variant(
            "platformatic-classic", "platformatic", static=False, weak_in=("handover", "killed", "surplus", "restart"),
            weakness="around a rebalance its stream hands out again what was committed, or stands still; with Apache "
            "Kafka as well",
        ),
        Variant("rskafka-none", "rskafka", protocol="none", groups=False),
    )
}
