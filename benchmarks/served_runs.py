"""Simulated servers against measured ones, and beside them what other simulators reach.

    git clone https://github.com/casys-kaist/LLMServingSim
    git clone https://github.com/inference-sim/sim-to-real-accuracy-validation
    python benchmarks/served_runs.py LLMServingSim sim-to-real-accuracy-validation

The first repository has the requests of vLLM 0.19 servers, one by one. The second has figures of
vLLM 0.15 servers under Poisson arrivals and the predictions of five simulators for them. Its load
is a system prompt, a question and an answer of equal lengths; how many different questions there
are is not published. Prints the tables of docs/traffic.md.
"""

import argparse
import csv
import json
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from perfcore import simulate

FIGURES: Final = ("e2e_mean", "e2e_p90", "e2e_p99", "tpot_mean", "ttft_mean")
Errors = dict[str, float]


class Requests(NamedTuple):
    """A run whose requests are published."""

    title: str
    folder: str
    options: dict[str, Any]


REQUESTS: Final = (
    Requests("Llama 3.1 8B, RTX 4090, KV cache too small", "RTX4090/Llama-3.1-8B",
             {"model": "llama-3.1-8b", "device": "rtx-4090", "max_sequences": 256,
              "kv_tokens": 41_408}),
    Requests("Llama 3.1 8B, RTX PRO 6000 Server", "RTXPRO6000/Llama-3.1-8B",
             {"model": "llama-3.1-8b", "device": "rtx-pro-6000-server"}),
    Requests("Qwen3 32B, 2 RTX PRO 6000 Server", "RTXPRO6000/Qwen3-32B",
             {"model": "qwen3-32b", "device": "rtx-pro-6000-server", "tp": 2}),
    Requests("Qwen3 30B-A3B, 2 RTX PRO 6000 Server", "RTXPRO6000/Qwen3-30B-A3B-Instruct-2507",
             {"model": "qwen3-30b-a3b", "device": "rtx-pro-6000-server", "dp": 2, "ep": 2}),
)  # fmt: skip


class Load(NamedTuple):
    """Load of a server: stages of Poisson arrivals, and tokens of the parts of a request."""

    rate: str
    system_prompts: int
    question: int
    answer: int


SYSTEM_PROMPT: Final = 100  # tokens, of every load
REPEATS: Final = 5  # different questions per system prompt if the generator repeats them
LOADS: Final = {
    "codegen": Load("5@600s,10@600s", 11, 466, 247),
    "general": Load("2.5@600s,6@600s", 9, 447, 248),
    "reasoning": Load("1@1200s", 23, 934, 1448),
}


class Served(NamedTuple):
    """A run of which figures are published, by the start of its name."""

    title: str
    run: str
    load: str
    options: dict[str, Any]


SERVED: Final = (
    Served("Llama 4 Scout, 2 H100, code", "20-", "codegen",
           {"model": "llama-4-scout", "tp": 2, "weight_format": "fp8"}),
    Served("Llama 3.1 70B, 4 H100, code", "61-", "codegen", {"model": "llama-3.1-70b", "tp": 4}),
    Served("Mistral Nemo 12B, 2 H100, chat", "62-", "general",
           {"model": "mistral-nemo-12b", "tp": 2}),
    Served("Qwen2.5 7B, H100, reasoning", "66-", "reasoning", {"model": "qwen2.5-7b"}),
    Served("Llama 2 7B, H100, code", "20260217", "codegen", {"model": "llama-2-7b"}),
    Served("Llama 4 Scout, 2 H100, chat", "17-", "general",
           {"model": "llama-4-scout", "tp": 2, "weight_format": "fp8"}),
    Served("Llama 4 Scout, 2 H100, reasoning", "48-", "reasoning",
           {"model": "llama-4-scout", "tp": 2, "weight_format": "fp8"}),
    Served("Llama 3.1 70B, 4 H100, chat", "60-", "general", {"model": "llama-3.1-70b", "tp": 4}),
    Served("Mistral Nemo 12B, H100, code", "63-", "codegen", {"model": "mistral-nemo-12b"}),
    Served("Yi 34B, 2 H100, chat", "65-", "general", {"model": "yi-34b", "tp": 2}),
    Served("Llama 2 7B, H100, reasoning", "67-", "reasoning", {"model": "llama-2-7b"}),
)  # fmt: skip


def errors(predicted: Mapping[str, Any], measured: Errors) -> Errors:
    """Return relative errors of a simulation's figures. [%]"""
    return {name: 100.0 * (predicted[f"{name}_s"] / measured[name] - 1.0) for name in FIGURES}


