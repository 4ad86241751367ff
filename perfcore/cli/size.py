"""``perfcore size``: the cheapest fleets that serve traffic within objectives."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from perfcore.cli.completion import entry_name
from perfcore.cli.document import markdown, show
from perfcore.cli.parsing import Command
from perfcore.cli.point import EXAMPLE, OVERRIDES, axis_options, parse_overrides
from perfcore.cli.simulate import (
    BESIDE,
    RULES,
    TRAFFIC,
    or_faults,
    replaced_options,
    rules_of,
    traffic_options,
)
from perfcore.cli.text import dump, json_option, markdown_option, rendered, set_option, width
from perfcore.errors import InputError, argument
from perfcore.inputs import PREFILL_AXES
from perfcore.limits import Limits
from perfcore.output import check_output, json_text, replacing
from perfcore.reading.csvfile import csv_text
from perfcore.reading.places import Place, number

if TYPE_CHECKING:
    from perfcore.fleets.fleets import Sizing
    from perfcore.traffic.synthetic import Traffic

LATENCIES: Final = {
    "ttft": "time to the first token",
    "tpot": "time per output token after the first",
    "itl": "time between two tokens",
    "e2e": "end-to-end latency",
}
STATISTICS: Final = ("mean", "p50", "p90", "p95", "p99")
SEVERAL: Final = ("device", "weight_format", "kv_format", "engine", "tp", "pp", "dp", "ep")
SINGLE: Final = ("economics", "draft_len", "acceptance", "acceptance_decay")
POOL_SEVERAL: Final = tuple(
    name for name in PREFILL_AXES if name not in ("prefill_ratio", "prefill_link")
)
POOL_SINGLE: Final = ("prefill_link",)
BESIDE_SEVERAL: Final = tuple(name for name in BESIDE if not name.endswith("_link"))
BESIDE_SINGLE: Final = ("expert_link", "draft_link")
_OF_RULES: Final = {
    name: option for name, option in RULES.items() if name not in ("replicas", "kv_tokens")
}
_TIME: Final = Limits("time", 0.0, 1e9, least=1e-9)
_COUNT: Final = Limits("count", 1, 2**20, whole=True)
_SUFFIXES: Final = (".csv", ".json")


def _objective_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add an option for a limit on each statistic of each latency."""
    for latency, meaning in reversed(LATENCIES.items()):
        for statistic in reversed(STATISTICS):
            command = click.option(
                f"--{latency}-{statistic}",
                default="",
                metavar="TIME",
                help=f"Limit on the {statistic} of the {meaning}.",
            )(command)
    return command


