"""Faults of single system calls, in a new run and in one that is resumed.

``PERFCORE_ALL_FAULTS`` asks for each fault of each call, instead of some of each kind.
"""

import os
import re
import shutil
from dataclasses import dataclass
from errno import EACCES, EDQUOT, EINTR, EIO, EMFILE, ENOLCK, ENOSPC, EROFS, ESTALE
from itertools import product

import pytest
from runs import SPEC, hashes, shards_of, space

from faults.forked import Fault, Forking, lacking
from perfcore.runs.check import verify
from perfcore.runs.run import sweep

WHY_NOT = lacking()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]

SCALES = 10  # of the memory's bandwidth, for two shards
EACH = 15  # faults of a kind, unless all are asked for
ALL = bool(os.environ.get("PERFCORE_ALL_FAULTS"))


@dataclass(frozen=True)
class Kind:
    """Some calls, and what happens to them."""

    name: str
    calls: tuple[str, ...]
    action: str
    errors: tuple[int, ...] = (0,)
    lasting: tuple[bool, ...] = (False,)


CHANGES = ("open", "write", "close", "rename", "link", "unlink", "mkdir")
NAMES = ("rename", "link", "unlink", "mkdir")
KINDS = [
    Kind(
        "disk or quota full (ENOSPC, EDQUOT), and it stays full",
        ("open", "write", "close", "rename", "link", "mkdir"),
        "fail",
        (ENOSPC, EDQUOT),
        (True,),
    ),
    Kind("disk or quota full for one `write`", ("write",), "fail", (ENOSPC, EDQUOT)),
    Kind("`write` or `read` transfers only half", ("write", "read"), "shorten"),
    Kind("`write` fails (EIO, ESTALE)", ("write",), "fail", (EIO, ESTALE)),
    Kind(
        "`read` fails (EIO, ESTALE)",
        ("read",),
        "fail",
        (EIO, ESTALE),
        (False, True),
    ),
    Kind(
        "`open` fails (EACCES, EIO, EMFILE, EROFS, ESTALE)",
        ("open",),
        "fail",
        (EACCES, EIO, EMFILE, EROFS, ESTALE),
        (False, True),
    ),
    Kind("`close` fails (EIO, EDQUOT)", ("close",), "fail", (EIO, EDQUOT)),
    Kind(
        "`rename`, `link`, `unlink` or `mkdir` fails (EACCES, EIO, EROFS, ESTALE)",
        NAMES,
        "fail",
        (EACCES, EIO, EROFS, ESTALE),
        (False, True),
    ),
    Kind(
        "`rename`, `link`, `unlink` or `mkdir` is done, but reported as failed (EIO, ESTALE)",
        NAMES,
        "fail after",
        (EIO, ESTALE),
    ),
    Kind("`flock` fails (ENOLCK, EIO)", ("flock",), "fail", (ENOLCK, EIO), (False, True)),
    Kind(
        "`stat` fails (EACCES, EIO, ESTALE)",
        ("stat",),
        "fail",
        (EACCES, EIO, ESTALE),
    ),
    Kind(
        "a directory cannot be listed (EACCES, EIO, ESTALE)",
        ("list",),
        "fail",
        (EACCES, EIO, ESTALE),
    ),
    Kind(
        "a signal interrupts a call (EINTR)",
        ("open", "write", "read", "flock"),
        "fail",
        (EINTR,),
    ),
    Kind("process killed before a call", CHANGES, "kill before"),
    Kind("process killed after a call", CHANGES, "kill after"),
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "run"
    sweep(space(SCALES), path, 1)
    return path


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    path = tmp_path_factory.mktemp("spec") / "sweep.toml"
    path.write_text(SPEC.replace("n = 500", f"n = {SCALES}"))
    return path


@pytest.fixture(scope="module")
def forking(tmp_path_factory, spec):
    process = Forking(tmp_path_factory.mktemp("forking"), spec)
    yield process
    process.close()


def prepared(path, whole, *, resumed):
    """Remove a run, or make it one without its second shard, and with a draft to be tidied."""
    shutil.rmtree(path, ignore_errors=True)
    if resumed:
        shutil.copytree(whole, path)
        (path / "data" / "part-00001.parquet").unlink()
        (path / "shards" / "part-00001.json").unlink()
        draft = path / "shards" / ".perfcore-0123456789ab-left.draft"
        draft.touch()
        os.utime(draft, (0, 0))  # of another machine, and old


@pytest.fixture
def run(forking, spec, tmp_path):
    def run(fault):
        path = tmp_path / "run"
        arguments = ["run", spec, "-o", path, "--workers", "1", "--quiet"]
        return forking.run(path, arguments, fault)

    return run


@pytest.fixture
def faults(run, whole, tmp_path):
    """Return the faults of a kind, each with whether it meets a resumed run."""

    def faults(kind):
        found = []
        for resumed in (False, True):
            prepared(tmp_path / "run", whole, resumed=resumed)
            counts = run(Fault()).counts
            found += [
                (resumed, Fault(call, number, kind.action, error, lasting))
                for error, lasting, call in product(kind.errors, kind.lasting, kind.calls)
                for number in range(counts[call])
            ]
        return found

    return faults


def test_calls_of_python_and_of_arrow_are_seen(run, whole, tmp_path):
    """Arrow writes a shard in many pieces, and Python each other file in one."""
    outcome = run(Fault())
    shards = len(shards_of(whole))
    others = 2 * 1 + 1 + shards  # the manifest, twice; the owner; the receipts

    assert (outcome.code, outcome.fired) == (0, 0)
    assert outcome.counts["rename"] + outcome.counts["link"] == shards + others
    assert outcome.counts["write"] > others + 20 * shards
    assert all(outcome.counts.values())
    assert hashes(tmp_path / "run") == hashes(whole)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_fault_of_a_call(kind, run, faults, whole, held, tmp_path):
    path = tmp_path / "run"
    possible = faults(kind)
    some = len(possible) if ALL else min(EACH, len(possible))
    for resumed, fault in (possible[at * len(possible) // some] for at in range(some)):
        prepared(path, whole, resumed=resumed)
        outcome = run(fault)

        assert outcome.fired, (resumed, fault)
        check(outcome, fault, path, whole)

        again = run(Fault())

        assert (again.code, again.stderr) == (0, ""), (resumed, fault)
        held(path, kind.name, 1, said(outcome))


def check(outcome, fault, path, whole):
    """Check that a run has ended as one ends: complete, with an error that says why, or killed."""
    lines = outcome.stderr.splitlines()
    told = (fault, outcome)
    if fault.action.startswith("kill"):
        assert (outcome.code, lines) == (-9, []), told
    elif outcome.code == 0:
        assert lines == [], told
        assert hashes(path) == hashes(whole), told
        assert not verify(path).faults, told
    else:
        assert outcome.code == 2, told
        assert lines, told
        for line in lines:
            assert re.fullmatch(r"error: \S.*; .*", line), told
            assert "Errno" not in line, told
    if shards_of(path):
        assert hashes(path).items() <= hashes(whole).items(), told


def said(outcome):
    """Return the message of a run without what differs from one to the next."""
    if outcome.code < 0:
        return "Killed"
    line = outcome.stderr.partition("\n")[0] or "nothing"
    line = re.sub(r"\.perfcore-\w+-\w+\.draft", "DRAFT", line)
    return re.sub("part-[0-9]+", "part-N", line)
