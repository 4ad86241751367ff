"""The scripts of docs/clusters.md are parsed, and what they run is run."""

import argparse
import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner
from paths import ROOT
from runs import ROWS_PER_SHARD, SPEC

from perfcore.cli import program
from perfcore.runs.check import verify

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
SCRIPTS = dict(
    re.findall(r"<!-- script (\w+) -->\n```\w+\n(.*?)```\n<!-- end \1 -->", PAGE, re.DOTALL)
)
SHELL = ["slurm", "finalize", "bucket", "dask"]


def sbatch_options(script):
    """What Slurm reads: comments before the first command, of options that it knows."""
    lines = script.splitlines()
    first = next(n for n, line in enumerate(lines) if line and not line.startswith("#"))
    directives = [line.removeprefix("#SBATCH ") for line in lines[:first] if "#SBATCH" in line]
    assert not any("#SBATCH" in line for line in lines[first:])
    parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
    for name in ("job-name", "array", "ntasks", "cpus-per-task", "mem", "time"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--requeue", action="store_true")
    return parser.parse_args(directives)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A directory with the sweep, in which ``perfcore`` and ``srun`` are commands."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    start = f'exec "{sys.executable}" -c "from perfcore.cli import main; main()" "$@"\n'
    for name, body in (("perfcore", start), ("srun", 'exec "$@"\n')):
        (binaries / name).write_text(f"#!/bin/sh\n{body}")
        (binaries / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(binaries), prepend=":")
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=":")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweep.toml").write_text(SPEC.replace(f"rows_per_shard = {ROWS_PER_SHARD}\n", ""))
    return tmp_path


def sh(script, **environment):
    return subprocess.run(
        ["bash", "-c", script],  # noqa: S607
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    )


def test_every_script_of_the_page_is_checked():
    fenced = len(re.findall(r"```(?:sh|yaml)\n", PAGE))

    assert sorted(SCRIPTS) == sorted([*SHELL, "kubernetes"])
    assert fenced == len(SCRIPTS)


@pytest.mark.parametrize("name", SHELL)
def test_shell_scripts_parse(name):
    subprocess.run(["bash", "-n", "-c", SCRIPTS[name]], check=True)  # noqa: S607


@pytest.mark.parametrize("name", SHELL)
def test_commands_of_scripts_exist_with_their_options(name):
    script = SCRIPTS[name].replace("\\\n", " ")
    commands = re.findall(
        r"\bperfcore (\w+)([^\n]*)",
        "\n".join(line for line in script.splitlines() if not line.startswith("#")),
    )

    assert commands
    for command, rest in commands:
        text = CliRunner().invoke(program, [command, "--help"]).stdout
        for option in re.findall(r"--[\w-]+", rest):
            assert re.search(rf"{option}\b", text), (command, option)


@pytest.mark.parametrize("name", ["slurm", "finalize"])
def test_slurm_reads_its_options(name):
    options = sbatch_options(SCRIPTS[name])

    assert options.ntasks == "1"
    assert re.fullmatch(r"\d\d:\d\d:\d\d", options.time)
    assert SCRIPTS[name].startswith("#!/bin/bash\n")
    if name == "slurm":
        assert re.fullmatch(r"1-\d+", options.array), "parts are counted from 1"


def test_a_slurm_array_is_a_whole_run(installed):
    for task in ("1", "2"):
        sh(
            SCRIPTS["slurm"],
            SLURM_ARRAY_TASK_ID=task,
            SLURM_ARRAY_TASK_MAX="2",
            SLURM_CPUS_PER_TASK="1",
        )
    done = sh(SCRIPTS["finalize"])

    assert "complete" in done.stdout
    assert not verify(installed / "results").faults


def test_kubernetes_reads_its_job(installed):
    job = yaml.safe_load(SCRIPTS["kubernetes"])
    spec = job["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    volumes = {volume["name"] for volume in spec["template"]["spec"]["volumes"]}
    (script,) = container["args"]

    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    assert spec["completionMode"] == "Indexed"
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
    assert container["command"] == ["/bin/sh", "-c"]
    assert f'/{spec["completions"]}"' in script
    assert shutil.which("sh")

    output = installed / "results"
    last = str(spec["completions"] - 1)
    command = script.replace("/sweep/", "").replace("perfcore run", "echo perfcore run")
    shown = sh(command, JOB_COMPLETION_INDEX=last, RUN=str(output)).stdout.split()

    assert shown[-2:] == ["--shard", f"{spec['completions']}/{spec['completions']}"]

    sh(script.replace("/sweep/", ""), JOB_COMPLETION_INDEX="0", RUN=str(output))

    assert verify(output).rerun == ()
