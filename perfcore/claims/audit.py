"""Audit of published claims against physics, the prediction and their own figures."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import ceil, inf
from pathlib import Path
from typing import Final, NamedTuple

from perfcore import records
from perfcore.claims.case import MOST_DEVICES, Case
from perfcore.claims.claim import SYSTEM, Claim, as_claims, read_claims
from perfcore.columns import STATUS
from perfcore.physics.cost import TOKENS_PER_MTOK, usd_per_second
from perfcore.physics.stages.replica import KV_DOES_NOT_FIT, OK, WEIGHTS_DO_NOT_FIT
from perfcore.records import SCHEDULER_CONTINUOUS
from perfcore.units import format_quantity

ROUNDING: Final = 0.05  # tolerance between tokens/s and 1 / TPOT, as published with 2 digits
_LARGEST_BATCH: Final = 1_000_000  # sequences
_MULTIPLES: Final = (1, 2, 4, 8)  # of the smallest device count that fits, to try prices on

_MEMORY: Final = (WEIGHTS_DO_NOT_FIT, KV_DOES_NOT_FIT)
_ARITHMETIC: Final = {
    records.MATH_FP32: "flops_fp32",
    records.MATH_FP16: "flops_fp16",
    records.MATH_FP8: "flops_fp8",
    records.MATH_INT8: "flops_int8",
    records.MATH_FP4: "flops_fp4",
}


class Verdict(NamedTuple):
    """One verdict on a claim: a code for programs and a clause for people."""

    code: str
    text: str


class Smallest(NamedTuple):
    """Smallest number of devices that fits a claim which does not fit on its own number."""

    devices: int
    tp: int
    pp: int
    bound_tpot_s: float
    predicted_tpot_s: float


class Price(NamedTuple):
    """Conditions under which a claimed price is reached, on devices that fit the model."""

    devices: int
    batch: int | None  # smallest that reaches the price at the usual utilisation; None: none
    batch_at_full_utilization: int | None
    lowest_usd_per_mtok: float | None  # at the largest batch and the usual utilisation


class Finding(NamedTuple):
    """A claim with its physical bound, its prediction and its implications. SI units."""

    claim: Claim
    tp: int
    pp: int
    bound_tpot_s: float  # lowest over all layouts, ideal engine
    predicted_tpot_s: float
    predicted_low_s: float  # of the 80 % interval, or the bound
    predicted_high_s: float
    claim_to_bound: float | None
    claim_to_prediction: float | None
    needed_bytes: float  # weights and KV cache
    memory_bytes: float  # of all the claim's devices
    devices_needed: int  # whose memory holds needed_bytes
    devices_implied: int | None  # with enough memory, and bandwidth for the claimed time
    devices_predicted: int | None  # the same according to the prediction
    implied_bandwidth: float | None  # bytes/s of each device
    implied_mbu: float | None  # implied_bandwidth as a share of the data sheet
    overflow_bandwidth: float | None  # bytes/s from other memory, for the bytes that do not fit
    utilization: float
    usd_per_mtok_at_claimed_speed: float | None
    usd_per_mtok_at_full_utilization: float | None
    price: Price | None
    fit: Smallest | None
    estimated: tuple[str, ...]  # fields of the device without a published value
    verdicts: tuple[Verdict, ...]

    def to_dict(self) -> dict[str, object]:
        """Return every figure by name, SI units, for JSON."""
        claim = self.claim
        row: dict[str, object] = {
            "claim": claim.claim,
            "model": claim.model.name,
            "device": claim.device.name,
            "devices": claim.devices,
            "tp": self.tp,
            "pp": self.pp,
            "batch": claim.batch,
            "weight_format": claim.weight_format.name,
            "input_len": claim.input_len,
            "output_len": claim.output_len,
            "claimed_tpot_s": claim.tpot_s,
            "claimed_tokens_per_s": claim.tokens_per_s,
            "claimed_usd_per_mtok": claim.usd_per_mtok,
        }
        row |= {
            name: value
            for name, value in self._asdict().items()
            if name not in {"claim", "tp", "pp", "price", "fit", "estimated", "verdicts"}
        }
        row["price"] = self.price and self.price._asdict()
        row["fit"] = self.fit and self.fit._asdict()
        row["estimated"] = list(self.estimated)
        row["verdicts"] = [verdict._asdict() for verdict in self.verdicts]
        row["source"] = claim.source
        return row


def audit(claims: str | Path | Iterable[Claim | Mapping[str, object]]) -> list[Finding]:
    """Return findings on claims: physical bounds, predictions and verdicts.

    ``perfcore.audit([{"model": "llama-3-70b", "device": "h100-sxm", "tokens_per_s": 900}])``

    Parameters
    ----------
    claims
        A CSV file, or claims. A claim is a ``Claim`` or a mapping with the columns of such a file.

    Raises
    ------
    InputError
        The file or the mappings have faults; all of them are listed.
    """
    given = read_claims(claims) if isinstance(claims, str | Path) else as_claims(claims)
    return [audit_claim(claim) for claim in given]


def audit_claim(claim: Claim) -> Finding:
    """Return the finding on a claim.

    The bound is the lowest time of any layout with the ideal engine and one pass of the model per
    token; speculative decoding can beat it. The prediction is for the default engine and a static
    batch, with as much tensor parallelism as heads and the scale-up domain allow. Both have a
    16-bit KV cache. The batch of a system, if it is not stated, is the smallest that is predicted
    to reach its tokens per second, or the largest that fits. The price is the price of output
    tokens, from the devices' price per hour and continuous batching.
    """
    if claim.scope == SYSTEM and not claim.batch_is_stated and claim.tokens_per_s:
        claim = claim._replace(batch=_batch_for(Case.of(claim), claim) or 1)
    case = Case.of(claim)
    tpot_s = claim.tpot_s
    tp, pp, _ = case.layout(claim.devices)
    bound, predicted = case.bound(claim.devices), case.predicted(claim.devices)
    needed_bytes = case.needed_bytes
    memory_bytes = claim.devices * case.device.memory_capacity
    devices_needed = ceil(needed_bytes / case.device.memory_capacity)
    short = predicted.status in _MEMORY
    smallest = case.smallest_fit()
    fit = _fit(case, smallest) if short and smallest else None
    fast = case.fast_enough(smallest, tpot_s) if tpot_s and smallest else None
    price = None
    if claim.usd_per_mtok is not None:
        own = [claim.devices] if predicted.status == OK else []
        counts = _price_counts(smallest, fast) if short else own
        price = _price(case, claim.usd_per_mtok, counts)
    implied_bandwidth = bound.step_bytes / (tpot_s * claim.devices) if tpot_s else None
    speed_devices = bound.step_bytes / (tpot_s * case.device.memory_bandwidth) if tpot_s else 0.0
    overflow = needed_bytes - memory_bytes
    finding = Finding(
        claim=claim,
        tp=tp,
        pp=pp,
        bound_tpot_s=bound.tpot_s,
        predicted_tpot_s=predicted.tpot_s,
        predicted_low_s=max(predicted.tpot_low_s, bound.tpot_s),
        predicted_high_s=predicted.tpot_high_s,
        claim_to_bound=tpot_s / bound.tpot_s if tpot_s else None,
        claim_to_prediction=tpot_s / predicted.tpot_s if tpot_s else None,
        needed_bytes=needed_bytes,
        memory_bytes=memory_bytes,
        devices_needed=devices_needed,
        devices_implied=max(ceil(speed_devices), devices_needed) if tpot_s else None,
        devices_predicted=fast,
        implied_bandwidth=implied_bandwidth,
        implied_mbu=implied_bandwidth / case.device.memory_bandwidth if implied_bandwidth else None,
        overflow_bandwidth=overflow / tpot_s if tpot_s and overflow > 0.0 else None,
        utilization=case.economics.utilization,
        usd_per_mtok_at_claimed_speed=_usd_per_mtok(case, claim, case.economics),
        usd_per_mtok_at_full_utilization=_usd_per_mtok(case, claim, _busy(case.economics)),
        price=price,
        fit=fit,
        estimated=_estimated(claim, case),
        verdicts=(),
    )
    found = (
        *_memory_verdicts(finding, predicted.status),
        *_time_verdicts(finding, runs=predicted.status == OK),
        *(_price_verdicts(finding) if short or predicted.status == OK else ()),
        *_rate_verdicts(claim),
        *_system_verdicts(case, finding),
    )
    consistent = Verdict("consistent", "consistent")
    return finding._replace(verdicts=found or (consistent,))


def _fit(case: Case, devices: int) -> Smallest:
    tp, pp, _ = case.layout(devices)
    bound, predicted = case.bound(devices), case.predicted(devices)
    return Smallest(devices, tp, pp, bound.tpot_s, predicted.tpot_s)


def _busy(economics: records.Economics) -> records.Economics:
    return economics._replace(utilization=1.0)


def _usd_per_mtok(case: Case, claim: Claim, economics: records.Economics) -> float | None:
    """Return the price of output at the claimed speed and batch. [USD per million tokens]"""
    if claim.tpot_s is None:
        return None
    rate = usd_per_second(case.device, float(claim.devices), economics)
    return rate * claim.tpot_s / claim.batch * TOKENS_PER_MTOK


def _price(case: Case, usd_per_mtok: float, counts: Sequence[int]) -> Price | None:
    """Return the first of some device counts that reaches a price, else the cheapest."""
    prices = [_price_on(case, usd_per_mtok, devices) for devices in counts]
    return min(
        prices,
        key=lambda price: (
            price.batch is None,
            price.batch_at_full_utilization is None,
            price.devices if price.batch_at_full_utilization else price.lowest_usd_per_mtok or inf,
        ),
        default=None,
    )


def _price_on(case: Case, usd_per_mtok: float, devices: int) -> Price:
    degrees = case.layout(devices)

    def cost(batch: int, economics: records.Economics) -> float:
        priced = case._replace(economics=economics)
        point = priced.point(
            case.engine, degrees, batch=float(batch), scheduler=SCHEDULER_CONTINUOUS
        )
        return point.cost_per_mtok_output_usd

    one = case.point(case.engine, degrees, batch=1.0, scheduler=SCHEDULER_CONTINUOUS)
    largest = int(min(one.max_batch, case.engine.max_sequences))
    if one.status != OK or largest < 1:
        return Price(devices, None, None, None)

    def smallest(economics: records.Economics) -> int | None:
        # bisection: the price per token falls with the batch (tests/claims/test_case.py)
        batches = range(1, largest + 1)
        found = bisect_left(batches, x=True, key=lambda b: cost(b, economics) <= usd_per_mtok)
        return batches[found] if found < largest else None

    return Price(
        devices,
        smallest(case.economics),
        smallest(_busy(case.economics)),
        cost(largest, case.economics),
    )


def _price_counts(smallest: int | None, fast: int | None) -> list[int]:
    """Return the device counts to price for a claim that does not fit on its own number."""
    if smallest is None:
        return []
    counts = {smallest * times for times in _MULTIPLES} | ({fast} if fast else set())
    return sorted(count for count in counts if count <= MOST_DEVICES)


def _memory_verdicts(finding: Finding, status: float) -> Iterator[Verdict]:
    if finding.needed_bytes > finding.memory_bytes:
        yield Verdict(
            "does-not-fit",
            f"does not fit in memory (needs {_devices(finding.devices_needed)})",
        )
    if status in _MEMORY and finding.needed_bytes <= finding.memory_bytes:
        more = f" (needs {_devices(finding.fit.devices)})" if finding.fit else ""
        yield Verdict("fits-without-reserve", f"leaves the engine no memory to work in{more}")
    if status != OK and status not in _MEMORY:
        yield Verdict("cannot-run", f"cannot run: {STATUS[int(status)]}")


def _time_verdicts(finding: Finding, *, runs: bool) -> Iterator[Verdict]:
    tpot_s = finding.claim.tpot_s
    if tpot_s is None:
        return
    if tpot_s < finding.bound_tpot_s:
        times = _times(finding.bound_tpot_s / tpot_s)
        yield Verdict("beats-bound", f"beats the physical bound ({times} times)")
    elif runs and tpot_s > finding.predicted_high_s:
        times = _times(tpot_s / finding.predicted_tpot_s)
        yield Verdict("slower-than-predicted", f"slower than predicted ({times} times)")
    elif runs and tpot_s < finding.predicted_low_s:
        times = _times(finding.predicted_tpot_s / tpot_s)
        yield Verdict("faster-than-predicted", f"faster than predicted ({times} times)")


def _price_verdicts(finding: Finding) -> Iterator[Verdict]:
    claim, price = finding.claim, finding.price
    if claim.usd_per_mtok is None:
        return
    elsewhere = ""
    if price is not None and price.devices != claim.devices:
        elsewhere = f" on {_devices(price.devices)}"
    if price is None or price.batch_at_full_utilization is None:
        more = f", with up to {_MULTIPLES[-1]} times the devices it needs" if elsewhere else ""
        yield Verdict("price-not-reachable", f"price not reachable at any batch that fits{more}")
    elif price.batch is None:
        yield Verdict(
            "price-needs-batch",
            f"price needs batch >= {price.batch_at_full_utilization:,}{elsewhere}, "
            "and every hour sold",
        )
    elif price.batch > claim.batch:
        yield Verdict("price-needs-batch", f"price needs batch >= {price.batch:,}{elsewhere}")


def _rate_verdicts(claim: Claim) -> Iterator[Verdict]:
    if claim.ms_per_token is None or claim.tokens_per_s is None:
        return
    one = 1e3 / claim.ms_per_token
    if all(abs(claim.tokens_per_s / rate - 1.0) > ROUNDING for rate in (one, one * claim.batch)):
        yield Verdict(
            "rate-contradicts-time",
            f"tokens/s does not follow from ms/token ({format_quantity(one, '1/s', 3)[:-3].strip()}"
            f" a sequence)",
        )


def _system_verdicts(case: Case, finding: Finding) -> Iterator[Verdict]:
    """Say that tokens/s which are too many for one user may be those of a whole system."""
    claim = finding.claim
    unstated = not (claim.scope or claim.batch_is_stated or claim.ms_per_token)
    if not (unstated and claim.tokens_per_s and finding.claim_to_bound):
        return
    if claim.tpot_s is not None and claim.tpot_s < finding.predicted_low_s:
        batch = _batch_for(case, claim)
        if batch is not None and batch / claim.tokens_per_s >= case.predicted_at(claim, batch):
            yield Verdict(
                "may-be-a-system", f"a whole system reaches it at batch {batch:,} (scope = system)"
            )


def _batch_for(case: Case, claim: Claim) -> int | None:
    """Return the smallest batch predicted to reach a claimed rate, or the largest that fits.

    It is None if not even one sequence runs.
    """
    largest = int(min(case.predicted(claim.devices).max_batch, _LARGEST_BATCH))
    if largest < 1 or claim.tokens_per_s is None:
        return None
    rate = claim.tokens_per_s
    # bisection: a larger batch makes more tokens per second in all
    batches = range(1, largest + 1)
    found = bisect_left(batches, x=True, key=lambda b: b / case.predicted_at(claim, b) >= rate)
    return batches[min(found, largest - 1)]


def _times(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 100.0 else f"{ratio:.3g}"


def _devices(count: int) -> str:
    return f"{count:,} device{'' if count == 1 else 's'}"


def _estimated(claim: Claim, case: Case) -> tuple[str, ...]:
    """Return the fields without a published value that the finding depends on."""
    used = {"memory_capacity", "memory_bandwidth", "flops_fp16"}
    used.add(_ARITHMETIC[case.weight_format.arithmetic])
    if case.device.spatial == 1.0:
        used.add("layer_latency")
    elif claim.devices > 1:
        used |= {"link_bandwidth", "scale_up_domain", "network_bandwidth"}
    if claim.tpot_s is not None or claim.usd_per_mtok is not None:
        used.add("price_per_hour")
    return tuple(name for name in claim.device.estimated if name in used)
