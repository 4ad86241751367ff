"""Executors change no byte of a run and no row of a search."""

import sys
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest
from distributed import Client, LocalCluster
from paths import ROOT

import perfcore
from perfcore.errors import InputError
from perfcore.runs import executors
from perfcore.runs.run import sweep
from perfcore.runs.shards import ProgressDisplay
from runs import SHARDS, cli, hashes, manifest_of, space

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def dask():
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        dashboard_address=":0",
        scheduler_port=0,
        host="tcp://127.0.0.1",
    ) as workers:
        yield workers.scheduler_address


def same(path, whole):
    return hashes(path) == hashes(whole) and manifest_of(path) == manifest_of(whole)


def test_threads(tmp_path, whole):
    seen = []

    def shown(progress):
        seen.append(progress)
        return ProgressDisplay()

    with ThreadPoolExecutor(3) as pool:
        run = sweep(
            space(),
            tmp_path,
            show=shown,
            executor=pool,
        )

    assert same(tmp_path, whole)
    assert run.manifest["complete"]
    assert (seen[0].done_shards, seen[0].done_points) == (SHARDS, space().rows)
    assert seen[0].rows == run.rows


def test_processes_and_only_what_is_missing(tmp_path, whole, monkeypatch):
    sweep(space(), tmp_path, part=(2, 2))
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").iterdir()}
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=":")
    monkeypatch.chdir(tmp_path.parent)  # workers are told where, whatever their directory is
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        perfcore.sweep(space(), tmp_path.name, executor=pool)

    assert len(kept) == SHARDS // 2
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert same(tmp_path, whole)


def test_dask(tmp_path, whole, dask):
    with executors.dask_executor(dask) as executor:
        perfcore.sweep(space(), tmp_path, executor=executor)

    assert same(tmp_path, whole)


def test_dask_simulates_traffic_to_the_same_bytes(tmp_path, dask):
    """Rows of one and of two pools, of requests at a rate, of a trace, and of closed loops."""
    (tmp_path / "day.csv").write_text("arrival_s,input_len,output_len\n0,100,20\n0.5,200,30\n")
    axes = {"model": "llama-3.1-8b", "device": ["h100-sxm", "l40s"], "tp": 1}
    sources = {
        "rate": {"request_rate": [2, 8], "requests": 40, "prefill_replicas": [0, 1]},
        "clients": {"clients": [2, 8], "requests": 40, "prefill_replicas": [0, 1]},
        "trace": {"trace": str(tmp_path / "day.csv"), "speed": [1, 2]},
    }
    for name, traffic in sources.items():
        document = {"axes": axes, "traffic": traffic, "output": {"rows_per_shard": 2}}
        here, there = tmp_path / name / "here", tmp_path / name / "there"
        with executors.dask_executor(dask) as executor:
            perfcore.sweep(document, there, executor=executor)
        run = perfcore.sweep(document, here)

        assert run.rows > 2
        assert len(hashes(here)) > 1
        assert same(there, here)


def test_dask_by_its_own_executor(tmp_path, whole, dask):
    with Client(dask, set_as_default=False) as client:
        perfcore.sweep(space(), tmp_path, executor=client.get_executor(pure=False))

    assert same(tmp_path, whole)


def test_dask_on_the_command_line(tmp_path, spec, whole, dask):
    output = tmp_path / "run"
    done = cli("run", spec, "-o", output, "--dask", dask)

    assert done.exit_code == 0, done.output
    assert f"{'rows':6}" in done.stdout
    assert same(output, whole)


@pytest.mark.parametrize(
    "command",
    [
        ["search", "--minimize", "tpot_s", "--by", "device,batch", "--top", "3"],
        ["pareto", "--objectives", "tpot_s,ttft_s", "--by", "batch"],
        ["histogram", "--metric", "tpot_s", "--by", "device"],
    ],
    ids=lambda command: command[0],
)
def test_searches_merge_what_workers_keep(tmp_path, spec, dask, command):
    name, *options = command
    files = [tmp_path / "here.csv", tmp_path / "there.csv"]
    for file, where in zip(files, [["--workers", "2"], ["--dask", dask]], strict=True):
        done = cli(name, spec, *options, "-o", file, *where)

        assert done.exit_code == 0, done.output
        assert f"of {space().rows:,}" in " ".join(done.stdout.replace("of  ", "of ").split())

    assert files[0].read_text() == files[1].read_text()
    assert files[0].read_text().count("\n") > 1


def test_an_end_cancels_what_has_not_begun(tmp_path):
    futures = []

    class Waiting(Executor):
        def submit(self, *_):
            if len(futures) == 3:
                raise KeyboardInterrupt
            futures.append(Future())
            return futures[-1]

    with pytest.raises(KeyboardInterrupt):
        sweep(space(), tmp_path, executor=Waiting())

    assert [future.cancelled() for future in futures] == [True] * 3
    assert not perfcore.open_run(tmp_path).manifest["complete"]


def test_without_dask_one_line_says_what_to_install(tmp_path, spec, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    done = cli("run", spec, "-o", tmp_path / "run", "--dask", "tcp://127.0.0.1:1")

    assert done.exit_code == 2
    assert done.stderr == "error: --dask: needs distributed; pip install distributed\n"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("tcp://127.0.0.1:1", "no scheduler answers"),
        ("nonsense://127.0.0.1:1", "no scheduler answers"),
        ("missing.json", "no such file"),
    ],
)
def test_no_scheduler(address, message, monkeypatch):
    monkeypatch.setattr(executors, "SECONDS", 1)

    with pytest.raises(InputError, match=message), executors.dask_executor(address):
        pass


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"address": 3}', "[" * 100_000])
def test_no_file_of_a_scheduler(tmp_path, text):
    path = tmp_path / "scheduler.json"
    path.write_text(text)

    with pytest.raises(InputError, match="has no address"), executors.dask_executor(str(path)):
        pass


def test_no_worker(monkeypatch):
    monkeypatch.setattr(executors, "SECONDS", 1)
    with (
        LocalCluster(
            n_workers=0, processes=False, dashboard_address=":0", host="tcp://127.0.0.1"
        ) as empty,
        pytest.raises(InputError, match="has no worker; start `dask worker"),
        executors.dask_executor(empty.scheduler_address),
    ):
        pass


def test_options_that_contradict_each_other(tmp_path):
    done = cli("run", "x.toml", "-o", tmp_path, "--dask", "x", "--workers", "2")

    assert done.exit_code == 2
    assert "give one" in done.stderr


def test_a_table_in_memory_needs_no_executor():
    with ThreadPoolExecutor(1) as pool, pytest.raises(InputError, match="name one"):
        perfcore.sweep(space(), executor=pool)
