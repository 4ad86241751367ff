import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

import perfcore
from perfcore import cli, columns
from perfcore.catalog import loader
from perfcore.cli import program
from perfcore.cli import text as text_of
from perfcore.cli.catalogue import number_text
from perfcore.inputs import AXIS_INPUTS
from perfcore.space.sections import DTYPES

# SIGINT may be ignored where tests run in the background
START = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from perfcore.cli import main; main()"
)
COMMANDS = [
    "init",
    "run",
    "verify",
    "finalize",
    "search",
    "pareto",
    "histogram",
    "diff",
    "plot",
    "report",
    "warmup",
    "plan",
    "point",
    "compare",
    "audit",
    "validate",
    "calibrate",
    "measurements",
    "models",
    "devices",
    "formats",
    "engines",
    "economics",
    "columns",
    "schema",
    "completion",
]
GROUPS = ["models", "devices", "formats", "engines", "economics", "columns"]
SPEC = """
description = "Two small questions."
[axes]
model = ["llama-3-8b", "llama-3-70b"]
device = ["h100-sxm", "groq-lpu", "hbm4-6tbs"]
batch = { pow2 = [1, 8] }
"""


def invoke(*arguments):
    result = CliRunner().invoke(program, [str(argument) for argument in arguments])

    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def invoke_json(*arguments):
    return json.loads(invoke(*arguments))


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SPEC)
    return path


# Help


def test_program_alone_prints_help():
    assert invoke() == invoke("--help")
    assert "perfcore point llama-3-70b h100-sxm" in invoke()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_by_example(command):
    text = invoke(command, "--help")

    assert text.startswith("Usage: ")
    assert f"\n  perfcore {command}" in text


@pytest.mark.parametrize("command", GROUPS)
def test_help_of_show(command):
    assert f"perfcore {command} show " in invoke(command, "show", "--help")


def test_list_of_commands_repeats_their_first_lines():
    ctx = program.make_context("perfcore", ["--help"], resilient_parsing=True)

    assert program.list_commands(ctx) == list(cli._COMMANDS)  # noqa: SLF001
    for name, home in cli._COMMANDS.items():  # noqa: SLF001
        assert program.get_command(ctx, name).help.splitlines()[0] == home.help
    assert sorted(COMMANDS) == sorted(program.list_commands(ctx))


def test_version():
    assert invoke("--version") == f"perfcore {perfcore.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["--help"], {"numba", "numpy", "pyarrow", "pydantic", "rich"}),
        (["--version"], {"numba", "numpy", "pyarrow", "pydantic", "rich"}),
        *(([command], {"numba", "numpy", "pyarrow"}) for command in GROUPS),
        *(([command, "--help"], {"numba", "pyarrow", "pandas", "scipy"}) for command in COMMANDS),
        (["devices", "show", "h100"], {"numba", "numpy", "pyarrow"}),
        (["point", "llama-3-8b", "h100-sxm"], {"numba", "pyarrow"}),
    ],
)
def test_light_commands_import_nothing_heavy(arguments, absent):
    code = (
        "import sys; from perfcore.cli import program; "
        f"program.main({arguments!r}, prog_name='perfcore')"
    )
    code = (
        "import atexit, sys; "
        "atexit.register(lambda: print(' '.join(sys.modules), file=sys.stderr)); " + code
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not absent & set(done.stderr.split())
    assert done.stdout


def processor_time_of_children():
    """Return what does not depend on who else uses the processors."""
    used = os.times()
    return used.children_user + used.children_system


def test_help_comes_at_once():
    times = []
    for _ in range(3):
        before = processor_time_of_children()
        subprocess.run(
            [sys.executable, "-c", START, "--help"], check=True, stdout=subprocess.DEVNULL
        )
        times.append(processor_time_of_children() - before)

    assert min(times) < 0.3


# Catalogue


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("models", "model"),
        ("devices", "device"),
        ("engines", "engine"),
        ("economics", "economics"),
    ],
)
def test_list_has_every_entry(command, kind):
    text = invoke(command)
    names = [entry["name"] for entry in invoke_json(command, "--json")]

    assert names == loader.names(kind)
    assert all(name in text for name in names)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("models", "llama-3-70b"),
        ("models", "deepseek-v3"),
        ("models", "mamba-2.8b"),
        ("devices", "h100-sxm"),
        ("devices", "groq-lpu"),
        ("engines", "default"),
        ("engines", "ideal"),
        ("engines", "llamacpp"),
        ("economics", "default"),
        ("economics", "owned"),
        ("columns", "tpot_s"),
        ("columns", "status"),
    ],
)
def test_show(command, name):
    shown = invoke_json(command, "show", name, "--json")

    assert shown["name"] == name
    assert invoke_json(command, "--json", "show", name) == shown
    assert shown in invoke_json(command, "--json")
    assert name in invoke(command, "show", name).splitlines()[0]


