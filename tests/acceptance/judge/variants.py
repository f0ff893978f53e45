"""Which client plays a member, and how it is set up."""

from dataclasses import dataclass
from typing import Optional


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
    # kcat drops, but commits, what it is handed between SIGTERM and its end.
    careless: bool = False

    def arguments(self):
        """What makes a member of this kind."""
        chosen = ["--protocol", self.protocol]
        return chosen + (["--assignor", self.assignor] if self.assignor else [])


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
    )
}
