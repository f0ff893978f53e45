"""What each client was seen doing, as a page for who wants to know whether theirs works."""

from . import page
from .variants import VARIANTS, codecs_of

COLUMNS = [
    ("handover", "hand-over, once each"),
    ("killed", "one dies"),
    ("static", "static members"),
    ("surplus", "surplus takes over"),
    ("growth", "partitions added"),
    ("pattern", "expressions"),
    ("restart", "node restarts"),
]
PROTOCOLS = {
    "classic": "classic",
    "cooperative": "classic, cooperative",
    "consumer": "consumer (KIP-848)",
    "none": "has no groups",
}
HEAD = """# Clients

What real clients were seen doing with one node. The table is made by `tests/acceptance/groups --every-client --times 2
--matrix docs/clients.md`, each section below it by its own script with `--page docs/clients.md`; `cargo xtask interop
--long` runs all of them.

"yes": the scenario of that name in `tests/acceptance/judge/scenarios.py` was passed, each time; "no": it was not; empty:
the client cannot, or its protocol has no such thing. What a client produces, plain and with each of the codecs named,
another library has read, and the other way round. The rest of a row is a group of three members on twelve partitions
(two for the surplus).
"""
WORDS = {True: "yes", False: "no", None: ""}


def write(path, results, releases):
    """From scenarios' names (`handover/java-classic`, `admin/java`) to whether they were passed."""
    groups, notes = [title for _, title in COLUMNS], []
    rows = [["client", "produces", "consumes", "codecs", "group protocol", *groups, "admin calls"]]
    for variant in VARIANTS.values():
        if variant.program not in releases:
            continue
        records = [results.get(f"{name}/{variant.program}") for name in ("produces", "consumes")]
        found = [results.get(f"{name}/{variant.name}") for name, _ in COLUMNS]
        found.append(results.get(f"admin/{variant.program}"))
        if not any(one is not None for one in records + found):
            continue
        if variant.weakness:
            notes.append(f"{releases[variant.program]}: {variant.weakness}.")
        codecs = ", ".join(codecs_of(variant.program)) if all(records) else ""
        protocol = PROTOCOLS[variant.name.rsplit("-", 1)[1]]
        rows.append([releases[variant.program], *(WORDS[one] for one in records), codecs, protocol,
                     *(WORDS[one] for one in found)])
    rows.insert(1, ["---"] * len(rows[0]))
    table = "".join("| " + " | ".join(row) + " |\n" for row in rows)
    page.write(path, HEAD + "\n" + table + "".join(f"\n{note}\n" for note in notes))

