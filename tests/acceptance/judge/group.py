"""A group of real members on a topic of its own."""

import json
import os
import signal
import subprocess
import threading
import time

from .history import Broken, Event, History

SESSION_MS = 4000
PATIENCE_SECONDS = 60
STOP_SECONDS_MAX = 45
RATE = 300


class Program:
    """A client program that runs until its standard input ends."""

    def __init__(self, name, line, log, on_line):
        self.name = name
        self.log = log
        self.failure = None
        self.ended = False
        with open(log, "ab") as errors:
            self.process = subprocess.Popen(
                line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
            )
        self._reader = threading.Thread(target=self._read, args=(on_line,), daemon=True)
        self._reader.start()

    def _read(self, on_line):
        for text in self.process.stdout:
            try:
                line = json.loads(text)
            except ValueError:
                continue
            if line["event"] == "failed":
                self.failure = line["why"]
            on_line(line)

    def demand_alive(self):
        """A program that gives up breaks the run."""
        if self.failure or (not self.ended and self.process.poll() is not None):
            why = self.failure or f"it has ended with {self.process.poll()}"
            raise Broken(f"{self.name}: {why}, see {self.log}")

    def stop(self):
        """Ends its standard input, and waits until it has gone by itself."""
        self.ended = True
        self.process.stdin.close()
        try:
            status = self.process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Broken(f"{self.name} does not stop, see {self.log}") from None
        self._reader.join()
        if status or self.failure:
            raise Broken(f"{self.name} has ended with {status}: {self.failure}, see {self.log}")

    def kill(self):
        """SIGKILL, for all that it has started."""
        self.ended = True
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self._reader.join()


