import csv
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from perfcore.catalog import load_device, names
from perfcore.claims.audit import audit_claim as audit
from perfcore.claims.case import Case
from perfcore.claims.claim import COLUMNS, LARGEST, read_claims
from perfcore.cli import program
from perfcore.errors import InputError
from perfcore.records import SCHEDULER_CONTINUOUS

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "sweeps" / "claims.csv"
PAGE = ROOT / "docs" / "claims.md"
HEADER = "model,device,devices,ms_per_token"


@pytest.fixture
def write(tmp_path):
    def written(text):
        path = tmp_path / "claims.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return written


@pytest.fixture
def find(write):
    """The finding of one claim."""

    def found(**cells):
        cells = {"model": "llama-3-70b", "device": "h100-sxm", **cells}
        path = write(",".join(cells) + "\n" + ",".join(map(str, cells.values())) + "\n")
        return audit(read_claims(path)[0])

    return found


@pytest.fixture
def faults(write):
    def found(text):
        with pytest.raises(InputError) as error:
            read_claims(write(text))
        return error.value.faults

    return found


def codes(finding):
    return [verdict.code for verdict in finding.verdicts]


def texts(finding):
    return [verdict.text for verdict in finding.verdicts]


def invoke(*arguments):
    result = CliRunner().invoke(program, ["audit", *map(str, arguments)])

    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


# Verdicts


def test_a_claim_near_the_prediction_is_consistent(find):
    assert codes(find(devices=8, ms_per_token=10)) == ["consistent"]


def test_beats_the_bound(find):
    finding = find(devices=8, ms_per_token=1)

    # 139.4 GB at 8 x 3.35 TB/s, and the exchange of activations
    assert finding.bound_tpot_s == pytest.approx(139.421e9 / (8 * 3.35e12), rel=3e-3)
    assert texts(finding) == ["beats the physical bound (5.21 times)"]
    assert finding.implied_mbu == pytest.approx(139.421e9 / (1e-3 * 8) / 3.35e12, rel=1e-3)
    assert finding.devices_implied == 42


def test_slower_than_predicted(find):
    assert texts(find(devices=8, ms_per_token=45)) == ["slower than predicted (4.17 times)"]


def test_faster_than_predicted_but_not_than_the_bound(find):
    finding = find(devices=8, ms_per_token=5.5)

    assert codes(finding) == ["faster-than-predicted"]


def test_edges_of_the_interval_are_consistent(find):
    finding = find(devices=8, ms_per_token=10)
    for edge in (finding.predicted_low_s * 1.0001, finding.predicted_high_s * 0.9999):
        assert codes(find(devices=8, ms_per_token=edge * 1e3)) == ["consistent"]
    for beyond in (finding.predicted_low_s * 0.999, finding.predicted_high_s * 1.001):
        assert codes(find(devices=8, ms_per_token=beyond * 1e3)) != ["consistent"]

    point = Case.of(finding.claim).predicted(8)
    assert finding.predicted_low_s == point.tpot_low_s > finding.bound_tpot_s
    assert finding.predicted_high_s == point.tpot_high_s > point.tpot_s


def test_does_not_fit(find):
    finding = find(devices=1, ms_per_token=60)

    assert texts(finding) == ["does not fit in memory (needs 2 devices)"]
    assert finding.overflow_bandwidth == pytest.approx((141.53e9 - 85.9e9) / 60e-3, rel=1e-3)
    assert (finding.fit.devices, finding.fit.tp, finding.fit.pp) == (2, 2, 1)
    assert finding.fit.bound_tpot_s < finding.fit.predicted_tpot_s < finding.predicted_tpot_s


def test_fits_only_without_room_to_work(find):
    finding = find(device="groq-lpu", weight_format="fp8", devices=318, ms_per_token=4)

    assert texts(finding) == ["leaves the engine no memory to work in (needs 354 devices)"]


def test_kv_cache_counts(find):
    finding = find(devices=2, batch=256, ms_per_token=100)

    assert codes(finding) == ["does-not-fit"]
    # 256 sequences of 1280 tokens of 327,680 bytes
    assert finding.needed_bytes == pytest.approx(141.107e9 + 256 * 1280 * 327_680, rel=1e-4)