def request_by_request(run: Requests, repository: Path) -> Errors:
    """Replay the requests of a run at their times."""
    path = repository / "bench/examples" / run.folder / "vllm/requests.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    arrival, queued, first, last = (
        np.array([row[name] for row in rows])
        for name in ("arrival_time", "queued_ts", "first_token_ts", "last_token_ts")
    )
    arrival -= arrival.min()
    clock = (queued - arrival).min()  # the server's clock at the first arrival
    ttft, e2e = first - clock - arrival, last - clock - arrival
    further = np.array([row["output_toks"] - 1 for row in rows])
    tpot = ((e2e - ttft) / np.maximum(further, 1))[further > 0]
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.csv"
        lines = [
            f"{arrival[i]:.6f},{rows[i]['input_toks']},{rows[i]['output_toks']}"
            for i in np.argsort(arrival)
        ]
        trace.write_text("\n".join(("arrival_s,input_len,output_len", *lines)) + "\n")
        given = {"max_sequences": 128, "weight_format": "bf16", **run.options}
        model, device = given.pop("model"), given.pop("device")
        found = simulate(model, device, engine="vllm-0.14", trace=str(trace), budget=2048, **given)
    measured = {
        "e2e_mean": e2e.mean(),
        "e2e_p90": np.quantile(e2e, 0.9),
        "e2e_p99": np.quantile(e2e, 0.99),
        "tpot_mean": tpot.mean(),
        "ttft_mean": ttft.mean(),
    }
    return errors(found, measured)


def published(repository: Path) -> list[dict[str, str]]:
    """Return all figures of all runs, measured and as predicted by other simulators."""
    with (repository / "results_trainval/error_records.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["stage_index"] == "-1"]


def of_run(rows: list[dict[str, str]], run: Served) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Yield simulator, figure and row of a run; the time between tokens is our TPOT."""
    for row in rows:
        if Path(row["experiment_folder"]).name.startswith(run.run):
            name = row["metric_name"].replace("itl_mean", "tpot_mean")
            if name in FIGURES:
                yield row["simulator"], name, row


def by_figures(run: Served, measured: Errors, *, repeated: bool) -> Errors:
    """Simulate a run with questions that are all different, or with a few that are repeated."""
    load = LOADS[run.load]
    given = {"weight_format": "bf16", **run.options}
    if repeated:
        whole = SYSTEM_PROMPT + load.question
        prompt = {
            "system_prompt": whole - 32,
            "prompts": REPEATS * load.system_prompts,
            "input_len": "32",
        }
    else:
        prompt = {
            "system_prompt": SYSTEM_PROMPT,
            "prompts": load.system_prompts,
            "input_len": str(load.question),
        }
    found = simulate(
        given.pop("model"),
        "h100-sxm",
        engine="vllm-0.14",
        rate=load.rate,
        output_len=str(load.answer),
        max_sequences=128,
        budget=2048,
        **prompt,
        **given,
    )
    return errors(found, measured)


def cells(found: Errors) -> str:
    """Return errors as cells of a table."""
    ends = ", ".join(f"{found[name]:+.0f}" for name in FIGURES[:3])
    return f"{ends} % | {found['tpot_mean']:+.0f} % | {found['ttft_mean']:+.0f} %"


def medians(found: list[Errors]) -> str:
    """Return medians of absolute errors as cells of a table, of those that exist."""
    of = [
        statistics.median(each)
        if (each := [abs(one[name]) for one in found if name in one])
        else None
        for name in FIGURES
    ]
    text = ["-" if one is None else f"{one:.0f}" for one in of]
    return f"{', '.join(text[:3])} % | {text[3]} % | {text[4]} %"


def main() -> None:
    """Print two tables: this simulation on each run, and the medians of others."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("llmservingsim", type=Path)
    parser.add_argument("sim_to_real", type=Path)
    paths = parser.parse_args()

    print("| run | end to end | TPOT | TTFT |\n| --- | ---: | ---: | ---: |")
    singly = [request_by_request(run, paths.llmservingsim) for run in REQUESTS]
    for run, found in zip(REQUESTS, singly, strict=True):
        print(f"| {run.title} | {cells(found)} |")
    rows = published(paths.sim_to_real)
    others: dict[str, list[Errors]] = {}
    ours: dict[bool, list[Errors]] = {False: [], True: []}
    for run in SERVED:
        measured, predicted = {}, {}
        for simulator, name, row in of_run(rows, run):
            measured[name] = float(row["actual"]) / 1e3
            predicted.setdefault(simulator, {})[name] = float(row["mpe"])
        for simulator, each in predicted.items():
            others.setdefault(simulator, []).append(each)
        for repeated, found in ours.items():
            found.append(by_figures(run, measured, repeated=repeated))
        print(f"| {run.title} | {cells(ours[True][-1])} |")

    print("\n| simulator | runs | end to end | TPOT | TTFT |\n| --- | ---: | ---: | ---: | ---: |")
    for title, found in (
        ("perfcore, questions repeated", ours[True]),
        ("perfcore, all questions different", ours[False]),
        *sorted(others.items()),
    ):
        print(f"| {title} | {len(found)} | {medians(found)} |")
    print(f"\nrequest by request, median of {len(singly)}: {medians(singly)}")


if __name__ == "__main__":
    main()
