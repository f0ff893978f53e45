"""The page keeps what another run has made."""

import unittest

from .page import join, split

HEAD = "# Clients\n\nWords.\n\n| a |\n| --- |"


class Page(unittest.TestCase):
    """Split and joined again."""

    def check(self, sections, expected):
        text = join(HEAD, sections)
        self.assertEqual(text, expected)
        self.assertEqual(split(text), (HEAD, sections))

    def test_a_page_without_sections_is_its_head(self):
        self.check({}, HEAD + "\n")

    def test_sections_stand_in_their_order(self):
        self.check(
            {"MirrorMaker 2": "m", "Kafka Streams": "s\n\n- one"},
            HEAD + "\n\n## Kafka Streams\n\ns\n\n- one\n\n## MirrorMaker 2\n\nm\n",
        )
