"""Runs groups of real clients against a node, and judges what they say they have seen."""