def test_columns_say_which_way_is_better():
    assert invoke_json("columns", "show", "tpot_s", "--json")["better"] == "least"
    assert invoke_json("columns", "show", "mbu", "--json")["better"] == "most"
    assert invoke_json("columns", "show", "weights_s", "--json")["better"] is None
    assert "better   less" in invoke("columns", "show", "tpot_s").splitlines()
    assert "better   more" in invoke("columns", "show", "mbu").splitlines()
    assert "better" not in invoke("columns", "show", "weights_s")


def test_every_entry_can_be_shown():
    for kind, command in (("model", "models"), ("device", "devices")):
        for name in loader.names(kind):
            text = invoke(command, "show", name)

            assert max(map(len, text.splitlines())) <= 80


def test_show_says_what_is_computed_and_in_which_units():
    text = invoke("models", "show", "llama-3-70b")

    assert "70.55B" in text
    assert "327.7 kB" in text
    assert "3.35 TB/s" in invoke("devices", "show", "h100")
    assert "4 years  (estimated)" in invoke("economics", "show", "owned")
    assert "0.0832 USD/kWh" in invoke("economics", "show", "owned")
    assert "330.3 TFLOP/s" in invoke("devices", "show", "rtx-4090")


def test_every_number_of_an_entry_is_shown_in_a_unit_that_people_use():
    for kind in ("device", "economics", "weight_format", "kv_format"):
        for name in loader.names(kind):
            for field, value in loader.load(kind, name):
                if isinstance(value, float):
                    assert "e+" not in number_text(field, value), (name, field)


def test_kv_bytes_of_a_model_are_those_of_physics():
    found = invoke_json("models", "show", "deepseek-v3.2", "--json")

    # 576 elements of 2 bytes and an indexer's key of 128 bytes in each of 61 layers
    assert found["kv_bytes_per_token"] == 61 * (576 * 2 + 128)


def test_large_numbers_are_shown_without_exponents(tmp_path, spec):
    fast = ("llama-3.1-8b", "b200", "--batch", "256", "--input-len", "128")
    text = invoke("point", *fast)
    found = invoke("search", str(spec), "--maximize", "tokens_per_s_per_device")
    run = invoke("run", str(spec), "-o", str(tmp_path / "run"))

    assert "e+0" not in text + found + run
    assert " kB/row" in run


def test_show_tells_estimates_with_their_derivation():
    text = invoke("devices", "show", "groq-lpu")

    assert "0.627 USD/h  (estimated)" in text
    assert "no list price" in text
    assert "groq-lpu*" in invoke("devices", "--class", "sram")
    assert "hypothetical" in invoke("devices", "show", "hbm4-6tbs")
    assert "hbm4-6tbs*?" in invoke("devices", "--match", "hbm4")


def test_format_of_weights_and_cache_are_both_shown():
    both = invoke_json("formats", "show", "fp8", "--json")

    assert list(both) == ["weight_format", "kv_format"]
    assert list(invoke_json("formats", "show", "q5_1", "--json")) == ["weight_format"]
    text = invoke("formats", "show", "fp8")

    assert text.startswith("weight format\nfp8")
    assert "KV-cache format\nfp8" in text


def test_formats_lists_both_kinds():
    listed = invoke_json("formats", "--json")
    kinds = {entry["kind"] for entry in listed}

    assert kinds == {"weight_format", "kv_format"}
    assert len(listed) == len(loader.names("weight_format")) + len(loader.names("kv_format"))


def test_columns_are_those_that_are_declared():
    assert [column["name"] for column in invoke_json("columns", "--json")] == [
        column.name for column in columns.COLUMNS
    ]
    assert [c["name"] for c in invoke_json("columns", "--match", "carbon", "--json")] == [
        "carbon_per_mtok_output_g",
        "carbon_per_mtok_input_g",
    ]


def test_list_can_be_narrowed():
    devices = invoke_json("devices", "--class", "tpu", "--match", "V5", "--json")

    assert {device["name"] for device in devices} == {"tpu-v5e", "tpu-v5p"}
    assert invoke_json("models", "--match", "no such thing", "--json") == []
    for command in ("models", "devices", "formats", "engines", "economics", "columns"):
        assert invoke(command, "--match", "no such thing") == "none; leave out --match\n"


