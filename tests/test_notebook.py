"""The notebook of the documentation is executed, cell by cell, and prints what it shows.

``PERFCORE_WRITE_PAGES=1 pytest tests/test_notebook.py`` writes what is printed today into it.
"""

import contextlib
import io
import json
import os

import pytest
from paths import ROOT

pytestmark = pytest.mark.slow

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


@pytest.fixture(scope="module")
def cells():
    return json.loads(NOTEBOOK.read_text("utf-8"))["cells"]


def source(cell):
    return "".join(cell["source"])


def shown(cell):
    """What a cell prints, as it is stored."""
    return "".join(text for output in cell["outputs"] for text in output["text"])


def test_it_is_a_notebook_that_any_reader_opens(cells):
    told = json.loads(NOTEBOOK.read_text("utf-8"))

    assert (told["nbformat"], told["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in cells}) == len(cells)
    for word in ("evaluate", "sweep", "read_table", "plot", "simulate", "size"):
        assert any(f"{word}(" in source(cell) for cell in cells if cell["cell_type"] == "code")


def test_its_cells_print_what_it_shows(cells, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    writes = os.environ.get("PERFCORE_WRITE_PAGES") == "1"
    for number, cell in enumerate(cells):
        if cell["cell_type"] != "code":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(source(cell), f"cell {number}", "exec"), names)  # noqa: S102
        if writes:
            lines = printed.getvalue().splitlines(keepends=True)
            stream = {"output_type": "stream", "name": "stdout", "text": lines}
            cell["outputs"] = [stream] if lines else []
        assert printed.getvalue() == shown(cell), f"cell {number}; see the top of this file"
    if writes:
        told = json.loads(NOTEBOOK.read_text("utf-8"))
        told["cells"] = cells
        text = json.dumps(told, indent=1, ensure_ascii=False)
        NOTEBOOK.write_text(f"{text}\n", "utf-8")
    assert (tmp_path / "front.html").is_file()
