"""What a group goes through. Each scenario gets a fresh group, and raises `Broken` where it was not served."""

import signal
import subprocess
import time

from .group import Group, now_us
from .history import Broken
from .variants import VARIANTS, codecs_of

THIRDS = (4, 4, 4)
HALVES = (6, 6)
# A dead member is missed after its session, the node's longest is 10 s; then the others share.
DEATH_SECONDS_MAX = 30
ADMIN_SECONDS_MAX = 120
# Enough of them together that a client finds compressing them worth it.
CODEC_RATE = 20_000
CODEC_RECORDS = 500
# Who reads what the others write, and writes what they read; the first that is not the client itself.
REFERENCES = ["java-classic", "librdkafka-classic"]
# Longer than the slowest client or node takes to start on a busy machine.
PATIENT_SESSION_MS = 60_000


def handover(group):
    """Members come and go, the group rests and goes on: every record once."""
    group.produce()
    first = group.start()
    group.await_shares(12)
    second = group.start()
    group.await_shares(*HALVES)
    third = group.start()
    group.await_shares(*THIRDS)
    group.stop(second)
    group.await_shares(*HALVES)
    fourth = group.start()
    group.await_shares(*THIRDS)
    ends = group.stop_producing()
    group.await_committed(ends)
    group.stop(first, third, fourth)
    group.demand_committed(ends)
    # Resumed where they were committed, without a gap and without a second time.
    group.produce()
    time.sleep(0.5)
    last = group.start()
    group.await_shares(12)
    ends = group.stop_producing()
    group.await_read(ends)
    group.stop(last)
    group.demand_committed(ends)
    group.demand_laws(ends, once=True)


def killed(group):
    """One of three dies without a word: the others take over from its commits."""
    group.produce()
    names = [group.start() for _ in range(3)]
    group.await_shares(*THIRDS)
    group.kill(names[0])
    group.await_shares(*HALVES, seconds=DEATH_SECONDS_MAX)
    names[0] = group.start()
    group.await_shares(*THIRDS)
    ends = group.stop_producing()
    group.await_committed(ends)
    group.stop(*names)
    group.demand_committed(ends)
    group.demand_laws(ends, once=False)


def static(group):
    """A static member that comes back within its session finds its partitions; nobody else hears of it."""
    group.produce()
    # One after the other: who leads the group is not chance then.
    names = []
    for share in ((12,), HALVES, THIRDS):
        names.append(group.start(static=f"place-{len(names)}", session_ms=PATIENT_SESSION_MS))
        group.await_shares(*share)
    # The leader of the group, and one that is led.
    for place, die in ((0, False), (2, False), (1, True)):
        # What was not released belongs to the dead until its session ends (KIP-848).
        if die and group.variant.protocol == "consumer":
            continue
        former = names[place]
        before = group.history.owned()[former]
        since = now_us()
        (group.kill if die else group.stop)(former)
        names[place] = group.start(static=f"place-{place}", session_ms=PATIENT_SESSION_MS)
        group.await_shares(*THIRDS)
        after = group.history.owned()[names[place]]
        if after != before:
            raise Broken(f"place {place} had {sorted(before)}, and after its restart {sorted(after)}")
        group.await_read()
        group.demand_quiet(since, but=[former, names[place]])
    ends = group.stop_producing()
    group.await_read(ends)
    group.stop(*names)
    group.demand_laws(ends, once=False)


def surplus(group):
    """More members than partitions: who has none takes over."""
    group.produce()
    names = [group.start() for _ in range(3)]
    group.await_shares(1, 1, 0)
    owner = next(name for name in names if group.history.owned().get(name))
    group.stop(owner)
    names.remove(owner)
    group.await_shares(1, 1)
    ends = group.stop_producing()
    group.await_read(ends)
    group.stop(*names)
    group.demand_laws(ends, once=True)


