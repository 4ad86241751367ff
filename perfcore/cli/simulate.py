"""``perfcore simulate``: requests over time on servers of one configuration."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

import click

from perfcore.catalog import stack
from perfcore.cli.completion import entry_name
from perfcore.cli.document import markdown, show
from perfcore.cli.parsing import Command
from perfcore.cli.point import (
    EXAMPLE,
    OVERRIDES,
    axis_options,
    devices_option,
    parse_overrides,
    stack_options,
)
from perfcore.cli.text import dump, json_option, markdown_option, rendered, set_option
from perfcore.errors import InputError, argument
from perfcore.inputs import AXIS_INPUTS, DRAFT_AXES, EXPERT_AXES
from perfcore.limits import Limits
from perfcore.output import check_output
from perfcore.reading.places import Place, number

T = TypeVar("T")

_FIXED: Final = ("model", "device")
_OF_TRAFFIC: Final = (
    *("input_len", "output_len", "batch", "prefix_hit", "scheduler"),
    *("offload", "gpu_layers", "cpu_moe_layers"),
)
AXES: Final = tuple(name for name in AXIS_INPUTS if name not in (*_FIXED, *_OF_TRAFFIC))
BESIDE: Final = (*EXPERT_AXES, *DRAFT_AXES)  # on devices of their own
_COUNT: Final = Limits("count", 1, 2**40, whole=True)
_SHARE: Final = Limits("fraction", 0, 0.99)


class _Option(NamedTuple):
    """Option whose text the description of traffic or of a scheduler parses."""

    metavar: str
    help: str
    default: str = ""


TRAFFIC: Final = {
    "rate": _Option("RATE", "Sessions per second: 5, or stages: 5@10min,50@1min,5."),
    "clients": _Option("N", "Clients of a closed loop, in place of a rate.", "0"),
    "trace": _Option(
        "FILE",
        "Recorded requests: CSV with arrival_s,input_len,output_len[,session][,prefix,prefix_len], "
        "Azure's or Mooncake's format, vLLM's detailed results, AIPerf's profile_export.jsonl.",
    ),
    "requests": _Option("N", "Number of requests [1000, or those in --duration or the stages]."),
    "duration": _Option("TIME", "Time span in which sessions arrive, e.g. 24h."),
    "input_len": _Option(
        "TOKENS",
        "Tokens that a turn adds: 2048, uniform:100..4000, lognormal:2048,cv=1.5,max=8000, "
        "histogram:128=3,1024=1 or trace:FILE [1024].",
        "1024",
    ),
    "output_len": _Option("TOKENS", "Tokens of an answer, in the same forms [256].", "256"),
    "cv": _Option(
        "RATIO", "Coefficient of variation of arrival gaps: 0 constant, 1 Poisson [1].", "1.0"
    ),
    "daily": _Option("RATIO", "Rate of the busiest hour, relative to the daily mean [1].", "1.0"),
    "turns": _Option("N", "Requests per session, in the forms of --input-len [1].", "1"),
    "think_time": _Option(
        "TIME", "Mean pause between an answer and the next request [0 s].", "0 s"
    ),
    "tool_share": _Option("SHARE", "Share of the pauses that are tool calls [0].", "0"),
    "tool_time": _Option("TIME", "Mean pause for a tool call [0 s].", "0 s"),
    "system_prompt": _Option("TOKENS", "Additional tokens at the start of every prompt [0].", "0"),
    "prompts": _Option("N", "Number of different system prompts [1].", "1"),
    "repeat": _Option("N", "Repetitions of the trace [1].", "1"),
    "speed": _Option("RATIO", "Factor on the trace's rate [1].", "1.0"),
    "seed": _Option("N", "Seed of the random numbers [0].", "0"),
}
RULES: Final = {
    "replicas": _Option("N", "Identical servers [1].", "1"),
    "routing": _Option("NAME", "round-robin, least-loaded or prefix-aware.", "round-robin"),
    "kv_tokens": _Option("TOKENS", "Capacity of the KV cache, as in the engine's log [what fits]."),
    "budget": _Option("TOKENS", "Token budget of a pass: max_num_batched_tokens [the engine's]."),
    "max_sequences": _Option("N", "Maximum number of running requests [the engine's]."),
    "admission": _Option("NAME", "KV cache: on-demand, or reserved for whole requests."),
    "order": _Option("NAME", "fcfs, or priority (a column of the trace).", "fcfs"),
    "block_tokens": _Option("TOKENS", "Tokens per KV-cache block [the engine's]."),
    "watermark": _Option("SHARE", "Share of the KV cache that an admission leaves free [0].", "0"),
    "kv_tiers": _Option(
        "TIERS",
        "Lower memory tiers of each device, for evicted blocks of prompts: "
        "dram:512GB@50GB/s,nvme:4TB@6GB/s, or none.",
        "none",
    ),
}
_COUNTS: Final = ("replicas", "kv_tokens", "budget", "max_sequences", "block_tokens")
_NAMES: Final = ("routing", "admission", "order", "kv_tiers")


REPLACED: Final = {  # options of ``point`` that traffic replaces
    "batch": "follows from the traffic; --max-sequences limits it",
    "prefix_hit": "follows from the requests: --system-prompt, --turns or a --trace that names "
    "prefixes; --kv-tiers and --no-prefix-cache change what is kept",
    "offload": "is not simulated; --kv-tiers keeps evicted blocks of prompts in host memory",
    "gpu_layers": "is not simulated; all layers are on the devices",
    "cpu_moe_layers": "is not simulated; all experts are on the devices",
    "scheduler": "is always continuous; --budget, --max-sequences, --admission, --order and "
    "--whole-prompts are its rules",
}


def replaced_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add hidden options whose errors name their replacement."""

    def refuse(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        if value is not None:
            name = str(param.name)
            raise click.UsageError(
                f"--{name.replace('_', '-')} cannot be combined with traffic: it {REPLACED[name]}",
                ctx,
            )

    for name in REPLACED:
        command = click.option(
            f"--{name.replace('_', '-')}", callback=refuse, expose_value=False, hidden=True
        )(command)
    return command


def traffic_options(
    known: dict[str, _Option],
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds one option per entry."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        for name, option in reversed(known.items()):
            command = click.option(
                f"--{name.replace('_', '-')}",
                default=option.default,
                metavar=option.metavar,
                help=option.help,
            )(command)
        return command

    return decorate


@click.command(cls=Command)
@click.argument("model", metavar="MODEL", shell_complete=entry_name("model"))
@click.argument("device", metavar="DEVICE", shell_complete=entry_name("device"))
@replaced_options
@traffic_options(TRAFFIC)
@traffic_options(RULES)
@click.option("--whole-prompts", is_flag=True, help="Prefill whole prompts, in separate steps.")
@click.option("--no-prefix-cache", is_flag=True, help="Switch off the prefix cache.")
@click.option(
    "--prefill",
    metavar="KEY=VALUE",
    multiple=True,
    help="Setting of separate prefill servers that differs from the decode servers: replicas=2, "
    "tp=4, device=h200-sxm. Without this option, servers do both. Repeatable.",
)
@click.option(
    "--slo",
    metavar="CONDITION",
    multiple=True,
    help="Objective: ttft_p99_s<=1s, or tpot_s<=50ms for each request. Repeatable.",
)
@axis_options((*AXES, *BESIDE))
@devices_option()
@stack_options()
@set_option(EXAMPLE)
@click.option("-o", "--output", metavar="FILE", help="Parquet file to write, one row per request.")
@click.option("--plot", metavar="FILE", help="Timeline to draw: .png, .svg or .html.")
@json_option
@markdown_option
def simulate(
    overrides: tuple[str, ...],
    slo: tuple[str, ...],
    prefill: tuple[str, ...],
    output: str | None,
    plot: str | None,
    whole_prompts: bool,
    no_prefix_cache: bool,
    as_json: bool,
    as_markdown: bool,
    **options: str,
) -> None:
    """Simulate servers under traffic, request by request.

    simulate shows the distribution of TTFT, TPOT, ITL and end-to-end latency, the running batch,
    KV-cache use, energy and cost, and whether objectives are met. Requests come from a
    trace, arrive at a rate, or are sent by clients that wait for answers; the scheduler forms
    batches step by step, as vLLM, SGLang and TensorRT-LLM do. A draft, or routed experts, may be on
    devices of their own, for which every step waits.

    \b
    perfcore simulate llama-3.1-8b h100-sxm --rate 5 --input-len 2048 --output-len 512
    perfcore simulate llama-3.3-70b h100-sxm --tp 4 --replicas 2 --trace requests.csv \\
        --slo 'ttft_p99_s<=2s' --slo 'tpot_p95_s<=50ms'
    perfcore simulate llama-3.1-8b h100-sxm --rate 2 --cv 3 --input-len lognormal:1000 --json
    perfcore simulate llama-3.1-8b h100-sxm --rate 20 --replicas 2 --prefill replicas=1
    perfcore simulate llama-3.3-70b h100-sxm --rate 1 --weight-format fp8 --draft-len 4 \\
        --acceptance 0.8 --draft-model llama-3.2-1b --draft-device l40s
    perfcore simulate llama-3.1-8b h100-sxm --clients 64 -o requests.parquet --plot timeline.svg
    """  # noqa: D301
    if as_json and as_markdown:
        raise click.UsageError("--json and --markdown exclude each other; give one")
    _check_files(output, plot, options["trace"])

    from perfcore.configuration.configuration import Configuration  # noqa: PLC0415 - NumPy is slow
    from perfcore.configuration.simulation import course, figures, prefill_pool  # noqa: PLC0415
    from perfcore.traffic.requests import check_context  # noqa: PLC0415
    from perfcore.traffic.server import Rules  # noqa: PLC0415
    from perfcore.traffic.slo import objectives  # noqa: PLC0415
    from perfcore.traffic.synthetic import Traffic  # noqa: PLC0415

    changed, faults = parse_overrides(overrides)
    setup = {name: options[name] for name in ("model", "device", "devices", *AXES)}
    setup |= {name: options[name] for name in BESIDE if options[name] is not None}
    setup |= {name: options[name] for name in stack.NAMES}
    configuration = or_faults(
        lambda: Configuration(**setup, scheduler="continuous", overrides=changed),
        faults,
    )
    traffic = or_faults(lambda: Traffic(**{name: options[name] for name in TRAFFIC}), faults)
    rules = or_faults(
        lambda: Rules(
            **rules_of(options), chunked=not whole_prompts, prefix_cache=not no_prefix_cache
        ),
        faults,
    )
    slos = or_faults(lambda: objectives(slo), faults)
    if configuration is None or traffic is None or rules is None or slos is None or faults:
        raise InputError(OVERRIDES.sub("--set: ", fault) for fault in faults)

    settings = _settings(prefill)
    ahead = prefill_pool(configuration, rules, settings) if prefill else None
    requests = traffic.made()
    name = configuration.entries.model.name
    check_context(requests, configuration.records.model.max_context, name)
    simulation = course(configuration, requests, rules, ahead)
    found = {
        **{name: configuration.labels[name] for name in (*_FIXED, *AXES)},
        **configuration.stated,
        **configuration.of_pool,
        **{f"prefill_{name}": value for name, value in settings.items()},
        **figures(configuration, simulation, slos),
    }
    if output is not None:
        from perfcore.traffic.table import write_requests  # noqa: PLC0415 - Arrow is slow

        write_requests(output, simulation, found)
    if plot is not None:
        from perfcore.cli.simulation_card import subject, told  # noqa: PLC0415
        from perfcore.reporting.drawing import draw_timeline  # noqa: PLC0415

        draw_timeline(simulation, f"{subject(configuration, rules, ahead)}; {told(traffic)}", plot)
    if as_json:
        dump(found)
        return
    from perfcore.cli.simulation_card import card  # noqa: PLC0415 - JSON needs no card

    blocks = card((configuration, rules), ahead, traffic, found, slos)
    if as_markdown:
        rendered(markdown(blocks))
    else:
        show(blocks)


def _check_files(output: str | None, plot: str | None, trace: str) -> None:
    """Refuse files that cannot be written, before the work starts."""
    inputs = [trace] if trace else []
    if output is not None:
        check_output("--output", output, inputs)
    if plot is not None:
        from perfcore.reporting.drawing import check_picture  # noqa: PLC0415 - NumPy is slow

        check_picture(plot, inputs)


def or_faults(made: Callable[[], T], faults: list[str]) -> T | None:
    """Return what ``made`` returns, or None after collecting its faults."""
    try:
        return made()
    except InputError as error:
        faults += error.faults
        return None


def _settings(texts: tuple[str, ...]) -> dict[str, Any]:
    """Return the settings of texts like ``replicas=2``."""
    faults: list[str] = []
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not value:
            faults.append(f"--prefill {text}: not KEY=VALUE; write it like replicas=2")
        found[key.replace("-", "_")] = value
    if faults:
        raise InputError(faults)
    of_rules = {key: found.pop(key) for key in RULES if key in found}
    return {**found, **rules_of(of_rules)}


def rules_of(options: dict[str, str]) -> dict[str, Any]:
    """Return the rules that options state."""
    faults: list[str] = []
    found: dict[str, Any] = {}
    for name in _COUNTS:
        if options.get(name):
            found[name] = number(options[name], _COUNT, Place(argument(name), "", faults))
    if options.get("watermark"):
        place = Place(argument("watermark"), "", faults)
        found["watermark"] = number(options["watermark"], _SHARE, place)
    found |= {name: options[name] for name in _NAMES if options.get(name)}
    if faults:
        raise InputError(faults)
    return found
