"""Rows evaluated as they were configured."""

import pytest

from accuracy.measured import HEADER, ROW, asked
from perfcore import records
from perfcore.accuracy.prediction import (
    batch_of,
    engine_table,
    evaluate_points,
    predicted,
    questions,
    without_engine,
)
from perfcore.accuracy.scores import score
from perfcore.accuracy.table import read_measurements
from perfcore.configuration.configuration import Configuration
from perfcore.physics.stages.point import Point

METRIC_OF_POINT = {
    "tpot_s": lambda point: point.tpot_s,
    "ttft_s": lambda point: point.ttft_s,
    "e2e_latency_s": lambda point: point.e2e_latency_s,
    "prefill_tokens_per_s": lambda point: 16 * 1024 / point.ttft_s,
    "power_w_per_device": lambda point: point.power_w,
    "energy_j_per_output_token": lambda point: point.power_w * point.e2e_latency_s / (16 * 256),
}


@pytest.mark.parametrize("metric", METRIC_OF_POINT)
def test_a_static_row_is_what_point_says(write, metric):
    (question,) = asked(ROW.replace("tpot_s", metric), write=write)
    batch = batch_of([question])

    (value,) = predicted(batch, evaluate_points(batch, engine_table(batch)))

    point = Configuration(
        "llama-3.1-8b", "h100-sxm", engine="vllm", batch=16, input_len=1024, output_len=256
    ).evaluate()
    assert value == pytest.approx(METRIC_OF_POINT[metric](point), rel=1e-12)


def test_a_server_runs_what_was_in_flight(write):
    line = ROW.replace("static,16", "closed_loop,1500")
    (question,) = asked(line.replace("256,1,1", "64,1,1"), write=write)
    batch = batch_of([question])

    points = evaluate_points(batch, engine_table(batch))

    # more than the engine's default of sequences, and more than fit wait
    assert points[Point._fields.index("running_batch"), 0] > 390
    assert question.deployment.scheduler == records.SCHEDULER_CONTINUOUS


def test_saturation_runs_as_many_as_fit(write):
    line = ROW.replace("tpot_s", "output_tokens_per_s_per_device").replace(
        "static,16", "saturation,"
    )
    (question,) = asked(line, write=write)
    batch = batch_of([question])

    points = evaluate_points(batch, engine_table(batch))

    column = {name: points[index, 0] for index, name in enumerate(Point._fields)}
    assert column["running_batch"] == min(column["max_batch"], 1024)
    (value,) = predicted(batch, points)
    # Little's law: all in flight, waiting ones too, finish 256 tokens each in their whole time
    in_flight = question.deployment.batch
    assert value == pytest.approx(in_flight * 256 / column["e2e_latency_s"])
    writing = value * column["tpot_s"]
    assert 0.95 * column["running_batch"] < writing < column["running_batch"]  # others prefill


def test_an_older_release_is_found_by_its_date(licensed):
    found, _ = questions(licensed)
    by_source = {}
    for question in found:
        by_source.setdefault(question.measurement.source, set()).add(question.engine.name)

    assert by_source["argonne"] == {"vllm-2024", "trtllm-2024"}
    assert by_source["ml_energy_v2"] == {"vllm-2024"}
    assert by_source["inferencex"] == {"vllm", "vllm-0.14", "vllm-0.17", "trtllm", "sglang"}


@pytest.mark.parametrize(
    ("date", "name", "peers"),
    [
        ("2024-07", "mean-2024", {"default", "vllm-2024", "trtllm-2024", "llamacpp-2024"}),
        ("2026-01-31", "mean-2026", {"default", "vllm", "trtllm", "sglang", "llamacpp"}),
        ("", "mean-2026", {"default", "vllm", "trtllm", "sglang", "llamacpp"}),
    ],
)
def test_an_unknown_engine_is_the_mean_of_its_year_and_is_counted(write, date, name, peers):
    lines = (HEADER + ",date", ROW.replace("vllm", "nobody-knows") + f",{date}")
    found = score(read_measurements(write(*lines[1:], header=lines[0])))

    engine = found.rows[0].question.engine
    assert engine.name == name
    assert {peer.name for peer in engine.peers} == peers
    assert list(found.assumed.values()) == [1]
    assert "nobody-knows" in next(iter(found.assumed))


