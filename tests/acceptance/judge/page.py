"""A page of sections, each made by another run: one is replaced, the others stay.

    python3 -m judge.page FILE TITLE <TEXT
"""

import sys

# In this order on the page.
TITLES = ["Clients from before Kafka 2.1", "Kafka Streams", "Kafka Connect", "MirrorMaker 2", "Suites of other projects"]
MARK = "\n## "


def split(text):
    """What stands above the first section, and the sections by their titles."""
    head, *rest = text.split(MARK)
    sections = {}
    for section in rest:
        title, _, body = section.partition("\n")
        sections[title] = body.strip("\n")
    return head.strip("\n"), sections


def join(head, sections):
    """The page."""
    known = [title for title in TITLES if title in sections]
    return "\n".join([head + "\n", *(f"## {title}\n\n{sections[title]}\n" for title in known)])


def read(path):
    """The page as it is; nothing where there is none."""
    try:
        with open(path, encoding="utf-8") as page:
            return page.read()
    except FileNotFoundError:
        return ""


def write(path, head=None, sections=None):
    """Replaces the head, or these sections, or both."""
    former, kept = split(read(path))
    text = join(former if head is None else head.strip("\n"), {**kept, **(sections or {})})
    with open(path, "w", encoding="utf-8") as page:
        page.write(text)


def main():
    """One section, from the standard input."""
    path, title = sys.argv[1:]
    if title not in TITLES:
        sys.exit(f"judge.page: no section is called {title}")
    write(path, sections={title: sys.stdin.read().strip("\n")})


if __name__ == "__main__":
    main()
