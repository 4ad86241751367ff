"""The command explore."""

import shlex

from click.testing import CliRunner

from perfcore.cli import program


def explore(*arguments):
    return CliRunner().invoke(program, ["explore", *map(str, arguments)])


def test_the_page_names_the_command_that_makes_it_again(tmp_path):
    output = tmp_path / "page.html"
    result = explore("qwen3-32b", "-o", output)

    assert result.exit_code == 0, result.output
    assert result.stdout == f"written to {output}\n"
    command = shlex.join(["perfcore", "explore", "qwen3-32b", "-o", "page.html"])
    assert f'"again":"{command}"' in output.read_text("utf-8")


def test_faults_are_lines(tmp_path):
    result = explore("no-such-model", "h100-sxm", "-o", tmp_path / "page.html")

    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 2
    assert not (tmp_path / "page.html").exists()
    assert explore("qwen3-32b", "-o", tmp_path / "page.txt").stderr == (
        f"error: --output: '{tmp_path}/page.txt' must end in .html\n"
    )
