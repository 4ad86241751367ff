"""The public function: the page as text and as a file."""

import pytest

import perfcore
from perfcore.errors import InputError


def test_the_page_is_returned_and_written(page):
    text = page.read_text("utf-8")

    assert text.startswith("<!DOCTYPE html>")
    assert "perfcore.explore(['llama-3.3-70b'])" in text
    assert not list(page.parent.glob(".*.part"))


@pytest.mark.parametrize(
    ("output", "fault"),
    [
        ("page.txt", "must end in .html"),
        ("none/page.html", "is not a directory; create it first"),
        ("run/data/page.html", "is among the files of the run"),
    ],
)
def test_files_that_cannot_be_written_are_refused_first(folder, output, fault):
    with pytest.raises(InputError, match=fault):
        perfcore.explore("no-such-model", folder / output)