def test_own_entries_are_listed(tmp_path, monkeypatch):
    monkeypatch.setenv("PERFCORE_CATALOG", str(tmp_path))
    (tmp_path / "engines.toml").write_text("[mine]\nbase = 'default'\nsource = 'me'\n")

    assert "mine" in invoke("engines")
    assert invoke_json("engines", "show", "mine", "--json")["source"] == "me"


# One configuration


def test_point_prints_one_flat_object_of_columns():
    row = invoke_json("point", "llama-3-70b", "h100-sxm", "--tp", "8", "--batch", "32", "--json")

    assert row == perfcore.evaluate("llama-3-70b", "h100-sxm", tp=8, batch=32)
    assert list(row) == [column.name for column in columns.COLUMNS]


def test_point_explains_in_eighty_columns_of_plain_text():
    text = invoke("point", "llama-3-70b", "mi300x", "--tp", "2", "--batch", "32")

    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert text.splitlines()[0] == "llama-3-70b on 2 x mi300x"
    for word in (
        "TPOT",
        "TTFT",
        "per user",
        "per device",
        "per output token",
        "per Mtok out",
        "Waits for",
        "KV cache",
        "network",
        "ideal engine",
        "+10 % memory bandwidth",
        "device.board_power",
        "published",
        "fitted",
        "estimated",
    ):
        assert word in text


def test_help_of_point_has_an_option_for_every_axis():
    text = invoke("point", "--help")

    for name, rule in AXIS_INPUTS.items():
        if name not in ("model", "device"):
            assert f"--{name.replace('_', '-')} " in text
            assert f"[{rule.default}]" in " ".join(text.split())
    assert "static|continuous|disaggregated" in text


SERVED = [
    *("point", "deepseek-v3", "h200-sxm", "--tp", "2", "--dp", "8", "--ep", "16", "--batch", "400"),
    *("--weight-format", "fp8", "--scheduler", "continuous", "--prefix-hit", "50 %"),
    *("--draft-len", "2", "--acceptance", "0.8", "--input-len", "4Ki"),
]


def test_card_of_a_server_tells_what_is_new_about_it():
    text = invoke(*SERVED)
    row = invoke_json(*SERVED, "--json")
    told = " ".join(text.split())

    assert max(map(len, text.splitlines())) <= 80
    assert text.splitlines()[0] == "deepseek-v3 on 16 x h200-sxm"
    for word in (
        "dp 8, ep 16",
        "400 requests in flight",
        "4096 tokens in (50.0% cached)",
        "2 drafted at acceptance 0.8",
        "400 requests at once; ",
        "2.44 tokens per step expected",
        "other requests' prompts",
        f"${row['cost_per_mtok_cached_input_usd']:.3g} cached",
        "against buying at $0.79 per Mtok out",
    ):
        assert word in told
    assert f"{row['prefill_s'] * 1e3:.4f} ms" in text
    assert (row["prefix_hit"], row["draft_len"], row["acceptance"]) == (0.5, 2, 0.8)


def test_card_says_nothing_about_what_is_not_there():
    text = invoke("point", "llama-3-8b", "h100-sxm")

    for word in (
        "network",
        "prefill",
        "offload",
        "speculation",
        "cached",
        ", dp ",
        ", ep ",
        "link",
    ):
        assert word not in text


def test_card_tells_who_waits_and_what_never_pays():
    text = invoke(
        *("point", "llama-3-8b", "rtx-4090", "--scheduler", "continuous", "--batch", "500"),
        *("--weight-format", "q4_0", "--input-len", "4Ki"),
    )
    row = invoke_json(
        *("point", "llama-3-8b", "rtx-4090", "--scheduler", "continuous", "--batch", "500"),
        *("--weight-format", "q4_0", "--input-len", "4Ki", "--json"),
    )

    assert 0 < row["running_batch"] < 500
    assert f"{row['running_batch']} requests at once, {500 - row['running_batch']} waiting" in text
    slow = invoke("point", "llama-3-8b", "h100-sxm")

    assert "never pays against buying at $0.79" in slow