def growth(group):
    """A topic gets more partitions under a consumer group, and the broker hands them out (KIP-848)."""
    group.produce()
    names = [group.start() for _ in range(3)]
    group.await_shares(*THIRDS)
    group.await_read(group.stop_producing())
    group.grow(18)
    group.await_shares(6, 6, 6)
    group.produce()
    group.until(lambda: "nothing is sent to the new partitions", lambda: group.ends()[17])
    ends = group.stop_producing()
    group.await_committed(ends)
    group.stop(*names)
    group.demand_committed(ends)
    group.demand_laws(ends, once=True)


def pattern(group):
    """Members that want what an expression says get a topic that is made after they have come (KIP-848)."""
    names = [group.start(pattern=f"^{group.name[:-1]}[a-z]$") for _ in range(2)]
    # They have joined, and there is nothing for them.
    time.sleep(2)
    group.make_topic()
    group.produce()
    group.await_shares(*HALVES)
    ends = group.stop_producing()
    group.await_committed(ends)
    group.stop(*names)
    group.demand_committed(ends)
    group.demand_laws(ends, once=True)


def mixed(group, variants):
    """Members of different clients in one group, whoever of them leads it."""
    group.produce()
    names = [group.start(variant=variant) for variant in variants]
    count = len(names)
    group.await_shares(*shares(12, count))
    for place in range(count):
        group.stop(names[place])
        group.await_shares(*shares(12, count - 1))
        names[place] = group.start(variant=variants[place])
        group.await_shares(*shares(12, count))
    ends = group.stop_producing()
    group.await_read(ends)
    group.stop(*names)
    group.demand_laws(ends, once=True)