def test_context_above_the_maximum(find):
    finding = find(devices=8, input_len=8192, ms_per_token=10, usd_per_mtok=1)

    assert texts(finding) == ["cannot run: context above the model's maximum"]


def test_more_stages_than_layers(find):
    assert texts(find(devices=97, ms_per_token=50)) == ["cannot run: fewer layers than pp"]


def test_price_needs_a_batch(find):
    finding = find(devices=8, usd_per_mtok=1.2)

    assert texts(finding) == [f"price needs batch >= {finding.price.batch}"]
    assert 1 < finding.price.batch_at_full_utilization < finding.price.batch
    assert codes(find(devices=8, batch=finding.price.batch, usd_per_mtok=1.2)) == ["consistent"]
    assert codes(find(devices=8, batch=finding.price.batch - 1, usd_per_mtok=1.2)) == [
        "price-needs-batch"
    ]


def test_price_needs_every_hour_sold(find):
    lowest = find(devices=8, usd_per_mtok=1).price.lowest_usd_per_mtok
    (text,) = texts(find(devices=8, usd_per_mtok=0.9 * lowest))

    assert re.fullmatch(r"price needs batch >= \d+, and every hour sold", text)


def test_price_is_not_reachable(find):
    assert texts(find(devices=8, usd_per_mtok=0.01)) == [
        "price not reachable at any batch that fits"
    ]


def test_price_of_what_no_number_of_devices_holds(find):
    finding = find(device="groq-lpu", batch=1_000_000, usd_per_mtok=1)

    assert codes(finding) == ["does-not-fit", "price-not-reachable"]
    assert finding.fit is None


def test_price_at_the_claimed_speed(find):
    finding = find(devices=8, ms_per_token=45, usd_per_mtok=1.2)

    # 8 devices at 2.95 USD/h for 45 ms
    assert finding.usd_per_mtok_at_full_utilization == pytest.approx(8 * 2.95 / 3600 * 45e3)
    assert finding.usd_per_mtok_at_claimed_speed == pytest.approx(2 * 8 * 2.95 / 3600 * 45e3)


@pytest.mark.parametrize(("rate", "agrees"), [(98, True), (104, True), (110, False), (90, False)])
def test_tokens_per_second_follow_from_the_time(find, rate, agrees):
    finding = find(devices=8, ms_per_token=10, tokens_per_s=rate)

    assert codes(finding) == (["consistent"] if agrees else ["rate-contradicts-time"])


def test_tokens_per_second_may_be_the_whole_batch(find):
    for rate in (1000 / 12, 8 * 1000 / 12):
        assert codes(find(devices=8, batch=8, ms_per_token=12, tokens_per_s=rate)) == ["consistent"]

    assert find(devices=8, batch=8, tokens_per_s=800).claim.tpot_s == pytest.approx(0.01)


def test_several_verdicts_hold_together(find):
    finding = find(devices=1, ms_per_token=4, tokens_per_s=10, usd_per_mtok=0.001)

    assert codes(finding) == [
        "does-not-fit",
        "beats-bound",
        "price-not-reachable",
        "rate-contradicts-time",
    ]


# Laws


@pytest.mark.parametrize("device", names("device"))
def test_no_prediction_beats_the_bound(find, device):
    for devices, batch in ((1, 32), (6, 1)):
        finding = find(device=device, devices=devices, batch=batch, ms_per_token=1)

        assert finding.bound_tpot_s <= finding.predicted_tpot_s
        assert finding.bound_tpot_s <= finding.predicted_low_s <= finding.predicted_high_s


