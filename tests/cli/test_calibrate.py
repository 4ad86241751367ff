"""The command calibrate, and the way from a benchmark to a sweep."""

import json
import tomllib

import pytest
from accuracy.measured import simulated_questions
from click.testing import CliRunner

from perfcore.accuracy.calibration import describe
from perfcore.accuracy.table import write_measurements
from perfcore.cli import program


def invoke(*arguments, code=0):
    result = CliRunner().invoke(program, arguments, prog_name="perfcore")
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture(scope="module")
def simulated():
    return simulated_questions()


def test_calibrate_writes_an_engine_that_point_uses(simulated, tmp_path):
    data, output = tmp_path / "mine.csv", tmp_path / "mine.toml"
    write_measurements(data, [question.measurement for question in simulated])

    printed = invoke("calibrate", "--measurements", str(data), "-o", str(output), "--name", "mine")

    assert "vllm launch" in printed
    table = tomllib.loads(output.read_text())["mine"]
    assert table["base"] == "vllm"
    assert table["fit"]["data"] == [describe(data, simulated)]
    shown = invoke("point", "llama-3.1-8b", "h100-sxm", "--engine", str(output))
    assert "mine was fitted to measurements on h100-sxm" in " ".join(shown.split())


def test_calibrate_twice_gives_the_same_file(simulated, tmp_path):
    data = tmp_path / "mine.csv"
    write_measurements(data, [question.measurement for question in simulated])

    texts = []
    for name in ("a.toml", "b.toml"):
        invoke("calibrate", "--measurements", str(data), "-o", str(tmp_path / name))
        texts.append((tmp_path / name).read_text())

    assert texts[0] == texts[1]


def test_what_a_stranger_gets(simulated, tmp_path):
    paths = [tmp_path / name for name in ("one.csv", "two.csv", "apart.csv")]
    for path in paths:
        rows = [question.measurement._replace(source=path.stem) for question in simulated[::4]]
        write_measurements(path, rows)
    one, two, apart = map(str, paths)

    found = json.loads(
        invoke(
            *("calibrate", "--measurements", one, "--measurements", two, "--leave-out", "source"),
            *("--held-out", apart, "--json"),
        )
    )

    kinds = {stranger["kind"]: stranger for stranger in found["strangers"]}
    assert set(kinds) == {"sources", "held out"}
    assert kinds["sources"]["groups"] == 2
    assert kinds["held out"]["level"] == "own"
    assert kinds["held out"]["errors"]["median_ape"] < 0.1
    assert "vllm interference" in found["undetermined"]  # no row is of a server
    assert not found["engines"]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ([], "--engine is needed: the measurements have"),
        (["--engine", "vllm-2024"], "--device-class is needed"),
        (["--engine", "nobody"], "--engine: no measurement of 'nobody'; there are:"),
        (["--engine", "vllm", "--device-class", "tpu"], "--device-class: no measurement of 'tpu'"),
        (["-o", "out.txt"], "must end in .toml"),
        (["--name", "My Engine"], "--name: 'My Engine'"),
        (["--all-engines", "--engine", "vllm"], "--all-engines fits every engine"),
        (["--all-engines", "-o", "nowhere"], "is not a directory"),
        (["--leave-out", "source", "--all-engines"], "--leave-out scores a fit of every engine"),
        (["--leave-out", "source", "-o", "x.toml"], "--leave-out scores a fit of every engine"),
        (["--held-out", "x.csv"], "--held-out needs --leave-out or --all-engines"),
    ],
)
def test_faults_of_calibrate(arguments, fault):
    printed = invoke("calibrate", *arguments, code=2)

    assert fault in " ".join(printed.split())
    assert "Traceback" not in printed


def test_from_a_benchmark_to_a_sweep(tmp_path):
    """Three commands: import the results, calibrate, sweep what-ifs with the calibrated engine."""
    result = {
        "date": "20260301-120000",
        "endpoint_type": "vllm",
        "backend": "vllm",
        "model_id": "meta-llama/Llama-3.1-8B-Instruct",
        "num_prompts": 640,
        "request_rate": "inf",
        "max_concurrency": 64,
        "completed": 640,
        "request_throughput": 10.7,
        "total_input_tokens": 640 * 1024,
        "total_output_tokens": 640 * 256,
        "duration": 60.0,
        "output_throughput": 2730.0,
        "mean_ttft_ms": 150.0,
        "mean_tpot_ms": 14.0,
    }
    source, table, engine = (tmp_path / name for name in ("serve.json", "own.csv", "own.toml"))
    source.write_text(json.dumps(result))
    spec = tmp_path / "what-if.toml"
    spec.write_text(
        '[axes]\nmodel = ["llama-3.1-8b"]\ndevice = ["h100-sxm"]\nengine = ["./own.toml", "vllm"]\n'
        'scheduler = ["continuous"]\nbatch = [64]\ninput_len = [1024]\noutput_len = [256]\n'
        '[what_if]\n"device.memory_bandwidth" = { scale = [1, 2] }\n'
    )

    invoke("measurements", "import", str(source), "-o", str(table), "--set", "hardware=h100-sxm")
    invoke("calibrate", "--measurements", str(table), "-o", str(engine))
    invoke("run", str(spec), "-o", str(tmp_path / "run"), "--quiet")

    import polars as pl  # noqa: PLC0415

    frame = pl.scan_parquet(tmp_path / "run" / "data" / "*.parquet").collect()
    own = frame.filter(pl.col("engine") != "vllm")["tpot_s"]
    before = frame.filter(pl.col("engine") == "vllm")["tpot_s"]
    assert abs(own[0] - 0.014) < 0.5 * abs(before[0] - 0.014)  # the measurement drew it nearer
    assert own[1] < own[0]


