"""Figures behind a result, and where they come from."""

import pytest

import perfcore
from configuration.cases import CASES, every_case, made
from perfcore.catalog import loader
from perfcore.configuration import alternatives as beside
from perfcore.configuration.configuration import Configuration
from perfcore.configuration.provenance import VERDICT, figures


@every_case
def test_figures_are_those_of_the_records_and_the_catalogue(case):
    configuration = made(case)
    entries = configuration.entries
    for figure in figures(configuration):
        assert figure.value == getattr(getattr(configuration.records, figure.kind), figure.field)
        assert figure.entry == getattr(entries, figure.kind).name
        if figure.kind == "engine":
            assert figure.source == configuration.constants[figure.field].source
        elif figure.basis in {"estimated", "vendor claim"}:
            entry = getattr(entries, figure.kind)
            derived = {joules.why for joules in getattr(entry, "energies", {}).values()}
            known = {**entry.estimated, **getattr(entry, "fallbacks", {})}.values()
            assert figure.source in {*known, *derived}
        elif figure.basis != "what-if":
            assert figure.source.rpartition("; ")[2] in getattr(entries, figure.kind).source


@every_case
def test_every_estimate_that_counts_is_marked(case):
    configuration = made(case)
    marked = {
        figure.field
        for figure in figures(configuration)
        if figure.basis in {"estimated", "what-if"}
    }
    names = {"spot_price_per_hour": "spot_price_per_hour", "purchase_price": "purchase_price"}
    for estimate in configuration.estimated:
        field = names.get(estimate.field, estimate.field)
        records = configuration.records
        record = getattr(records, estimate.kind)
        changed = record._replace(**{field: getattr(record, field) * 0.99})
        after = beside.evaluate_point(*records._replace(**{estimate.kind: changed}))
        if after != configuration.evaluate() and "vendor-claimed" not in estimate.derivation:
            assert field in marked


def test_effects_are_changes_of_the_verdict():
    model, device, options = CASES["one device"]
    found = {(f.kind, f.field): f for f in figures(Configuration(model, device, **options))}
    before = perfcore.evaluate(model, device)
    after = perfcore.evaluate(model, device, overrides={"device.memory_bandwidth": {"scale": 0.99}})

    for metric in VERDICT:
        change = (1.0 - after[metric] / before[metric]) / 0.01
        assert found["device", "memory_bandwidth"].effects[metric] == pytest.approx(change)
    assert found["device", "price_per_hour"].effects["cost_per_mtok_output_usd"] == pytest.approx(1)
    assert found["device", "price_per_hour"].effects["tpot_s"] == 0.0


def test_claims_estimates_and_what_ifs_are_told_apart():
    def bases(case):
        return {figure.field: figure.basis for figure in figures(made(case))}

    spatial = bases(CASES["spatial"])
    assert spatial["layer_latency"] == "vendor claim"
    assert spatial["idle_power"] == "estimated"
    assert spatial["board_power"] == "published"
    assert bases(CASES["what if"])["memory_bandwidth"] == "what-if"
    assert bases(CASES["tensor parallel"])["memory_efficiency_8"] == "fitted"


def test_source_of_a_figure_is_the_part_that_tells_of_it():
    found = {figure.field: figure.source for figure in figures(made(CASES["tensor parallel"]))}
    entry = loader.load_device("h100-sxm")

    assert found["link_bandwidth"] == "ml-engineering network README (2026-08)"
    assert found["price_per_hour"].startswith(entry.price_per_hour_basis)
    assert "aiconfigurator" in found["memory_bandwidth"]
    assert "price" not in found["memory_bandwidth"]


def test_a_stack_is_the_source_of_what_it_sets():
    configuration = Configuration(
        *("llama-3-8b", "h100-sxm"),
        engine="vllm",
        scheduler="continuous",
        batch=64,
        input_len=32768,
        eager=True,
        prefill_chunk=1024,
        power_limit=300,
    )
    found = {figure.field: figure for figure in figures(configuration)}

    assert found["board_power"].basis == "what-if"
    assert found["prefill_chunk"].source == "prefill_chunk of this question"
    assert "steps without CUDA graphs" in found["launch"].source
