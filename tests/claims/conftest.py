"""Claims as files, and their verdicts."""

import pytest

from perfcore.claims.audit import audit_claim as audit
from perfcore.claims.claim import read_claims


@pytest.fixture
def write(tmp_path):
    def written(text):
        path = tmp_path / "claims.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return written


@pytest.fixture
def find(write):
    """The finding of one claim."""

    def found(**cells):
        cells = {"model": "llama-3-70b", "device": "h100-sxm", **cells}
        path = write(",".join(cells) + "\n" + ",".join(map(str, cells.values())) + "\n")
        return audit(read_claims(path)[0])

    return found