def test_card_of_a_disaggregated_server_has_its_prefill_pool():
    arguments = ["point", "llama-3-70b", "h100-sxm", "--tp", "8", "--batch", "64"]
    row = invoke_json(*arguments, "--scheduler", "disaggregated", "--json")
    text = invoke(*arguments, "--scheduler", "disaggregated")

    assert f"{row['prefill_pool']:.3g} prefill replicas per decode replica" in text
    assert "other requests" not in text
    assert "prefill pool" not in invoke(*arguments)


def test_card_of_an_offloaded_model_names_the_second_tier():
    host = invoke("point", "llama-3-70b", "h100-sxm", "--offload", "weights")
    grace = invoke("point", "llama-3-70b", "gh200-96gb", "--offload", "weights")

    assert "Waits for offload most" in host
    assert "256 GB of host memory" in host
    assert "480 GB of Grace LPDDR5X over NVLink-C2C" in grace
    assert max(map(len, (host + grace).splitlines())) <= 80


def test_prices_that_a_device_does_not_list_are_told_everywhere(tmp_path):
    shown = invoke("devices", "show", "inferentia2")
    card = invoke("point", "llama-3-8b", "inferentia2", "--economics", "spot")
    path = tmp_path / "s.toml"
    path.write_text(
        "[axes]\nmodel = 'llama-3-8b'\ndevice = 'inferentia2'\neconomics = ['default', 'owned']\n"
    )
    planned = invoke_json("plan", path, "--json")["estimated"]

    assert "prices that it does not list" in shown
    assert "spot_price_per_hour  0.3787 USD/h, 0.35 x price_per_hour: median of the 9" in shown
    assert "purchase_price (others' median)" in " ".join(invoke("plan", path).split())
    assert "device.spot_price_per_hour" in card
    assert "estimated: 0.35 x price_per_hour: median of the 9 devices" in card
    assert ", spot (estimated)" in card
    assert "purchase_price" in {item["field"] for item in planned}
    assert "spot_price_per_hour" not in {item["field"] for item in planned}
    assert "prices that it" not in invoke("devices", "show", "h100-sxm")


def test_shares_of_the_card_are_those_of_the_terms():
    arguments = ["point", "llama-3-70b", "h100-sxm", "--tp", "8"]
    row = invoke_json(*arguments, "--json")
    text = invoke(*arguments)

    for name in ("weights", "kv", "compute", "network", "latency"):
        assert f"{row[f'{name}_s'] * 1e3:.4f} ms" in text
        assert f"{row[f'{name}_share']:.1%}" in text


@pytest.mark.parametrize(
    ("arguments", "status", "advice"),
    [
        (["llama-3-70b", "h100-sxm"], "weights do not fit", "at least 2 devices"),
        (["llama-3-70b", "h100-sxm", "--tp", "7"], "heads not divisible by tp", "--tp 1, 2, 4, 8"),
        (["llama-3-70b", "h100-sxm", "--pp", "99"], "fewer layers than pp", "--pp 80 or less"),
        (
            ["mixtral-8x7b", "h100-sxm", "--tp", "8", "--ep", "3"],
            "experts not divisible by ep",
            "use --ep 1, 2, 4, 8",
        ),
        (
            ["llama-3-70b", "h100-sxm", "--tp", "8", "--ep", "2"],
            "experts not divisible by ep",
            "use --ep 1",
        ),
        (["llama-3-70b", "h100-sxm"], "weights do not fit", "or --offload weights"),
        (
            ["llama-3-70b", "b200", "--tp", "8", "--input-len", "1M"],
            "context above the model's maximum",
            "shorten --input-len",
        ),
        (
            ["llama-3-70b", "h100-sxm", "--tp", "8", "--batch", "10000"],
            "kv cache does not fit",
            "--batch ",
        ),
    ],
)
def test_point_that_cannot_run_says_why_and_what_helps(arguments, status, advice):
    text = " ".join(invoke("point", *arguments).replace("│", "").split())

    assert f"DOES NOT RUN: {status}" in text
    assert advice in text
    assert invoke_json("point", *arguments, "--json")["status"] == status


def test_point_takes_overrides():
    row = invoke_json(
        "point",
        "llama-3-8b",
        "h100-sxm",
        "--json",
        "--set",
        "device.memory_bandwidth=4 TB/s",
        "--set",
        "economics.utilization=60 %",
        "--set",
        "device.flops_fp16.scale=2",
    )

    assert row["device_memory_bandwidth_bytes_per_s"] == 4e12
    assert row["economics_utilization"] == 0.6
    assert row["device_flops_fp16_scale"] == 2
    text = invoke("point", "llama-3-8b", "h100-sxm", "--set", "device.board_power={scale=2}")

    assert "what if device.board_power x 2" in text