HEAD = "model,hardware,metric,value,unit,engine,mode,concurrency,input_len,output_len,tp"
LOADS = {1: (0.0081, 0.035), 16: (0.0115, 0.088), 64: (0.0202, 0.320)}
ELSEWHERE = (("llama-3.1-8b", "a100-80gb-sxm", "bf16"), ("llama-3.1-8b", "rtx-4090", "q4_k_m"))


@pytest.fixture
def table(tmp_path):
    """Write a table of three loads, with other values of TPOT or further rows."""

    def written(scale=1.0, more=()):
        lines = [HEAD]
        for load, (tpot, ttft) in LOADS.items():
            shape = f"vllm,closed_loop,{load},1024,256,1"
            lines.append(f"llama-3.1-8b,h100-sxm,tpot_s,{tpot * scale:.6g},s,{shape}")
            lines.append(f"llama-3.1-8b,h100-sxm,ttft_s,{ttft * scale:.6g},s,{shape}")
        path = tmp_path / "mine.csv"
        path.write_text("\n".join((*lines, *more)) + "\n", encoding="utf-8")
        return str(path)

    return written


def test_a_table_in_milliseconds_is_refused(table, tmp_path):
    output = tmp_path / "mine.toml"
    (line,) = invoke(
        "calibrate", "--measurements", table(1000.0), "-o", str(output), code=2
    ).splitlines()

    assert "every row looks wrong: line 2: tpot_s 8.1 s is" in line
    assert "probably milliseconds" in line
    assert not output.exists()


def test_rows_beyond_the_bound_are_left_out(table):
    slow = "llama-3.1-8b,h100-sxm,tpot_s,0.002,s,vllm,closed_loop,8,1024,256,1"
    printed = invoke("calibrate", "--measurements", table(more=[slow]))

    assert "1 row looks wrong, left out" in printed
    assert "line 8: tpot_s 0.002 s is" in printed


def test_contradictory_rows_are_left_out(table):
    again = "llama-3.1-8b,h100-sxm,tpot_s,0.02,s,vllm,closed_loop,1,1024,256,1"
    printed = invoke("calibrate", "--measurements", table(more=[again]))

    assert "2 rows look wrong, left out" in printed
    assert "contradict each other" in printed


def test_one_row_determines_little_and_is_told_how_to_measure_more(tmp_path):
    path = tmp_path / "one.csv"
    path.write_text(
        f"{HEAD}\nllama-3.1-8b,h100-sxm,tpot_s,0.0105,s,vllm,closed_loop,16,1024,256,1\n"
    )
    printed = invoke("calibrate", "--measurements", str(path))

    assert "not determined by these rows" in printed
    assert "concurrency 1, 8 and 64" in " ".join(printed.split())
    assert "nothing could be left out" in " ".join(printed.split())


def test_one_model_on_one_device_gets_a_held_out_figure(table):
    assert "load left out" in invoke("calibrate", "--measurements", table())


def test_an_implausible_factor_is_refused(table):
    path = table(12.0)
    (line,) = invoke("calibrate", "--measurements", path, code=2).splitlines()

    assert "the rows need implausible factors on constants" in line
    assert "(line " in line
    assert "--keep-suspect" in line
    assert "factor" in invoke("calibrate", "--measurements", path, "--keep-suspect")


@pytest.mark.parametrize("scale", [0.9, 1.2])
def test_no_unrelated_device_is_predicted_differently(table, tmp_path, scale):
    output = tmp_path / "mine.toml"
    invoke("calibrate", "--measurements", table(scale), "-o", str(output))
    for model, device, weights in ELSEWHERE:
        of_engine = [
            json.loads(
                invoke(
                    "point", model, device, "--engine", name, "--weight-format", weights, "--json"
                )
            )["tpot_s"]
            for name in ("vllm", str(output))
        ]
        assert of_engine[1] == pytest.approx(of_engine[0], rel=0.05)


def test_an_interval_of_one_model_is_no_narrower_than_that_of_its_class(table, tmp_path):
    output = tmp_path / "mine.toml"
    invoke("calibrate", "--measurements", table(), "-o", str(output))
    wide, narrow = (
        json.loads(
            invoke("point", "llama-3.1-70b", "h100-sxm", "--engine", engine, "--tp", "4", "--json")
        )
        for engine in (str(output), "vllm")
    )

    assert wide["tpot_high_s"] / wide["tpot_s"] > narrow["tpot_high_s"] / narrow["tpot_s"]
