"""Suggestions for misspelled words."""

from perfcore.reading.words import suggest


def test_suggest():
    assert suggest("LLAMA 3 70b", ["llama-3-70b", "llama-3-8b"]) == "; did you mean 'llama-3-70b'?"
    assert suggest("zzz", ["a", "b"]) == ""
    assert suggest("h", []) == ""
