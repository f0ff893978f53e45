"""The judge's own judgement, on stories short enough to read. `../groups` runs it before it believes any other."""

import unittest

from .history import Event, History


def story(*lines, careless=()):
    """What members said: (member, kind, what), a microsecond apart; what is partitions, or a partition's offsets."""
    history = History()
    history.careless.update(careless)
    for at, (member, kind, what) in enumerate(lines):
        if kind == "records":
            partition, offsets = what
            line = {"at": at, "event": kind, "partition": partition, "offsets": offsets}
        else:
            line = {"at": at, "event": kind, "partitions": what}
        history.add(Event(member, line))
    return history


class Missing(unittest.TestCase):
    """What nobody was given, of partition 5, which has four records."""

    def check(self, missing, *lines, careless=("a", "b", "c")):
        found = story(*lines, careless=careless).missing({5: 4})
        self.assertEqual([offset for _, offset in found], missing)

    def test_nobody_read_anything(self):
        self.check([0, 1, 2, 3])

    def test_a_member_that_lives_has_no_excuse(self):
        self.check([2], ("a", "assigned", [5]), ("a", "records", (5, [0, 1, 3])))

    def test_a_careful_member_that_ended_has_no_excuse(self):
        self.check(
            [2],
            ("a", "assigned", [5]), ("a", "records", (5, [0, 1])), ("a", "ended", []),
            ("b", "assigned", [5]), ("b", "records", (5, [3])),
            careless=(),
        )

    def test_a_careless_member_that_ended_took_one_record_with_it(self):
        self.check(
            [],
            ("a", "assigned", [5]), ("a", "records", (5, [0, 1])), ("a", "revoked", [5]), ("a", "ended", []),
            ("b", "assigned", [5]), ("b", "records", (5, [3])),
        )

    def test_it_took_no_second_one(self):
        self.check(
            [2],
            ("a", "assigned", [5]), ("a", "records", (5, [0])), ("a", "ended", []),
            ("b", "assigned", [5]), ("b", "records", (5, [3])),
        )

    def test_it_may_have_printed_nothing_before(self):
        self.check(
            [],
            ("a", "assigned", [5]), ("a", "records", (5, [0, 1])), ("a", "revoked", [5]),
            ("b", "assigned", [5]), ("b", "revoked", [5]), ("b", "ended", []),
            ("a", "assigned", [5]), ("a", "records", (5, [3])),
        )

    def test_it_may_have_taken_the_last_one(self):
        self.check([], ("a", "assigned", [5]), ("a", "records", (5, [0, 1, 2])), ("a", "ended", []))

    def test_it_must_have_had_the_partition(self):
        self.check(
            [2],
            ("a", "assigned", [5]), ("a", "records", (5, [0, 1])),
            ("b", "assigned", [6]), ("b", "ended", []),
            ("a", "records", (5, [3])),
        )

    def test_it_must_have_had_it_then(self):
        self.check(
            [2],
            ("b", "assigned", [5]), ("b", "ended", []),
            ("a", "assigned", [5]), ("a", "records", (5, [0])), ("a", "records", (5, [1])),
            ("a", "records", (5, [3])),
        )
