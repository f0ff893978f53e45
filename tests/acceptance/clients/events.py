"""What the Python programs share: their command line, their events, and the end of their standard input."""

import argparse
import json
import os
import sys
import threading
import time

# What a rebalance waits for; below the shortest session.
HEARTBEAT_MS = 600
stopping = threading.Event()
_lock = threading.Lock()


def say(event, **rest):
    """Prints one event."""
    with _lock:
        line = {"at": time.time_ns() // 1000, "event": event, **rest}
        print(json.dumps(line), flush=True)


def tell(event, partitions):
    """Prints an event about partitions, by their numbers."""
    say(event, partitions=sorted(partitions))


def expect(call, held, got=None):
    """Prints that an admin call did what it should, or ends the program."""
    if not held:
        raise AssertionError(f"{call}: got {got}")
    say("passed", call=call)


def until(call, question):
    """For what a broker may do a moment after it has answered."""
    for _ in range(100):
        if question():
            break
        time.sleep(0.05)
    expect(call, question(), "nothing for five seconds")


def main(**programs):
    """Runs one of the programs by its name."""
    parser = argparse.ArgumentParser()
    parser.add_argument("program", choices=sorted(programs))
    parser.add_argument("--bootstrap", required=True)
    for name in ("group", "topic", "id", "static", "assignor", "prefix", "pattern", "codec"):
        parser.add_argument("--" + name)
    parser.add_argument("--protocol", default="classic")
    for name in ("session-ms", "partitions", "rate"):
        parser.add_argument("--" + name, type=int)
    options = parser.parse_args()
    threading.Thread(target=_wait_for_end, daemon=True).start()
    try:
        programs[options.program](options)
    except Exception as why:  # whatever it is, it is told
        say("failed", why=repr(why))
        raise
    # Threads of a library may outlive its close; the program does not.
    sys.stdout.flush()
    os._exit(0)


def _wait_for_end():
    while os.read(0, 4096):
        pass
    stopping.set()