@click.command(cls=Command)
@click.argument("model", metavar="MODEL", shell_complete=entry_name("model"))
@_objective_options
@click.option(
    "--slo",
    metavar="CONDITION",
    multiple=True,
    help="Objective as text: ttft_p99_s<=1s, or tpot_s<=50ms for each request. Repeatable.",
)
@replaced_options
@traffic_options(TRAFFIC)
@axis_options(SEVERAL, several=True)
@axis_options(SINGLE)
@click.option(
    "--disaggregate",
    is_flag=True,
    help="Run prefill and decode on separate servers, of the same device unless --prefill-device "
    "is given. Every option of the prefill pool implies this.",
)
@axis_options(POOL_SEVERAL, several=True)
@axis_options(POOL_SINGLE)
@axis_options(BESIDE_SEVERAL, several=True)
@axis_options(BESIDE_SINGLE)
@click.option(
    "--power-limit",
    default="",
    metavar="W|SHARE%",
    help="Power limit of each device, if below the rated power.",
)
@click.option(
    "--tokens",
    metavar="N",
    help="Output tokens of a batch job, in place of a rate: 1e9. Needs --deadline.",
)
@click.option("--deadline", metavar="TIME", help="Time in which the job is done: 24h.")
@click.option(
    "--max-devices", default="4096", metavar="N", help="Maximum devices of a fleet [4096]."
)
@click.option("--top", default="8", metavar="N", help="Number of fleets to show [8].")
@traffic_options(_OF_RULES)
@click.option("--whole-prompts", is_flag=True, help="Prefill whole prompts, in separate steps.")
@click.option("--no-prefix-cache", is_flag=True, help="Switch off the prefix cache.")
@click.option("--sure", is_flag=True, help="Meet objectives at the upper ends of intervals.")
@set_option(EXAMPLE)
@click.option(
    "-o", "--output", metavar="FILE", help="Also write the fleets to a .csv or .json file."
)
@json_option
@markdown_option
def size(
    model: str,
    overrides: tuple[str, ...],
    slo: tuple[str, ...],
    output: str | None,
    whole_prompts: bool,
    no_prefix_cache: bool,
    sure: bool,
    disaggregate: bool,
    as_json: bool,
    as_markdown: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Find the cheapest fleets that serve traffic within objectives.

    size chooses devices, weight formats, layouts and the number of replicas: candidates are ranked
    by their steady state, ruled out by bounds, and confirmed by simulation. Each device and format
    has one row, with its percentiles, the headroom in rate, power and price, and the commands that
    start the cheapest fleet in vLLM, SGLang or TensorRT-LLM.

    Without --device, data-centre GPUs on the market are compared; the name of a device class
    selects all its devices. Options of layouts and formats take lists. With --disaggregate, prefill
    and decode run on separate servers, whose numbers are chosen together. With --draft-device or
    --expert-device, every server has further devices beside it, which are paid, too.

    \b
    perfcore size llama-3.1-8b --rate 50 --input-len 2048 --output-len 512 \\
        --ttft-p95 1s --tpot-p95 40ms
    perfcore size llama-3.3-70b --trace requests.csv --ttft-p99 2s --tpot-p95 50ms \\
        --device h100-sxm,h200-sxm,b200 --weight-format fp8 --engine vllm
    perfcore size gpt-oss-120b --rate 20 --e2e-p90 10s --device datacentre-gpu-hopper --json
    perfcore size llama-3.1-8b --tokens 1e9 --deadline 24h --input-len 500 --output-len 200
    perfcore size llama-3.1-8b --clients 200 --think-time 20s --e2e-p95 10s --device l40s,h100-sxm
    perfcore size qwen3-32b --rate 8 --input-len 6Ki --ttft-p95 1s --tpot-p95 30ms \\
        --device h20 --prefill-device h100-sxm,h20
    perfcore size gpt-oss-120b --rate 20 --ttft-p95 2s --tpot-p95 50ms --device h20 \\
        --expert-device h100-sxm,h20 --expert-devices 1,2
    """  # noqa: D301
    if as_json and as_markdown:
        raise click.UsageError("--json and --markdown exclude each other; give one")
    _check_output(output, options["trace"])

    from perfcore.fleets import fleets  # noqa: PLC0415 - NumPy is slow
    from perfcore.fleets.inputs import with_length  # noqa: PLC0415
    from perfcore.traffic.server import Rules  # noqa: PLC0415
    from perfcore.traffic.slo import objectives  # noqa: PLC0415

    changed, faults = parse_overrides(overrides)
    job = (options["tokens"], options["deadline"])
    if job != (None, None):
        given = [name for name in ("rate", "clients", "trace") if options[name] not in ("", "0")]
        faults += [f"--{name}: beside --tokens; leave out one of them" for name in given]
        if given:
            raise InputError(faults)
        options["rate"] = "1"  # replaced by the job's
    slos = or_faults(lambda: _limits(options) | objectives(slo), faults)
    traffic = or_faults(
        lambda: _traffic(options) if job != (None, None) else with_length(_traffic(options)),
        faults,
    )
    rules = or_faults(
        lambda: Rules(
            **rules_of({name: options[name] for name in _OF_RULES}),
            chunked=not whole_prompts,
            prefix_cache=not no_prefix_cache,
        ),
        faults,
    )
    most = number(options["max_devices"], _COUNT, Place(argument("max_devices"), "", faults))
    top = number(options["top"], _COUNT, Place(argument("top"), "", faults))
    if slos is None or traffic is None or rules is None or most is None or top is None or faults:
        raise InputError(OVERRIDES.sub("--set: ", fault) for fault in faults)
    chosen: dict[str, Any] = {
        name: [word.strip() for word in options[name].split(",")]
        for name in (*SEVERAL, *POOL_SEVERAL, *BESIDE_SEVERAL)
        if options[name] is not None
    }
    chosen |= {name: options[name] for name in (*SINGLE, "power_limit")}
    links = (*POOL_SINGLE, *BESIDE_SINGLE)
    chosen |= {name: options[name] for name in links if options[name] is not None}
    try:
        sizing = fleets.size(
            *(model, traffic, slos, rules),
            max_devices=int(most),
            top=int(top),
            sure=sure,
            overrides=changed,
            disaggregate=disaggregate,
            tokens=job[0],
            deadline=job[1],
            **chosen,
        )
    except InputError as error:
        raise InputError(OVERRIDES.sub("--set: ", fault) for fault in error.faults) from None
    traffic = sizing.job.traffic if sizing.job else traffic
    if output is not None:
        _write(sizing, Path(output))
    if as_json:
        dump(sizing.to_dict())
        return
    from perfcore.cli.size_card import card  # noqa: PLC0415 - JSON needs no card

    blocks = list(card(model, traffic, sizing, None if as_markdown else width()))
    if as_markdown:
        rendered(markdown(blocks))
    else:
        show(blocks)


def _traffic(options: dict[str, Any]) -> "Traffic":
    from perfcore.traffic.synthetic import Traffic  # noqa: PLC0415 - NumPy is slow

    return Traffic(**{name: options[name] for name in TRAFFIC})


def _limits(options: dict[str, Any]) -> dict[str, float]:
    """Return the objectives given by separate options. [s]"""
    faults: list[str] = []
    found: dict[str, float] = {}
    for latency in LATENCIES:
        for statistic in STATISTICS:
            name = f"{latency}_{statistic}"
            if options[name]:
                limit = number(options[name], _TIME, Place(argument(name), "", faults))
                found[f"{name}_s"] = limit or 0.0
    if faults:
        raise InputError(faults)
    return found


def _check_output(output: str | None, trace: str) -> None:
    """Refuse a file that cannot be written, before the work starts."""
    if output is None:
        return
    if Path(output).suffix not in _SUFFIXES:
        raise InputError(f"--output: {output!r} must end in {', '.join(_SUFFIXES)}")
    check_output("--output", output, [trace] if trace else [])


def _write(sizing: "Sizing", path: Path) -> None:
    """Write the fleets, whole or not at all."""
    with replacing(path) as part:
        if path.suffix == ".json":
            text = json_text(sizing.to_dict(), 1) + "\n"
        else:
            rows = [fleet.to_dict() for fleet in sizing.fleets]
            names = list(dict.fromkeys(name for row in rows for name in row))
            text = csv_text([names, *([row.get(name) for name in names] for row in rows)])
        part.write_text(text, encoding="utf-8", newline="")
