"""Findings that survive: what a sentence claims is looked up in the rows, there and elsewhere."""

import re
from collections import Counter

import pytest

import perfcore
from perfcore.reporting.kinds import gather
from perfcore.reporting.names import KINDS
from perfcore.reporting.opening import open_source
from perfcore.reporting.ranges import MOST_VALUES, others
from perfcore.reporting.settling import said

pytestmark = pytest.mark.slow

CELL = ("batch", "input_len")
METRIC = {
    "cheapest": "cost_per_mtok_output_usd",
    "fastest": "tpot_s",
    "the most energy-efficient": "energy_per_output_token_j",
}


def best(rows, by, metric):
    """Return the row with the lowest value of each group."""
    found = {}
    for row in rows:
        key = tuple(row[name] for name in by)
        if key not in found or row[metric] < found[key][metric]:
            found[key] = row
    return found


def leads(name, values):
    """Return whether a name has the most of a count, or is among those that do."""
    return values[name] == max(values.values())


# Whether a claim is true of rows. Each is written without a look at what makes the claim.


def roofline(claim, rows):
    (name,) = re.fullmatch(r"(\S+) is nearest to its roof", claim).groups()
    fastest = best(
        [row | {"least": -row["tokens_per_s_per_device"]} for row in rows],
        ("device", "batch"),
        "least",
    )
    return max(fastest.values(), key=lambda row: max(row["mfu"], row["mbu"]))["device"] == name


def pareto(claim, rows):
    front, most = [], 0.0
    for row in sorted(rows, key=lambda row: (row["tpot_s"], -row["tokens_per_s_per_device"])):
        if row["tokens_per_s_per_device"] > most:
            most = row["tokens_per_s_per_device"]
            front.append(row["device"])
    alone = re.fullmatch(r"(\S+) is unbeaten at every speed", claim)
    if alone:
        return set(front) == {alone[1]}
    fast, high = re.fullmatch(
        r"(\S+) is fastest and (\S+) has the highest throughput per device", claim
    ).groups()
    return len(set(front)) > 1 and (front[0], front[-1]) == (fast, high)


def winners(claim, rows):
    told = re.findall(r"(\S+) is most often ([a-z -]+?)(?=, | and \S+ is |$)", claim)
    assert len(told) == 3
    return all(
        leads(
            name,
            Counter(
                row["device"] for row in best(rows, ("batch", "input_len"), METRIC[word]).values()
            ),
        )
        for name, word in told
    )


def memory_wall(claim, rows):
    where = claim.removeprefix("the KV cache takes longer than the weights ")
    batches = sorted({row["batch"] for row in rows})
    crossed = {row["batch"] for row in rows if row["kv_s"] > row["weights_s"]}
    if where == "at every batch shown":
        return crossed == set(batches)
    told = set() if where == "at no batch shown" else set(map(int, re.findall(r"\d+", where)))
    return crossed == told


def cost(claim, rows):
    needed = {}
    for row in rows:
        share = row["break_even_utilization"]
        needed[row["device"]] = min(share, needed.get(row["device"], share))
    least = min(needed, key=needed.get)
    if needed[least] > 1.0:
        return claim == f"nothing breaks even, and {least} is nearest"
    return claim == f"{least} breaks even first"


def energy(claim, rows):
    total = {}
    for (name,), row in best(rows, ("device",), "energy_per_output_token_j").items():
        decode = row["energy_per_output_token_j"]
        prompt = row["energy_per_input_token_j"] * row["input_len"] / row["output_len"]
        total[name] = (decode + prompt) * row["facility_energy_per_output_token_j"] / decode
    order = sorted(total, key=total.get)
    return claim == f"{order[0]} needs least and {order[-1]} most"


def quantisation(claim, rows):
    gains = {}
    times = {(row["weight_format"], row["batch"]): row["tpot_s"] for row in rows}
    for (name, batch), time in times.items():
        if name != "bf16" and ("bf16", batch) in times:
            gains[name, batch] = times["bf16", batch] / time
    top, _ = max(gains, key=gains.get)
    last = max(batch for name, batch in gains if name == top)
    there = {name: gain for (name, batch), gain in gains.items() if batch == last} | {"bf16": 1.0}
    leader = max(there, key=there.get)
    told, other = re.fullmatch(
        r"(\S+) gains most and (?:(\S+) )?is best at the largest batch", claim
    ).groups()
    return (top, leader) == (told, other or told)


def bandwidth(claim, rows, anchors):
    scales = sorted({row["device_memory_bandwidth_scale"] for row in rows})
    batches = sorted({row["batch"] for row in rows})
    gains = {}
    for device, free in anchors.items():
        mine = [
            r for r in rows if r["device"] == device and all(r[n] == v for n, v in free.items())
        ]
        times = {(r["device_memory_bandwidth_scale"], r["batch"]): r["tpot_s"] for r in mine}
        for batch in (batches[0], batches[1], batches[-1]):
            if (scales[-1], batch) in times:
                gains[device, batch] = times[1.0, batch] / times[scales[-1], batch]
    high, low = max(gains, key=gains.get)[0], min(gains, key=gains.get)[0]
    return claim == f"{high} gains most" + (f" and {low} least" if low != high else "")


