"""Rows to type results into that no reader knows."""

from collections.abc import Iterator, Mapping
from typing import Final

from perfcore.accuracy.importing.fields import MEAN
from perfcore.accuracy.sanity import EXAMPLE_NOTE
from perfcore.accuracy.table import METRICS, Measurement

_EXAMPLE: Final = Measurement(
    row_id="",
    set="",
    mode="closed_loop",
    source="own",
    source_ref="typed in",
    licence="",
    date="",
    engine="vllm",
    engine_version="",
    hardware="h100-sxm",
    model="llama-3.1-8b",
    weight_format="bf16",
    weight_bits=None,
    kv_format="",
    tp=1,
    pp=1,
    ep=1,
    dp=1,
    devices=1,
    concurrency=16.0,
    input_len=1024.0,
    output_len=256.0,
    metric="tpot_s",
    value=0.0105,
    unit="s",
    task_note=EXAMPLE_NOTE,
)
# Values that an example would have, so that nobody takes milliseconds for seconds.
_VALUES: Final = {
    "tpot_s": 0.0105,
    "ttft_s": 0.085,
    "e2e_latency_s": 2.76,
    "prefill_tokens_per_s": 21000.0,
    "output_tokens_per_s_per_device": 1480.0,
    "energy_j_per_output_token": 0.42,
    "power_w_per_device": 610.0,
}


def template_rows(given: Mapping[str, object]) -> Iterator[Measurement]:
    """Yield a row for each metric, with what is given."""
    told = {name: value for name, value in given.items() if value != MEAN}
    row = _EXAMPLE._replace(**told)  # type: ignore[arg-type]
    row = row._replace(devices=int(row.tp) * int(row.pp) * int(row.dp))
    for metric, units in METRICS.items():
        alone = metric in ("prefill_tokens_per_s", "e2e_latency_s")
        yield row._replace(
            metric=metric,
            value=_VALUES[metric],
            unit=units[0],
            mode="static" if alone and "mode" not in told else row.mode,
            concurrency=1.0 if alone and "concurrency" not in told else row.concurrency,
        )


def typed_row(given: Mapping[str, object]) -> Measurement:
    """Return a row of one sequence for a typed-in number and the given columns."""
    plain = _EXAMPLE._replace(
        mode="static" if given.get("concurrency", 1.0) == 1.0 else "closed_loop",
        engine="default",
        concurrency=1.0,
        task_note="",
    )
    row = plain._replace(**given)  # type: ignore[arg-type]
    if row.mode == "saturation" and "concurrency" not in given:
        row = row._replace(concurrency=None)
    return row._replace(devices=int(row.tp) * int(row.pp) * int(row.dp))
