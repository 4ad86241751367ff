"""The command compare."""

import json
import re

import pytest
from click.testing import CliRunner
from configuration.files import TODAY, TOMORROW

from cli.command import invoke_json
from perfcore.cli import program
from perfcore.configuration.comparison import MOST, compare

THREE = ["llama-3-70b", "--device", "h100-sxm,b200,mi300x", "--tp", "8", "--batch", "16"]


def run(*given, **env):
    return CliRunner().invoke(program, ["compare", *map(str, given)], env=env)


def invoke(*given, **env):
    result = run(*given, **env)

    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def faults(*given):
    result = run(*given)

    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    return [line.removeprefix("error: ") for line in lines]


@pytest.fixture
def files(tmp_path):
    (tmp_path / "today.toml").write_text(TODAY)
    (tmp_path / "tomorrow.toml").write_text(TOMORROW)
    return tmp_path / "today.toml", tmp_path / "tomorrow.toml"


# Shown


def test_table_has_every_figure_the_best_marked_and_ratios():
    text = invoke(*THREE)
    found = compare("llama-3-70b", device=["h100-sxm", "b200", "mi300x"], tp=8, batch=16)
    lines = {line[:16].strip(): line[16:].split() for line in text.splitlines()}
    one, two, three = (row["tpot_s"] * 1e3 for row in found.rows)

    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert lines[""] == ["h100-sxm", "b200", "mi300x"]
    assert lines["TPOT, ms"] == [
        f"{one:.4g}",
        f"{two:.4g}",
        f"{two / one:.2f}x*",
        f"{three:.4g}",
        f"{three / one:.2f}x",
    ]
    assert lines["bottleneck"] == ["weights", "latency", "weights"]
    terms = [
        [float(cell) for cell in lines[name]]
        for name in lines
        if name.endswith(", ms") and not name.startswith(("T", "b"))
    ]
    for number, total in enumerate((one, two, three)):
        assert sum(row[number] for row in terms) == pytest.approx(total, rel=1e-3)
    for number, bound in enumerate(found.bounds):
        assert float(lines["bound, ms"][number]) == pytest.approx(bound.tpot_s * 1e3, rel=1e-3)


def test_many_columns_stand_in_tables_below_each_other():
    many = ["llama-3-8b", "--device", "h100-sxm,b200", "--batch", "1,4,16,64,256"]
    text = invoke(*many)

    assert max(map(len, text.splitlines())) <= 80
    assert text.count("TPOT, ms") >= 3
    for batch in (1, 4, 16, 64, 256):
        assert len(re.findall(rf"batch {batch}\b", text)) == 2
    wide = invoke(*many, COLUMNS="100")
    assert max(map(len, wide.splitlines())) <= 100
    assert wide.count("TPOT, ms") < text.count("TPOT, ms")


def test_what_cannot_run_says_why_below():
    text = invoke("llama-3-70b", "--device", "h100-sxm", "--tp", "8,1,7")
    told = " ".join(text.split())

    assert "runs yes no no" in told
    assert "tp 1: weights do not fit: 141.1 GB of weights" in told
    assert "tp 7: heads not divisible by tp" in told


def test_json_has_the_rows_of_point():
    found = json.loads(invoke(*THREE, "--json"))
    alone = CliRunner().invoke(
        program, ["point", "llama-3-70b", "b200", "--tp", "8", "--batch", "16", "--json"]
    )

    assert found["names"] == ["h100-sxm", "b200", "mi300x"]
    assert found["rows"][1] == json.loads(alone.stdout)
    assert found["best"]["cost_per_mtok_output_usd"] == ["mi300x"]
    assert found["ratio_to_first"]["tpot_s"][0] == 1.0
    assert len(found["bound_tpot_s"]) == 3


def test_markdown_is_one_table():
    text = invoke("llama-3-8b", "--device", "h100-sxm,b200", "--batch", "1,4,16,64", "--markdown")
    (table,) = [block for block in text.split("\n\n") if block.startswith("|")]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()]

    assert {len(row) for row in rows} == {9}
    assert rows[0][1:3] == [" h100-sxm, batch 1 ", " h100-sxm, batch 4 "]
    assert all(re.fullmatch(r" ---:? ", cell) for cell in rows[1])
    (tpot,) = [row for row in rows if row[0] == " TPOT, ms "]
    assert sum("**" in cell for cell in tpot) == 1


