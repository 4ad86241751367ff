"""The command run."""

import signal
import subprocess
import sys
import time

import pyarrow.parquet as pq

import perfcore
from cli.command import START, invoke


def test_run_writes_a_data_set_and_sums_up(tmp_path, spec):
    text = invoke("run", spec, "-o", tmp_path / "run")
    rows = pq.read_table(tmp_path / "run" / "data")

    assert f"{rows.num_rows} written of 24 evaluated" in text
    assert "weights do not fit" in text
    assert "duckdb -c" in text
    assert str(tmp_path / "run" / "data") in text


def test_run_may_be_quiet_and_repeated(tmp_path, spec):
    arguments = ["run", spec, "-o", tmp_path / "run", "--workers", "1", "--quiet"]
    assert invoke(*arguments) == ""
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "data").iterdir()}
    assert invoke(*arguments) == ""
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "run" / "data").iterdir()} == before
    assert "rows already existed" in invoke(*arguments[:-1])


def test_run_without_a_row_says_what_to_change(tmp_path, spec):
    text = invoke("run", spec, "-o", tmp_path / "run", "--set", "axes.device=t4")

    assert "0 written of 8 evaluated" in text
    assert "keep_infeasible" in text


def test_interrupted_run_keeps_complete_shards_and_goes_on(tmp_path):
    path = tmp_path / "long sweep.toml"
    path.write_text(
        "[axes]\nmodel = ['llama-3-8b']\ndevice = ['h100-sxm', 'b200']\n"
        "batch = { linear = [1, 300], n = 300 }\n"
        "input_len = { linear = [1, 3000], n = 1500 }\noutput_len = { linear = [1, 12], n = 12 }\n"
        "[output]\nkeep_infeasible = true\ncolumns = ['tpot_s', 'ttft_s']\n"
        "rows_per_shard = 1048576\n"
    )
    output = tmp_path / "run"
    arguments = ["run", str(path), "-o", str(output), "--workers", "1"]
    process = subprocess.Popen(
        [sys.executable, "-c", START, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not (output / "data" / "part-00000.parquet").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)
    files = sorted((output / "data").iterdir())
    complete = perfcore.open_run(output).manifest

    assert process.returncode == 130
    assert stdout == ""
    assert "Traceback" not in stderr
    assert f"interrupted: {len(files)} of 11 shards complete" in stderr
    assert f"to resume: perfcore run '{path}' -o {output} --workers 1" in stderr
    assert len(complete["shards"]) == len(files) < 11
    assert all(file.name.startswith("part-") for file in files)
    assert all(pq.read_metadata(file).num_rows for file in files)
    before = [file.stat().st_mtime_ns for file in files]
    text = invoke(*arguments)

    assert "10,800,000 written" in text
    assert [file.stat().st_mtime_ns for file in files] == before
    assert perfcore.open_run(output).manifest["complete"]
