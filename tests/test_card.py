"""The card of one configuration: its numbers are those of the model, on any terminal."""

import os
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import perfcore
from perfcore.catalog import loader
from perfcore.cli import program
from perfcore.cli.card import TERMS, card
from perfcore.cli.document import Heading, Panel, Table
from perfcore.cli.text import part_bar
from perfcore.columns import STATUS
from perfcore.configuration import alternatives as beside
from perfcore.configuration.alternatives import LEVERS, alternatives, fitting, gains
from perfcore.configuration.configuration import Configuration
from perfcore.configuration.provenance import VERDICT, figures
from perfcore.physics.stages.replica import OK
from perfcore.units import format_quantity

CASES = {
    "tensor parallel": ("llama-3-70b", "h100-sxm", {"tp": 8, "weight_format": "fp8", "batch": 16}),
    "one device": ("llama-3-8b", "h100-sxm", {}),
    "gguf": ("llama-3-8b", "m3-ultra", {"weight_format": "q4_0"}),
    "spatial": ("llama-3-70b", "groq-lpu", {"pp": 576, "weight_format": "fp8"}),
    "offloaded": ("llama-3-70b", "gh200-96gb", {"offload": "weights"}),
    "owned": ("llama-3-8b", "inferentia2", {"economics": "owned"}),
    "server": (
        "deepseek-v3",
        "h200-sxm",
        {
            "tp": 2,
            "dp": 8,
            "ep": 16,
            "batch": 400,
            "weight_format": "fp8",
            "scheduler": "continuous",
            "prefix_hit": 0.5,
            "draft_len": 2,
            "acceptance": 0.8,
        },
    ),
    "what if": (
        "llama-3-8b",
        "tpu-v5p",
        {"tp": 2, "overrides": {"device.memory_bandwidth": {"scale": 2}}},
    ),
}
REFUSED = {
    "weights do not fit": ("llama-3-70b", "h100-sxm", {}),
    "heads not divisible by tp": ("llama-3-70b", "h100-sxm", {"tp": 7}),
    "fewer layers than pp": ("llama-3-70b", "h100-sxm", {"pp": 99}),
    "experts not divisible by ep": ("mixtral-8x7b", "h100-sxm", {"tp": 8, "ep": 3}),
    "context above the model's maximum": ("llama-3-70b", "b200", {"tp": 8, "input_len": "1M"}),
    "kv cache does not fit": ("llama-3-70b", "h100-sxm", {"tp": 8, "batch": 10_000}),
}
EIGHT_FP8 = ["llama-3-70b", "h100-sxm", "--tp", "8", "--weight-format", "fp8", "--batch", "16"]


def made(case):
    model, device, options = case
    return Configuration(model, device, **options)


def arguments(case):
    model, device, options = case
    told = [model, device]
    for name, value in options.items():
        if name == "overrides":
            for key, change in value.items():
                told += ["--set", f"{key}={{scale={change['scale']}}}"]
        else:
            told += [f"--{name.replace('_', '-')}", str(value)]
    return told


def invoke(*given, **env):
    result = CliRunner().invoke(program, [str(argument) for argument in given], env=env)

    assert result.exit_code == 0, result.output
    return result.stdout


def point(*given, **env):
    return invoke("point", *given, **env)


every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
every_refusal = pytest.mark.parametrize(("status", "case"), REFUSED.items(), ids=list(REFUSED))


# Numbers


@every_case
def test_verdict_is_that_of_the_model(case):
    text = point(*arguments(case))
    row = made(case).to_dict()

    for number in (
        format_quantity(row["tpot_s"], "s"),
        f"{row['tokens_per_s_per_user']:.4g}",
        f"{row['tokens_per_s_per_device']:.4g}",
        format_quantity(row["energy_per_output_token_j"], "J"),
        f"${row['cost_per_mtok_output_usd']:.4g}",
        format_quantity(row["ttft_s"], "s"),
        format_quantity(row["tpot_high_s"], "s", 3),
    ):
        assert number in text
    binding = dict(zip(perfcore.columns.BOUND, (name for _, name, _ in TERMS), strict=True))
    assert f"Waits for {binding[row['bound']]} most" in text


