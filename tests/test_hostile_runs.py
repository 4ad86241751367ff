"""Runs of strangers: every reader answers or refuses in one line, in bounded time.

``PERFCORE_HOSTILE=500 python -m pytest tests/test_hostile_runs.py`` tries 500; one alone is
``PERFCORE_HOSTILE_SEED=17``.
"""

import os
import re
import shutil
import signal
from contextlib import contextmanager, suppress

import pytest
from click.testing import CliRunner
from runs.hostile import hostile

import perfcore
from perfcore.cli import program
from perfcore.errors import PerfcoreError

pytestmark = pytest.mark.slow

COUNT = int(os.environ.get("PERFCORE_HOSTILE", "12"))
CHUNKS = 12
SECONDS = 10
RAW = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
SPEC = {
    "name": "small",
    "axes": {
        "model": ["llama-3-8b"],
        "device": ["h100-sxm", "l40s"],
        "batch": [1, 8, 64],
    },
    "what_if": {"device.memory_bandwidth": {"scale": [1.0, 2.0]}},
    "output": {"rows_per_shard": 4},
}


@contextmanager
def limit():
    """Interrupt after ``SECONDS``."""

    def stop(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return perfcore.sweep(SPEC, tmp_path_factory.mktemp("whole") / "run").path


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    path = tmp_path_factory.mktemp("spec") / "small.toml"
    path.write_text(
        'name = "small"\n[axes]\nmodel = "llama-3-8b"\ndevice = ["h100-sxm", "l40s"]\n'
        'batch = [1, 8, 64]\n[what_if]\n"device.memory_bandwidth" = {scale = [1.0, 2.0]}\n'
        "[output]\nrows_per_shard = 4\n"
    )
    return path


def commands(run, whole, spec, tmp_path):
    """Return the commands that read a run; the last ones write to it."""
    out = tmp_path / "out"
    return (
        ["verify", run],
        ["verify", run, "--json"],
        ["diff", run, whole],
        ["diff", whole, run, "--json"],
        ["plot", "pareto", run, "-o", out.with_suffix(".svg")],
        ["plot", "memory_wall", run, "-o", out.with_suffix(".svg")],
        ["plot", "roofline", run, "-o", out.with_suffix(".html")],
        ["report", run, "-o", out.with_suffix(".html")],
        ["finalize", run],
        ["run", spec, "-o", run],
        ["run", spec, "-o", run, "--shard", "1/2"],
    )


def methods(run):
    """Return the methods and properties of a data set, by name."""
    return {
        "schema": lambda: run.schema,
        "rows": lambda: (run.rows, run.bytes, run.num_rows, len(run)),
        "name": lambda: (run.name, run.evaluated, run.dropped, run.columns),
        "missing": run.missing,
        "head": run.head,
        "arrow": run.to_arrow,
        "column": lambda: run["tpot_s"],
        "polars": run.to_polars,
        "pandas": run.to_pandas,
        "sql": lambda: run.sql("SELECT device, min(tpot_s) FROM run GROUP BY ALL"),
        "all": lambda: run.sql("FROM run"),
        "repr": lambda: repr(run),
        "html": run._repr_html_,
        "list": run.to_pylist,
    }


def fault_of_call(call):
    """Return the failure of a call of the library, if it is neither an answer nor a refusal."""
    try:
        with limit():
            call()
    except PerfcoreError:
        return None
    except BaseException as error:  # noqa: BLE001 - panics of libraries, too
        return repr(error)[:300]
    return None


def fault_of_command(arguments):
    """Return the failure of a command."""
    try:
        with limit():
            result = CliRunner().invoke(program, [str(part) for part in arguments])
    except BaseException as error:  # noqa: BLE001
        return repr(error)[:300]
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return repr(result.exception)[:300]
    if result.exit_code not in {0, 1, 2}:
        return f"exit code {result.exit_code}"
    if result.exit_code == 2 and "error: " not in result.stderr:
        return f"no error line: {result.stderr[:200]!r}"
    raw = RAW.search(result.output)
    return f"raw {raw[0]!r}" if raw else None


def faults(seed, whole, spec, tmp_path):
    """Return the failures of the readers of one hostile run."""
    run = tmp_path / f"run-{seed}"
    done = hostile(seed, whole, run)
    found = {"open_run": fault_of_call(lambda: perfcore.open_run(run))}
    with suppress(PerfcoreError):
        for name, call in methods(perfcore.open_run(run)).items():
            found[name] = fault_of_call(call)
    for arguments in commands(run, whole, spec, tmp_path):
        found[" ".join(map(str, arguments))] = fault_of_command(arguments)
    return [f"seed {seed} {done}: {what}: {fault}" for what, fault in found.items() if fault]


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_reader_answers_or_refuses(chunk, whole, spec, tmp_path):
    one = os.environ.get("PERFCORE_HOSTILE_SEED")
    seeds = range(chunk, COUNT, CHUNKS) if one is None else [int(one)] if chunk == 0 else []
    found = [fault for seed in seeds for fault in faults(seed, whole, spec, tmp_path)]

    assert not found, "\n".join(found)


@pytest.mark.parametrize("inside", ["data", "data/x", "shards/y", "data/model=x/z"])
def test_nothing_is_written_among_the_files_of_another_run(inside, whole, spec, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    before = sorted(run.rglob("*"))
    for arguments in (
        ["run", spec, "-o", run / inside],
        ["plot", "pareto", run, "-o", run / inside / "../x.svg"],
        ["search", spec, "--minimize", "tpot_s", "-o", run / "data" / "x.parquet"],
    ):
        result = CliRunner().invoke(program, [str(part) for part in arguments])

        assert result.exit_code == 2
        assert (
            "among the files of the run" in result.stderr or "is not a directory" in result.stderr
        )
    assert sorted(run.rglob("*")) == before
