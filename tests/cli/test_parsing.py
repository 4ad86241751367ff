"""Options given twice."""

import pytest
from click.testing import CliRunner

from perfcore.cli import program


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
