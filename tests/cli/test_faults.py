"""Whatever a user gets wrong: exit code 2, one line a fault, no traceback, nothing left behind."""

import errno
import re
import sys

import pytest
from click.testing import CliRunner

from perfcore.cli import program
from perfcore.errors import InputError, OutputError, argument

GOOD = """
[axes]
model = ["llama-3-8b"]
device = ["h100-sxm"]
"""


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(GOOD)
    return path


def faults(*arguments):
    result = CliRunner().invoke(program, [str(argument) for argument in arguments])
    lines = result.stderr.splitlines()

    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert lines
    assert all(line.startswith("error: ") for line in lines), lines
    assert "Traceback" not in result.output
    return [line.removeprefix("error: ") for line in lines]


def fault(*arguments):
    (line,) = faults(*arguments)
    return line


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("[axes\n", ["not valid TOML"]),
        ("[axes]\nmodel = ['llama-3-8b']\ndevice = ['h100-sxn']\n", ["did you mean 'h100-sxm'?"]),
        ("[axes]\nmodel = ['lama-3-8b']\ndevice = ['h100-sxm']\n", ["did you mean 'llama-3-8b'?"]),
        ("[axes]\ndevice = ['h100-sxm']\n", ["key 'model' is missing"]),
        (GOOD + "batch = [1, 0]\n", ["batch[2]: 0 is out of bounds"]),
        (GOOD + "batch = []\n", ["axes.batch: [] is empty"]),
        (GOOD + "bacth = [1]\n", ["did you mean 'batch'?"]),
        (GOOD + "tp = 'two'\nbatch = -1\n", ["axes.tp: 'two'", "axes.batch: -1"]),
        (GOOD + "[output]\ncolumns = ['tpot']\n", ["did you mean 'tpot_s'?"]),
        (GOOD + "[[where]]\nmetric = 'tpot_s'\nmax = '50 miles'\n", ["'50 miles'"]),
        (
            GOOD + "[what_if]\n'device.memory_bandwith' = [1]\n",
            ["did you mean 'device.memory_bandwidth'?"],
        ),
        (
            GOOD + "[what_if]\n'economics.pue' = { scale = [0.1] }\n",
            ["0.1 makes economics.pue of the default 0.12"],
        ),
        (GOOD + "[[where]]\naxis = 'batch'\nmin = 8\n", ["no value of batch"]),
    ],
)
@pytest.mark.parametrize("command", ["run", "plan"])
def test_faulty_specification(tmp_path, command, text, messages):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    output = tmp_path / "out"
    lines = faults(command, path, *(["-o", output] if command == "run" else []))

    assert len(lines) == len(messages)
    for line, message in zip(lines, messages, strict=True):
        assert message in line
    assert not output.exists()


def test_missing_file_names_its_neighbour(tmp_path, spec):
    line = fault("run", tmp_path / "sweeep.toml", "-o", tmp_path / "out")

    assert "no such file" in line
    assert "did you mean 'sweep.toml'?" in line
    assert not (tmp_path / "out").exists()
    assert spec.exists()


def test_directory_in_place_of_a_file(tmp_path):
    assert "is not a file" in fault("run", tmp_path, "-o", tmp_path / "out")
    assert "is not a file" in fault("plan", tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("output", ["", " "])
def test_a_run_without_a_name_is_not_written_here(tmp_path, monkeypatch, spec, output):
    monkeypatch.chdir(tmp_path)

    assert fault("run", spec, "-o", output) == f"--output: {output!r} is empty; name a directory"
    assert list(tmp_path.iterdir()) == [spec]


def test_specification_that_is_not_text(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_bytes(b"\xff\xfe\x00")

    assert "not UTF-8" in fault("run", path, "-o", tmp_path / "out")


def test_faulty_device_file(tmp_path, spec):
    device = tmp_path / "asic.toml"
    device.write_text("[asic]\nvendor = 'me'\nmemory_bandwith = '1 TB/s'\n")
    lines = faults("run", spec, "-o", tmp_path / "out", "--set", f"axes.device=['{device}']")

    assert len(lines) > 1
    assert any("did you mean 'memory_bandwidth'?" in line for line in lines)
    assert not (tmp_path / "out").exists()
    assert faults("devices", "show", device)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("axes.batch", "not KEY=VALUE"),
        ("axes.batch=[1,", "is not a TOML value"),
        ("axes.bacth=3", "did you mean 'batch'?"),
        ("axes.batch=0", "0 is out of bounds"),
        ("axes.model=lama-3-8b", "did you mean 'llama-3-8b'?"),
        ("=3", "not KEY=VALUE"),
    ],
)
def test_faulty_override(tmp_path, spec, override, message):
    line = fault("run", spec, "-o", tmp_path / "out", "--set", override)

    assert message in line
    assert not (tmp_path / "out").exists()