@every_case
def test_terms_of_the_waterfall_add_up_to_tpot(case):
    configuration = made(case)
    result = configuration.evaluate()
    waterfall = next(block for block in card(configuration) if isinstance(block, Table))
    shown = {row.cells[0]: float(row.cells[1].removesuffix(" ms")) for row in waterfall.rows}
    terms = {name for column, name, _ in TERMS if getattr(result, column) > 0.0}

    assert set(shown) == terms | {"TPOT", "bound"}
    assert sum(shown[name] for name in terms) == pytest.approx(shown["TPOT"], abs=5e-4)
    assert sum(getattr(result, column) for column, *_ in TERMS) == pytest.approx(result.tpot_s)
    assert shown["bound"] <= shown["TPOT"]


@every_case
def test_what_would_help_is_evaluated_and_agrees_with_the_elasticities(case):
    configuration = made(case)
    before = configuration.evaluate()
    found = gains(configuration)

    assert [gain.lever for gain in found] == list(LEVERS)
    for gain in found:
        factor, _, elasticity = LEVERS[gain.lever]
        saved = max(factor - 1.0, 0.0) / factor or 1.0 - factor
        assert gain.tpot_s <= 1e-12
        assert gain.ttft_s <= 1e-12
        assert -gain.tpot_s / before.tpot_s == pytest.approx(
            getattr(before, elasticity) * saved, rel=0.05, abs=1e-4
        )


def test_a_gain_is_what_a_what_if_gives():
    model, device, options = CASES["tensor parallel"]
    (bandwidth, *_) = gains(Configuration(model, device, **options))
    row = perfcore.evaluate(
        model, device, **options, overrides={"device.memory_bandwidth": {"scale": 1.1}}
    )

    assert bandwidth.after.tpot_s == pytest.approx(row["tpot_s"], rel=1e-12)
    assert f"{bandwidth.tpot_s * 1e3:+.3f} ms" in point(*EIGHT_FP8)


# Alternatives


@every_case
def test_alternatives_are_what_evaluating_them_gives(case):
    model, device, options = case
    found = alternatives(made(case))

    assert found
    for other in found:
        labels = other.configuration.labels
        changed = {
            name: labels[name] for name in ("weight_format", "kv_format", "tp", "pp", "dp", "ep")
        }
        row = perfcore.evaluate(model, device, **{**options, **changed})
        assert row["tpot_s"] == other.point.tpot_s
        assert row["status"] == STATUS[int(other.point.status)]
        assert row["cost_per_mtok_output_usd"] == other.point.cost_per_mtok_output_usd


def test_alternatives_of_eight_gpus():
    found = {a.difference: a for a in alternatives(made(CASES["tensor parallel"]))}
    text = point(*EIGHT_FP8)

    assert list(found) == [
        "weights int4-g128",
        "weights bf16",
        "KV cache fp8",
        "4 devices (tp 4)",
        "16 devices (tp 16)",
    ]
    for name, other in found.items():
        (line,) = [line for line in text.splitlines() if line.startswith(name)]
        assert format_quantity(other.point.tpot_s, "s") in line
        assert f"{other.point.cost_per_mtok_output_usd:.4g}" in line


@pytest.mark.parametrize(
    ("model", "device", "weights", "expected"),
    [
        ("llama-3-8b", "h100-sxm", "bf16", ["fp8"]),
        ("llama-3-8b", "a100-80gb-sxm", "bf16", ["int8-w8a8"]),  # it has no FP8 arithmetic
        ("llama-3-8b", "h100-sxm", "fp8", ["int4-g128", "bf16"]),  # nor FP4
        ("llama-3-8b", "b200", "fp8", ["mxfp4", "bf16"]),
        ("llama-3-8b", "m3-ultra", "q8_0", ["q6_k", "gguf-f16"]),
        ("llama-3-8b", "m3-ultra", "q4_0", ["iq3_m", "q5_0"]),
    ],
)
def test_next_weight_formats_are_ones_that_the_device_multiplies_in(
    model, device, weights, expected
):
    found = alternatives(Configuration(model, device, weight_format=weights))
    names = [a.configuration.labels["weight_format"] for a in found]

    assert [name for name in names if name != weights] == expected


def test_experts_on_all_devices_stay_on_all_devices():
    found = {a.difference for a in alternatives(made(CASES["server"]))}

    assert "8 devices (dp 8, ep 8)" in found
    assert "32 devices (tp 4, dp 8, ep 32)" in found


def test_an_alternative_that_cannot_run_says_why():
    text = point(*arguments(CASES["spatial"]))

    assert "288 devices (pp 288)" in text
    assert "does not run: weights do not fit" in text


# What cannot run


