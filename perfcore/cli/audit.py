"""``perfcore audit``: published claims compared with physical bounds and predictions."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import click

from perfcore.claims.audit import Finding
from perfcore.claims.audit import audit as audit_claims
from perfcore.cli.parsing import Command
from perfcore.cli.text import dump, facts, heading, json_option, paragraph, print_table, rendered
from perfcore.output import check_output, replacing
from perfcore.reading.csvfile import csv_text
from perfcore.tables import Table, left, right
from perfcore.tables import markdown as as_table
from perfcore.units import format_quantity, significant

_NONE: Final = "-"
_COLUMNS: Final = (
    *left("claim"),
    *right("ms/token", "bound", "predicted", "claim / bound", "needs", "has"),
    *right("GB/s per device (of data sheet)"),
    *left("verdict"),
)
_BRIEF: Final = 7  # columns of the table in a terminal; the others are printed below it


@click.command(cls=Command)
@click.argument("claims", metavar="CLAIMS.csv")
@json_option
@click.option("--markdown", is_flag=True, help="Print a Markdown table.")
@click.option("-o", "--output", metavar="FILE.csv", help="Also write all figures to a CSV file.")
def audit(claims: str, as_json: bool, markdown: bool, output: str | None) -> None:
    """Check published performance claims against physics.

    For each claim, audit prints the physical bound that no engine can beat, the prediction, the
    memory bandwidth and number of devices that the claim implies, the batch that its price
    requires, and a verdict.

    CLAIMS.csv has the columns claim, model, device, devices, batch, weight_format, input_len,
    output_len, ms_per_token, tokens_per_s, usd_per_mtok, scope and source. model, device
    and one of ms_per_token, tokens_per_s and usd_per_mtok are required. scope says whether
    tokens_per_s is that of one user or of the whole system; the batch of a system may be omitted.
    The exit code is 0 whatever the verdicts.

    \b
    perfcore audit sweeps/claims.csv
    perfcore audit sweeps/claims.csv --markdown
    perfcore audit sweeps/claims.csv --json -o findings.csv
    """  # noqa: D301
    if as_json and markdown:
        raise click.UsageError("--json and --markdown exclude each other; give one")
    if output is not None:
        check_output("--output", output, [claims])
    findings = audit_claims(claims)
    if output is not None:
        with replacing(Path(output)) as part:
            part.write_text(_csv(findings), encoding="utf-8", newline="")
    if as_json:
        dump([finding.to_dict() for finding in findings])
    elif markdown:
        rendered(as_table(Table.of(_COLUMNS, map(_cells, findings))))
    else:
        _show(findings)


def _csv(findings: Sequence[Finding]) -> str:
    """Return all figures as CSV, one row per claim; a cell without a figure is empty."""
    rows = [_flat(finding) for finding in findings]
    return csv_text([list(rows[0]), *([row[name] for name in rows[0]] for row in rows)])


def _flat(finding: Finding) -> dict[str, object]:
    row = finding.to_dict()
    fit, price = finding.fit, finding.price
    row |= {
        "price": price and price.devices,
        "fit": fit and fit.devices,
        "estimated": "; ".join(finding.estimated),
        "verdicts": _verdicts(finding),
    }
    names = {"price": "price_devices", "fit": "fit_devices"}
    row = {names.get(name, name): value for name, value in row.items()}
    row["price_batch"] = price and price.batch
    row["price_batch_at_full_utilization"] = price and price.batch_at_full_utilization
    row["price_lowest_usd_per_mtok"] = price and price.lowest_usd_per_mtok
    row["fit_bound_tpot_s"] = fit and fit.bound_tpot_s
    row["fit_predicted_tpot_s"] = fit and fit.predicted_tpot_s
    return row


def _cells(finding: Finding) -> list[str]:
    bandwidth = _NONE
    if finding.implied_bandwidth is not None and finding.implied_mbu is not None:
        bandwidth = f"{finding.implied_bandwidth / 1e9:,.0f} ({_share(finding.implied_mbu)})"
    return [
        finding.claim.claim,
        _milliseconds(finding.claim.tpot_s),
        _milliseconds(finding.bound_tpot_s),
        _milliseconds(finding.predicted_tpot_s),
        _ratio(finding.claim_to_bound),
        _memory(finding.needed_bytes),
        _memory(finding.memory_bytes),
        bandwidth,
        _verdicts(finding),
    ]


def _show(findings: Sequence[Finding]) -> None:
    brief = [_cells(finding)[:_BRIEF] for finding in findings]
    print_table(Table.of(_COLUMNS[:_BRIEF], brief))
    for finding in findings:
        heading(finding.claim.claim)
        for verdict in finding.verdicts:
            paragraph(verdict.text, bold=True)
        facts(_facts(finding), indent="  ")


def _facts(finding: Finding) -> Iterator[tuple[str, str]]:
    claim = finding.claim
    layout = f", tp {finding.tp} x pp {finding.pp}" if claim.devices > 1 else ""
    yield (
        "claimed for",
        (
            f"{claim.model.name} on {claim.devices:,} x {claim.device.name}, "
            f"{claim.weight_format.name}, batch {claim.batch:,}, {claim.input_len:,} tokens in and "
            f"{claim.output_len:,} out{layout}"
        ),
    )
    if_fits = ", if it did fit" if finding.needed_bytes > finding.memory_bytes else ""
    low, high = finding.predicted_low_s, finding.predicted_high_s
    yield (
        "predicted",
        (
            f"{_milliseconds(finding.predicted_tpot_s)} ms per token, {_milliseconds(low)} to "
            f"{_milliseconds(high)} (80 % interval){if_fits}"
        ),
    )
    if finding.implied_bandwidth is not None and finding.implied_mbu is not None:
        yield (
            "implies",
            f"{format_quantity(finding.implied_bandwidth, 'B/s', 3)} per device, "
            f"{_share(finding.implied_mbu)} of the data sheet; at least "
            f"{finding.devices_implied:,} such devices by memory and bandwidth"
            + (
                f", {finding.devices_predicted:,} by the prediction"
                if finding.devices_predicted
                else ""
            ),
        )
    if finding.overflow_bandwidth is not None:
        yield (
            "overflow",
            (
                f"{_memory(finding.needed_bytes - finding.memory_bytes)} do not fit; reading "
                f"them every step takes {format_quantity(finding.overflow_bandwidth, 'B/s', 3)}"
            ),
        )
    if finding.fit is not None:
        fit = finding.fit
        yield (
            "would fit",
            (
                f"{fit.devices:,} devices, tp {fit.tp} x pp {fit.pp}: bound "
                f"{_milliseconds(fit.bound_tpot_s)} ms, predicted "
                f"{_milliseconds(fit.predicted_tpot_s)} ms per token"
            ),
        )
    yield from _price_facts(finding)
    if finding.estimated:
        yield "estimated", f"no vendor publishes {', '.join(finding.estimated)} of this device"
    if claim.source:
        yield "source", claim.source


def _price_facts(finding: Finding) -> Iterator[tuple[str, str]]:
    full, usual = finding.usd_per_mtok_at_full_utilization, finding.usd_per_mtok_at_claimed_speed
    if full is not None and usual is not None:
        claimed = finding.claim.usd_per_mtok
        yield (
            "price",
            f"{_money(full)} per million tokens at the claimed speed with every hour sold, "
            f"{_money(usual)} with {_share(finding.utilization)} of them"
            + (f"; claimed {_money(claimed)}" if claimed is not None else ""),
        )
    price = finding.price
    if price is not None and price.lowest_usd_per_mtok is not None:
        yield (
            "cheapest",
            (
                f"{_money(price.lowest_usd_per_mtok)} at the largest batch on {price.devices:,} "
                f"devices, with {_share(finding.utilization)} of the hours sold"
            ),
        )


def _verdicts(finding: Finding) -> str:
    return "; ".join(verdict.text for verdict in finding.verdicts)


def _milliseconds(seconds: float | None) -> str:
    return _NONE if seconds is None else format_quantity(seconds * 1e3, "", 3)


def _ratio(ratio: float | None) -> str:
    return _NONE if ratio is None else f"{ratio:,.0f}" if ratio >= 100.0 else f"{ratio:.3g}"


def _memory(size: float) -> str:
    return format_quantity(size, "B", 3)


def _share(share: float) -> str:
    return f"{significant(share * 100, 3)} %" if share < 1.0 else f"{share * 100:,.0f} %"


def _money(dollars: float) -> str:
    return f"{dollars:,.2f} USD" if dollars >= 0.01 else f"{dollars:.2g} USD"
