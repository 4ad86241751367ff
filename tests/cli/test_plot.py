"""The command plot, and what it refuses."""

import subprocess
import sys

import pytest
from reporting.swept import SPEC, plot, refused

import perfcore
from perfcore.errors import InputError
from perfcore.reporting.kinds import gather
from perfcore.reporting.names import KINDS
from perfcore.reporting.opening import open_source
from perfcore.reporting.picture import round_numbers

OTHER_PHYSICS = {"physics": "other", "version": "99"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("plots")
    (path / "small.toml").write_text(SPEC)
    perfcore.sweep(path / "small.toml", path / "run")
    perfcore.sweep(path / "small.toml", path / "bare", overrides=['output.columns=["tpot_s"]'])
    return path


def test_lengths_between_powers_of_two_have_no_label():
    assert round_numbers([128, 181, 256, 362, 512]) == [128, 256, 512]
    assert round_numbers([100, 128, 256, 300]) == [100, 128, 256, 300]  # too few powers


def test_a_missing_axis_is_named_with_its_remedy(folder, monkeypatch):
    sweep = folder / "plain.toml"
    sweep.write_text('[axes]\nmodel = "llama-3.1-8b"\ndevice = "b200"\n')

    lines = refused("winners", sweep, "-o", folder / "no.png")
    assert len(lines) == 2
    monkeypatch.setattr("perfcore.reporting.completing.MOST_ROWS", 0)  # no what-ifs are added
    (line,) = refused("bandwidth", sweep, "-o", folder / "no.png")
    assert "device_memory_bandwidth_scale" in line
    assert "--set 'device.memory_bandwidth={scale=" in line
    (line,) = refused("cost", sweep, "-o", folder / "no.png")
    assert "--set 'economics.utilization=" in line
    assert not (folder / "no.png").exists()


def test_the_remedy_helps(folder, monkeypatch):
    monkeypatch.setattr("perfcore.reporting.completing.MOST_ROWS", 0)
    sweep = folder / "plain.toml"
    sweep.write_text('[axes]\nmodel = "llama-3.1-8b"\ndevice = "b200"\n')
    (line,) = refused("bandwidth", sweep, "-o", folder / "no.png")
    setting = line.split("--set '")[1].rstrip("'")

    result = plot("bandwidth", sweep, "-o", folder / "hbm4.svg", "--set", setting)
    assert result.exit_code == 0, result.output


def test_a_missing_column_is_named_with_its_remedy(folder, monkeypatch):
    monkeypatch.setattr("perfcore.reporting.completing.fingerprints", lambda _: OTHER_PHYSICS)
    (line,) = refused("energy", folder / "bare", "-o", folder / "no.png")

    assert "energy_per_output_token_j, energy_per_input_token_j" in line
    assert "--set output.columns=all" in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pie", "SPEC"], "unknown kind 'pie'"),
        (["parato", "SPEC"], "did you mean 'pareto'"),
        (["roofline", "SPEC", "--by", "tp"], "--by: roofline has fixed series"),
        (["pareto", "SPEC", "--by", "batch"], "--by: batch is already an axis of the picture"),
        (["pareto", "SPEC", "--by", "devise"], "did you mean 'device'"),
        (
            ["memory_wall", "SPEC", "--metric", "tpot_s"],
            "--metric: memory_wall plots fixed columns",
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


def test_without_the_library_one_line_names_it(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)

    (line,) = refused("pareto", folder / "small.toml", "-o", folder / "no.png")
    assert "pip install vl-convert-python" in line


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