@pytest.mark.parametrize(
    ("model", "device", "degrees"),
    [
        ("llama-3-70b", "h100-sxm", (8, 1, 1)),
        ("llama-3-70b", "inferentia2", (4, 3, 1)),
        ("deepseek-v3", "b200", (8, 1, 1)),
        ("llama-3-70b", "wse-3", (1, 8, 1)),
        ("llama-3-8b", "groq-lpu", (1, 200, 1)),
    ],
)
def test_the_price_of_a_token_falls_with_the_batch(find, model, device, degrees):
    case = Case.of(find(model=model, device=device, ms_per_token=1).claim)
    costs = [
        case.point(case.engine, degrees, batch=float(batch), scheduler=SCHEDULER_CONTINUOUS)
        for batch in range(1, 200)
    ]
    prices = [point.cost_per_mtok_output_usd for point in costs if point.status == 0.0]

    assert prices == sorted(prices, reverse=True)


def test_tensor_parallel_as_far_as_it_goes(find):
    layouts = {
        ("h100-sxm", 8): (8, 1),
        ("h100-sxm", 16): (8, 2),
        ("h100-sxm", 6): (2, 3),
        ("inferentia2", 12): (4, 3),
        ("groq-lpu", 576): (1, 576),
    }
    for (device, devices), layout in layouts.items():
        finding = find(device=device, devices=devices, ms_per_token=1)

        assert (finding.tp, finding.pp) == layout


# The four claims that started the project


def test_shipped_claims():
    findings = {finding.claim.claim: finding for finding in map(audit, read_claims(SHIPPED))}

    assert {name: codes(finding) for name, finding in findings.items()} == {
        "8 x H100": ["slower-than-predicted", "price-needs-batch"],
        "1 x Groq LPU": ["does-not-fit", "price-not-reachable"],
        "1 x WSE-3": ["does-not-fit", "price-not-reachable"],
        "1 x Inferentia2": ["does-not-fit", "beats-bound", "price-not-reachable"],
    }
    needed = {name: finding.devices_needed for name, finding in findings.items()}
    assert needed == {"8 x H100": 2, "1 x Groq LPU": 318, "1 x WSE-3": 4, "1 x Inferentia2": 5}
    assert findings["1 x Groq LPU"].estimated == ("layer_latency", "price_per_hour")


def test_the_page_has_the_table_of_the_command():
    table = PAGE.read_text().partition("<!-- table claims -->\n")[2]

    assert table.partition("<!-- end claims -->")[0] == invoke(SHIPPED, "--markdown")


def test_what_else_the_page_says(find):
    """Figures of docs/claims.md that are not in its table."""
    findings = {finding.claim.claim: finding for finding in map(audit, read_claims(SHIPPED))}
    page = " ".join(PAGE.read_text().split())
    h100, groq = findings["8 x H100"], findings["1 x Groq LPU"]
    wafer, inferentia = findings["1 x WSE-3"], findings["1 x Inferentia2"]
    case = Case.of(h100.claim)
    pipeline = [case.point(engine, (1, 8, 1)).tpot_s for engine in (case.ideal, case.engine)]
    eight = find(device="inferentia2", devices=8, ms_per_token=30)

    assert codes(eight) == ["consistent"]
    for said in (
        f"{pipeline[0] * 1e3:.1f} ms at best and {pipeline[1] * 1e3:.1f} ms predicted",
        f"**{h100.usd_per_mtok_at_full_utilization:.0f} dollars**",
        f"batch of {h100.price.batch}",
        f"{h100.price.batch_at_full_utilization} if every hour",
        f"at least {groq.devices_needed} chips",
        f"{groq.fit.devices} with room to work",
        f"{groq.fit.predicted_tpot_s * 1e3:.1f} ms predicted on them",
        f"{groq.price.lowest_usd_per_mtok:.2f} dollars, on {groq.price.devices:,} chips",
        f"{wafer.overflow_bandwidth / 1e12:.1f} TB/s",
        f"{wafer.fit.predicted_tpot_s * 1e3:.1f} ms a token",
        f"{wafer.usd_per_mtok_at_full_utilization:.0f} dollars a million",
        f"{wafer.price.lowest_usd_per_mtok:.2f} dollars, on {wafer.price.devices} wafers",
        f"{inferentia.bound_tpot_s * 1e3:.0f} ms",
        f"{inferentia.implied_bandwidth / 1e12:.2f} TB/s",
        f"{eight.predicted_tpot_s * 1e3:.1f} ms",
        f"{inferentia.price.lowest_usd_per_mtok:.2f} dollars, on {inferentia.price.devices} chips",
    ):
        assert said in page