@every_refusal
def test_card_of_what_cannot_run_says_why_and_what_would(status, case):
    configuration = made(case)
    text = point(*arguments(case))
    found = fitting(configuration)

    assert STATUS[int(configuration.evaluate().status)] == status
    assert f"DOES NOT RUN: {status}" in text
    assert "What would run" in text
    assert "Waits for" not in text
    assert found
    for other in found:
        assert other.point.status == OK
        assert other.configuration.evaluate() == other.point
        assert other.difference in text


def test_fewest_devices_are_the_first_remedy():
    model, device, _ = REFUSED["weights do not fit"]
    (first, second, *_) = fitting(Configuration(model, device))

    assert first.difference == "2 devices (tp 2)"
    assert second.difference == "weights fp8"
    assert first.point.tpot_s == perfcore.evaluate(model, device, tp=2)["tpot_s"]


def test_fewest_devices_without_degrees_that_cannot_be():
    (only,) = fitting(Configuration("llama-3-8b", "h100-sxm", tp=3, dp=2, ep=2, batch=5000))
    alone = Configuration("llama-3-8b", "h100-sxm", devices="auto", batch=5000)

    assert only.difference == "16 devices (tp 8, pp 2)"
    assert only.configuration.device_count == alone.device_count
    assert only.point == alone.evaluate()


def test_two_faults_are_no_single_change():
    text = point("qwen2.5-3b", "h100-sxm", "--ep", "2", "--input-len", "1M")

    assert "no single change is enough" in text


# Provenance


@every_case
def test_figures_are_those_of_the_records_and_the_catalogue(case):
    configuration = made(case)
    entries = configuration.entries
    for figure in figures(configuration):
        assert figure.value == getattr(getattr(configuration.records, figure.kind), figure.field)
        assert figure.entry == getattr(entries, figure.kind).name
        if figure.kind == "engine":
            assert figure.source == configuration.constants[figure.field].source
        elif figure.basis in {"estimated", "vendor claim"}:
            entry = getattr(entries, figure.kind)
            assert figure.source in {**entry.estimated, **getattr(entry, "fallbacks", {})}.values()
        elif figure.basis != "what-if":
            assert figure.source.rpartition("; ")[2] in getattr(entries, figure.kind).source


@every_case
def test_every_estimate_that_counts_is_marked(case):
    configuration = made(case)
    marked = {
        figure.field
        for figure in figures(configuration)
        if figure.basis in {"estimated", "what-if"}
    }
    names = {"spot_price_per_hour": "spot_price_per_hour", "purchase_price": "purchase_price"}
    for estimate in configuration.estimated:
        field = names.get(estimate.field, estimate.field)
        records = configuration.records
        record = getattr(records, estimate.kind)
        changed = record._replace(**{field: getattr(record, field) * 0.99})
        after = beside.evaluate_point(*records._replace(**{estimate.kind: changed}))
        if after != configuration.evaluate() and "vendor-claimed" not in estimate.derivation:
            assert field in marked


def test_effects_are_changes_of_the_verdict():
    model, device, options = CASES["one device"]
    found = {(f.kind, f.field): f for f in figures(Configuration(model, device, **options))}
    before = perfcore.evaluate(model, device)
    after = perfcore.evaluate(model, device, overrides={"device.memory_bandwidth": {"scale": 0.99}})

    for metric in VERDICT:
        change = (1.0 - after[metric] / before[metric]) / 0.01
        assert found["device", "memory_bandwidth"].effects[metric] == pytest.approx(change)
    assert found["device", "price_per_hour"].effects["cost_per_mtok_output_usd"] == pytest.approx(1)
    assert found["device", "price_per_hour"].effects["tpot_s"] == 0.0


def test_claims_estimates_and_what_ifs_are_told_apart():
    def bases(case):
        return {figure.field: figure.basis for figure in figures(made(case))}

    spatial = bases(CASES["spatial"])
    assert spatial["layer_latency"] == "vendor claim"
    assert spatial["idle_power"] == "estimated"
    assert spatial["board_power"] == "published"
    assert bases(CASES["what if"])["memory_bandwidth"] == "what-if"
    assert bases(CASES["tensor parallel"])["memory_efficiency_8"] == "fitted"


def test_source_of_a_figure_is_the_part_that_tells_of_it():
    found = {figure.field: figure.source for figure in figures(made(CASES["tensor parallel"]))}
    entry = loader.load_device("h100-sxm")

    assert found["link_bandwidth"] == "ml-engineering network README (2026-08)"
    assert found["price_per_hour"].startswith(entry.price_per_hour_basis)
    assert "aiconfigurator" in found["memory_bandwidth"]
    assert "price" not in found["memory_bandwidth"]