class Group:
    """A group, its topic, its members and its producer."""

    def __init__(self, setting, name, variant, partitions=12, made=True):
        self.setting = setting
        self.variant = variant
        self.name = f"{setting.run}-{name}"
        self.partitions = partitions
        self.history = History()
        self.members = {}
        self.producer = None
        self._started = 0
        if made:
            self.make_topic()

    def make_topic(self):
        """Returns when it can be used."""
        self.setting.node.broker.create_topic(self.name, self.partitions)

    def grow(self, partitions):
        """More partitions; the producer that runs does not use them."""
        self.setting.node.broker.create_partitions(self.name, partitions)
        self.partitions = partitions

    # -- members and records ---------------------------------------------------------------------------------------

    def _program(self, variant, name, arguments, on_line):
        line = [*self.setting.programs[variant.program], *arguments, "--bootstrap", self.setting.bootstrap]
        log = os.path.join(self.setting.work, f"{self.name}-{name}.log")
        return Program(f"{self.name}: {name}", line, log, on_line)

    def start(self, static=None, variant=None, session_ms=SESSION_MS, pattern=None):
        """One more member; its name."""
        self._started += 1
        variant = variant or self.variant
        name = f"{variant.program}-{self._started}"
        arguments = ["member", "--group", self.name, "--topic", self.name, "--id", name]
        arguments += ["--session-ms", str(session_ms), *variant.arguments()]
        if static:
            arguments += ["--static", static]
        if pattern:
            arguments += ["--pattern", pattern]
        if variant.careless:
            self.history.careless.add(name)
        add = self.history.add
        self.members[name] = self._program(variant, name, arguments, lambda line: add(Event(name, line)))
        return name

    def start_elector(self, kind):
        """One more member that consumes nothing, of this protocol type; its name is the later the greater."""
        self._started += 1
        name = f"elector-{self._started}"
        arguments = ["elect", "--group", self.name, "--id", name, "--type", kind, "--session-ms", str(SESSION_MS)]
        add = self.history.add
        self.members[name] = self._program(self.variant, name, arguments, lambda line: add(Event(name, line)))
        return name

    def stop(self, *names):
        """These leave as applications should."""
        for name in names:
            self.members.pop(name).stop()
            self.history.end(name, now_us())

    def kill(self, name):
        """This one dies."""
        self.members.pop(name).kill()
        self.history.end(name, now_us())

    def produce(self, variant=None, codec=None, rate=RATE):
        """Records flow from now on."""
        name = f"producer-{now_us()}"
        arguments = ["produce", "--topic", self.name, "--partitions", str(self.partitions), "--rate", str(rate)]
        if codec:
            arguments += ["--codec", codec]
        self.producer = self._program(variant or self.variant, name, arguments, lambda line: None)

    def stop_producing(self):
        """All that was sent is acknowledged; how far each partition reaches."""
        producer, self.producer = self.producer, None
        producer.stop()
        return self.ends()

    def ends(self):
        """How far each partition reaches."""
        return self.setting.node.broker.ends(self.name, self.partitions)

    def clean_up(self):
        """Nothing outlives the scenario but its story."""
        self.history.write(os.path.join(self.setting.work, f"{self.name}.events"))
        for program in [*self.members.values(), *([self.producer] if self.producer else [])]:
            program.kill()

    # -- waiting ---------------------------------------------------------------------------------------------------

    def until(self, what, question, seconds=PATIENCE_SECONDS):
        """Waits until the question is answered with yes; `what` says what has not happened."""
        deadline = time.monotonic() + seconds
        while not question():
            for program in [*self.members.values(), *([self.producer] if self.producer else [])]:
                program.demand_alive()
            if time.monotonic() > deadline:
                raise Broken(f"{what()} after {seconds} s")
            time.sleep(0.02)

    def await_shares(self, *shares, seconds=PATIENCE_SECONDS):
        """Waits until the members own so many partitions each, all of them together; the milliseconds it took."""
        started = time.monotonic()

        def reached():
            owned = self.history.owned()
            counts = sorted(len(owned.get(name, ())) for name in self.members)
            every = set().union(*(owned.get(name, set()) for name in self.members))
            return counts == sorted(shares) and len(every) == self.partitions

        def what():
            owned = self.history.owned()
            return f"instead of {sorted(shares)}: {({name: sorted(owned.get(name, ())) for name in self.members})}"

        self.until(what, reached, seconds)
        return (time.monotonic() - started) * 1000

    def await_rest(self):
        """Waits until the broker, too, calls the group stable: nobody is on the way to an epoch any more."""
        broker = self.setting.node.broker
        self.until(lambda: f"the group is {broker.group_state(self.name)}",
                   lambda: broker.group_state(self.name) == "Stable")

    def await_read(self, ends=None):
        """Waits until somebody was given each record up to these ends, or up to where the log ends now."""
        ends = ends or self.ends()

        def what():
            missing = self.history.missing(ends)
            return f"{len(missing)} of {sum(ends.values())} records were not read ({missing[:3]})"

        self.until(what, lambda: not self.history.missing(ends))

    def await_committed(self, ends):
        """Waits until all of it was read and, by who has a group, committed, so that several may leave at once.

        librdkafka's last commit is refused where another member has left just before: of its own it has asked to join
        the next generation by then, on the same connection, and commits for the one before.
        """
        self.await_read(ends)
        if self.variant.groups:
            self.until(lambda: f"committed is {self.committed()}, the log ends at {ends}",
                       lambda: self.is_loaded() and self.committed() == {p: end for p, end in ends.items() if end})

    # -- the laws --------------------------------------------------------------------------------------------------

    def demand_committed(self, ends):
        """What was read before all members left is what the broker remembers."""
        found = self.committed()
        if found != {p: end for p, end in ends.items() if end}:
            raise Broken(f"committed is {found}, the log ends at {ends}")

    def is_loaded(self):
        """A coordinator that reads its log answers with an error until it has done so."""
        try:
            self.committed()
        except AssertionError:
            return False
        return True

    def committed(self):
        """How far the broker remembers each partition, where something was committed."""
        found = self.setting.node.broker.committed(self.name, self.name, self.partitions)
        return {p: offset for p, offset in found.items() if offset >= 0}

    def demand_quiet(self, since, but):
        """Nobody but these had anything assigned or taken since then."""
        events = self.history.events("assigned", "revoked", "lost", since=since)
        events = [event for event in events if event.member not in but and event.partitions()]
        heard = [(event.member, event.kind, event.partitions()) for event in events]
        if heard:
            raise Broken(f"there was a rebalance: {heard}")

    def demand_laws(self, ends, once):
        """What holds at the end of every scenario."""
        self.history.demand_one_owner(max(self.variant.slack_us, self.setting.slack_us))
        self.history.demand_all(ends)
        self.history.demand_commits_hold()
        if once:
            self.history.demand_once()


def now_us():
    """The members' clock."""
    return time.time_ns() // 1000
