"""Faults that are really injected, and what is left: nothing lost, nothing twice."""

import os
import random
import re
import signal
import subprocess
import sys
import time

import pyarrow.dataset as ds
import pytest
from paths import ROOT
from runs import (
    SHARDS,
    cli,
    hashes,
    perfcore,
    shards_of,
    space,
    start,
    wait_for_shards,
)

from perfcore.runs.check import verify
from perfcore.runs.parquet import schema
from perfcore.runs.run import open_run, sweep
from perfcore.runs.shards import facts
from perfcore.runs.workers import evaluate_rows

pytestmark = pytest.mark.slow

KILLS = 20
SOME = 15  # shards that are there when a fault is injected


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB, if this user may mount one."""
    path = tmp_path / "disk"
    path.mkdir()

    def mount(options):
        return subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)],  # noqa: S607
            check=False,
            capture_output=True,
        )

    if os.geteuid() != 0 or mount("size=1m").returncode != 0:
        yield None
        return
    yield path, lambda options: mount(f"remount,{options}").check_returncode()
    subprocess.run(["umount", str(path)], check=True)  # noqa: S607


def first_error(done):
    return next(line for line in done.stderr.splitlines() if line.startswith("error: "))


def sound(path):
    """What is there is whole: nothing is missing but what was never written."""
    problems = {fault.problem for fault in verify(path).faults if fault.shard is not None}
    assert problems <= {"missing", "not known to be complete"}
    assert all(name.startswith("part-") for name in shards_of(path))


def forked_sweep(path):
    """A process that sweeps, forked from this one: nothing is imported or compiled again."""
    pid = os.fork()
    if pid:
        return pid
    try:
        sweep(space(), path, 2)
    finally:
        os._exit(0)


def test_killed_at_random_moments(tmp_path, held, whole):
    randomly = random.Random(0)  # noqa: S311 - nobody is to guess when
    # the kernel is loaded before processes are forked
    evaluate_rows(space(), schema(space(), facts(space())), 0, 1)
    started = time.perf_counter()
    os.waitpid(forked_sweep(tmp_path / "timed"), 0)
    seconds = time.perf_counter() - started
    kills, finished, shards_at_kills = 0, 0, []
    path = tmp_path / "run 0"
    while kills < KILLS:
        pid = forked_sweep(path)
        time.sleep(randomly.uniform(0.0, 0.6 * seconds))
        os.kill(pid, signal.SIGKILL)
        killed = os.waitpid(pid, 0)[1] == signal.SIGKILL
        if killed:
            kills += 1
            shards_at_kills.append(len(shards_of(path)))
        if not killed or shards_at_kills[-1] == SHARDS:
            sweep(space(), path, 2)

            assert hashes(path) == hashes(whole)
            finished += 1
            path = tmp_path / f"run {finished}"
    if (path / "manifest.json").exists():
        sound(path)

    sweep(space(), path, 2)

    assert len(set(shards_at_kills)) > KILLS / 4, "kills at different moments"
    held(path, "process killed (SIGKILL) at random moments", KILLS, "Killed")


def test_two_processes_at_once(tmp_path, spec, held):
    output = tmp_path / "run"
    both = [start("run", spec, "-o", output, "--workers", "1") for _ in range(2)]
    for process in both:
        stdout, stderr = process.communicate(timeout=120)

        assert (process.returncode, stderr) == (0, "")
    held(output, "two processes write one run at once", 1, stdout.splitlines()[0])


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_signals(tmp_path, spec, held, number, code):
    output = tmp_path / "run"
    process = start("run", spec, "-o", output, "--workers", "1")
    wait_for_shards(output, SOME, process)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    there = hashes(output)
    before = {path: path.stat().st_mtime_ns for path in (output / "data").iterdir()}

    assert process.returncode == code
    assert stdout == ""
    assert "Traceback" not in stderr
    assert f"interrupted: {len(there)} of {SHARDS} shards complete" in stderr
    assert f"to resume: perfcore run {spec} -o {output} --workers 1" in stderr
    assert SOME <= len(there) < SHARDS
    assert len(open_run(output).manifest["shards"]) == len(there)
    sound(output)

    sweep(space(), output, 2)

    assert {path: path.stat().st_mtime_ns for path in before} == before, "shards are kept"
    line = next(line for line in stderr.splitlines() if line.startswith("interrupted: "))
    line = re.sub(r"\d+ of", "N of", line)
    held(output, f"{number.name} (exit code {code})", 1, line)


def test_disk_full(spec, held, small_disk, tmp_path):
    if small_disk is None:  # not every user may mount: each file has a limit then
        output = tmp_path / "run"
        limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, -1)); "
        done = perfcore("run", spec, "-o", output, "--workers", "2", before=limit)
    else:
        disk, remount = small_disk
        output = disk / "run"
        done = perfcore("run", spec, "-o", output, "--workers", "2", "--force")

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "cannot be written (" in first_error(done)
    assert "free space or choose another --output" in first_error(done)
    sound(output)
    assert not list((output / "shards").glob(".*"))

    if small_disk is not None:
        assert "No space left on device" in first_error(done)
        remount("size=100m")
    sweep(space(), output, 2)

    held(output, "disk full", 1, re.sub("part-[0-9]+", "part-N", first_error(done)))


def test_a_limit_of_file_sizes(tmp_path, spec, held):
    output = tmp_path / "run"
    limit = (
        "import resource; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (8_000, resource.RLIM_INFINITY)); "
    )
    done = perfcore("run", spec, "-o", output, before=limit)

    assert done.returncode == 2
    assert "File too large" in first_error(done)
    assert shards_of(output) == []

    sweep(space(), output, 2)

    held(
        output, "limit of file sizes reached", 1, re.sub("part-[0-9]+", "part-N", first_error(done))
    )


def truncated(path):
    os.truncate(path, path.stat().st_size - 7)


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1 << 4
    path.write_bytes(content)


def emptied(path):
    path.write_bytes(b"")


def removed(path):
    path.unlink()


@pytest.mark.parametrize(
    ("damaged", "problem"),
    [
        (truncated, "bytes long, "),
        (flipped, "its bytes have changed (SHA-256 "),
        (emptied, "0 bytes long, "),
        (removed, "1 shard missing: 7"),
    ],
)
def test_a_damaged_shard_is_found_and_repaired(tmp_path, spec, held, damaged, problem):
    output = tmp_path / "run"
    sweep(space(), output, 2)
    path = output / "data" / "part-00007.parquet"
    damaged(path)
    before = {other: other.stat().st_mtime_ns for other in path.parent.iterdir() if other != path}
    checked = cli("verify", output)

    assert checked.exit_code == 2
    assert problem in first_error(checked)
    assert f"shards to run again, 1 of {SHARDS}: 7" in checked.stderr
    assert f"perfcore run SPEC -o {output}" in checked.stderr

    repaired = cli("run", spec, "-o", output)

    assert repaired.exit_code == 0, repaired.output
    assert {other: other.stat().st_mtime_ns for other in before} == before, "others are kept"
    said = re.sub(r"[\d,]+ bytes", "N bytes", first_error(checked))
    said = re.sub(r"[\d,]+ were", "M were", re.sub("[0-9a-f]{12}…", "…", said))
    held(output, f"shard {damaged.__name__}", 1, said)


def test_read_only_output(tmp_path, spec, held, small_disk):
    if small_disk is None:
        output = tmp_path / "locked" / "run"
        output.parent.mkdir()
        output.parent.chmod(0o555)
        done = perfcore("run", spec, "-o", output)
        output.parent.chmod(0o755)
    else:
        disk, remount = small_disk
        output = disk / "run"
        remount("ro")
        done = perfcore("run", spec, "-o", output)
        remount("rw,size=100m")

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "cannot be written (" in first_error(done)
    assert "choose another --output" in first_error(done)
    assert not output.exists()

    sweep(space(), output, 2)

    held(output, "read-only output", 1, first_error(done))


def test_clock_going_backwards(tmp_path, held, monkeypatch):
    output = tmp_path / "run"
    now = time.time()
    sweep(space(), output, 2)
    for path in list((output / "data").iterdir())[::2]:
        path.unlink()
    for path in output.rglob("*"):
        os.utime(path, (now + 1e8, now + 1e8))  # from the future
    clock = iter(range(int(now), 0, -86_400))
    monkeypatch.setattr(time, "time", lambda: float(next(clock)))
    monkeypatch.setattr(time, "gmtime", lambda _=None: time.struct_time((1999, *[1] * 8)))

    run = sweep(space(), output, 2)

    assert run.manifest["finished"].startswith("1999-")
    assert run.manifest["wall_s"] >= 0.0
    held(output, "clock going backwards, files from the future", 1, "nothing")


def test_a_lost_manifest_is_made_again(tmp_path, held):
    output = tmp_path / "run"
    sweep(space(), output, 2)
    (output / "manifest.json").unlink()
    times = {path: path.stat().st_mtime_ns for path in (output / "data").iterdir()}

    sweep(space(), output, 2)

    assert {path: path.stat().st_mtime_ns for path in times} == times
    held(output, "manifest deleted", 1, "nothing")


def test_two_thousand_shards(tmp_path, recorded):
    made = space(scales=1000, rows_per_shard=4)
    output = tmp_path / "run"
    run = sweep(made, output, 2)
    before = hashes(output)
    lost = sorted((output / "data").iterdir())[::100]
    for path in lost:
        path.unlink()
    verdict = verify(output)

    assert made.shards == 2000
    assert run.manifest["complete"]
    assert len(verdict.rerun) == len(lost) == 20

    again = sweep(made, output, 2)

    assert again.manifest["complete"]
    rows = ds.dataset(output / "data").count_rows()
    same = hashes(output) == before
    assert again.rows == run.rows == rows
    assert same
    counted = (max(run.rows - rows, 0), max(rows - run.rows, 0))
    recorded.add("20 of 2,000 shards deleted", len(lost), counted, same, "nothing")


@pytest.mark.parametrize("resource", ["memory", "disk"])
def test_what_does_not_fit_is_refused_unless_forced(tmp_path, spec, held, monkeypatch, resource):
    output = tmp_path / "run"
    free = {"memory": lambda: 1 << 20, "disk": lambda _: 100_000}[resource]
    monkeypatch.setattr(f"perfcore.runs.preflight.{resource}_free", free)
    refused = cli("run", spec, "-o", output)

    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"error: {resource}: shards takes about ")
    assert "--force" in refused.stderr
    assert not output.exists()

    forced = cli("run", spec, "-o", output, "--force")

    assert forced.exit_code == 0
    said = re.sub(r"[\d.]+ ([kMG]?B)|\d+ (workers)", r"N \1\2", refused.stderr)
    held(output, f"more {resource} needed than there is", 1, said)


def test_a_dask_worker_that_is_killed(tmp_path, spec, held, monkeypatch):
    # for processes that start elsewhere
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=":")

    dask = [sys.executable, "-m", "dask"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    file = tmp_path / "scheduler.json"
    where = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show"]
    processes = [
        subprocess.Popen(
            [*dask, "scheduler", *where, "--scheduler-file", str(file)], cwd=tmp_path, **quiet
        )
    ]
    worker = [*dask, "worker", "--scheduler-file", str(file), "--nthreads", "1", "--no-nanny"]
    worker += ["--host", "127.0.0.1", "--no-dashboard"]
    try:
        while not file.exists():
            assert processes[0].poll() is None
            time.sleep(0.05)
        processes += [subprocess.Popen(worker, cwd=tmp_path, **quiet) for _ in range(2)]
        output = tmp_path / "run"
        process = start("run", spec, "-o", output, "--dask", file)
        wait_for_shards(output, SOME, process)
        processes[1].kill()
        at_kill = len(shards_of(output))
        stdout, stderr = process.communicate(timeout=120)
    finally:
        for running in processes:
            running.kill()
        for running in processes:
            running.wait(30)

    assert at_kill < SHARDS
    assert (process.returncode, stderr) == (0, "")
    held(output, "Dask worker killed (SIGKILL) in mid-run", 1, stdout.splitlines()[0])