def test_an_unknown_engine_does_not_claim_the_interval_of_a_known_one(write):
    (known,) = score(read_measurements(write(ROW))).rows
    (unknown,) = score(read_measurements(write(ROW.replace("vllm", "nobody-knows")))).rows

    question = unknown.question
    assert question.engine.calibration(question.device, question.weight_format) == "unseen"
    assert unknown.high / unknown.low > known.high / known.low


def test_a_left_out_engine_is_none_of_its_own_releases(write):
    line = ROW + ",2024-07"
    (question,) = asked_with_date(line, write=write)

    left_out = without_engine(question)

    assert question.engine.name == "vllm-2024"
    assert {peer.name for peer in left_out.engine.peers} == {
        "default",
        "trtllm-2024",
        "llamacpp-2024",
    }


def asked_with_date(line, write):
    found, _ = questions(read_measurements(write(line, header=HEADER + ",date")))
    return found


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("meta-llama/Llama-3.1-8B", "my-model", "unknown model 'my-model'"),
        ("h100_sxm", "my-chip", "unknown device 'my-chip'"),
        ("static,16", "static,", "concurrency is not stated"),
        ("1024,256", "1024,", "output_len is not stated"),
    ],
)
def test_rows_that_cannot_be_evaluated_are_counted_with_the_reason(write, old, new, reason):
    found = score(read_measurements(write(ROW, ROW.replace(old, new))))

    assert len(found.rows) == 1
    assert [reason in known for known in found.reasons] == [True]
    assert sum(group.skipped for group in found.groups()) == 1


def test_what_a_row_of_gguf_says_of_its_width(write):
    header = HEADER.replace(",tp,devices", ",weight_format,weight_bits")
    line = ROW.replace("256,1,1", "256,q4_k_m,4.9").replace("vllm", "llamacpp")
    found, _ = questions(read_measurements(write(line, header=header)))

    assert found[0].record.bits == found[0].record.embedding_bits == 4.9


STACK = (
    "engine_version,backend,eager,runner,prefill_chunk,power_limit",
    "0.7.3,,true,offline,2048,300",
)


def test_the_stack_that_a_row_states_is_predicted(write):
    (question,), _ = questions(
        read_measurements(write(f"{ROW},{STACK[1]}", header=f"{HEADER},{STACK[0]}"))
    )
    batch = batch_of([question])

    (value,) = predicted(batch, evaluate_points(batch, engine_table(batch)))

    point = Configuration(
        "llama-3.1-8b",
        "h100-sxm",
        engine="vllm",
        engine_version="0.7.3",
        eager=True,
        runner="offline",
        prefill_chunk=2048,
        power_limit=300,
        batch=16,
        input_len=1024,
        output_len=256,
    ).evaluate()
    assert question.engine.name == "vllm-0.7"
    assert question.assumed == "runner offline: no time of a server is counted"
    assert value == pytest.approx(point.tpot_s, rel=1e-12)
    assert without_engine(question).stack == question.stack


def test_rows_of_different_stacks_have_constants_of_their_own(write):
    lines = [f"{ROW},{eager},{chunk}" for eager in ("true", "") for chunk in ("512", "")]
    found, _ = questions(read_measurements(write(*lines, header=f"{HEADER},eager,prefill_chunk")))

    assert len(batch_of(found).engines) == 4


def test_a_back_end_in_the_version_counts_if_the_device_has_it(write):
    row = ROW.replace("h100_sxm,vllm", "strix-halo,llamacpp").replace("static,16", "static,1")
    (vulkan, metal), _ = questions(
        read_measurements(
            write(f"{row},b8123 Vulkan", f"{row},b8123 Metal", header=HEADER + ",engine_version")
        )
    )

    assert vulkan.stack.backend == "vulkan"
    assert metal.stack.backend == ""


def test_a_stack_that_cannot_be_is_a_reason(write):
    (_, skipped) = questions(read_measurements(write(f"{ROW},900", header=f"{HEADER},power_limit")))

    assert skipped[0].reason.startswith("power_limit: 900 W is not between")