# The command


def test_table_fits_a_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = invoke(SHIPPED)

    assert max(map(len, text.splitlines())) <= 80
    assert "does not fit in memory (needs 318 devices)" in text
    assert "beats the physical bound (5.67 times)" in text


def test_json_has_every_figure():
    rows = json.loads(invoke(SHIPPED, "--json"))

    assert [row["claim"] for row in rows] == [claim.claim for claim in read_claims(SHIPPED)]
    assert rows == [json.loads(json.dumps(audit(c).to_dict())) for c in read_claims(SHIPPED)]
    assert rows[3]["verdicts"][1] == {
        "code": "beats-bound",
        "text": "beats the physical bound (5.67 times)",
    }


def test_csv_has_a_row_a_claim(tmp_path):
    path = tmp_path / "findings.csv"
    printed = invoke(SHIPPED, "-o", path)

    assert printed == invoke(SHIPPED)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["device"] for row in rows] == ["h100-sxm", "groq-lpu", "wse-3", "inferentia2"]
    assert float(rows[0]["bound_tpot_s"]) == audit(read_claims(SHIPPED)[0]).bound_tpot_s
    assert rows[0]["fit_devices"] == ""
    assert rows[1]["fit_devices"] == "354"


def test_claims_are_not_overwritten(write):
    path = write(f"{HEADER}\nllama-3-8b,h100-sxm,1,6\n")
    before = path.read_bytes()
    result = CliRunner().invoke(program, ["audit", str(path), "-o", str(path)])

    assert result.exit_code == 2
    assert "is one of the files to read; name another" in result.stderr
    assert path.read_bytes() == before


def test_two_formats_exclude_each_other():
    result = CliRunner().invoke(program, ["audit", str(SHIPPED), "--json", "--markdown"])

    assert result.exit_code == 2
    assert "exclude each other" in result.stderr


def test_bars_in_names_do_not_break_the_markdown(write):
    path = write(f"claim,{HEADER}\na|b,llama-3-8b,h100-sxm,1,6\n")

    assert "| a\\|b | 6 |" in invoke(path, "--markdown")


# The file


def test_only_what_is_needed(write):
    (claim,) = read_claims(write("model,device,tokens_per_s\nllama-3-8b,h100,150\n"))

    assert (claim.claim, claim.devices, claim.batch) == ("line 2", 1, 1)
    assert (claim.weight_format.name, claim.input_len, claim.output_len) == ("bf16", 1024, 256)
    assert claim.device is load_device("h100-sxm")
    assert claim.tpot_s == 1 / 150


