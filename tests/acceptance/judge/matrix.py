"""What each client was seen doing, as a page for who wants to know whether theirs works."""

from .variants import VARIANTS

COLUMNS = [
    ("handover", "hand-over, once each"),
    ("killed", "one dies"),
    ("static", "static members"),
    ("surplus", "surplus takes over"),
    ("growth", "partitions added"),
    ("pattern", "expressions"),
    ("restart", "node restarts"),
]
PROTOCOLS = {"classic": "classic", "cooperative": "classic, cooperative", "consumer": "consumer (KIP-848)"}
HEAD = """# Clients

Made by `tests/acceptance/groups --every-client --matrix docs/clients.md`: what real clients were seen doing with one
node. All of them produce and consume; each row is a group of three members on twelve partitions (two for the surplus).
"yes": the scenario of that name in `tests/acceptance/judge/scenarios.py` was passed, "no": it was not; empty: the
client cannot, or its protocol has no such thing.

"""


def write(path, results, releases):
    """From scenarios' names (`handover/java-classic`, `admin/java`) to whether they were passed."""
    rows = [["client", "group protocol", *(title for _, title in COLUMNS), "admin calls"]]
    for variant in VARIANTS.values():
        found = [results.get(f"{name}/{variant.name}") for name, _ in COLUMNS]
        if not any(one is not None for one in found):
            continue
        found.append(results.get(f"admin/{variant.program}"))
        protocol = PROTOCOLS[variant.name.rsplit("-", 1)[1]]
        words = [{True: "yes", False: "no", None: ""}[one] for one in found]
        rows.append([releases[variant.program], protocol, *words])
    rows.insert(1, ["---"] * len(rows[0]))
    with open(path, "w", encoding="utf-8") as page:
        page.write(HEAD + "".join("| " + " | ".join(row) + " |\n" for row in rows))
