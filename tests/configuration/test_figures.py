"""Results as a notebook shows them."""

import importlib.util
import inspect
from html.parser import HTMLParser
from typing import get_type_hints

import pytest
from paths import ROOT

import perfcore
from perfcore.configuration.figures import Figures
from perfcore.configuration.options import Compared, Simulated, Sized
from perfcore.errors import InputError


class Cells(HTMLParser):
    """Rows of all tables as text, and the tags of the page."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.tags, self.bold = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, _):
        self.tags.add(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self.rows[-1].append("")

    def handle_data(self, data):
        if self.rows and self.rows[-1] and self.get_starttag_text() and data.strip():
            self.rows[-1][-1] += data
        if (self.get_starttag_text() or "").startswith("<strong"):
            self.bold.append(data)


def shown(result):
    return Cells(result._repr_html_())


def by_name(cells):
    return {row[0]: row[1:] for row in cells.rows if row}


def test_a_point_is_a_dictionary_and_a_table():
    point = perfcore.evaluate("llama-3.1-8b", "h100-sxm", batch=8)
    rows = by_name(shown(point))

    assert point == dict(point)
    value, unit, interval, meaning = rows["tpot_s"]
    assert float(value) == pytest.approx(point["tpot_s"], rel=1e-3)
    assert (unit, meaning.split(" (")[0]) == ("s", "mean time per output token after the first")
    assert float(interval.split(" to ")[1]) == pytest.approx(point["tpot_high_s"], rel=1e-3)
    assert rows["batch"][0] == "8"
    assert set(point) == set(rows) - {"column"}
    same = perfcore.Configuration("llama-3.1-8b", "h100-sxm", batch=8)
    assert same._repr_html_() == point._repr_html_()


def test_what_does_not_run_says_why_and_has_no_figures():
    cells = shown(perfcore.evaluate("llama-3.3-70b", "rtx-4090", devices=1))

    assert "weights do not fit" in cells.bold[0]
    assert "weight_bytes_per_device" in by_name(cells)
    assert "tpot_s" not in by_name(cells)


def test_a_comparison_marks_the_best():
    compared = perfcore.compare("llama-3.3-70b", device=["h100", "b200", "rtx-4090"], devices=2)
    cells = shown(compared)
    rows = by_name(cells)

    assert rows["column"] == ["unit", "h100-sxm", "b200", "rtx-4090"]
    assert rows["status"][1:] == ["ok", "ok", "weights do not fit"]
    assert rows["tpot_s"][3] == "-"
    assert rows["tpot_s"][2] in cells.bold
    assert rows["tpot_s"][1] not in cells.bold


def test_a_simulation_has_the_meanings_of_simulations():
    traffic = {"rate": 4, "requests": 50, "input_len": 128, "output_len": 16}
    found = perfcore.simulate("llama-3.1-8b", "h100-sxm", slo=["ttft_p99_s<=1s"], **traffic)
    cells = shown(found)

    assert isinstance(found, Figures)
    assert cells.bold[0] == "status ok, slo met"
    assert by_name(cells)["energy_per_output_token_j"][3] == "energy_j per output token"


def test_fleets_are_rows_and_commands():
    traffic = perfcore.Traffic(rate=4, requests=50, input_len=128, output_len=16)
    sizing = perfcore.size("llama-3.1-8b", traffic, {"ttft_p95_s": 1.0}, device=["h100-sxm"])
    cells = shown(sizing)

    assert [row[0] for row in cells.rows[2:]] == ["h100-sxm"] * len(sizing.fleets)
    assert "vllm serve" in sizing._repr_html_()
    none = perfcore.size("llama-3.1-8b", traffic, {"ttft_p95_s": 1e-9}, device=["h100-sxm"])
    assert shown(none).bold[0].startswith("No fleet: ")


def test_names_from_files_stay_text():
    point = Figures(model="<script>alert(1)</script>", status="ok", tpot_s=1.0)

    assert "script" not in shown(point).tags


def test_options_of_evaluate_are_those_of_a_configuration():
    ours = inspect.signature(perfcore.evaluate)
    theirs = inspect.signature(perfcore.Configuration)

    assert list(ours.parameters.values()) == list(theirs.parameters.values())
    assert ours.return_annotation is Figures
    with pytest.raises(InputError, match="did you mean 'batch'"):
        perfcore.evaluate("llama-3.1-8b", "h100-sxm", bach=8)


@pytest.mark.parametrize(
    ("function", "options", "own"),
    [
        (perfcore.compare, Compared, {"subjects"}),
        (perfcore.simulate, Simulated, {"model", "device", "traffic", "slo", "prefill"}),
        (
            perfcore.size,
            Sized,
            {
                "model",
                "traffic",
                "slos",
                "rules",
                "max_devices",
                "top",
                "sure",
                "tokens",
                "deadline",
            },
        ),
    ],
)
def test_options_of_other_functions_are_typed_and_shown(function, options, own):
    shown = inspect.signature(function).parameters
    hints = get_type_hints(options)

    assert set(shown) == own | set(hints)
    assert all(shown[name].annotation == hint for name, hint in hints.items())
    assert all(shown[name].kind is inspect.Parameter.KEYWORD_ONLY for name in hints)
    assert {"kv_format", "tp", "overrides", "offload"} <= set(hints)


def test_options_are_written_down_from_the_parameters_that_they_are():
    path = ROOT / "docs" / "options.py"
    spec = importlib.util.spec_from_file_location("options", path)
    written = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(written)
    module = ROOT / "perfcore" / "configuration" / "options.py"

    assert module.read_text(encoding="utf-8") == written.source()


def test_every_option_of_a_function_is_one_that_it_takes():
    compared = perfcore.compare("llama-3.1-8b", device="h100-sxm", batch=range(1, 3))
    fixed = {name: inspect.signature(perfcore.simulate).parameters for name in ("rate", "tp")}

    assert [row["batch"] for row in compared.rows] == [1, 2]
    assert fixed["rate"]["rate"].default == perfcore.Traffic.rate
    assert fixed["tp"]["tp"].default is None
    for call, options in (
        (perfcore.compare, Compared),
        (perfcore.simulate, Simulated),
        (lambda **wrong: perfcore.size("llama-3.1-8b", None, {"ttft_s": 1.0}, **wrong), Sized),
    ):
        given = dict.fromkeys(get_type_hints(options), "?") | {"nonsense": 1}
        first = () if options is not Simulated else ("llama-3.1-8b", "h100-sxm")
        with pytest.raises(InputError) as fault:
            call(*first, **given)
        unknown = [one for one in fault.value.faults if "unknown option" in one]
        assert len(unknown) == 1, unknown
        assert "nonsense" in unknown[0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: perfcore.evaluate("llama-3.1-8b", "h100-sxm", isl=8), "'input_len'"),
        (lambda: perfcore.evaluate("llama-3.1-8b", "h100-sxm", concurrency=8), "'batch'"),
        (lambda: perfcore.compare("llama-3.1-8b", device=["h100"], num_gpus=8), "'devices'"),
        (lambda: perfcore.simulate("llama-3.1-8b", "h100-sxm", qps=8), "'rate'"),
    ],
)
def test_words_of_other_tools_lead_to_parameters(call, words):
    with pytest.raises(InputError, match=f"did you mean {words}"):
        call()


# Printed, and as frames


def test_results_are_printed_as_tables():
    point = perfcore.evaluate("llama-3.1-8b", "h100-sxm")
    none = perfcore.evaluate("llama-3.3-70b", "h100-sxm", tp=1)
    compared = str(perfcore.compare("llama-3.1-8b", device=["h100-sxm", "b200"]))
    lines = str(point).splitlines()

    assert lines[0] == "llama-3.1-8b, h100-sxm, status ok"
    assert lines[1].split() == ["column", "value", "unit", "80", "%", "interval"]
    assert any(line.split()[:3] == ["tpot_s", "0.007247", "s"] for line in lines)
    assert "weights do not fit" in str(none)
    assert "devices_needed" in str(none)
    assert compared.splitlines()[0].split() == ["column", "unit", "h100-sxm", "b200"]
    assert "Configuration(" not in compared


def test_results_are_frames():
    point = perfcore.evaluate("llama-3.1-8b", "h100-sxm")
    given = {"engine_version": ["0.6.0", ""], "tp": [1, 3]}
    compared = perfcore.compare("llama-3.1-8b", device="h100-sxm", engine="vllm", **given)
    arrow = compared.to_arrow()

    assert point.to_arrow().to_pylist() == [dict(point)]
    assert point.to_pandas()["tpot_s"].tolist() == [point["tpot_s"]]
    assert arrow["name"].to_pylist() == list(compared.names)
    assert [time is None for time in arrow["tpot_s"].to_pylist()] == [False, False, True, True]
    assert arrow["engine_version"].to_pylist() == ["0.6.0", None, "0.6.0", None]
    assert compared.to_polars().height == len(compared.to_pandas()) == 4


def test_fleets_are_printed_and_frames():
    traffic = perfcore.Traffic(rate=5, requests=1000)
    found = perfcore.size("llama-3.1-8b", traffic, {"ttft_p95_s": 1.0}, device="h100-sxm")
    none = perfcore.size("llama-3.1-8b", traffic, {"ttft_p95_s": 1e-9}, device="h100-sxm")

    assert str(found).splitlines()[0].split()[:2] == ["device", "weight_format"]
    assert found.to_arrow()["device"].to_pylist() == ["h100-sxm"] * len(found.fleets)
    assert str(none).startswith("No fleet: ")
    assert none.to_arrow().num_rows == 0
