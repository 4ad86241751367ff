"""Record of injected faults: of each kind how often, and what it left behind.

With ``PERFCORE_FAULTS`` naming a file, it is written there for `docs/reliability.md`.
"""

import json
import os
import re
from collections import Counter
from pathlib import Path

import pytest
from runs import hashes, lost_and_duplicated, manifest_of

from perfcore.runs.check import verify


class Record:
    """Faults by kind, in the order in which tests inject them."""

    def __init__(self):
        self.found = {}

    def add(self, fault, injected, rows, same_bytes, sees):
        """Add ``injected`` faults of one kind; ``rows`` are those lost and those duplicated."""
        kind = self.found.setdefault(fault, [0, 0, 0, True, Counter()])
        kind[0] += injected
        kind[1] += rows[0]
        kind[2] += rows[1]
        kind[3] &= same_bytes
        kind[4][sees] += injected

    def lines(self):
        """Return a line for each kind, with its most frequent message if it had any."""
        for fault, (injected, lost, duplicated, same, sees) in self.found.items():
            messages = Counter({text: times for text, times in sees.items() if text != "nothing"})
            yield {
                "fault": fault,
                "injected": injected,
                "rows_lost": lost,
                "rows_duplicated": duplicated,
                "same_bytes": same,
                "sees": (messages or sees).most_common(1)[0][0],
            }


@pytest.fixture(scope="session")
def recorded():
    """The faults of all tests of this process, written at the end."""
    record = Record()
    yield record
    path = os.environ.get("PERFCORE_FAULTS")
    if path:
        assert "PYTEST_XDIST_WORKER" not in os.environ, "one process has all faults: leave out -n"
        text = json.dumps(list(record.lines()), indent=1, ensure_ascii=False)
        Path(path).write_text(text + "\n", "utf-8")


@pytest.fixture
def held(whole, recorded, tmp_path):
    """Hold a run that went on after a fault against the undisturbed one, and record it."""

    def hold(path, fault, injected, sees):
        rows, same = lost_and_duplicated(path, whole), hashes(path) == hashes(whole)
        sees = re.sub(rf"{re.escape(str(tmp_path))}/(?:disk/)?[\w ]*", "RUN", sees.strip())
        recorded.add(fault, injected, rows, same, sees)

        assert rows == (0, 0)
        assert hashes(path) == hashes(whole)
        assert manifest_of(path) == manifest_of(whole)
        assert not verify(path).faults
        assert not list((path / "shards").glob(".*")), "nothing unfinished is left"

    return hold