def load(claim, rows):
    most = max(row["request_rate"] for row in rows)
    late = {r["device"]: r["ttft_p99_s"] for r in rows if r["request_rate"] == most}
    return claim == f"{min(late, key=late.get)} is best at the highest load"


TRUTH = {
    "roofline": roofline,
    "pareto": pareto,
    "winners": winners,
    "memory_wall": memory_wall,
    "cost": cost,
    "energy": energy,
    "quantisation": quantisation,
    "bandwidth": bandwidth,
}


def is_true(kind, claim, rows):
    if kind != "bandwidth":
        return TRUTH[kind](claim, rows)
    # a device's layout is the cheapest at today's bandwidth and the middle batch
    middle = sorted({row["batch"] for row in rows})[1]
    today = [r for r in rows if r["device_memory_bandwidth_scale"] == 1.0 and r["batch"] == middle]
    cheapest = best(today, ("device",), "cost_per_mtok_output_usd")
    anchors = {
        name: {axis: row[axis] for axis in ("weight_format", "tp")}
        for (name,), row in cheapest.items()
    }
    return bandwidth(claim, rows, anchors)


def parted(finding):
    """Return where a sentence says that its claim holds, and where not."""
    found = re.search(
        r"\. It is (?:also true with (.+?)(?:, but not with (.+?),)?|not true with (.+?))"
        " that (.+)$",
        finding,
    )
    same, other, only, claim = found.groups()
    return claim, same or "", other or only or ""


def named(text, axis, value):
    """Return whether a part of a sentence lists an axis with a value."""
    bare = said(axis, value).removesuffix(" tokens")
    if not bare.startswith(f"{axis} "):
        return re.search(rf"(?<!\S){re.escape(bare)}(?=,|\s|$)", text) is not None
    listed = re.search(rf"(?<!\S){axis} ((?:[\d.,]+(?:, | or )?)+)", text)
    values = re.split(r", | or ", listed[1].strip().rstrip(",")) if listed else []
    return bare.removeprefix(f"{axis} ") in values


def check(source, kind, rows, truth):
    picture = gather(source, kind)
    sentence, picture_held = picture.finding, dict(picture.held)
    held = re.split(r"\. It is ", sentence)[0]
    claim, same, other = parted(sentence)
    mine = [row for row in rows if all(row[name] == at for name, at in picture_held.items())]
    compared = 0

    assert claim == picture.claim
    assert truth(claim, mine)
    for axis, value in picture_held.items():
        assert named(held.rpartition(", with ")[2], axis, value) or said(axis, value) in held
        for changed in source.axes[axis]:
            there = picture_held | {axis: changed}
            found = [row for row in rows if all(row[name] == at for name, at in there.items())]
            if changed == value or not (named(same, axis, changed) or named(other, axis, changed)):
                continue
            assert named(same, axis, changed) != named(other, axis, changed)
            assert truth(claim, found) == named(same, axis, changed), (axis, changed)
            compared += 1
    return compared


@pytest.mark.parametrize("kind", KINDS)
def test_a_finding_is_true_where_it_says_so_and_nowhere_else(source, rows, kind):
    compared = check(source, kind, rows, lambda claim, there: is_true(kind, claim, there))

    assert compared >= 3


@pytest.mark.parametrize("model", ["llama-3.1-8b", "llama-3.1-70b"])
@pytest.mark.parametrize("kind", KINDS)
def test_so_are_those_with_another_value_held(folder, rows, kind, model):
    narrow = [row for row in rows if row["model"] == model and row["input_len"] <= 8192]
    source = open_source(folder / "small.toml", [f"model={model}", "input_len<=8192"])

    check(source, kind, narrow, lambda claim, there: is_true(kind, claim, there))


def test_findings_of_simulations_say_their_range_too():
    spec = {
        "axes": {"model": "llama-3.1-8b", "device": ["h100-sxm", "l40s"]},
        "traffic": {
            "request_rate": [1, 4],
            "requests": 50,
            "output_len": 64,
            "input_len": [128, 512, 2048],
        },
    }

    assert check(open_source(spec), "load", perfcore.sweep(spec).to_pylist(), load) == 2


def test_a_finding_about_all_there_is_needs_no_range():
    spec = {
        "axes": {
            "model": "llama-3.1-8b",
            "device": ["h100-sxm", "b200"],
            "batch": [1, 8],
            "input_len": 512,
        }
    }
    picture = gather(open_source(spec), "pareto")

    assert picture.held == {}
    assert ", with " not in picture.finding


def test_a_run_and_its_sweep_say_the_same(folder, source):
    for kind in ("pareto", "energy", "memory_wall"):
        assert gather(open_source(folder / "run"), kind).finding == gather(source, kind).finding


def test_few_values_of_a_long_axis_are_compared():
    lengths = tuple(range(1, 1000))
    names = tuple("abcdefgh")

    assert others(lengths, 500) == [1, 334, 666, 999]
    assert others(lengths, 1) == [334, 666, 999]
    assert others(names, "b") == ["a", "c", "d"]
    assert len(others(names, "h")) == MOST_VALUES
