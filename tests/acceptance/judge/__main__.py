"""Runs what was asked for and prints a line for each; exits with 1 where one failed."""

import argparse
import concurrent.futures
import os
import shlex
import sys
import threading
import time
import traceback
from dataclasses import dataclass

from . import matrix, scenarios
from .history import Broken
from .node import Node
from .variants import VARIANTS

ALONE = [
    ("handover", scenarios.of_one_variant(scenarios.handover)),
    ("killed", scenarios.of_one_variant(scenarios.killed)),
    ("static", scenarios.of_one_variant(scenarios.static)),
    ("surplus", scenarios.of_one_variant(scenarios.surplus, partitions=2)),
]
# Of each program, whatever its group protocol.
RECORDS = [
    ("produces", scenarios.of_one_variant(scenarios.produces, partitions=2)),
    ("consumes", scenarios.of_one_variant(scenarios.consumes, partitions=2)),
]
# What the broker decides, and clients of the classic protocol by themselves.
BY_BROKER = [
    ("growth", scenarios.of_one_variant(scenarios.growth)),
    ("pattern", scenarios.of_one_variant(scenarios.pattern, made=False)),
]
TOGETHER = [
    ("mixed-classic", scenarios.mixed,
     ["java-classic", "librdkafka-classic", "franz-classic", "kafka-python-classic", "kcat-classic"]),
    ("mixed-consumer", scenarios.mixed, ["java-consumer", "librdkafka-consumer", "franz-consumer"]),
    ("migration-java", scenarios.migration, ["java-classic", "java-consumer"]),
    ("migration-cooperative", scenarios.migration, ["java-cooperative", "java-consumer"]),
    ("migration-librdkafka", scenarios.migration, ["librdkafka-classic", "librdkafka-consumer"]),
    ("migration-franz", scenarios.migration, ["franz-cooperative", "franz-consumer"]),
]
# Of groups that do not consume: schema registries, and what nobody has thought of.
PROTOCOL_TYPES = ["sr", "anything-else"]
# Every client and every scenario once, not each with each.
SHORT = {
    "handover/java-consumer", "handover/franz-consumer", "handover/kafka-python-classic", "handover/kcat-classic",
    "killed/librdkafka-classic", "killed/java-consumer", "static/java-classic", "static/librdkafka-consumer",
    "surplus/franz-cooperative", "growth/franz-consumer", "pattern/librdkafka-consumer", "mixed-classic",
    "migration-java", "election/sr",
}
RESTARTED_MAX = 5
SHORT_RESTART = ["java-classic", "librdkafka-consumer", "franz-consumer", "kcat-cooperative"]


@dataclass
class Setting:
    """What every scenario knows."""

    run: str
    bootstrap: str
    programs: dict
    work: str
    node: Node
    slack_us: int


def tasks(setting, options):
    """Name and function of each scenario that was asked for; those that need the node to themselves come last."""
    known = {name: one for name, one in VARIANTS.items() if one.program in setting.programs}
    found = [(f"admin/{program}", lambda p=program: scenarios.admin(setting, p))
             for program in setting.programs]
    if "java" in setting.programs:
        found += [(f"election/{kind}", lambda k=kind: scenarios.election(setting, k)) for kind in PROTOCOL_TYPES]
    for name, run, variants in TOGETHER:
        if all(variant in known for variant in variants):
            scenario = scenarios.of_several(run, name, variants)
            found.append((name, lambda s=scenario: s(setting)))
    first = {variant.program: variant for variant in reversed(known.values())}
    for name, run in RECORDS:
        found += [(f"{name}/{program}", lambda r=run, v=variant: r(setting, v)) for program, variant in first.items()]
    for name, run in ALONE + BY_BROKER:
        for variant in known.values():
            if not variant.groups:
                continue
            if name == "static" and not variant.static:
                continue
            if (name, run) in BY_BROKER and variant.protocol != "consumer":
                continue
            if name == "pattern" and not variant.patterns:
                continue
            found.append((f"{name}/{variant.name}", lambda r=run, v=variant: r(setting, v)))
    last = restarts(setting, known, options.short) if setting.node.command else []
    if options.scenario:
        found, last = ([task for task in some if any(wanted in task[0] for wanted in options.scenario)]
                       for some in (found, last))
    elif options.short:
        found = [task for task in found if task[0] in SHORT or task[0].startswith("admin/")]
    return found, last


