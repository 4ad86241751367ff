"""Pictures drawn as SVG and written to files."""

from xml.etree import ElementTree as ET

import pytest

from perfcore.reporting import vega
from perfcore.reporting.names import KINDS
from reporting.swept import plot


@pytest.mark.parametrize("kind", KINDS)
def test_svg_has_text_and_description(pictures, kind):
    root = ET.fromstring(vega.svg(pictures[kind]))  # noqa: S314 - our own
    text = " ".join(root.itertext())

    assert pictures[kind].source.split(" · ")[2] in text
    assert pictures[kind].finding[:20] in text
    assert pictures[kind].panels[0].x.label in text


@pytest.mark.parametrize("suffix", [".png", ".svg", ".html"])
def test_files_are_written(folder, suffix):
    output = folder / f"picture{suffix}"
    result = plot("pareto", folder / "run", "-o", output)

    assert result.exit_code == 0, result.output
    assert result.stdout.endswith(f"written to {output}\n")
    head = output.read_bytes()[:16]
    assert head.startswith(
        {".png": b"\x89PNG", ".svg": b"<svg", ".html": b"<!DOCTYPE html>"}[suffix]
    )