def test_point_of_a_hypothetical_device_says_so():
    assert "hbm4-6tbs is hypothetical" in invoke("point", "llama-3-8b", "hbm4-6tbs")


# Sweeps


def test_plan_of_a_small_sweep_is_exact(tmp_path, spec):
    planned = invoke_json("plan", spec, "--json")
    invoke("run", spec, "-o", tmp_path / "run")
    run = perfcore.open_run(tmp_path / "run")

    assert planned["exact"]
    assert planned["rows"] == 24
    assert planned["rows_written"] == run.rows
    assert planned["left_out_shares"] == {
        reason: rows / 24 for reason, rows in run.manifest["dropped"].items()
    }
    assert planned["hypothetical"] == ["hbm4-6tbs"]
    assert {"groq-lpu", "hbm4-6tbs", "default"} == {item["entry"] for item in planned["estimated"]}


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.25, "250 ms"),
        (9.44, "9.4 s"),
        (119, "119 s"),
        (600, "10 min"),
        (1e5, "28 h"),
        (3e6, "35 days"),
    ],
)
def test_times_are_told_in_the_unit_that_people_use(seconds, expected):
    assert text_of.duration(seconds) == expected


def test_plan_is_for_people_too(spec):
    text = invoke("plan", spec)

    for word in ("small", "24 rows", "batch", "1 … 8", "disk", "time", "memory", "estimated"):
        assert word in text