def restarts(setting, known, short):
    """A node goes down under some groups at a time, no more than the machine can carry."""
    few = {"restart": SHORT_RESTART} if short else dict(in_portions(known))
    return [(name, lambda v=[known[variant] for variant in variants if variant in known]: scenarios.restart(setting, v))
            for name, variants in few.items()]


def in_portions(known):
    """The variants of a protocol, at most five at a time; one that is weak alone."""
    weak = [one.name for one in known.values() if "restart" in one.weak_in]
    yield from ((f"restart/{name}", [name]) for name in weak)
    for protocol in ("classic", "cooperative", "consumer", "none"):
        names = [name for name in known if name.endswith(protocol) and name not in weak]
        for start in range(0, len(names), RESTARTED_MAX):
            more = f"-{start // RESTARTED_MAX + 1}" if start else ""
            yield f"restart-{protocol}{more}", names[start : start + RESTARTED_MAX]


printing = threading.Lock()


def is_weak(name, broken):
    """Whether the library is known to break this in this scenario."""
    scenario, _, name = name.partition("/")
    variant = VARIANTS.get(name)
    return variant is not None and scenario in variant.weak_in and isinstance(broken, variant.weak_to)


def run_one(task):
    """Prints how it went: "ok", "weak" or "FAILED"."""
    name, function = task
    started = time.monotonic()
    try:
        function()
        word, why = "ok", ""
    except Broken as broken:
        word, why = "weak" if is_weak(name, broken) else "FAILED", str(broken)
    except Exception:  # a bug of ours, or a question that the broker did not answer
        word, why = "FAILED", traceback.format_exc()
    with printing:
        print(f"{word:<9} {name:<34} {time.monotonic() - started:5.1f} s", flush=True)
        for line in why.splitlines():
            print(f"    | {line[:400]}", flush=True)
    return word


def main():
    """The command line is `../groups`'s."""
    parser = argparse.ArgumentParser(prog="judge")
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--work", required=True)
    parser.add_argument("--program", action="append", default=[], metavar="NAME=RELEASE=COMMAND")
    parser.add_argument("--matrix", help="a table of what each client was seen doing")
    parser.add_argument("--node", help="the command line that starts the node")
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("scenario", nargs="*")
    options = parser.parse_args()
    given = [one.split("=", 2) for one in options.program]
    programs = {name: line for name, _, line in given}
    node = Node(options.bootstrap, shlex.split(options.node or ""), os.path.join(options.work, "node.log"))
    if options.times < 1:
        parser.error("--times is at least 1")
    began, words = int(time.time()), {}
    turns = []
    for turn in range(1, options.times + 1):
        setting = Setting(
            run=f"groups-{began}-{turn}",
            bootstrap=options.bootstrap,
            programs={name: shlex.split(line) for name, line in programs.items()},
            work=options.work,
            node=node,
            slack_us=max([one.slack_us for one in VARIANTS.values()]) if "kcat" in programs else 0,
        )
        turns.append(tasks(setting, options))
    if not any(turns[0]):
        sys.exit("no scenario has such a name")
    try:
        for many, alone in turns:
            # A restart that failed may have left none.
            if node.command and node.process is None:
                node.start()
            for name, word in run_all(node, many, alone, options.jobs):
                words.setdefault(name, set()).add(word)
    finally:
        node.end()
        if options.matrix:
            good = {name: found == {"ok"} for name, found in words.items()}
            known = {name: one for name, one in VARIANTS.items() if one.program in programs}
            for name, variants in in_portions(known):
                good.update({f"restart/{variant}": good[name] for variant in variants if name in good})
            matrix.write(options.matrix, good, {name: release for name, release, _ in given})
    sys.exit(1 if any("FAILED" in found for found in words.values()) else 0)


def run_all(node, many, alone, jobs):
    """Every scenario once: its name, and how it went."""
    node.await_coordinators()
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        words = list(pool.map(run_one, many))
    words += [run_one(task) for task in alone]
    print(f"{len(words) - words.count('FAILED')} of {len(words)} scenarios", flush=True)
    return zip([name for name, _ in many + alone], words)


if __name__ == "__main__":
    main()