def test_what_spreadsheets_do_to_a_file(write):
    (claim,) = read_claims(
        write(
            "\ufeffClaim, Model ,DEVICE,ms_per_token,usd_per_mtok,source\r\n"
            '\r\n"=1+1, ""said""",llama-3-8b,H100 SXM,6,,@SUM(A1)\r\n,,,,,\r\n'
        )
    )

    assert claim.claim == '=1+1, "said"'
    assert claim.source == "@SUM(A1)"
    assert claim.device.name == "h100-sxm"
    assert claim.usd_per_mtok is None


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is empty; its first line names columns: claim, model"),
        (f"{HEADER}\n", "has no claim; add a line below the header"),
        (b"model\xff,device\n", "is not UTF-8 text (byte 5); save it as UTF-8"),
        ("model;device;ms_per_token\na;b;3\n", "cells are separated by ';'; save the file with"),
        (
            "model,device,ms_per_tokn\nllama-3-8b,h100-sxm,6\n",
            "line 1: unknown column 'ms_per_tokn'; did you mean 'ms_per_token'?",
        ),
        ("model,device,model,ms_per_token\n", "line 1: column 'model' is there twice; remove one"),
        ("model,ms_per_token\nllama-3-8b,6\n", "line 1: column 'device' is missing; add it"),
        ("model,device\nllama-3-8b,h100\n", "no column of ms_per_token, tokens_per_s, usd_per_mt"),
        (f"{HEADER}\nllama-3-8,h100-sxm,1,6\n", "line 2: unknown model 'llama-3-8'; did you mean"),
        (f"{HEADER}\nllama-3-8b,h1000,1,6\n", "line 2: unknown device 'h1000'; did you mean"),
        (f"{HEADER}\n,h100,1,6\n", "line 2: model is empty; give its name"),
        (f"{HEADER}\nllama-3-8b,h100,0,6\n", "line 2: devices: '0' is out of bounds; write a"),
        (f"{HEADER}\nllama-3-8b,h100,1.5,6\n", "line 2: devices: '1.5' is out of bounds"),
        (f"{HEADER}\nllama-3-8b,h100,many,6\n", "line 2: devices: 'many' is not"),
        (f"{HEADER}\nllama-3-8b,h100,1,-6\n", "line 2: ms_per_token: '-6' is out of bounds"),
        (f"{HEADER}\nllama-3-8b,h100,1,0\n", "line 2: ms_per_token: '0' is out of bounds"),
        (f"{HEADER}\nllama-3-8b,h100,1,nan\n", "line 2: ms_per_token: 'nan' is not"),
        (f"{HEADER}\nllama-3-8b,h100,1,1e999\n", "line 2: ms_per_token: '1e999' is not a finite"),
        (f"{HEADER}\nllama-3-8b,h100,1,=1+5\n", "line 2: ms_per_token: '=1+5' is not"),
        (f"{HEADER}\nllama-3-8b,h100,1,\n", "line 2: claims nothing; give one of ms_per_token"),
        (f"{HEADER}\nllama-3-8b,h100,1,6,7\n", "line 2: 5 cells for 4 columns; put text with"),
        (f'{HEADER}\n"llama-3-8b,h100,1,6\n', "not valid CSV: unexpected end of data; check its"),
        (
            f"{HEADER},claim\nllama-3-8b,h100,1,6,\x1b[31mred\n",
            "line 2: claim '\\x1b[31mred' has line breaks or control characters; remove them",
        ),
        (
            f"{HEADER},weight_format\nllama-3-8b,h100,1,6,fp9\n",
            "line 2: unknown weight format 'fp9'; did you mean",
        ),
        (f"{HEADER}\n" + "llama-3-8b,h100,1,6\n" * (LARGEST + 1), "has more than 1,000 claims"),
        (f"{HEADER}\n{'x' * 200_000},h100,1,6\n", "not valid CSV: field larger than field limit"),
    ],
)
def test_faults_of_the_file(faults, text, fault):
    (line,) = faults(text)

    assert fault in line
    assert line.isprintable()


def test_every_fault_is_told_with_its_line(faults):
    found = faults(
        f"{HEADER}\n"
        "llama-3-8,h100,1,6\n"
        "llama-3-8b,h100,1,6\n"
        '"llama-3-8b",h100,0,-1\n'
        "llama-3-8b,,1,6\n"
    )
    lines = [re.search(r"claims.csv: (line \d+): (\w+)", fault).groups() for fault in found]

    assert lines == [
        ("line 2", "unknown"),
        ("line 4", "devices"),
        ("line 4", "ms_per_token"),
        ("line 5", "device"),
    ]


def test_files_that_cannot_be_read(tmp_path, write):
    path = write("model\n")
    for name, fault in {
        "claim.csv": "no such file; check the path; did you mean 'claims.csv'?",
        ".": "is not a file; give the path of a .csv file",
        "claims.csv/x": "is not a file; give the path of a .csv file",
        "a\0b": "cannot be read: embedded null byte; check the path",
    }.items():
        with pytest.raises(InputError, match=re.escape(fault)):
            read_claims(path.parent / name if name != "." else tmp_path)


def test_a_faulty_file_ends_with_2_and_one_line_a_fault(write):
    path = write(f"{HEADER}\nllama-3-8,h100,0,6\n")
    result = CliRunner().invoke(program, ["audit", str(path)])

    assert result.exit_code == 2
    assert result.stdout == ""
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["error", "error"]


def test_help_names_every_column():
    text = " ".join(invoke("--help").split())

    assert [column for column in COLUMNS if column not in text] == []