def test_output_is_a_file(tmp_path, spec):
    output = tmp_path / "out"
    output.write_text("precious")

    assert "cannot be written" in fault("run", spec, "-o", output)
    assert output.read_text() == "precious"


def test_output_lies_below_a_file(tmp_path, spec):
    assert "cannot be written" in fault("run", spec, "-o", spec / "out")
    assert spec.read_text() == GOOD
    assert sorted(tmp_path.iterdir()) == [spec]


def test_output_that_the_system_refuses(tmp_path, spec):
    assert fault("run", spec, "-o", "/proc/perfcore/out")
    assert fault("run", spec, "-o", tmp_path / ("x" * 300))
    assert sorted(tmp_path.iterdir()) == [spec]


def test_output_of_another_run_is_kept(tmp_path, spec):
    output = tmp_path / "out"
    CliRunner().invoke(program, ["run", str(spec), "-o", str(output)], catch_exceptions=False)
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    line = fault("run", spec, "-o", output, "--set", "axes.batch=[1,2]")

    assert "another specification" in line
    assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before


def test_broken_manifest(tmp_path, spec):
    output = tmp_path / "out"
    output.mkdir()
    (output / "manifest.json").write_text("{")

    assert "cannot be read" in fault("run", spec, "-o", output)


def test_data_without_a_manifest(tmp_path, spec):
    output = tmp_path / "out"
    (output / "data").mkdir(parents=True)
    (output / "data" / "holiday.jpg").write_text("")

    assert "no manifest.json" in fault("run", spec, "-o", output)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["foo"], "unknown command 'foo'"),
        (["modles"], "did you mean 'models'?"),
        (["--foo"], "no such option"),
        (["run"], "missing argument 'SPEC'"),
        (["run", "x.toml"], "missing option"),
        (["run", "x.toml", "-o", "y", "--wrokers", "3"], "no such option '--wrokers'"),
        (["run", "x.toml", "-o", "y", "--workers", "0"], "0 is not in the range"),
        (["run", "x.toml", "-o", "y", "--workers", "two"], "'two' is not a valid integer"),
        (["run", "x.toml", "y.toml", "-o", "z"], "unexpected extra argument"),
        (["plan"], "missing argument 'SPEC'"),
        (["point", "llama-3-8b"], "missing argument 'DEVICE'"),
        (["point", "llama-3-8b", "h100-sxm", "--batch"], "requires an argument"),
        (["models", "shwo", "x"], "no such command 'shwo'"),
        (["models", "show"], "missing argument 'NAME'"),
        (["devices", "--class", "gpu"], "'gpu' is not one of"),
    ],
)
def test_usage(arguments, message):
    line = fault(*arguments)

    assert message in line
    assert re.search(r" \(see `(program|perfcore)[a-z ]* --help`\)$", line)


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["lama-3-8b", "h100-sxm"], ["did you mean 'llama-3-8b'?"]),
        (["lama-3-8b", "h10-sxm"], ["'llama-3-8b'?", "'h100-sxm'?"]),
        (["llama-3-8b", "h100-sxm", "--batch", "0"], ["batch: '0' is out of bounds"]),
        (["llama-3-8b", "h100-sxm", "--tp", "1.5"], ["tp: '1.5'"]),
        (["llama-3-8b", "h100-sxm", "--input-len", "12 parsecs"], ["'parsecs' is not a unit"]),
        (["llama-3-8b", "h100-sxm", "--output-len", "nan"], ["output_len: 'nan'"]),
        (["llama-3-8b", "h100-sxm", "--weight-format", "fp9"], ["unknown weight format 'fp9'"]),
        (["llama-3-8b", "h100-sxm", "--kv-format", "fp9"], ["unknown KV-cache format 'fp9'"]),
        (["llama-3-8b", "h100-sxm", "--engine", "vlm"], ["unknown engine 'vlm'"]),
        (["llama-3-8b", "h100-sxm", "--set", "tp=2"], ["--set: tp=2: is an axis; use --tp"]),
        (["llama-3-8b", "h100-sxm", "--set", "x"], ["--set: x: not KEY=VALUE"]),
        (
            ["llama-3-8b", "h100-sxm", "--set", "device.memory_bandwith=1"],
            ["did you mean 'device.memory_bandwidth'?"],
        ),
        (
            ["llama-3-8b", "h100-sxm", "--set", "device.memory_bandwidth=3.35 TFLOP/s"],
            ["is not a unit of a bandwidth"],
        ),
        (
            ["llama-3-8b", "h100-sxm", "--set", "device.memory_bandwidth=[1e12,2e12]"],
            ["2 values; give one"],
        ),
        (["x.toml", "h100-sxm"], ["x.toml: no such file"]),
        (["", "h100-sxm"], ["a model needs a name"]),
        (["llama-3-8b\nx", "h100-sxm"], ["unknown model"]),
    ],
)
def test_faulty_point(arguments, messages):
    lines = faults("point", *arguments)

    assert len(lines) == len(messages)
    for line, message in zip(lines, messages, strict=True):
        assert message in line


