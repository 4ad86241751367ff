"""``perfcore mcp``: a server of the Model Context Protocol for agents."""

import functools
import json
from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal

import click

from perfcore.cli.parsing import Command
from perfcore.errors import InputError, PerfcoreError

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

Options = dict[str, Any]  # of a library function, by name
Kind = Literal[
    "model", "device", "host", "engine", "weight_format", "kv_format", "economics", "column"
]
MOST_WHOLE = 12  # entries of the catalogue that an answer has with all their facts

_INSTRUCTIONS = """\
perfcore predicts latency, throughput, memory, energy and cost of LLM inference from physics. Names
of models, devices, engines and formats are those of `catalogue`. Results are in SI units; null
means that the configuration does not run, and `status` says why. `_low_` and `_high_` are the ends
of 80 % intervals: quote them. An error names the faulty argument and its remedy."""


@click.command(cls=Command)
def mcp() -> None:
    """Serve agents over the Model Context Protocol.

    The server communicates over standard input and output.

    Tools: point, compare, search, size, simulate, audit, catalogue. It needs the package mcp
    (pip install 'mcp>=2'). An agent's configuration names this command:

    \b
    perfcore mcp
    """  # noqa: D301
    server().run("stdio")


def server() -> "MCPServer":
    """Return the server with its tools.

    Raises
    ------
    PerfcoreError
        The package ``mcp`` is not installed.
    """
    try:
        from mcp.server.mcpserver import MCPServer  # noqa: PLC0415 - optional
    except ImportError as error:
        raise PerfcoreError("perfcore mcp needs the package mcp; pip install 'mcp>=2'") from error
    import perfcore  # noqa: PLC0415 - NumPy is slow to import

    made = MCPServer("perfcore", instructions=_INSTRUCTIONS, version=perfcore.__version__)
    for tool in (point, compare, search, size, simulate, audit, catalogue):
        made.tool(structured_output=False)(_answering(tool))
    return made


def _answering(tool: Callable[..., object]) -> Callable[..., str]:
    """Return a tool that answers in JSON, and whose errors an agent can read."""

    @functools.wraps(tool)
    def answer(*args: Any, **kwargs: Any) -> str:  # noqa: ANN401 - as the tool
        from mcp.server.mcpserver.exceptions import ToolError  # noqa: PLC0415 - optional

        try:
            return json.dumps(tool(*args, **kwargs), default=str)
        except PerfcoreError as error:
            raise ToolError(str(error)) from error

    answer.__annotations__ = {**tool.__annotations__, "return": str}
    return answer


def point(model: str, device: str, options: Options | None = None) -> dict[str, Any]:
    """Predict one configuration: every metric by name.

    options are engine, weight_format, kv_format, economics, scheduler (static or continuous),
    offload, tp, pp, dp, ep, devices, batch, prefix_hit, draft_len, acceptance, input_len,
    output_len, engine_version, backend, power_limit, host, those of a prefill pool
    (prefill_device, prefill_tp, ...) and overrides such as {"device.memory_bandwidth": "4 TB/s"}.
    """
    from perfcore.configuration.configuration import configured, told  # noqa: PLC0415

    made = configured(model, device, options or {})
    return {**told(made.to_dict()), "remedy": made.remedy or None}


def compare(models: list[str], options: Options) -> dict[str, Any]:
    """Compare configurations side by side: options are those of point, with lists to vary them.

    options need a device, or a list of devices.
    """
    import perfcore  # noqa: PLC0415

    return perfcore.compare(*models, **options).to_dict()


def search(
    axes: dict[str, Any],
    minimize: str = "",
    maximize: str = "",
    where: list[str] | None = None,
    by: list[str] | None = None,
    top: int = 5,
) -> list[dict[str, Any]]:
    """Find the best configurations of a space.

    axes are those of point with lists, e.g. {"model": "llama-3.1-8b", "device": "all",
    "devices": "auto", "batch": [1, 8, 64]}; where are conditions such as "tpot_s<=50ms".
    """
    import perfcore  # noqa: PLC0415

    rows = perfcore.search(
        {"axes": axes, "output": {"columns": "default"}},
        minimize=minimize or None,
        maximize=maximize or None,
        where=where or [],
        by=by or [],
        top=top,
    )
    return rows.to_arrow().to_pylist()  # type: ignore[no-any-return]  # Arrow has no types


def size(
    model: str, traffic: Options, slo: list[str], options: Options | None = None
) -> dict[str, Any]:
    """Find the cheapest fleets that serve traffic within objectives.

    traffic has rate (requests per second), input_len, output_len and so on; slo are objectives such
    as "ttft_p95_s<=1s"; options may list device, weight_format, engine, tp.
    """
    import perfcore  # noqa: PLC0415
    from perfcore.reading.other_words import meant_by  # noqa: PLC0415
    from perfcore.reading.places import Place  # noqa: PLC0415
    from perfcore.traffic.slo import objectives  # noqa: PLC0415

    known = [field.name for field in fields(perfcore.Traffic)]
    faults: list[str] = []
    for name in traffic:
        if name not in known:
            Place("traffic", "", faults).unknown("option", name, known, meant_by(name, known))
    if faults:
        raise InputError(faults)
    made = perfcore.Traffic(**traffic)
    return perfcore.size(model, made, objectives(slo), **(options or {})).to_dict()


def simulate(
    model: str, device: str, options: Options, slo: list[str] | None = None
) -> dict[str, Any]:
    """Simulate servers under traffic, request by request: percentiles, goodput, energy, cost.

    options are those of point, and rate or clients, requests, input_len, output_len, cv, replicas,
    routing, turns, think_time and so on.
    """
    import perfcore  # noqa: PLC0415

    return perfcore.simulate(model, device, slo=slo or [], **options)


def audit(claims: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Check performance claims against physics.

    A claim has model, device, devices, batch, weight_format, one of ms_per_token, tokens_per_s and
    usd_per_mtok, and scope: user or system.
    """
    import perfcore  # noqa: PLC0415

    return [finding.to_dict() for finding in perfcore.audit(claims)]


def catalogue(kind: Kind, match: str = "") -> list[dict[str, Any]]:
    """List the catalogue's entries of a kind, or the output columns, whose name contains a text.

    More than 12 entries are listed with names and titles only; ask for fewer to see their facts.
    """
    from perfcore.catalog import loader  # noqa: PLC0415
    from perfcore.columns import COLUMNS  # noqa: PLC0415

    if kind == "column":
        wanted = match.lower()
        return [
            {"name": column.name, "unit": column.unit, "meaning": column.meaning}
            for column in COLUMNS
            if wanted in column.name or wanted in column.meaning
        ]
    found = loader.matching(kind, match)
    if len(found) > MOST_WHOLE:
        return [{"name": entry.name, "title": entry.title} for entry in found]
    return [entry.model_dump(mode="json", exclude_defaults=True) for entry in found]
