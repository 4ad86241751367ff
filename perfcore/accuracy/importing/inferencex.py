"""InferenceX (InferenceMAX): aggregated results, one object per configuration; times are seconds.

Source of the fields: utils/process_result.py of SemiAnalysisAI/InferenceX.
"""

from collections.abc import Iterator
from typing import Final

from perfcore.accuracy.importing import servers
from perfcore.accuracy.importing.documents import Record
from perfcore.accuracy.importing.fields import (
    Reading,
    Run,
    Tool,
    count,
    first_text,
    measured,
    percentiles,
    text_of,
)
from perfcore.accuracy.importing.names import native_format

_KEYS: Final = {"hw", "conc", "isl", "osl", "mean_ttft", "mean_tpot"}
_ENGINES: Final = {
    "vllm": "vllm",
    "sglang": "sglang",
    "trt": "trtllm",
    "trtllm": "trtllm",
    "tensorrt-llm": "trtllm",
}
_OFF: Final = ("", "none", "false", "off", "0")


def matches(record: Record) -> bool:
    """Return whether a record is a result of InferenceX."""
    return record.keys() >= _KEYS


def read(record: Record, reading: Reading) -> Iterator[Run | str]:
    """Yield the run of a result, or the reason why it is left out."""
    if str(record.get("spec_decoding", "none")).lower() not in _OFF:
        yield f"speculative decoding has no column (spec_decoding {record.get('spec_decoding')})"
        return
    if servers.truth(record.get("disagg")) or servers.truth(record.get("is_multinode")):
        yield "prefill and decode on different servers have no column"
        return
    hardware, model = text_of(record, "hw"), text_of(record, "model")
    name = reading.names.model(model)
    device = next(
        (
            found
            for text in (hardware, hardware.partition("-")[0], f"{hardware.partition('-')[0]}-sxm")
            if (found := reading.names.device(text))
        ),
        hardware,
    )
    times = {"ttft_s": "ttft", "tpot_s": "tpot"}
    framework = first_text(record, "framework", "engine").lower()
    degrees: dict[str, object] = {"tp": record.get("tp")}
    if servers.truth(record.get("dp_attention")):
        degrees = servers.attention_groups(count(record, "tp"), count(record, "tp"))
    yield Run(
        {
            "mode": "closed_loop",
            "engine": _ENGINES.get(framework.removeprefix("dynamo-"), framework),
            "hardware": device,
            "model": name or model,
            "weight_format": _format(text_of(record, "precision").lower(), name, device),
            "concurrency": record.get("conc"),
            "input_len": record.get("isl"),
            "output_len": record.get("osl"),
            **degrees,
            "ep": record.get("ep"),
            "date": text_of(record, "date")[:10],
        },
        {metric: measured(record, f"mean_{key}", reading.place) for metric, key in times.items()},
        spreads={
            metric: percentiles(record, {stat: f"{stat}_{key}" for stat in ("median", "p99")})
            for metric, key in times.items()
        },
    )


def _format(precision: str, model: str, device: str) -> str:
    """Return the format of a precision: fp4 means another one to each vendor."""
    native = native_format(model) if model else ""
    if precision == "fp4":
        return "mxfp4" if native == "mxfp4" or device.startswith("mi") else "nvfp4"
    return native if native.startswith(precision) and precision else precision


TOOL: Final = Tool(
    name="InferenceX (InferenceMAX)",
    files="JSON of results",
    rows="ttft_s, tpot_s (closed_loop)",
    states="model, hardware, engine, weight_format, tp, ep, concurrency, nominal lengths",
    lacks="nothing",
    matches=matches,
    read=read,
)
