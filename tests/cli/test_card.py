"""The card of one configuration: its numbers are those of the model, and it fits its terminal."""

import os
import re
import subprocess
import sys

import pytest
from click.testing import CliRunner
from configuration.cases import CASES, EIGHT_FP8, REFUSED, arguments, every_case, made, point

import perfcore
from perfcore.cli import program
from perfcore.cli.card import TERMS, card
from perfcore.cli.document import Heading, Panel, Table
from perfcore.columns import STATUS
from perfcore.configuration.alternatives import fitting
from perfcore.configuration.provenance import figures
from perfcore.physics.stages.replica import OK
from perfcore.units import format_quantity

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
    assert f"Bottleneck: {binding[row['bound']]}, " in text


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


# What cannot run


@every_refusal
def test_card_of_what_cannot_run_says_why_and_what_would(status, case):
    configuration = made(case)
    text = point(*arguments(case))
    found = fitting(configuration)

    assert STATUS[int(configuration.evaluate().status)] == status
    assert f"DOES NOT RUN: {status}" in text
    assert "What would run" in text
    assert "Bottleneck" not in text
    assert found
    for other in found:
        assert other.point.status == OK
        assert other.configuration.evaluate() == other.point
        assert other.difference in text


def test_two_faults_are_no_single_change():
    text = point("qwen2.5-3b", "h100-sxm", "--ep", "2", "--input-len", "1M")

    assert "no single change is enough" in text


# Provenance


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
    assert re.search(r"^weights +3\.3630 ms +33\.8%  #+ ", text, re.MULTILINE)
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
    text = point("llama-3-70b", "h100-sxm", "--tp", "1", "--markdown")

    assert "**DOES NOT RUN: weights do not fit**" in text
    assert "2 devices (tp 2)" in text


# Options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--json", "--markdown"], "exclude each other; give one"),
        (["--json", "--sources"], "--json and --sources exclude each other"),
    ],
)
def test_options_that_exclude_each_other(options, message):
    result = CliRunner().invoke(program, ["point", "llama-3-8b", "h100-sxm", *options])

    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