def test_plan_shows_the_space_as_a_table(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(
        "[axes]\nmodel = ['llama-3-8b', 'llama-3-70b']\ndevice = ['h100-sxm', 'l40s']\n"
        "tp = [8, 4]\nbatch = { pow2 = [1, 64] }\ninput_len = [128, 1024, 4096]\n"
        "[what_if]\n'device.memory_bandwidth' = { scale = [1, 2] }\n"
        "[[zip]]\naxes = ['device', 'tp']\n[[where]]\nmetric = 'tpot_s'\nmax = '50 ms'\n"
        "[[where]]\naxis = 'batch'\nmin = 4\n"
    )
    lines = [line.split() for line in invoke("plan", path).splitlines()]
    planned = invoke_json("plan", path, "--json")

    for line in (
        "axis values first … last unit loop",
        "device 2 h100-sxm, l40s outer, with tp",
        "device_memory_bandwidth_scale 2 1, 2 x outer",
        "tp 2 8, 4 outer, with device",
        "batch 5 4 … 64 inner",
        "input_len 3 128 … 4,096 tokens inner",
        "space 2 x 2 x 2 x 5 x 3 = 120 combinations: 8 outer x 15 inner",
        "where batch is at least 4",
        "where tpot_s is at most 50 ms",
    ):
        assert line.split() in lines
    assert planned["axes"]["tp"] == {
        "values": 2,
        "first": 8,
        "last": 4,
        "unit": "",
        "loop": "outer",
        "zipped_with": ["device"],
        "what_if": None,
    }
    what_if = planned["axes"]["device_memory_bandwidth_scale"]["what_if"]
    assert what_if == "device.memory_bandwidth"
    assert planned["rows"] == planned["grid_rows"] == 120
    assert planned["outer_points"] * planned["inner_points"] == 120
    limits = {"column": "tpot_s", "min": None, "max": 0.05, "in": []}
    assert limits in planned["where"]


def test_plan_says_what_is_drawn_or_chosen(spec):
    text = " ".join(
        invoke("plan", spec, "--set", "sample.n=10", "--set", "axes.devices=auto").split()
    )

    assert "10 points drawn from 2 x 3 x 4 = 24 combinations" in text
    assert "tp chosen for each row" in text


def test_plan_of_a_large_sweep_is_near_and_quick(tmp_path):
    path = tmp_path / "large.toml"
    path.write_text(
        "[axes]\nmodel = ['llama-3-8b', 'llama-3-70b', 'mixtral-8x7b']\n"
        "device = ['h100-sxm', 'b200', 'rtx-4090', 'mi300x']\ntp = [1, 2, 4, 8]\n"
        "weight_format = ['bf16', 'fp8', 'q4_0']\nbatch = { linear = [1, 200], n = 200 }\n"
        "kv_format = ['bf16', 'fp8']\nprefix_hit = [0, 0.5]\n"
        "input_len = { linear = [1000, 8000], n = 20 }\noutput_len = [100, 1000]\n"
    )
    started = time.perf_counter()
    planned = invoke_json("plan", path, "--json")
    seconds = time.perf_counter() - started
    invoke("run", path, "-o", tmp_path / "run")
    run = perfcore.open_run(tmp_path / "run")
    size = sum(file.stat().st_size for file in run.data.iterdir())

    assert not planned["exact"]
    assert seconds < 5
    assert planned["rows"] == run.manifest["evaluated"] == 4_608_000
    assert planned["rows_written"] == pytest.approx(run.rows, rel=0.1)
    assert planned["bytes"] == pytest.approx(size, rel=0.25)


def test_plan_of_a_sampled_sweep(spec):
    sample = ["--set", "sample.method=random", "--set", "sample.n=500000"]
    batch = ["--set", "axes.batch={linear=[1,1000],n=1000}"]
    planned = invoke_json("plan", spec, *sample, *batch, "--json")

    assert planned["rows"] == 500_000
    assert 0 < planned["written_share"] < 1


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
    assert "rows were there before" in invoke(*arguments[:-1])


def test_run_without_a_row_says_what_to_change(tmp_path, spec):
    text = invoke("run", spec, "-o", tmp_path / "run", "--set", "axes.device=t4")

    assert "0 written of 8 evaluated" in text
    assert "keep_infeasible" in text


def test_progress_is_drawn_on_a_terminal_only(tmp_path, spec):
    arguments = [sys.executable, "-c", START, "run", str(spec), "-o"]
    piped = subprocess.run([*arguments, str(tmp_path / "a")], capture_output=True, check=True)

    assert piped.stderr == b""
    main, side = pty.openpty()
    shown = subprocess.run(
        [*arguments, str(tmp_path / "b")],
        stdout=subprocess.PIPE,
        stderr=side,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        check=True,
    )
    os.close(side)

    assert b"rows/s" in os.read(main, 1 << 16)
    assert b"\x1b" not in shown.stdout
    os.close(main)


def test_interrupted_run_keeps_complete_shards_and_goes_on(tmp_path):
    path = tmp_path / "long sweep.toml"
    path.write_text(
        "[axes]\nmodel = ['llama-3-8b']\ndevice = ['h100-sxm', 'b200']\n"
        "batch = { linear = [1, 300], n = 300 }\n"
        "input_len = { linear = [1, 3000], n = 1500 }\noutput_len = { linear = [1, 12], n = 12 }\n"
        "[output]\nkeep_infeasible = true\ncolumns = ['tpot_s', 'ttft_s']\n"
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
    assert f"to go on: perfcore run '{path}' -o {output} --workers 1" in stderr
    assert len(complete["shards"]) == len(files) < 11
    assert all(file.name.startswith("part-") for file in files)
    assert all(pq.read_metadata(file).num_rows for file in files)
    before = [file.stat().st_mtime_ns for file in files]
    text = invoke(*arguments)

    assert "10,800,000 written" in text
    assert [file.stat().st_mtime_ns for file in files] == before
    assert perfcore.open_run(output).manifest["complete"]


def test_terminal_without_our_letters_is_no_error():
    done = subprocess.run(
        [sys.executable, "-c", START, "point", "llama-3-8b", "h100-sxm"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )

    assert done.stderr == b""
    assert b"ideal engine" in done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["point", "--help"], ["models"], ["schema"]])
def test_reader_that_closes_early_is_no_error(arguments):
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", START, *arguments],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)

    assert (done.returncode, done.stderr) == (0, b"")


def test_a_connection_that_breaks_is_an_error():
    code = (
        "from perfcore.catalog import loader\n"
        "def lose(*_):\n    raise BrokenPipeError(32, 'Broken pipe')\n"
        "loader.load_model = lose\n" + START
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "models", "show", "llama-3-8b"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr == "error: Broken pipe: a connection was closed; run it again\n"


# warmup


def test_warmup_compiles_every_type_of_output():
    found = invoke_json("warmup", "--json")

    assert set(found["seconds"]) == set(DTYPES)
    assert all(seconds > 0.0 for seconds in found["seconds"].values())
    assert list(Path(found["cache"]).rglob("*.nbc"))
    assert found["cache"] in invoke("warmup")


def test_warmup_without_a_place_for_compiled_code(monkeypatch):
    monkeypatch.setattr("perfcore.kernel.jit.CACHE", None)
    result = CliRunner().invoke(program, ["warmup"])

    assert result.exit_code == 2
    assert result.stderr == (
        "error: no place to keep compiled code; set PERFCORE_CACHE to a directory\n"
    )
