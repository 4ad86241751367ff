"""Options given twice."""

import pytest
from click.testing import CliRunner

from perfcore.cli import program
from perfcore.cli.parsing import OTHER_WORDS


@pytest.mark.parametrize(
    ("arguments", "option", "remedy"),
    [
        (["point", "llama-3.1-8b", "h100-sxm", "--batch", "2", "--batch=3"], "--batch", "give it"),
        (["size", "m", "--device", "l40s", "--device", "b200"], "--device", "with commas"),
        (["models", "add", "x", "--name", "a", "--name", "b"], "--name", "give it once"),
        (["run", "a.toml", "-o", "a", "--output", "b"], "--output", "give it once"),
        (["plot", "pareto", "a", "-o", "a.svg", "-o", "b.svg"], "--output", "give it once"),
    ],
)
def test_an_option_that_takes_one_value_is_refused_twice(arguments, option, remedy):
    done = CliRunner().invoke(program, arguments)

    assert done.exit_code == 2
    assert f"{option} is given more than once; " in done.stderr
    assert remedy in done.stderr


def test_lists_and_flags_may_be_given_twice():
    twice = ["point", "llama-3.1-8b", "h100-sxm", "--json", "--json"]
    where = ["--set", "device.board_power=700", "--set", "model.layers=30"]

    done = CliRunner().invoke(program, [*twice, *where])

    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(
    ("arguments", "own"),
    [
        (["point", "m", "d", "--isl", "100"], "here it is --input-len"),
        (["point", "m", "d", "--osl=100"], "here it is --output-len"),
        (["point", "m", "d", "--gpus", "8"], "here it is --devices"),
        (
            ["point", "m", "d", "--concurrency", "8"],
            "here it is --batch with --scheduler continuous",
        ),
        (["simulate", "m", "d", "--concurrency", "8"], "here it is --clients"),
        (["point", "m", "d", "--dtype", "fp8"], "here it is --weight-format"),
        (["point", "m", "d", "--quant", "fp8"], "here it is --weight-format"),
        (["simulate", "m", "d", "--max-num-seqs", "64"], "here it is --max-sequences"),
        (
            ["point", "m", "d", "--max-num-seqs", "64"],
            "here it is --set engine.max_sequences=N with --set engine.sampled_sequences=N",
        ),
        (["point", "m", "--device", "d"], "here it is the argument DEVICE"),
        (["size", "m", "--qps", "4"], "here it is --rate"),
        (["search", "s.toml", "--isl", "5"], "an axis of the sweep: --set axes.input_len=VALUE"),
        (["plan", "s.toml", "--batch", "5"], "an axis of the sweep: --set axes.batch=VALUE"),
        (["plot", "cost", "run", "--dtype", "x"], "the sweep: --set axes.weight_format=VALUE"),
    ],
)
def test_options_of_other_tools_are_translated(arguments, own):
    done = CliRunner().invoke(program, arguments)

    assert done.exit_code == 2
    assert own in done.stderr


def test_words_of_other_tools_are_not_options_here():
    words = [word for words in OTHER_WORDS for word in words]

    assert len(set(words)) == len(words)


@pytest.mark.parametrize("command", [[], ["point"], ["models", "show"], ["columns"]])
def test_help_has_a_short_option(command):
    runner = CliRunner()

    assert runner.invoke(program, [*command, "-h"]).stdout.startswith("Usage: ")
