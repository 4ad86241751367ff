"""What strangers write: readable faults, bounded time and memory, nothing run, nothing overwritten.

The cases are inputs that once failed, or would have; ``tests/fuzz`` finds more.
"""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from paths import ROOT

sys.path.insert(0, str(ROOT / "tests" / "fuzz"))
import targets

from perfcore import units
from perfcore.accuracy.importing import read_results
from perfcore.accuracy.importing.names import Names
from perfcore.accuracy.table import read_measurements, write_measurements
from perfcore.catalog import loader
from perfcore.claims import claim as claims
from perfcore.cli import program
from perfcore.cli.search import _write
from perfcore.errors import FURTHER, MOST_FAULTS, InputError
from perfcore.reading.csvfile import csv_text
from perfcore.reading.files import read_text
from perfcore.space.space import Space
from perfcore.space.spec import Spec

pytestmark = pytest.mark.slow

AXES = '[axes]\nmodel = "llama-3-8b"\ndevice = "h100-sxm"\n'


def faults_of(read, *arguments):
    """Return the faults of an input, which cost little time."""
    started = time.process_time()
    with pytest.raises(InputError) as caught:
        read(*arguments)
    assert time.process_time() - started < 20
    assert all(fault.isprintable() and len(fault) < 5_000 for fault in caught.value.faults)
    return caught.value.faults


@pytest.fixture
def write(tmp_path):
    def to_file(text, name="input.toml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(path)

    return to_file


# ------------------------------------------------------------------------------------ any input


@pytest.mark.parametrize("name", sorted(targets.TARGETS))
@given(data=st.binary(max_size=60))
def test_any_input_is_read_or_refused(name, data):
    targets.TARGETS[name](data)


def test_faults_are_lines_without_control_characters():
    (fault,) = InputError("a\x1b[2J\nb\ud800\u202e").faults

    assert fault == r"a\x1b[2J\nb\ud800\u202e"


def test_faults_are_as_many_as_people_read():
    faults = InputError(f"line {number}" for number in range(10 * MOST_FAULTS)).faults

    assert len(faults) == MOST_FAULTS + 1
    assert faults[-1] == FURTHER


# --------------------------------------------------------------------------------- sweep files

MANY = ", ".join(str(number) for number in range(-200_000, 0))
SWEEPS = {
    "deep tables": (AXES + "[" + ".".join("a" * 3_000) + "]\nx = 1", "unknown key 'a'"),
    "deep lists": (AXES + "batch = " + "[" * 3_000 + "]" * 3_000, "nested too deeply"),
    "many faults": (AXES + f"batch = [{MANY}]", "-200000 is out of bounds"),
    "many unknown axes": (
        AXES + "\n".join(f"axis{number} = 1" for number in range(20_000)),
        "unknown axis 'axis0'",
    ),
    "many unknown models": (
        '[axes]\ndevice = "h100-sxm"\nmodel = [' + '"x",' * 9_000 + "]",
        "unknown model 'x'",
    ),
    "huge integer": (AXES + "batch = 0x" + "f" * 5_000, "is out of bounds"),
    "huge text": (AXES + f'batch = "{"9" * 10**7}"', "is not a count"),
    "slow text": (AXES + f'batch = "{"9" * 50_000} x\\ny"', "is not a count"),
    "many columns": (
        AXES + "[output]\ncolumns = [" + '"tpot_s",' * 200_000 + "]",
        "200000 names are more than there are columns",
    ),
    "many what-ifs": (
        AXES
        + "[what_if]\n"
        + "\n".join(
            f'"device.{field}" = {{ linear = [1e12, 1e13], n = 600000 }}'
            for field in ("memory_bandwidth", "flops_fp16", "flops_fp8", "link_bandwidth")
        ),
        "more than 1000000 values in total",
    ),
    "control characters": (AXES + '"\\u001b[2J\\u0000" = 1', r"\x1b[2J\x00"),
}


@pytest.mark.parametrize("name", SWEEPS)
def test_hostile_sweep(write, name):
    text, words = SWEEPS[name]
    faults = faults_of(Spec.from_toml, write(text))

    assert words in faults[0]
    assert len(faults) <= MOST_FAULTS + 1


def test_a_million_scales_of_every_model_take_no_time(write):
    names = json.dumps(loader.names("model"))
    text = f'[axes]\nmodel = {names}\ndevice = "h100-sxm"\n[what_if]\n'
    text += '"model.vocab" = 1\n"model.heads" = { scale = { linear = [1, 2], n = 1000000 } }'

    assert "did you mean" in faults_of(Spec.from_toml, write(text))[0]


def test_a_condition_on_a_long_axis_with_a_long_list_takes_no_time(write):
    listed = ", ".join(str(number) for number in range(2, 60_000))
    text = (
        f"{AXES}input_len = {{ linear = [1, 100000], n = 100000 }}\n[[where]]\naxis = 'input_len'"
    )
    space = Space(Spec.from_toml(write(f"{text}\nin = [{listed}]")))

    assert space.rows == 59_998


def test_files_without_end_are_read_to_a_limit(write):
    assert "is larger than 1 MiB" in faults_of(read_text, write(b"x" * (2**20 + 1)), ".x", 2**20)[0]
    if Path("/dev/zero").exists():
        assert "is larger than 16 MiB" in faults_of(Spec.from_toml, "/dev/zero")[0]


# ---------------------------------------------------------------------------------- quantities


@pytest.mark.parametrize("value", [10**400, "1e99999999999999999999", "9" * 5_000, [[[]]]])
def test_numbers_beyond_floats_are_refused(value):
    with pytest.raises(ValueError, match=r"out of bounds|is not an? |has no unit"):
        units.parse(value, "bytes")


# ----------------------------------------------------------------------------------- catalogue


def device(**changes):
    table = {key: value for key, value in targets.EXAMPLES["device"].items() if key != "estimated"}
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items() if key not in changes]
    return "\n".join(["[x]", *lines, *(f"{key} = {text}" for key, text in changes.items())])


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("memory_capacity", "0x" + "f" * 400, "memory_capacity"),
        ("memory_capacity", '"1e99999999999999999999 GB"', "memory_capacity"),
        ("memory_bandwidth", '"1e30 B/s"', "memory_bandwidth: '1e30 B/s' must be at most 1e+18"),
        ("memory_bandwidth", '"1e-30 B/s"', "memory_bandwidth: '1e-30 B/s' must be at least 1000"),
        ("flops_fp16", '"1e-30 FLOP/s"', "flops_fp16: '1e-30 FLOP/s' must be 0 or at least 1e+06"),
        ("board_power", '"1e30 W"', "board_power: '1e30 W' must be at most 1e+06"),
        ("price_per_hour", '"1e30 USD/h"', "price_per_hour: '1e30 USD/h' must be at most 1e+06"),
    ],
)
def test_device_that_no_physics_is_made_for(write, field, value, words):
    assert words in "\n".join(faults_of(loader.load, "device", write(device(**{field: value}))))


