"""What other projects' test runners print is understood, and a surprise is one."""

import unittest

from .suites import differences, outcomes, report


class Outcomes(unittest.TestCase):
    """From output to outcomes."""

    def check(self, form, lines, expected):
        self.assertEqual(outcomes(form, lines), expected)

    def test_go_tells_in_json(self):
        self.check(
            "go",
            [
                '{"Action":"run","Package":"a.b/c/kgo","Test":"TestOne"}',
                '{"Action":"pass","Package":"a.b/c/kgo","Test":"TestOne"}',
                '{"Action":"skip","Package":"a.b/c/kgo","Test":"TestTwo"}',
                '{"Action":"fail","Package":"a.b/c/kgo"}',
                "panic: no JSON",
            ],
            {"kgo/TestOne": "pass", "kgo/TestTwo": "skip"},
        )

    def test_pytest_tells_in_its_short_report(self):
        self.check(
            "pytest",
            [
                "PASSED test/a.py::test_one[0]",
                "FAILED test/a.py::test_two - AssertionError: 1",
                "ERROR test/a.py::test_one[0] - in its teardown",
                "SKIPPED [3] test/a.py:17: not today",
                "2 passed in 1 s",
            ],
            {"test/a.py::test_one[0]": "fail", "test/a.py::test_two": "fail", "test/a.py:17": "skip"},
        )

    def test_cargo_tells_in_words(self):
        self.check(
            "cargo",
            ["test a::b ... ok", "test c ... FAILED", "test d ... ignored, not today", "running 3 tests"],
            {"a::b": "pass", "c": "fail", "d": "skip"},
        )


class Differences(unittest.TestCase):
    """What is a surprise."""

    def check(self, expected, found, count):
        self.assertEqual(len(list(differences(expected, found))), count)

    def test_what_is_expected_is_none(self):
        self.check({"a": ("fail", "why")}, {"a": "fail", "b": "pass"}, 0)

    def test_a_failure_that_nobody_expects_is_one(self):
        self.check({}, {"a": "fail"}, 1)

    def test_an_expected_failure_that_passes_is_one(self):
        self.check({"a": ("fail", "why")}, {"a": "pass"}, 1)

    def test_what_is_chance_is_none(self):
        for outcome in ("pass", "fail"):
            self.check({"a": ("any", "why")}, {"a": outcome}, 0)

    def test_an_expected_failure_that_is_not_run_is_one(self):
        self.check({"a": ("fail", "why")}, {"b": "pass"}, 1)


class Report(unittest.TestCase):
    """What the page says."""

    def test_failures_with_one_reason_stand_together(self):
        text = report("lib 1", {"k/A": ("fail", "why"), "k/B": ("fail", "why")}, {"k/A": "fail", "k/C": "pass"})
        self.assertEqual(text, "**lib 1**: 1 passed; of the rest:\n\n- fails, why: `A`, `B`")

    def test_without_failures_it_is_a_line(self):
        self.assertEqual(report("lib 1", {}, {"a": "pass"}), "**lib 1**: 1 passed, none else.")