def test_quality_is_compared_if_formats_differ():
    asked = ("llama-3.1-8b", "--device", "h100-sxm", "--weight-format")
    shown = invoke(*asked, "bf16,q4_k_m,int4-g128")
    (line,) = (line for line in shown.splitlines() if line.startswith("perplexity "))

    assert line.split() == ["perplexity", "+0.0%", "+2.8%", "-"]
    assert "no open measurement of what int4-g128 loses" in shown
    assert "perplexity" not in invoke(*asked, "bf16", "--batch", "1,8")
    rows = json.loads(invoke(*asked, "bf16,int4-g128", "--json"))["rows"]
    assert [row["perplexity_increase"] for row in rows] == [pytest.approx(2.4e-4, rel=0.1), None]


def test_what_a_device_draws_and_costs_is_told_if_devices_differ():
    text = invoke("llama-3.3-70b", "--device", "h100-sxm,wse-3", "--weight-format", "fp8")
    lines = {line[:18].strip(): line[18:].split() for line in text.splitlines()}

    assert lines["board power, W"] == ["700", "23,000"]
    assert lines["rent, $/h"] == ["2.95", "118.00"]
    assert lines["break-even use"] == [">100%", ">100%"]  # without a ratio or mark
    assert "board power" not in invoke("llama-3.1-8b", "--device", "h100-sxm", "--batch", "1,8")


def test_comparing_imports_nothing_heavy():
    import subprocess  # noqa: PLC0415
    import sys  # noqa: PLC0415

    code = (
        "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
        "from perfcore.cli import program; "
        f"program.main({['compare', *THREE]!r}, standalone_mode=False)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not {"numpy", "numba", "pyarrow"} & set(done.stderr.split())


# Faults


def test_all_faults_at_once(files, tmp_path):
    bad = tmp_path / "bad.toml"
    bad.write_text(
        'modell = "llama-3-70b"\ndevice = "h10-sxm"\ntp = 0\nname = 3\n'
        'weight_format = ["fp8", "bf16"]\noverrides = 3\n[axes]\nbatch = 1\n'
    )
    lines = faults(files[0], bad, "--batch", "0,2", "--kv-format", "fp9", "--set", "x")

    for line, message in zip(
        lines,
        [
            "--set: x: not KEY=VALUE",
            "batch: '0' is out of bounds",
            "unknown KV-cache format 'fp9'",
            f"{bad}: unknown key 'modell'; did you mean 'model'?",
            f"{bad}: unknown device 'h10-sxm'; did you mean 'h100-sxm'?",
            f"{bad}: tp: 0 is out of bounds",
            f"{bad}: name: 3 is not a name",
            f"{bad}: weight_format: ['fp8', 'bf16'] is a list",
            f"{bad}: overrides: 3 is not a table",
            f"{bad}: unknown key 'axes'",
        ],
        strict=True,
    ):
        assert message in line


@pytest.mark.parametrize(
    ("given", "messages"),
    [
        ([], ["no model is given", "no device is given"]),
        (["llama-3-8b"], ["no device is given"]),
        (["llama-3-8b", "--device", "h100-sxm"], ["only one configuration is given"]),
        (["llama-3-8b", "--device", "h100,h10-sxm"], ["did you mean 'h100-sxm'?"]),
        (["llama-3-8b", "--device", "h100,"], ["a device needs a name"]),
        (["lama-3-8b", "--device", "h100,b200"], ["did you mean 'llama-3-8b'?"]),
        (["llama-3-8b", "--model", "qwen3-8b", "--device", "h100"], ["leave out one of them"]),
        (["none.toml", "--device", "h100,b200"], ["none.toml: no such file"]),
        (
            ["llama-3-8b", "--device", "h100,b200", "--set", "device.memory_bandwidth={scale=1e9}"],
            ['--set: "device.memory_bandwidth".scale: '],
        ),
        (
            ["llama-3-8b", "--device", "h100,b200", "--devices", "auto", "--tp", "2"],
            ["devices: 'auto' beside tp or pp"],
        ),
        (["llama-3-8b", "--device", "h100,b200", "--devices", "many"], ["devices: 'many'"]),
        (
            ["llama-3-8b", "--device", "h100", "--batch", ",".join(map(str, range(1, 66)))],
            [f"65 configurations are more than {MOST}"],
        ),
        (["llama-3-8b", "--device", "h100,b200", "--json", "--markdown"], ["give one"]),
    ],
)
def test_fault(given, messages):
    lines = faults(*given)

    assert len(lines) == len(messages)
    for line, message in zip(lines, messages, strict=True):
        assert message in line


def test_a_file_that_lacks_a_key_is_named(tmp_path, files):
    path = tmp_path / "half.toml"
    path.write_text('model = "llama-3-8b"\n')

    assert faults(files[0], path) == [
        f"{path}: key 'device' is missing; add one (perfcore devices lists all)"
    ]
    assert invoke(files[0], path, "--device", "b200")


def test_compare_varies_the_stack_of_an_engine():
    row = invoke_json(
        *("compare", "llama-3-8b", "--device", "a100-80gb-sxm", "--engine", "vllm"),
        *("--engine-version", "0.5.4,0.7.3", "--eager", "false,true", "--json"),
    )

    assert row["names"] == [
        f"engine_version {version}, eager {eager}"
        for version in ("0.5.4", "0.7.3")
        for eager in ("false", "true")
    ]
    times = [found["tpot_s"] for found in row["rows"]]
    assert times[0] < times[1]


# What-ifs


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        (["device.memory_bandwidth={scale=2}"], ["as it is", "device.memory_bandwidth x 2"]),
        (
            ["device.memory_bandwidth={scale=[1, 2]}"],
            ["device.memory_bandwidth x 1", "device.memory_bandwidth x 2"],
        ),
        (
            ['device.memory_bandwidth=["3 TB/s", "4 TB/s"]', "device.board_power=[600, 700]"],
            [
                f"device.memory_bandwidth = {bandwidth}e+12, device.board_power = {power}"
                for bandwidth in (3, 4)
                for power in (600, 700)
            ],
        ),
    ],
)
def test_what_ifs_may_have_several_values(changes, names):
    options = [word for change in changes for word in ("--set", change)]
    found = invoke_json("compare", "llama-3.1-8b", "--device", "h100-sxm", *options, "--json")

    assert found["names"] == names


