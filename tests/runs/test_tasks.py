"""Tasks that fail on a cluster."""

from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool

import pytest

import perfcore
from perfcore.errors import InputError, OutputError
from perfcore.runs import executors, tasks
from perfcore.runs.run import sweep
from runs import SHARDS, hashes, manifest_of, space


def same(path, whole):
    return hashes(path) == hashes(whole) and manifest_of(path) == manifest_of(whole)


class Flaky(Executor):
    """Runs tasks at once, of which some fail."""

    def __init__(self, fails):
        self.fails = fails
        self.calls = 0

    def submit(self, fn, /, *args):
        self.calls += 1
        future = Future()
        error = self.fails(self.calls, *args)
        if error:
            future.set_exception(error)
        else:
            future.set_result(fn(*args))
        return future


def test_tasks_that_fail_are_tried_again(tmp_path, whole):
    failed = []

    def fails(_, shard):
        if shard % 4 == 0 and failed.count(shard) < executors.TRIES - 1:
            failed.append(shard)
            return OSError("a cable")
        return None

    flaky = Flaky(fails)
    sweep(space(), tmp_path, executor=flaky)

    assert flaky.calls == SHARDS + SHARDS // 4 * (executors.TRIES - 1)
    assert same(tmp_path, whole)


@pytest.mark.parametrize(
    ("error", "kind", "message", "most"),
    [
        (
            RuntimeError("no memory"),
            OutputError,
            r"failed 3 times on its workers \(RuntimeError",
            9,
        ),
        (OutputError("RUN: cannot be written"), OutputError, "^RUN: cannot be written$", 9),
        (
            InputError("worker x: has another version of perfcore"),
            InputError,
            "another version of perfcore",
            1,
        ),
        (BrokenProcessPool("died"), OutputError, "its workers are gone", 1),
    ],
)
def test_tasks_that_always_fail_end_the_run(tmp_path, monkeypatch, error, kind, message, most):
    monkeypatch.setattr(tasks, "ROOM", 1)
    flaky = Flaky(lambda call, _: error if call > 5 else None)
    with pytest.raises(kind, match=message):
        sweep(space(), tmp_path, executor=flaky)

    assert flaky.calls <= 5 + min(most, executors.TRIES)
    assert len(perfcore.open_run(tmp_path).manifest["shards"]) == 5


def test_workers_with_another_perfcore_are_refused():
    task = tasks.SweepTask(executors.packed_spec(space().spec), "nowhere", "other")

    with pytest.raises(InputError, match="another version of perfcore"):
        task(0)