def test_many_unknown_keys_of_an_entry(write):
    more = {f"key{number}": "1" for number in range(20_000)}

    assert len(faults_of(loader.load, "device", write(device(**more)))) <= MOST_FAULTS + 1


def test_names_of_tables_cannot_move_the_cursor(write):
    (fault, *_) = faults_of(loader.load, "device", write('["\\u001b[2J\\n"]\nyear = 2_020'))

    assert r"[\x1b[2J\n]" in fault


def test_model_of_many_layers_takes_no_memory(write):
    text = '[x]\nsource = "x"\nhidden_size = 64\nnum_hidden_layers = 1000000000\nvocab_size = 100\n'

    assert faults_of(loader.load, "model", write(text))


def test_model_of_a_quadrillion_weights_is_refused(write):
    text = '[x]\nsource = "x"\nhidden_size = 1000000000\nnum_hidden_layers = 100\n'
    text += "vocab_size = 1000000000\nnum_attention_heads = 1\nnum_key_value_heads = 1\n"

    assert "must be at least 0" in faults_of(loader.load, "model", write(text))[0]


# ----------------------------------------------------------------------- results of benchmarks


@pytest.mark.parametrize(
    "name", ["x-Q4" + "_a" * 40 + "!", "x-q4" + "_" * 5_000 + "!", "-it" * 10**6, "(" * 10**6]
)
def test_slow_names_of_models_and_devices(name):
    started = time.process_time()
    names = Names()

    assert names.model(name) == ""
    assert names.device(name) == ""
    names.doubt(name)
    assert time.process_time() - started < 5


@pytest.mark.parametrize("text", ["[" * 10**5, '{"a":' * 10**5, '{"a": ' + "9" * 5_000 + "}"])
def test_hostile_results(write, text):
    assert (
        "not valid JSON" in faults_of(read_results, [write(text, "x.json")])[0]
        or "digits" in (faults_of(read_results, [write(text, "x.json")])[0])
    )


@pytest.mark.parametrize("path", ["x.json", "x.gguf"])
def test_hostile_model_files(write, path):
    assert faults_of(loader.load, "model", write(b"[" * 10**5, path))


# ------------------------------------------------------------------------------------------ CSV


