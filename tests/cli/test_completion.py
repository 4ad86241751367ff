"""Completion of commands, names and columns in a shell."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from perfcore.catalog import loader
from perfcore.cli import program
from perfcore.cli.completion import SHELLS
from perfcore.columns import METRICS


def invoke(*arguments, code=0, **environment):
    result = CliRunner().invoke(program, list(map(str, arguments)), env=environment)

    assert result.exit_code == code, result.output
    return result


def complete(line, shell="bash"):
    """Return what is offered for a line whose last word is begun."""
    words = line.split(" ")
    variables = {
        "_PERFCORE_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    result = CliRunner().invoke(program, [], prog_name="perfcore", env=variables)
    return [item.partition(",")[2] for item in result.stdout.splitlines() if item]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_is_given_its_script(shell):
    script = invoke("completion", shell).stdout

    assert f"_PERFCORE_COMPLETE={shell}_complete" in script
    assert "%(" not in script


def test_bash_takes_the_script(tmp_path):
    path = tmp_path / "script"
    path.write_text(invoke("completion", "bash").stdout)
    done = subprocess.run(
        ["/bin/bash", "-c", f"source '{path}' && complete -p perfcore"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "_perfcore_completion" in done.stdout


def test_commands_and_options_are_completed():
    assert complete("perfcore pl") == ["plan", "plot"]
    assert "--workers" in complete("perfcore plan --w")
    assert complete("perfcore completion z") == ["zsh"]
    assert complete("perfcore nonsense x") == []


@pytest.mark.parametrize(
    ("line", "kind", "begun"),
    [
        ("perfcore point llama-3", "model", "llama-3"),
        ("perfcore point llama-3-8b h", "device", "h"),
        ("perfcore point llama-3-8b h100-sxm --engine v", "engine", "v"),
        ("perfcore point llama-3-8b h100-sxm --weight-format q4", "weight_format", "q4"),
        ("perfcore init --device m", "device", "m"),
        ("perfcore models show qwen", "model", "qwen"),
        ("perfcore devices show b", "device", "b"),
        ("perfcore engines show vllm --device h", "device", "h"),
        ("perfcore economics show o", "economics", "o"),
    ],
)
def test_names_are_completed(line, kind, begun):
    known = [name for name in loader.names(kind) if name.startswith(begun)]

    assert known
    assert complete(line) == known


def test_columns_are_completed():
    metrics = [column.name for column in METRICS]
    begun = [name for name in metrics if name.startswith("tpot")]

    assert complete("perfcore search x.toml --minimize tpot") == begun
    assert complete("perfcore histogram x.toml --metric tpot") == begun
    assert complete("perfcore columns show tpot") == begun
    assert complete("perfcore search x.toml --by model,dev") == ["model,device"]
    assert complete("perfcore pareto x.toml --objectives tpot_s,tpot_s") == []
    assert "tpot_s,ttft_s" in complete("perfcore pareto x.toml --objectives tpot_s,ttft")


def test_files_are_completed_where_files_are_meant():
    for command in ("plan", "run", "search", "pareto", "histogram", "init"):
        result = CliRunner().invoke(
            program,
            [],
            prog_name="perfcore",
            env={
                "_PERFCORE_COMPLETE": "bash_complete",
                "COMP_WORDS": f"perfcore {command} x",
                "COMP_CWORD": "2",
            },
        )
        assert result.stdout == "file,x\n"


def test_completion_is_light():
    code = (
        "import atexit, os, sys; "
        "atexit.register(lambda: print(' '.join(sys.modules), file=sys.stderr)); "
        "os.environ.update(_PERFCORE_COMPLETE='bash_complete', "
        "COMP_WORDS='perfcore point llama', COMP_CWORD='2'); "
        "from perfcore.cli import program; program.main([], prog_name='perfcore')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "plain,llama-3-8b" in done.stdout
    assert not {"numba", "numpy", "pyarrow"} & set(done.stderr.split())
