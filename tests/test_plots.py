"""Pictures: the numbers in them, what they refuse, and the files that they become."""

import itertools
import json
import math
import subprocess
import sys
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

import perfcore
from perfcore.cli import program
from perfcore.errors import InputError
from perfcore.reporting import run_source, vega
from perfcore.reporting.kinds import gather
from perfcore.reporting.names import KINDS
from perfcore.reporting.opening import open_source
from perfcore.reporting.picture import COLOURS, SHAPES, doublings, round_numbers, ticks
from perfcore.searching.objectives import Objective

SPEC = """
name = "small"
[axes]
model = ["llama-3.1-8b", "llama-3.1-70b"]
device = ["h100-sxm", "b200", "rtx-4090"]
weight_format = ["bf16", "fp8", "int4-g128"]
tp = [1, 2]
batch = [1, 8, 64]
input_len = [128, 1024, 8192, 32768]
output_len = 128
[what_if]
"device.memory_bandwidth" = { scale = [1, 2, 4] }
"economics.utilization" = [0.1, 0.5, 1]
[output]
columns = "all"
significant_bits = 24
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("plots")
    (path / "small.toml").write_text(SPEC)
    perfcore.sweep(path / "small.toml", path / "run")
    perfcore.sweep(path / "small.toml", path / "bare", overrides=['output.columns=["tpot_s"]'])
    return path


@pytest.fixture(scope="module")
def source(folder):
    return open_source(folder / "small.toml")


@pytest.fixture(scope="module")
def rows(folder):
    """All rows, for answers that are found in another way."""
    return perfcore.sweep(folder / "small.toml").to_pylist()


@pytest.fixture(scope="module")
def pictures(source):
    return {kind: gather(source, kind) for kind in KINDS}


def points(picture, mark="point", panel=0):
    return [
        row for layer in picture.panels[panel].layers if layer.mark == mark for row in layer.rows
    ]


def plot(*arguments):
    return CliRunner().invoke(program, ["plot", *map(str, arguments)])


def refused(*arguments):
    """Return the lines of errors of a command that ends with exit code 2."""
    result = plot(*arguments)

    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    return result.stderr.splitlines()


# Sources


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_and_its_sweep_make_the_same_picture(folder, pictures, kind):
    drawn = gather(open_source(folder / "run"), kind)

    assert drawn.panels == pictures[kind].panels
    assert drawn.finding == pictures[kind].finding
    assert drawn.table == pictures[kind].table


def test_the_best_rows_of_a_run_are_the_best(folder, rows):
    asked = ("device", "batch")
    found = open_source(folder / "run").best(
        Objective("tpot_s"), asked, {"model": "llama-3.1-70b"}, ("tpot_s",)
    )

    wanted = {}
    for row in rows:
        if row["model"] == "llama-3.1-70b":
            key = tuple(row[name] for name in asked)
            wanted[key] = min(wanted.get(key, math.inf), row["tpot_s"])
    assert {tuple(row[name] for name in asked): row["tpot_s"] for row in found} == wanted


def test_conditions_narrow_runs_and_sweeps_alike(folder):
    where = ("model=llama-3.1-8b", "tpot_s<=10ms", "input_len>=1000", "batch=8")
    found = [
        open_source(folder / name, where).best(Objective("tpot_s"), ("input_len",), {}, ("tpot_s",))
        for name in ("run", "small.toml")
    ]

    ours = [[(row["input_len"], row["tpot_s"], row["tp"]) for row in rows] for rows in found]
    assert ours[0] == ours[1]
    assert "only model=llama-3.1-8b, tpot_s<=10ms" in open_source(folder / "run", where).line
    assert {row[0] for row in ours[0]} == {1024, 8192, 32768}


def test_conditions_leave_the_fingerprint_of_the_sweep(folder):
    found = {
        open_source(folder / name, where).facts["fingerprint"]
        for name in ("run", "small.toml")
        for where in ((), ("model=llama-3.1-8b",))
    }

    assert len(found) == 1


def test_rows_that_cannot_run_are_never_drawn(folder):
    perfcore.sweep(
        folder / "small.toml", folder / "whole", overrides=["output.keep_infeasible=true"]
    )
    whole = gather(open_source(folder / "whole"), "winners")

    assert whole.panels == gather(open_source(folder / "run"), "winners").panels


def test_only_the_columns_and_row_groups_are_read_that_are_needed(tmp_path, monkeypatch):
    perfcore.sweep(
        {
            "axes": {
                "model": ["llama-3.1-8b", "mistral-7b-v0.3", "qwen3-8b"],
                "device": ["h100-sxm"],
                "batch": {"linear": [1, 64], "n": 64},
                "input_len": {"linear": [1, 4000], "n": 2000},
            },
            "output": {"columns": ["tpot_s", "ttft_s"]},
        },
        tmp_path / "run",
    )
    source = open_source(tmp_path / "run")
    read = []
    spied = run_source.read

    def spy(piece, columns):
        read.append((piece.first, tuple(columns)))
        return spied(piece, columns)

    monkeypatch.setattr(run_source, "read", spy)
    fixed = {"model": "qwen3-8b"}
    found = source.best(Objective("tpot_s"), ("batch",), fixed, ("tpot_s",))

    assert len(found) == 64
    assert len(source.pieces) >= 3
    assert {columns for _, columns in read} >= {("model",), ("tpot_s", "batch")}
    assert not any("ttft_s" in columns for _, columns in read)
    assert 0 not in {first for first, _ in read}


@pytest.mark.parametrize(
    "damage",
    [
        lambda manifest: manifest.pop("spec"),
        lambda manifest: manifest["spec"].pop("axes"),
        lambda manifest: manifest["spec"]["what_if"].update({"device.x": {}}),
    ],
)
def test_a_damaged_manifest_is_one_line(folder, tmp_path, damage):
    manifest = json.loads((folder / "run" / "manifest.json").read_text())
    damage(manifest)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))

    (line,) = refused("pareto", tmp_path, "-o", tmp_path / "no.png")
    assert "manifest.json" in line
    assert "run the sweep again" in line


# What pictures show


def test_roofline_has_achieved_rates_under_the_devices_roofs(pictures):
    lines = points(pictures["roofline"], "line")
    for point in points(pictures["roofline"]):
        tp = 2 if "tp 2" in point["configuration"] else 1
        weights = point["configuration"].split(",")[0]
        one = perfcore.evaluate(
            "llama-3.1-8b",
            point["series"],
            weight_format=weights,
            tp=tp,
            batch=int(point["batch"]),
            input_len=1024,
            output_len=128,
        )
        roof = max(line["y"] for line in lines if line["series"] == point["series"])
        assert point["x"] == pytest.approx(one["arithmetic_intensity"], rel=1e-4)
        assert point["y"] == pytest.approx(one["step_flops"] / one["tpot_s"] / tp, rel=1e-3)
        assert point["y"] < roof


def test_pareto_holds_what_nothing_beats(pictures, rows):
    mine = [
        (row["device"], row["tpot_s"] * 1e3, row["tokens_per_s_per_device"])
        for row in rows
        if row["model"] == "llama-3.1-8b"
        and row["input_len"] == 1024
        and row["device_memory_bandwidth_scale"] == 1
        and row["economics_utilization"] == 0.5
    ]
    front = {
        (device, tpot, rate)
        for device, tpot, rate in mine
        if not any(
            other == device and t <= tpot and r >= rate and (t, r) != (tpot, rate)
            for other, t, r in mine
        )
    }

    drawn = {(p["series"], p["x"], p["y"]) for p in points(pictures["pareto"], "step")}
    assert drawn == front


@pytest.mark.parametrize(
    ("panel", "metric"),
    list(enumerate(["cost_per_mtok_output_usd", "tpot_s", "energy_per_output_token_j"])),
)
def test_winners_win(pictures, rows, panel, metric):
    for cell in points(pictures["winners"], "cell", panel):
        mine = [
            row
            for row in rows
            if row["model"] == "llama-3.1-8b"
            and f"{row['batch']:,}" == cell["y"]
            and f"{row['input_len']:,}" == cell["x"]
            and row["device_memory_bandwidth_scale"] == 1
            and row["economics_utilization"] == 0.5
        ]
        best = min(row[metric] for row in mine)
        assert cell["winner"] in {row["device"] for row in mine if row[metric] == best}


def test_terms_of_the_timeline_make_up_the_time(pictures):
    picture = pictures["memory_wall"]
    assert [panel.title for panel in picture.panels] == ["batch 1", "batch 8", "batch 64"]
    for number in range(3):
        area = points(picture, "area", number)
        for length in {row["x"] for row in area}:
            parts = [row for row in area if row["x"] == length]
            for below, above in itertools.pairwise(parts):
                assert above["y"] == pytest.approx(below["y2"])
        batch = int(picture.panels[number].title.split()[1])
        first = [row for row in area if row["x"] == 128]
        one = perfcore.evaluate(
            "llama-3.1-8b",
            "h100-sxm",
            weight_format=picture.setting.split(" · ")[2],
            tp=int(picture.setting.split("tp ")[1][0]),
            batch=batch,
            input_len=128,
            output_len=128,
        )
        assert first[-1]["y2"] == pytest.approx(one["tpot_s"] * 1e3, rel=0.02)


def test_cost_meets_the_price_at_break_even(pictures):
    picture = pictures["cost"]
    price = points(picture, "rule")[0]["y"]
    lines = [layer for layer in picture.panels[0].layers if layer.mark == "line" and not layer.dash]
    drops = [layer for layer in picture.panels[0].layers if layer.dash]

    assert price == 0.79
    assert drops
    for drop in drops:
        foot, mark = drop.rows
        near = next(row for row in lines[0].rows if row["series"] == mark["series"])
        assert foot["x"] == mark["x"]
        # the price of a token is inversely proportional to utilisation
        assert near["x"] * near["y"] == pytest.approx(mark["x"] * price, rel=1e-5)


def test_a_what_if_on_the_price_moves_the_break_even(folder):
    overrides = ['what_if."economics.token_price"=["2 USD/Mtok", "4 USD/Mtok"]']
    picture = gather(open_source(folder / "small.toml", (), overrides), "cost")

    assert points(picture, "rule")[0]["y"] == 2.0


def test_each_series_breaks_even_at_its_own_price(folder):
    overrides = ['what_if."economics.token_price"=["0.2 USD/Mtok", "0.4 USD/Mtok"]']
    sweep = open_source(folder / "small.toml", (), overrides)
    picture = gather(sweep, "cost", by="economics_token_price")
    marks = [layer.rows[1] for layer in picture.panels[0].layers if layer.dash]

    assert [rule["y"] for rule in points(picture, "rule")] == [0.2, 0.4]
    assert {(mark["series"], mark["y"]) for mark in marks} == {("0.2", 0.2), ("0.4", 0.4)}
    assert marks[0]["x"] == pytest.approx(2 * marks[1]["x"], rel=1e-5)
    assert picture.finding.startswith("At 0.2 to 0.4 USD per million output tokens 0.4 pays from")


def test_what_is_free_has_no_break_even(folder):
    free = 'what_if."device.price_per_hour"=["0 USD/h", "2 USD/h"]'
    by = ("-o", folder / "cost.svg", "--by", "device_price_per_hour_usd")
    result = plot("cost", folder / "small.toml", *by, "--set", free)
    (line,) = refused(
        *("cost", folder / "small.toml", "-o", folder / "no.svg"),
        *("--set", 'device.price_per_hour="0 USD/h"'),
    )

    assert result.exit_code == 0, result.output
    assert "1 of 1 can pay" in result.stdout
    assert "as they cost nothing: 0.0." in (folder / "cost.svg").read_text()
    assert "tokens cost nothing" in line
    assert "--set 'device.price_per_hour=" in line


def test_energy_adds_up_to_what_the_grid_sees(pictures):
    bars = [bar for bar in points(pictures["energy"], "bar") if bar["y"] == "b200"]
    whole = max(bar["x2"] for bar in bars)
    board = max(bar["x2"] for bar in bars if bar["part"] != "hosts, fans and cooling")

    assert [bar["x"] for bar in bars[1:]] == [bar["x2"] for bar in bars[:-1]]
    # node_overhead and PUE of the default
    assert whole == pytest.approx(1.3 * 1.2 * board, rel=1e-6)


@pytest.mark.parametrize("batch", [1, 64])
def test_gain_of_narrow_weights_is_a_ratio_of_times(pictures, batch):
    picture = pictures["quantisation"]
    tp = int(picture.setting.split("tp ")[1][0])
    times = [
        perfcore.evaluate(
            "llama-3.1-8b",
            "h100-sxm",
            weight_format=name,
            tp=tp,
            batch=batch,
            input_len=1024,
            output_len=128,
        )["tpot_s"]
        for name in ("bf16", "int4-g128")
    ]
    drawn = [p for p in points(picture) if p["series"] == "int4-g128" and p["x"] == batch]

    assert drawn[0]["y"] == pytest.approx(times[0] / times[1], rel=1e-4)


def test_a_format_that_loses_is_not_called_best(folder):
    sweep = open_source(folder / "small.toml", (), ["axes.batch=[1,8,512]", "axes.input_len=[128]"])
    only = open_source(
        folder / "small.toml",
        ("model=llama-3.1-8b",),
        ["axes.batch=[1,8,512]", "axes.input_len=[128]", 'axes.weight_format=["bf16","int4-g128"]'],
    )

    assert "and fp8 is best" in gather(sweep, "quantisation").finding
    assert "and bf16 is best" in gather(only, "quantisation").finding


def test_gain_of_bandwidth_stays_below_its_bound(pictures):
    drawn = [p for n in range(3) for p in points(pictures["bandwidth"], "point", n)]

    assert {p["y"] for p in drawn if p["x"] == 1} == {1.0}
    assert all(1.0 <= p["y"] <= p["x"] * (1 + 1e-6) for p in drawn)
    assert any(p["y"] > 1.2 for p in drawn)


@pytest.mark.parametrize(
    ("bandwidth", "unit", "least"),
    [
        ("{scale={linear=[0.5,4],n=351}}", "today's", 0.5),
        ("{scale=[0.5,2]}", "the least", 1.0),
        ('["2 TB/s","8 TB/s"]', "the least", 1.0),
    ],
)
def test_bandwidth_is_told_as_times_of_what_it_is(folder, bandwidth, unit, least):
    sweep = folder / "faster.toml"
    sweep.write_text('[axes]\nmodel = "llama-3.1-8b"\ndevice = "b200"\n')
    source = open_source(sweep, (), [f"device.memory_bandwidth={bandwidth}"])
    picture = gather(source, "bandwidth")
    drawn = {p["x"]: p["y"] for p in points(picture)}

    assert picture.panels[0].x.label == f"memory bandwidth [times {unit}]"
    assert (min(drawn), drawn[1.0]) == (least, 1.0)
    assert "today" not in picture.setting


def test_winners_ask_for_the_metric_that_is_shown(source, pictures):
    asked = gather(source, "winners", metric="ttft_s")

    assert "cheapest, fastest or most frugal" in pictures["winners"].question
    assert "best in time to first token at which" in asked.question
    assert asked.panels[0].title == "best in time to first token"


@pytest.mark.parametrize(
    ("columns", "rest"),
    [
        ([], "activations, other prompts, second memory tier"),
        (["activations_s", "prefill_s"], "second memory tier"),
    ],
)
def test_terms_without_a_column_are_named(folder, columns, rest):
    needed = ["weights_s", "kv_s", "compute_s", "network_s", "latency_s", "tpot_s"]
    needed.append("cost_per_mtok_output_usd")
    path = folder / f"terms-{len(columns)}"
    served = ['axes.scheduler="continuous"', "axes.batch=[64]", 'axes.offload="kv"']
    served += ['axes.device="rtx-4090"', 'axes.weight_format="bf16"']
    listed = f"output.columns={json.dumps(needed + columns)}"
    perfcore.sweep(folder / "small.toml", path, overrides=[*served, listed])
    picture = gather(open_source(path), "memory_wall")
    colours = [series.colour for series in picture.series]

    assert picture.series[0].name == rest
    assert len(set(colours)) == len(colours)


def test_options_choose_series_and_metric(source):
    picture = gather(source, "pareto", by="weight_format", metric="cost_per_mtok_output_usd")

    assert [series.name for series in picture.series] == ["bf16", "fp8", "int4-g128"]
    assert "cost of output tokens" in picture.panels[0].y.label
    assert "USD per million" in picture.panels[0].y.label


# How they look


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_say_what_they_show(pictures, kind):
    picture = pictures[kind]
    names = [series.name for series in picture.series]
    colours = [series.colour for series in picture.series]
    labels = [axis.label for panel in picture.panels for axis in (panel.x, panel.y)]

    assert len(set(names)) == len(names) == len(set(colours))
    assert all("[" in label and "]" in label for label in labels if label != "device")
    assert "perfcore" in picture.source
    assert "small" in picture.source
    assert "engine default" in picture.source
    assert "llama-3.1-8b" in picture.setting
    assert any(name.split()[-1] in picture.finding for name in [*names, "KV cache", "decode"])
    assert all(len(row) == len(picture.header) for row in picture.table)


def test_colours_and_shapes_are_told_apart():
    assert len(set(COLOURS)) == len(set(SHAPES)) == len(COLOURS)


@pytest.mark.parametrize("kind", KINDS)
def test_svg_has_text_and_description(pictures, kind):
    root = ET.fromstring(vega.svg(pictures[kind]))  # noqa: S314 - our own
    text = " ".join(root.itertext())

    assert pictures[kind].source.split(" · ")[2] in text
    assert pictures[kind].finding[:20] in text
    assert pictures[kind].panels[0].x.label in text


@pytest.mark.parametrize("suffix", [".png", ".svg", ".html"])
def test_files_are_written(folder, suffix):
    output = folder / f"picture{suffix}"
    result = plot("pareto", folder / "run", "-o", output)

    assert result.exit_code == 0, result.output
    assert result.stdout.endswith(f"written to {output}\n")
    head = output.read_bytes()[:16]
    assert head.startswith(
        {".png": b"\x89PNG", ".svg": b"<svg", ".html": b"<!DOCTYPE html>"}[suffix]
    )


def test_ticks_are_few_and_round():
    assert ticks(1, 1000) == [1, 3, 10, 30, 100, 300, 1000]
    assert ticks(0.3, 40) == [0.5, 1, 2, 5, 10, 20]
    assert ticks(1, 1e9) == [10.0**power for power in range(10)]
    assert doublings(1, 1024) == [1, 4, 16, 64, 256, 1024]


# What they refuse


def test_lengths_between_powers_of_two_have_no_label():
    assert round_numbers([128, 181, 256, 362, 512]) == [128, 256, 512]
    assert round_numbers([100, 128, 256, 300]) == [100, 128, 256, 300]  # too few powers


def test_a_missing_axis_is_named_with_its_remedy(folder):
    sweep = folder / "plain.toml"
    sweep.write_text('[axes]\nmodel = "llama-3.1-8b"\ndevice = "b200"\n')

    (line,) = refused("bandwidth", sweep, "-o", folder / "no.png")
    assert "device_memory_bandwidth_scale" in line
    assert "--set 'device.memory_bandwidth={scale=" in line
    (line,) = refused("cost", sweep, "-o", folder / "no.png")
    assert "--set 'economics.utilization=" in line
    lines = refused("winners", sweep, "-o", folder / "no.png")
    assert len(lines) == 2
    assert not (folder / "no.png").exists()


def test_the_remedy_helps(folder):
    sweep = folder / "plain.toml"
    sweep.write_text('[axes]\nmodel = "llama-3.1-8b"\ndevice = "b200"\n')
    (line,) = refused("bandwidth", sweep, "-o", folder / "no.png")
    setting = line.split("--set '")[1].rstrip("'")

    result = plot("bandwidth", sweep, "-o", folder / "hbm4.svg", "--set", setting)
    assert result.exit_code == 0, result.output


def test_a_missing_column_is_named_with_its_remedy(folder):
    (line,) = refused("energy", folder / "bare", "-o", folder / "no.png")

    assert "energy_per_output_token_j, energy_per_input_token_j" in line
    assert "--set output.columns=all" in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pie", "SPEC"], "unknown kind 'pie'"),
        (["parato", "SPEC"], "did you mean 'pareto'"),
        (["roofline", "SPEC", "--by", "tp"], "--by: roofline has its own series"),
        (["pareto", "SPEC", "--by", "batch"], "--by: batch is shown along an axis"),
        (["pareto", "SPEC", "--by", "devise"], "did you mean 'device'"),
        (
            ["memory_wall", "SPEC", "--metric", "tpot_s"],
            "--metric: memory_wall shows its own columns",
        ),
        (["winners", "SPEC", "--metric", "tpot"], "--metric: unknown metric 'tpot'"),
        (["pareto", "SPEC", "--metric", "tpot_s"], "name another metric"),
        (["pareto", "SPEC", "--where", "model=gpt"], "--where model=gpt"),
        (["pareto", "RUN", "--where", "model=gpt"], "--where model=gpt"),
        (["pareto", "RUN", "--where", "tpot_s<=0s"], "nothing runs"),
        (["pareto", "SPEC", "--where", "tpot_s<=0s"], "nothing runs"),
        (["pareto", "RUN", "--set", "axes.tp=[1]"], "--set: "),
        (["pareto", "missing.toml"], "missing.toml"),
    ],
)
def test_faults_are_one_line(folder, arguments, words):
    names = {"SPEC": folder / "small.toml", "RUN": folder / "run"}
    given = [names.get(argument, argument) for argument in arguments]

    (line,) = refused(*given, "-o", folder / "no.svg")
    assert words in line
    assert not (folder / "no.svg").exists()


@pytest.mark.parametrize("output", ["picture.jpg", "picture", "missing/picture.png"])
def test_outputs_are_checked_before_the_work(folder, output):
    (line,) = refused("pareto", folder / "small.toml", "-o", folder / output)

    assert line.startswith("error: --output: ")


def test_without_the_library_one_line_names_the_extra(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)

    (line,) = refused("pareto", folder / "small.toml", "-o", folder / "no.png")
    assert "pip install 'perfcore[plot]'" in line


def test_an_empty_run_is_refused(folder):
    nothing = ['where=[{metric="tpot_s",max="1 ns"}]']
    perfcore.sweep(folder / "small.toml", folder / "empty", overrides=nothing)

    with pytest.raises(InputError, match="has no rows"):
        gather(open_source(folder / "empty"), "pareto")


def test_help_lists_the_kinds_and_imports_nothing_heavy():
    code = (
        "import sys\n"
        "from perfcore.cli import main\n"
        "sys.argv = ['perfcore', 'plot', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "assert not {'numpy', 'numba', 'pyarrow', 'vl_convert'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    for name, line in KINDS.items():
        assert f"{name} {line}" in text