@pytest.mark.parametrize(
    ("read", "columns"), [(claims.read_claims, "model"), (read_measurements, "model,hardware")]
)
def test_hostile_csv(write, read, columns):
    many = ",".join(f"c{number}" for number in range(50_000))
    lines = "\n".join(["x"] * 50_000)

    assert len(faults_of(read, write(many, "x.csv"))) <= MOST_FAULTS + 1
    assert faults_of(read, write(f"{columns}\n{lines}", "x.csv"))
    assert "twice" in faults_of(read, write("model,model\n1,2", "x.csv"))[0]
    assert "not UTF-8" in faults_of(read, write("modèle".encode("latin-1"), "x.csv"))[0]
    assert "UTF-8" in faults_of(read, write("model".encode("utf-16"), "x.csv"))[0]


FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_text_that_opens_like_a_formula_is_marked_as_text(tmp_path, text):
    path = tmp_path / "found.csv"
    _write(pa.table({"model": [text, "llama"], "tpot_s": [-1.5, 2.0]}), path, ".csv")

    cells = path.read_bytes().decode().split("\n")
    assert f"'{text[0]}" in path.read_bytes().decode()
    assert not any(line.lstrip('"').startswith(("=", "+", "@", "\t")) for line in cells)
    assert ",-1.5" in path.read_text("utf-8")


@given(st.text(alphabet="=+-@1.eE \t'a", max_size=6))
def test_no_cell_of_text_is_run(text):
    cell = csv_text([[text, 1]]).rpartition(",")[0].strip('"')

    assert not cell.startswith(("=", "@", "\t"))
    assert not cell.startswith(("+", "-")) or re.fullmatch(
        r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", cell.strip(), re.IGNORECASE
    )


def test_numbers_stay_numbers():
    assert csv_text([[-1, -1.5, None, "-1.5", "+7"]]) == "-1,-1.5,,-1.5,+7\n"


def test_formulas_survive_a_table_of_measurements(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("model,hardware,metric,value,task_note\nx,y,tpot_s,1,=1+1\n")
    rows = read_measurements(path)
    write_measurements(path, rows)

    assert "'=1+1" in path.read_text()
    assert read_measurements(path) == rows
    assert rows[0].task_note == "=1+1"


def test_audit_writes_no_formula(tmp_path):
    made = tmp_path / "claims.csv"
    made.write_text('claim,model,device,ms_per_token\n"=HYPERLINK(""x"")",llama-3-8b,h100,10\n')
    out = tmp_path / "out.csv"
    result = CliRunner().invoke(program, ["audit", str(made), "-o", str(out)])

    assert result.exit_code == 0, result.output
    assert "'=HYPERLINK" in out.read_text("utf-8")


# ------------------------------------------------------------- nothing is run, nothing is fetched

OFFLINE = """
import socket, sys
def refuse(*_, **__):
    raise AssertionError("the network was asked for")
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse
socket.getaddrinfo = socket.create_connection = refuse
import urllib.request
urllib.request.urlopen = refuse
from perfcore.cli import main
sys.argv = ["perfcore", *sys.argv[1:]]
main()
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["point", "llama-3-8b", "h100-sxm", "--json"],
        ["run", "SPEC", "-o", "OUT", "--quiet"],
        ["search", "SPEC", "--minimize", "tpot_s"],
        ["plan", "SPEC"],
        ["validate", "--json"],
        ["models"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_no_network_unless_asked_for(write, tmp_path, arguments):
    names = {"SPEC": write(AXES + "batch = [1, 2]"), "OUT": str(tmp_path / "out")}
    given = [names.get(argument, argument) for argument in arguments]
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, *given],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )

    assert done.returncode == 0, done.stderr


def test_a_run_writes_into_its_directory_only(write, tmp_path):
    """Neither a sweep's name nor a label decides where a file goes."""
    spec = write('name = "../../outside"\ndescription = "../x"\n' + AXES)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    out = tmp_path / "deep" / "out"
    result = CliRunner().invoke(program, ["run", spec, "-o", str(out), "--quiet"])
    after = {path for path in tmp_path.rglob("*") if path.is_file()} - before

    assert result.exit_code == 0, result.output
    assert after
    assert all(out in path.parents for path in after)


def test_nothing_evaluates_or_unpickles():
    words = re.compile(
        r"(?<![\w.])(?:eval|exec|__import__)\(|os\.system\(|popen\("
        r"|\b(?:pickle|marshal|shelve)\.(?:loads?|open|Unpickler)\b",
        re.IGNORECASE,
    )
    calls = [
        f"{path.name}: {match.group()}"
        for path in sorted((ROOT / "perfcore").rglob("*.py"))
        for match in re.finditer(words, path.read_text("utf-8"))
    ]

    # tasks of its own client, kernels of its own cache, which Numba unpickles as well, and its own
    # formulas, compiled for intervals
    assert calls == [
        "jit.py: pickle.loads",
        "executors.py: pickle.loads",
        "intervals.py: exec(",
    ]