def shares(partitions, members):
    """As even as they can be."""
    return [partitions // members + (place < partitions % members) for place in range(members)]


def migration(group, old, new):
    """From the classic protocol to the consumer protocol and back, one member at a time."""
    group.produce()
    names = [group.start(variant=old) for _ in range(3)]
    group.await_shares(*THIRDS)
    for variant in (new, old):
        for place in range(3):
            # The last of its protocol makes the group change its kind, in which only the newest epoch may commit: here
            # as with Apache Kafka.
            group.await_rest()
            group.stop(names[place])
            names[place] = group.start(variant=variant)
            group.await_shares(*THIRDS)
    ends = group.stop_producing()
    group.await_committed(ends)
    group.stop(*names)
    group.demand_committed(ends)
    group.demand_laws(ends, once=True)


def election(setting, kind):
    """A group of another protocol type, whose members elect a primary, as registries of schemas do."""
    group = Group(setting, f"election-{kind}", VARIANTS["java-classic"], partitions=1, made=False)
    wanted = []

    def agreed():
        followed = group.history.followed()
        return all(followed.get(name) == wanted[0] for name in wanted) and owners() == [wanted[0]]

    def owners():
        return [name for name, owned in group.history.owned().items() if owned]

    def demand_primary():
        group.until(lambda: f"{wanted[0]} is not the primary: {group.history.followed()}", agreed)

    try:
        for _ in range(3):
            wanted.append(group.start_elector(kind))
            demand_primary()
        found = setting.node.broker.protocol_type(group.name)
        if found != kind:
            raise Broken(f"the group is listed as of type {found!r}, not {kind!r}")
        # The primary leaves, one is new, the primary dies.
        group.stop(wanted.pop(0))
        demand_primary()
        wanted.append(group.start_elector(kind))
        demand_primary()
        group.kill(wanted.pop(0))
        demand_primary()
        group.stop(*wanted)
        group.history.demand_one_owner(0)
    finally:
        group.clean_up()


def restart(setting, variants):
    """The node is stopped cleanly and killed under groups of three; they go on, and nothing is lost or taken back."""
    groups = []
    try:
        for variant in variants:
            group = Group(setting, f"restart-{variant.name}", variant)
            groups.append(group)
            group.produce()
            for _ in shares_of(variant):
                group.start(session_ms=PATIENT_SESSION_MS)
        for group in groups:
            group.await_shares(*shares_of(group.variant))
        for how in (signal.SIGTERM, signal.SIGKILL):
            for group in groups:
                group.await_read()
            setting.node.end(how)
            setting.node.start()
            for group in groups:
                group.await_read()
                group.await_shares(*shares_of(group.variant))
        for group in groups:
            ends = group.stop_producing()
            group.await_committed(ends)
            group.stop(*list(group.members))
            if group.variant.groups:
                group.demand_committed(ends)
            group.demand_laws(ends, once=False)
        # What the groups have committed outlives the node, too, when they are not there.
        every = [(group, group.ends()) for group in groups if group.variant.groups]
        setting.node.end(signal.SIGKILL)
        setting.node.start()
        for group, ends in every:
            group.until(lambda: "the offsets are not loaded", group.is_loaded)
            group.demand_committed(ends)
    finally:
        for group in groups:
            group.clean_up()


def shares_of(variant):
    """Three members, or a reader of everything."""
    return THIRDS if variant.groups else (12,)


def reference(variant):
    """A member of another library."""
    return next(VARIANTS[name] for name in REFERENCES if VARIANTS[name].program != variant.program)


def fill(group, variant, codecs):
    """Each codec has its stretch of the log; that it is used is seen there."""
    broker = group.setting.node.broker
    ends = group.ends()
    for codec in [None, *codecs]:
        starts = ends
        group.produce(variant, codec, CODEC_RATE)
        group.until(lambda: f"with {codec}, nothing is written",
                    lambda s=starts: all(end > s[p] + CODEC_RECORDS for p, end in group.ends().items()))
        ends = group.stop_producing()
        found = set().union(*(broker.codecs(group.name, p, starts[p], ends[p]) for p in ends))
        if (codec or "none") not in found:
            raise Broken(f"told to use {codec}, it has written batches with {sorted(found)}")
    return ends


def read_whole(group, variant, ends):
    """One member reads everything."""
    reader = group.start(variant=variant)
    group.await_read(ends)
    group.stop(reader)
    group.demand_laws(ends, once=True)


def produces(group):
    """What it writes, plain and with each codec it has, another library reads."""
    ends = fill(group, group.variant, codecs_of(group.variant.program))
    read_whole(group, reference(group.variant), ends)


def consumes(group):
    """It reads what another library has written, plain and with each codec that it has."""
    ends = fill(group, reference(group.variant), codecs_of(group.variant.program))
    read_whole(group, group.variant, ends)


def admin(setting, program):
    """The calls of a client's admin client."""
    line = [*setting.programs[program], "admin", "--bootstrap", setting.bootstrap]
    line += ["--prefix", f"{setting.run}-admin-{program}"]
    # An open pipe: a program ends with its standard input.
    process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        answer, _ = process.communicate(timeout=ADMIN_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        answer, _ = process.communicate()
        raise Broken(f"no end after {ADMIN_SECONDS_MAX} s:\n{answer[-2000:]}") from None
    if process.returncode:
        raise Broken(answer[-2000:])


def of_one_variant(scenario, partitions=12, made=True):
    """A scenario on a group of its own."""

    def run(setting, variant):
        group = Group(setting, f"{scenario.__name__}-{variant.name}", variant, partitions, made)
        try:
            scenario(group)
        finally:
            group.clean_up()

    return run


def of_several(scenario, name, variants):
    """A scenario that is told which clients play."""

    def run(setting):
        group = Group(setting, name, VARIANTS[variants[0]])
        try:
            scenario(group, *(variants_of(scenario, variants)))
        finally:
            group.clean_up()

    return run


def variants_of(scenario, names):
    """A list for `mixed`, two arguments for `migration`."""
    found = [VARIANTS[name] for name in names]
    return [found] if scenario is mixed else found
