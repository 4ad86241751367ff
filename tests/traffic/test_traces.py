"""Readers of traces, and what they say about bad ones."""

import json

import numpy as np
import pytest

from perfcore.errors import InputError
from perfcore.traffic import traces
from perfcore.traffic.traces import first_rows, read_trace, replayed

HEADER = "arrival_s,input_len,output_len"
AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens\r
2023-11-16 18:59:59.9799600,4808,10\r
2023-11-16 19:00:00.0319600,3180,8\r
"""
MOONCAKE = """{"timestamp": 500, "input_length": 1500, "output_length": 5, "hash_ids": [0, 1, 2]}
{"timestamp": 2500, "input_length": 1024, "output_length": 7, "hash_ids": [0, 3]}
{"timestamp": 2500, "input_length": 1024, "output_length": 7, "hash_ids": [4, 3]}
"""
VLLM = {
    "backend": "vllm",
    "completed": 2,
    "start_times": [12.5, 11.0, 12.0],
    "input_lens": [100, 200, 300],
    "output_lens": [5, 6, 0],
    "errors": ["", "", "failed"],
}


def aiperf(start, tokens, session="a", **told):
    metrics = {
        "input_sequence_length": {"value": tokens, "unit": "tokens"},
        "output_sequence_length": {"value": 9.0, "unit": "tokens"},
    }
    metadata = {"x_correlation_id": session, "request_start_ns": start, **told}
    return json.dumps({"metadata": metadata, "metrics": metrics, "error": None})


@pytest.fixture
def read(tmp_path):
    def read(text, name="trace.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_trace(path)

    return read


@pytest.fixture
def refused(read):
    def refused(text):
        with pytest.raises(InputError) as caught:
            read(text)
        (fault,) = caught.value.faults
        return fault.partition("trace.csv: ")[2]

    return refused


def test_csv(read):
    trace = read(f"{HEADER},ttft_s\n2.5,1Ki,5,0.1\n\n 4.0 ,20,1e1,0.2\n")

    assert trace.arrival_s.tolist() == [0.0, 1.5]
    assert trace.input_len.tolist() == [1024, 20]
    assert trace.output_len.tolist() == [5, 10]
    assert trace.session.tolist() == [-1, -1]


def test_csv_with_sessions_and_prefixes(read):
    trace = read(
        f"\ufeff{HEADER},session,prefix,prefix_len\n0,100,9,a,chat,32\n1,50,9,,chat,32\n2,140,9,a,,\n"
    )
    requests = replayed(trace)

    assert trace.session.tolist() == [0, -1, 0]
    assert trace.shared.tokens.tolist() == [32, 32, 0]
    assert requests.first_block.tolist() == [0, 2, 4, 4]  # another prefix: another context
    assert requests.block_hash.tolist() == [0, 1, 0, 1]


def test_csv_with_priorities(read):
    trace = read(f"{HEADER},priority\n0,9,9,1\n1,9,9,\n2,9,9,-3\n")

    assert replayed(first_rows(trace, 2), repeat=2).priority.tolist() == [1, 0, 1, 0]
    assert trace.priority.tolist() == [1, 0, -3]


def test_azure(read):
    trace = read(AZURE)

    assert trace.arrival_s == pytest.approx([0.0, 0.052])
    assert trace.input_len.tolist() == [4808, 3180]
    assert trace.output_len.tolist() == [10, 8]


def test_azure_with_a_time_zone(read):
    text = AZURE.replace("9799600", "979960+00:00").replace("0319600", "031960+00:00")

    assert read(text).arrival_s == pytest.approx([0.0, 0.052])


def test_mooncake(read):
    """A block is the same after the same blocks only; a last block that is not full is left out."""
    trace = read(MOONCAKE)
    offsets, ids = trace.hashes

    assert trace.arrival_s.tolist() == [0.0, 2.0, 2.0]
    assert offsets.tolist() == [0, 2, 4, 6]
    assert ids.tolist() == [0, 1, 0, 2, 3, 4]
    assert replayed(trace).block_tokens == 512


def test_vllm(read):
    trace = read(json.dumps(VLLM, indent=2), "result.json")

    assert trace.arrival_s.tolist() == [0.0, 1.5]
    assert trace.input_len.tolist() == [200, 100]


def test_aiperf(read):
    second = 1_000_000_000
    start = 1_759_813_207_532_900_363
    lines = [
        aiperf(start, 100),
        aiperf(start - second, 90, "b"),
        aiperf(start + 2 * second, 300),
        aiperf(start, 7, benchmark_phase="warmup"),
        aiperf(start, 7).replace("null", '{"code": 499}'),
    ]
    trace = read("\n".join(lines), "profile_export.jsonl")

    assert trace.arrival_s == pytest.approx([0.0, 1.0, 3.0], abs=1e-9)
    assert trace.input_len.tolist() == [90, 100, 300]
    assert trace.session.tolist() == [1, 0, 0]
    single = read("\n".join(lines[:2]), "profile_export.jsonl")
    assert single.session.tolist() == [-1, -1]


def test_replay(read):
    trace = read(MOONCAKE)
    once, twice = replayed(trace), replayed(trace, repeat=2, speed=2.0)

    assert twice.arrival_s.tolist() == pytest.approx([0, 1, 1, 4 / 3, 7 / 3, 7 / 3])
    assert twice.first_block.tolist() == [0, 2, 4, 6, 8, 10, 12]
    assert twice.block_hash[:6].tolist() == once.block_hash.tolist()
    assert not set(twice.block_hash[:6]) & set(twice.block_hash[6:])
    assert replayed(first_rows(trace, 1)).block_hash.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "",
            "is empty; the first line names the columns: arrival_s,input_len,output_len[,session]",
        ),
        (f"{HEADER}\n", "has no request; a trace has the columns"),
        (
            f"{HEADER}\n3,1,1\n2.5,1,1\n",
            "line 3: arrives at 2.5 s, before the request above it (3 s)",
        ),
        (f"{HEADER}\n-1,1,1\n", "line 2.arrival_s: "),
        (f"{HEADER}\n0,-5,1\n", "is out of bounds; write a whole number from 1 to "),
        (f"{HEADER}\n0,1,0\n", "is out of bounds; write a whole number from 1 to "),
        (f"{HEADER}\n0,1.5,1\n", "is out of bounds; write a whole number from 1 to "),
        (f"{HEADER}\nnan,1,1\n", "nan is not finite"),
        (f"{HEADER}\n0,inf,1\n", "inf is not finite"),
        (f"{HEADER}\n0,,1\n", "'' is not a count"),
        (f"{HEADER}\n0,many,1\n", "'many' is not a count"),
        (f"{HEADER}\n0,1\n", "line 2: 2 cells for 3 columns; is it cut off?"),
        ("arrival_s,input_len\n0,1\n", "line 1: column 'output_len' is missing"),
        (f"{HEADER},priority\n0,1,1,0.5\n", "line 2.priority: 0.5 is out of bounds"),
        (f"{HEADER},sesion\n0,1,1,a\n", "line 1: unknown column 'sesion'; did you mean 'session'?"),
        (f"{HEADER},input_len\n0,1,1,1\n", "line 1: a column appears twice; remove one"),
        (f"{HEADER},prefix,prefix_len\n0,9,1,a,10\n", "line 2: prefix_len 10 exceeds input_len 9"),
        (f'{HEADER}\n0,"1,1\n', "not valid CSV: unexpected end of data; check its quotes"),
        (b"\xff\xfe\x00", "line 1: is not UTF-8 text; save it as UTF-8"),
        (AZURE.replace("2023-11-16 19", "yesterday"), "is not a time like 2023-11-16 18:17:03.97"),
        (AZURE.replace("2023-11-16 19", "2023-13-16 19"), "is not a time like"),
        (MOONCAKE[:-20], "line 3: is not one JSON object; is it cut off?"),
        (MOONCAKE + "[]\n", "line 4: has a list in place of a request"),
        (MOONCAKE.replace("[4, 3]", "7"), "line 3.hash_ids: 7 is not a list"),
        (MOONCAKE.replace("[4, 3]", "[null]"), "line 3.hash_ids: None is not the id of a block"),
        (MOONCAKE.replace("[4, 3]", "[[4]]"), "line 3.hash_ids: [4] is not the id of a block"),
        (MOONCAKE.replace('"output_length": 7', '"output_length": NaN'), "nan is not finite"),
        (MOONCAKE.replace("2500", "9" * 400), "is out of bounds; write a number from 0 to "),
        (MOONCAKE.replace('"output_length": 7', '"output_length": true'), "True is not a number"),
        (MOONCAKE.replace('"output_length": 7', '"x": 7'), "None is not a number"),
        ("[1, 2]", "has no requests; save them with vllm bench serve's option save-detailed"),
        ("{", "is neither CSV, JSON lines nor one JSON document"),
        (json.dumps(VLLM | {"input_lens": [1]}), "input_lens and output_lens differ in length"),
        (json.dumps({"input_lens": [1]}), "has no start_times"),
        (aiperf(10**400, 5), "is not a time in nanoseconds"),
        (aiperf("now", 5), "line 1.request_start_ns: 'now' is not a time in nanoseconds"),
        ('{"metrics": 7}', "line 1: has no metadata or metrics"),
    ],
)
def test_bad_traces_give_one_clear_line(refused, text, fault):
    assert fault in refused(text)


def test_traces_are_bounded(refused, read, monkeypatch):
    rows = f"{HEADER}\n" + "0,1,1\n" * 20
    monkeypatch.setattr(traces, "MOST_REQUESTS", 30)
    with pytest.raises(InputError, match="20 requests 2 times are more than 30; repeat fewer"):
        replayed(read(rows), repeat=2)
    monkeypatch.setattr(traces, "MOST_REQUESTS", 10)
    assert refused(rows) == "has more than 10 requests; cut out a part"
    monkeypatch.setattr(traces, "MOST_HASHES", 3)
    assert refused(MOONCAKE) == "has more than 3 hashes; cut out a part"
    monkeypatch.setattr(traces, "_LONGEST", 10)
    assert refused(rows) == "line 1: is longer than 0 MiB; is this a trace?"
    monkeypatch.setattr(traces, "LARGEST", 8)
    assert refused(rows) == "is larger than 0 GiB, more than 10 requests; cut out a part"


@pytest.mark.parametrize("name", ["", "none.csv"])
def test_files_that_are_not_there(tmp_path, name):
    with pytest.raises(InputError, match=r"is not a file|no such file"):
        read_trace(tmp_path / name)


def test_a_long_trace_is_read_fast(read):
    rows = np.arange(100_000)
    text = "\n".join(f"{row / 10},{row % 4000 + 1},{row % 500 + 1}" for row in rows)

    assert len(read(f"{HEADER}\n{text}\n").arrival_s) == 100_000