def test_sources_shows_all_of_them_in_whole():
    lines = point(*EIGHT_FP8, "--sources")
    text = " ".join(lines.split())

    assert max(map(len, lines.splitlines())) <= 80
    configuration = made(CASES["tensor parallel"])

    assert configuration.entries.model.source in text
    assert "num_hidden_layers 80" in text
    for figure in figures(configuration):
        assert f"{figure.kind}.{figure.field}" in text
        if len(figure.source) < 60:
            assert figure.source in text


# Terminals


@pytest.mark.parametrize(
    ("case", "columns"),
    [*((case, 80) for case in CASES.values()), *((CASES["server"], n) for n in (50, 100))],
)
def test_card_keeps_to_the_width_without_colour(case, columns):
    text = point(*arguments(case), COLUMNS=str(columns))

    assert max(map(len, text.splitlines())) <= columns
    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in text.splitlines())


@every_refusal
def test_card_of_what_cannot_run_keeps_to_the_width(status, case):
    assert max(map(len, point(*arguments(case)).splitlines())) <= 80, status


def test_bars_are_plain_where_letters_are():
    done = subprocess.run(
        [sys.executable, "-c", "from perfcore.cli import main; main()", "point", *EIGHT_FP8],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    text = done.stdout.decode("ascii")

    assert "?" not in text
    assert re.search(r"^weights +3\.2774 ms +32\.4%  #+ ", text, re.MULTILINE)
    assert "+-----" in text


@pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colour_is_for_terminals_that_want_it(env, coloured):
    result = CliRunner().invoke(
        program,
        ["point", *EIGHT_FP8],
        env={"FORCE_COLOR": "1", "TERM": "xterm-256color", "NO_COLOR": "", **env},
        color=True,
    )

    assert ("\x1b[31m" in result.stdout or "\x1b[1;31m" in result.stdout) == coloured


def test_json_needs_neither_card_nor_rich():
    code = (
        "import sys; from perfcore.cli import program; "
        "program.main(['point', 'llama-3-8b', 'h100-sxm', '--json'], standalone_mode=False)"
    )
    code = (
        f"import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); {code}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not {"rich", "numpy", "perfcore.cli.card"} & set(done.stderr.split())


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=8),
    st.integers(4, 40),
)
def test_parts_of_a_bar_follow_each_other(sizes, columns):
    total = sum(sizes) or 1.0
    before = 0.0
    edge = 0.0
    for size in sizes:
        bar = part_bar(before / total, (before + size) / total, columns)
        blanks = len(bar) - len(bar.lstrip(" "))

        assert len(bar) <= columns
        assert bar.strip(" ")
        assert abs(blanks - before / total * columns) <= 1.0
        assert abs(len(bar) - (before + size) / total * columns) <= 1.5
        assert blanks >= edge - 1.0
        edge = blanks
        before += size


# Markdown


def tables(text):
    """Tables of a Markdown text, as lists of rows of cells."""
    found = []
    for block in text.split("\n\n"):
        if block.startswith("|"):
            lines = block.splitlines()
            found.append([re.split(r"(?<!\\)\|", line)[1:-1] for line in lines])
    return found


@every_case
def test_markdown_is_the_same_card_in_tables(case):
    text = point(*arguments(case), "--markdown", "--sources")
    blocks = card(made(case), sources=True)
    found = tables(text)

    for rows in found:
        header, rule, *body = rows
        assert all(re.fullmatch(r" ---:? ", cell) for cell in rule)
        assert body
        assert {len(row) for row in rows} == {len(header)}
    headings = [line[3:] for line in text.splitlines() if line.startswith("## ")]
    assert headings == [block.text for block in blocks if isinstance(block, Heading)]
    assert len(found) == sum(isinstance(block, Table | Panel) for block in blocks)
    assert "█" not in text
    row = made(case).to_dict()
    assert f"**{format_quantity(row['tpot_s'], 's')}**" in text


def test_markdown_of_what_cannot_run():
    text = point("llama-3-70b", "h100-sxm", "--markdown")

    assert "**DOES NOT RUN: weights do not fit**" in text
    assert "2 devices (tp 2)" in text


# Options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--json", "--markdown"], "exclude each other; give one"),
        (["--json", "--sources"], "--json has no sources"),
    ],
)
def test_options_that_exclude_each_other(options, message):
    result = CliRunner().invoke(program, ["point", "llama-3-8b", "h100-sxm", *options])

    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
