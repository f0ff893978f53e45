"""What the members of one group have said, in the order of their clocks, and the laws that it must obey."""

import threading


KINDS = ("assigned", "revoked", "lost", "ended", "committed", "uncommitted", "records", "follows")


class Broken(AssertionError):
    """A law was broken, or something did not happen in time."""


class ReadAgain(Broken):
    """Somebody was given what had been read, or committed, before."""


class Event:
    """One line of one member."""

    def __init__(self, member, line):
        self.member = member
        self.at = line["at"]
        self.kind = line["event"]
        self.line = line

    def partitions(self):
        """Those that an assignment is about."""
        return self.line["partitions"]


class History:
    """Everything that the members of a group have said so far; filled by a thread for each member."""

    def __init__(self):
        # Members that commit the record they are handed while they are stopped, and do not print it.
        self.careless = set()
        self._lock = threading.Lock()
        self._events = []
        self._owned = {}

    def add(self, event):
        """One more event."""
        with self._lock:
            self._events.append(event)
            owned = self._owned.setdefault(event.member, set())
            if event.kind == "assigned":
                owned.update(event.partitions())
            elif event.kind in ("revoked", "lost"):
                owned.difference_update(event.partitions())

    def end(self, member, at):
        """The member is no more; what it owned it owns no longer."""
        with self._lock:
            left = sorted(self._owned.pop(member, ()))
        self.add(Event(member, {"at": at, "event": "ended", "partitions": left}))

    def owned(self):
        """What each living member owns now."""
        with self._lock:
            return {member: set(partitions) for member, partitions in self._owned.items()}

    def events(self, *kinds, since=0):
        """In the order of their clocks."""
        with self._lock:
            found = [event for event in self._events if event.kind in kinds and event.at >= since]
        return sorted(found, key=lambda event: event.at)

    def followed(self):
        """Whom each member of an election has last been told to follow."""
        return {event.member: event.line["primary"] for event in self.events("follows")}

    def write(self, path):
        """For who wants to know what happened."""
        with open(path, "w", encoding="utf-8") as file:
            for event in self.events(*KINDS):
                rest = {name: value for name, value in event.line.items() if name not in ("at", "event")}
                print(event.at, event.member, event.kind, rest, file=file)

    def reads(self):
        """Every record that was handed out: when, to whom, partition, offset."""
        for event in self.events("records"):
            for offset in event.line["offsets"]:
                yield event.at, event.member, event.line["partition"], offset

    def seen(self):
        """How often each record was handed out."""
        seen = {}
        for _, _, partition, offset in self.reads():
            seen[partition, offset] = seen.get((partition, offset), 0) + 1
        return seen

    # -- the laws --------------------------------------------------------------------------------------------------

    def missing(self, ends):
        """Records below these ends that nobody has been given, though somebody should have been."""
        reader = {(p, o): at for at, _, p, o in self.reads()}
        held = self._held_by_careless()
        missing = []
        for partition, end in ends.items():
            gap, since = [], 0
            for offset in range(end + 1):
                at = reader.get((partition, offset))
                if at is None and offset < end:
                    gap.append((partition, offset))
                    continue
                # Each careless one that ended with the partition in hand has taken one record with it.
                until = float("inf") if at is None else at
                taken = sum(start <= until and stop >= since for start, stop in held.get(partition, ()))
                missing += gap[taken:]
                gap, since = [], until
        return missing

    def _held_by_careless(self):
        """When each partition was in the hands of careless members that have ended: from when to when."""
        held, begun = {}, {}
        for event in self.events("assigned", "ended"):
            if event.member not in self.careless:
                continue
            if event.kind == "assigned":
                for partition in event.partitions():
                    begun.setdefault((event.member, partition), event.at)
                continue
            for (member, partition), start in begun.items():
                if member == event.member:
                    held.setdefault(partition, []).append((start, event.at))
        return held

    def demand_all(self, ends):
        """Nothing is lost, and nothing was invented."""
        missing = self.missing(ends)
        if missing:
            raise Broken(f"{len(missing)} records were never read, the first are {missing[:5]}")
        beyond = [(p, o) for p, o in self.seen() if o >= ends[p]]
        if beyond:
            raise Broken(f"records beyond the end of the log: {beyond[:5]}")

    def demand_once(self):
        """After clean hand-overs nothing is read twice."""
        twice = sorted(record for record, times in self.seen().items() if times > 1)
        if twice:
            raise ReadAgain(f"{len(twice)} records were read twice, the first are {twice[:5]}")

    def demand_commits_hold(self):
        """Nobody is given what somebody's acknowledged commit had covered."""
        lines = [(at, 1, member, p, o) for at, member, p, o in self.reads()]
        for event in self.events("committed"):
            lines += [(event.at, 0, event.member, int(p), o) for p, o in event.line["offsets"].items()]
        committed = {}
        for at, is_read, member, partition, offset in sorted(lines):
            if not is_read:
                committed[partition] = max(offset, committed.get(partition, (0,))[0]), member, at
            elif offset < committed.get(partition, (0,))[0]:
                end, who, when = committed[partition]
                raise ReadAgain(
                    f"{member} was given {partition}@{offset} at {at}, after {who} had committed {end} at {when}"
                )

    def demand_one_owner(self, slack_us):
        """No partition has two owners at once. A lost partition was taken away before its owner heard of it."""
        owners = {}
        for event in self.events("assigned", "revoked", "lost", "ended"):
            for partition in event.partitions():
                owner, until = owners.get(partition, (None, 0))
                if event.kind != "assigned":
                    if owner == event.member:
                        owners[partition] = None, event.at
                    continue
                if owner not in (None, event.member):
                    freed = self._freed_after(owner, partition, event.at)
                    if freed is None or freed > event.at + slack_us:
                        raise Broken(f"{event.member} was assigned {partition} at {event.at}, and {owner} had it")
                owners[partition] = event.member, until

    def _freed_after(self, member, partition, at):
        for event in self.events("revoked", "lost", "ended", since=at):
            if event.member == member and partition in event.partitions():
                return at if event.kind == "lost" else event.at
        return None
