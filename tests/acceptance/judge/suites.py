"""What came of other projects' tests, against what is expected of them.

    python3 -m judge.suites FORM LIBRARY EXPECTED [--accept] [--page FILE] <OUTPUT

FORM says whose output it is: `go` (go test -json), `pytest` (-rA), `cargo`. EXPECTED lists what does not pass, a line
each, with the reason:

    fail kgo/TestTxnEtl  # transactions
"""

import argparse
import json
import os
import re
import sys

from . import page

TITLE = "Suites of other projects"
HEAD = """The tests that client projects run against a broker, as their packages bring them, unchanged, against one node
(`tests/acceptance/peer-suites`). What does not pass is listed with its reason in `tests/acceptance/peer_suites`, and here."""
PYTEST = {"PASSED": "pass", "FAILED": "fail", "ERROR": "fail", "XFAIL": "skip", "XPASS": "pass"}
CARGO = {"ok": "pass", "FAILED": "fail", "ignored": "skip"}
WORDS = {"fail": "fails", "skip": "left out"}


def of_go(lines):
    """An event a line."""
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event.get("Test") and event["Action"] in ("pass", "fail", "skip"):
            yield f"{event['Package'].split('/')[-1]}/{event['Test']}", event["Action"]


def of_pytest(lines):
    """Its short report; what it leaves out has a place there, not a name."""
    for line in lines:
        found = re.match(r"(PASSED|FAILED|ERROR|XFAIL|XPASS) (\S+)", line)
        if found:
            yield found.group(2), PYTEST[found.group(1)]
        found = re.match(r"SKIPPED \[\d+\] (\S+:\d+)", line)
        if found:
            yield found.group(1), "skip"


def of_cargo(lines):
    """`test name ... ok`."""
    for line in lines:
        found = re.match(r"test (\S+) \.\.\. (ok|FAILED|ignored)", line)
        if found:
            yield found.group(1), CARGO[found.group(2)]


FORMS = {"go": of_go, "pytest": of_pytest, "cargo": of_cargo}


def outcomes(form, lines):
    """What became of each test; the worst, where one has several."""
    rank = ["pass", "skip", "fail"]
    found = {}
    for test, outcome in FORMS[form](lines):
        found[test] = max(found.get(test, "pass"), outcome, key=rank.index)
    return found


def read_expected(path):
    """Outcome and reason of each test that does not pass."""
    expected = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            for line in file:
                found = re.match(r"(fail|skip) (\S+)\s+# (.*)", line)
                if found:
                    expected[found.group(2)] = found.group(1), found.group(3)
    return expected


def differences(expected, found):
    """A line for each test that did not do what was expected of it."""
    for test in sorted({*expected, *found}):
        wanted = expected.get(test, ("pass",))[0]
        came = found.get(test, "not run")
        if came != wanted:
            yield f"{test}: {came}, expected was {wanted}"


def accept(path, expected, found):
    """Writes down what came; a reason that was there stays, the others are asked for."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        for test, outcome in sorted(found.items()):
            if outcome != "pass":
                reason = expected.get(test, ("", "?"))[1]
                file.write(f"{outcome} {test}  # {reason}\n")


def report(library, expected, found):
    """The suite's part of the page."""
    passed = list(found.values()).count("pass")
    by_reason = {}
    for test, (outcome, reason) in sorted(expected.items()):
        by_reason.setdefault((outcome, reason), []).append(re.split(r"::|/", test)[-1])
    lines = [f"**{library}**: {passed} passed" + ("; of the rest:" if by_reason else ", none else."), ""]
    for (outcome, reason), tests in by_reason.items():
        lines.append(f"- {WORDS[outcome]}, {reason}: {', '.join(f'`{test}`' for test in tests)}")
    return "\n".join(lines).rstrip("\n")


def write_page(path, library, text):
    """Replaces the part of this library, whatever its release."""
    _, sections = page.split(page.read(path))
    name = library.rsplit(" ", 1)[0]
    parts = {}
    for part in sections.get(TITLE, "").split("\n\n**")[1:]:
        parts[part.split("**")[0].rsplit(" ", 1)[0]] = "**" + part
    parts[name] = text
    page.write(path, sections={TITLE: "\n\n".join([HEAD, *(parts[one] for one in sorted(parts))])})


def main():
    """Exits with 1 where something else came."""
    parser = argparse.ArgumentParser(prog="judge.suites")
    parser.add_argument("form", choices=sorted(FORMS))
    parser.add_argument("library")
    parser.add_argument("expected")
    parser.add_argument("--accept", action="store_true")
    parser.add_argument("--page")
    options = parser.parse_args()
    found = outcomes(options.form, sys.stdin)
    if not found:
        sys.exit(f"FAILED    {options.library}: no test has run")
    expected = read_expected(options.expected)
    if options.accept:
        accept(options.expected, expected, found)
        expected = read_expected(options.expected)
    other = list(differences(expected, found))
    if other:
        print(f"FAILED    {options.library}")
        sys.exit("\n".join(f"    | {line}" for line in other))
    passed = list(found.values()).count("pass")
    print(f"ok        {options.library}: {passed} passed, {len(expected)} did not, as expected")
    if options.page:
        write_page(options.page, options.library, report(options.library, expected, found))


if __name__ == "__main__":
    main()