@pytest.mark.parametrize(
    ("command", "name", "message"),
    [
        ("models", "lama-3-8b", "did you mean 'llama-3-8b'?"),
        ("devices", "h10-sxm", "did you mean 'h100-sxm'?"),
        ("formats", "q4_9", "unknown weight format 'q4_9'"),
        ("engines", "ideel", "did you mean 'ideal'?"),
        ("columns", "tpot", "did you mean 'tpot_s'?"),
    ],
)
def test_unknown_entry(command, name, message):
    assert message in fault(command, "show", name)


def test_faulty_user_catalogue(tmp_path, monkeypatch):
    monkeypatch.setenv("PERFCORE_CATALOG", str(tmp_path))
    (tmp_path / "devices.toml").write_text("[mine]\nvendor = 'me'\n")

    assert "key 'memory_bandwidth' is missing" in "".join(faults("devices"))
    monkeypatch.setenv("PERFCORE_CATALOG", str(tmp_path / "missing"))

    assert "PERFCORE_CATALOG" in fault("models")


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "part-0"), "part-0: No space left"),
        (OSError("odd"), "odd"),
        (OutputError("out: cannot be written"), "out: cannot be written"),
        (MemoryError(), "out of memory"),
    ],
)
def test_what_the_system_refuses_is_one_line(tmp_path, spec, monkeypatch, error, message):
    monkeypatch.setattr("perfcore.runs.run.sweep", raising(error))

    assert message in fault("run", spec, "-o", tmp_path / "out")


def test_interrupt_outside_of_a_run(monkeypatch):
    monkeypatch.setattr("perfcore.catalog.loader.names", raising(KeyboardInterrupt()))
    result = CliRunner().invoke(program, ["models"])

    assert result.exit_code == 130
    assert result.stderr.split() == ["error:", "interrupted"]


def test_sample_without_scipy_leaves_no_output(tmp_path, spec, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    sample = ["--set", "sample.method=sobol", "--set", "sample.n=4"]

    assert "needs scipy" in fault("run", spec, "-o", tmp_path / "out", *sample)
    assert not (tmp_path / "out").exists()


# Arguments of the library, as options


@pytest.mark.parametrize(
    ("name", "value", "python", "option"),
    [
        ("by", None, "by", "--by"),
        ("tp", 8, "tp=8", "tp=8"),  # no option of `plot`
        ("metric", "mfu", "metric='mfu'", "--metric mfu"),
        ("metric", ["mfu", "mbu"], "metric=['mfu', 'mbu']", "--metric mfu,mbu"),
        (
            "where",
            ["batch=1", "tp<=8"],
            "where=['batch=1', 'tp<=8']",
            "--where batch=1 --where 'tp<=8'",
        ),
        ("overrides", {"tp": "[1, 2]"}, "overrides={'tp': '[1, 2]'}", "--set 'tp=[1, 2]'"),
        ("output", None, "output", "--output"),
        ("kind", None, "kind", "KIND"),
    ],
)
def test_errors_name_what_the_caller_wrote(tmp_path, monkeypatch, name, value, python, option):
    def refuse(*_):
        raise InputError(f"{argument(name, value)}: no")

    monkeypatch.setattr("perfcore.reporting.drawing.open_source", refuse)

    assert argument(name, value) == python
    assert fault("plot", "cost", "x.toml", "-o", tmp_path / "x.svg") == f"{option}: no"
    assert argument(name, value) == python


def test_errors_of_threads_name_options(spec, monkeypatch):
    monkeypatch.setattr("perfcore.searching.reductions.LARGEST_FRONT", 16)
    more = ["--set", "axes.batch={log=[1,512],n=200}"]
    line = fault("pareto", spec, "--objectives", "tpot_s,tokens_per_s_per_device:max", *more)

    assert line == ("--objectives: more than 16 rows are undominated; name fewer, or add --where")
