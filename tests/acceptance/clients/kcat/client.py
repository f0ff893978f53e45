#!/usr/bin/env python3
"""kcat, told and heard as README.md beside this folder has it; its admin calls are what it can ask.

kcat says on its standard error what it was assigned, and prints a line for each record. It commits by itself, every
100 ms and when it gives a partition back, and says nothing about it.
"""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

from events import HEARTBEAT_MS, expect, main, say, stopping, tell

REBALANCED = re.compile(r"% Group \S+ rebalanced.*?: (assigned|revoked|incremental \w+)(.*)")


def member(options):
    """One member of a group."""
    settings = {
        "client.id": options.id,
        "session.timeout.ms": options.session_ms,
        "heartbeat.interval.ms": HEARTBEAT_MS,
        "auto.commit.interval.ms": 100,
        "auto.offset.reset": "earliest",
        "partition.assignment.strategy": options.assignor or "range",
        "reconnect.backoff.max.ms": 200,
        "fetch.wait.max.ms": 100,
    }
    if options.static:
        settings["group.instance.id"] = options.static
    line = ["kcat", "-b", options.bootstrap, "-G", options.group, "-E", "-u", "-f", "%p %o\n"]
    line += [word for name, value in settings.items() for word in ("-X", f"{name}={value}")]
    # In this process group, so that whoever kills it kills both.
    process = subprocess.Popen(line + [options.topic], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    records = threading.Thread(target=read_records, args=(process.stdout,))
    records.start()
    rebalances = threading.Thread(target=read_rebalances, args=(process.stderr,))
    rebalances.start()
    while not stopping.wait(0.05):
        if process.poll() is not None:
            break
    if stopping.is_set():
        process.send_signal(signal.SIGTERM)
    status = process.wait(30)
    records.join()
    rebalances.join()
    if status:
        raise AssertionError(f"kcat has ended with {status}")


def read_records(lines):
    for line in lines:
        partition, offset = line.split()
        say("records", partition=int(partition), offsets=[int(offset)])


def read_rebalances(lines):
    for line in lines:
        print(line, end="", file=sys.stderr, flush=True)
        found = REBALANCED.match(line)
        if found:
            partitions = [int(number) for number in re.findall(r"\[(\d+)\]", found.group(2))]
            tell("assigned" if "assign" in found.group(1) else "revoked", partitions)


def produce(options):
    """Sends at a rate until the standard input ends."""
    line = ["kcat", "-b", options.bootstrap, "-P", "-E", "-t", options.topic]
    line += ["-X", "enable.idempotence=true", "-X", "sticky.partitioning.linger.ms=0"]
    line += ["-X", "reconnect.backoff.max.ms=200"]
    line += ["-z", options.codec] if options.codec else []
    process = subprocess.Popen(line, stdin=subprocess.PIPE, text=True)
    sent = 0
    while not stopping.is_set():
        for _ in range(options.rate // 100):
            process.stdin.write(f"{sent}\n")
            sent += 1
        process.stdin.flush()
        time.sleep(0.01)
    process.stdin.close()
    status = process.wait(60)
    if status:
        raise AssertionError(f"kcat has ended with {status}")


def admin(options):
    """Metadata, and offsets by time."""
    topic = options.prefix + "-topic"
    first = int(time.time() * 1000)
    ask(options, "-P", "-t", topic, "-p", "0", lines="a\nb\nc\n")
    every = json.loads(ask(options, "-L", "-J"))
    expect("list brokers", len(every["brokers"]) == 1, every["brokers"])
    expect("list topics", topic in [one["topic"] for one in every["topics"]], every["topics"])
    (found,) = json.loads(ask(options, "-L", "-J", "-t", topic))["topics"]
    leaders = [one["leader"] for one in found["partitions"]]
    expect("describe a topic", found["topic"] == topic and leaders == [every["brokers"][0]["id"]], found)
    for what, when, offset in (("latest", -1, 3), ("earliest", -2, 0), ("by time", first, 0)):
        answer = ask(options, "-Q", "-t", f"{topic}:0:{when}").strip()
        expect(f"query offsets: {what}", answer == f"{topic} [0] offset {offset}", answer)


def ask(options, *words, lines=None):
    """What one call of kcat prints."""
    line = ["kcat", "-b", options.bootstrap, *words]
    return subprocess.run(line, input=lines, stdout=subprocess.PIPE, text=True, check=True, timeout=60).stdout


if __name__ == "__main__":
    main(member=member, produce=produce, admin=admin)