def test_what_ifs_are_told_once_and_fit_side_by_side():
    changes = "device.memory_bandwidth={scale=[1, 2]}"
    lines = invoke("llama-3.1-8b", "--device", "h100-sxm", "--set", changes).splitlines()
    head = next(place for place, line in enumerate(lines) if "memory_bandwidth" in line)

    assert lines[head].split() == ["memory_bandwidth"] * 2
    assert lines[head + 1].split() == ["x", "1", "x", "2"]
    assert not any("memory_bandwidth_scale" in line for line in lines)


def test_a_what_if_that_all_share_is_told():
    shared = ["--set", "device.memory_bandwidth={scale=2}"]
    text = invoke("llama-3.1-8b", "--device", "h100-sxm,b200", *shared)

    assert "what if device.memory_bandwidth x 2" in text


def test_json_has_no_results_of_what_does_not_run():
    found = invoke_json("compare", "llama-3.1-8b", "--device", "h100-sxm", "--tp", "1,3", "--json")

    runs, not_divisible = found["rows"]
    assert runs["tpot_s"] > 0
    assert not_divisible["tpot_s"] is None
    assert not_divisible["status"] == "heads not divisible by tp"
    assert found["bound_tpot_s"][1] is None


# Devices


def test_machines_that_cannot_be_had_are_named_and_prices_say_what_they_are():
    text = invoke("llama-3.1-8b", "--device", "h100-sxm,hbm4-6tbs,rubin")
    ways = invoke("llama-3.1-8b", "--device", "h100-sxm", "--economics", "default,spot,owned")

    assert "hbm4-6tbs is hypothetical: it does not exist" in text
    assert "rubin is not on the market: its figures are announcements" in text
    assert "devices paid: on-demand" in text
    assert "devices paid: on-demand (default), spot (spot), owned (owned)" in ways


def test_a_vendor_or_class_stands_for_its_devices():
    found = compare("llama-3.1-8b", device=["datacentre-gpu-hopper", "l40s"])
    names = [row["device"] for row in found.rows]

    assert {"h100-sxm", "h200-sxm", "l40s"} <= set(names)
    assert names == [str(one.labels["device"]) for one in found.configurations]
    assert faults("llama-3.1-8b", "--device", "all")[0].startswith("compare: ")
    assert "the class 'datacentre-gpu-hopper'" in faults("qwen3-8b", "--device", "hopper")[0]


def test_power_that_is_in_the_rent_is_said_to_change_no_price():
    change = ("llama-3.1-8b", "--device", "h100-sxm", "--set", "economics.pue=[1.1, 1.5]")
    said = "economics.pue changes no price: the rent of a device includes its power"

    assert said in " ".join(invoke(*change).split())
    assert said not in " ".join(invoke(*change, "--economics", "owned").split())
