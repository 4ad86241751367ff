"""One configuration: names in, a point or a dictionary out."""

import math

import numpy as np
import pytest

import perfcore
from perfcore import records
from perfcore.catalog import loader
from perfcore.columns import AXES, BOUND, COLUMNS, METRICS, STATUS
from perfcore.configuration.configuration import Configuration, evaluate
from perfcore.errors import InputError
from perfcore.inputs import AXIS_INPUTS
from perfcore.physics.cost import usd_per_second

# where a device's entry and its record have different names
FIELDS = {
    "spot_price_per_hour": "spot_price_per_hour",
    "purchase_price": "purchase_price",
}
EIGHT = {"tp": 8, "batch": 32, "input_len": 2048, "output_len": 512}


def test_result_has_every_axis_and_metric_in_the_order_of_the_columns():
    row = evaluate("llama-3-70b", "h100-sxm", **EIGHT)

    assert list(row) == [column.name for column in COLUMNS]
    assert row["status"] == "ok"
    assert row["bound"] in BOUND
    assert all(isinstance(row[column.name], int) for column in COLUMNS if column.kind == "count")
    assert all(math.isfinite(row[column.name]) for column in METRICS if column.kind == "metric")


def test_names_aliases_and_entries_mean_the_same():
    by_name = evaluate("llama-3-70b", "h100-sxm", **EIGHT)
    by_alias = evaluate("LLAMA_3_70B", "H100", **EIGHT)
    by_entry = evaluate(loader.load_model("llama-3-70b"), loader.load_device("h100-sxm"), **EIGHT)

    assert by_alias == by_name
    assert by_entry == by_name


def test_numbers_may_be_text_with_units_or_numpy_integers():
    text = evaluate("llama-3.1-8b", "h100-sxm", batch="1Ki", input_len="2Ki")
    plain = evaluate("llama-3.1-8b", "h100-sxm", batch=np.int64(1024), input_len=2048)

    assert text == plain
    assert text["batch"] == 1024


def test_defaults_are_those_of_a_sweep():
    labels = Configuration("llama-3-8b", "h100-sxm").labels

    assert list(labels) == [axis.name for axis in AXES]
    assert labels["engine"] == "default"
    assert labels["weight_format"] == "bf16"
    assert (labels["scheduler"], labels["offload"]) == ("static", "none")
    assert (labels["dp"], labels["ep"], labels["draft_len"]) == (1, 1, 0)
    assert (labels["prefix_hit"], labels["acceptance"]) == (0.0, 0.0)
    for name, rule in AXIS_INPUTS.items():
        if rule.default is not None:
            assert labels[name] == rule.default
    assert (labels["input_len"], labels["output_len"]) == (1024, 256)


def test_override_sets_or_scales_a_field():
    base = Configuration("llama-3-8b", "h100-sxm")
    bandwidth = base.records.device.memory_bandwidth
    scaled = Configuration(
        "llama-3-8b", "h100-sxm", overrides={"device.memory_bandwidth": {"scale": 2}}
    )
    given = Configuration(
        "llama-3-8b", "h100-sxm", overrides={"device.memory_bandwidth": "6.7 TB/s"}
    )

    assert scaled.records.device.memory_bandwidth == 2 * bandwidth
    assert given.records.device.memory_bandwidth == 6.7e12
    assert scaled.evaluate().tpot_s < base.evaluate().tpot_s
    assert scaled.to_dict()["device_memory_bandwidth_scale"] == 2.0
    assert given.to_dict()["device_memory_bandwidth_bytes_per_s"] == 6.7e12


def test_economics_reach_the_price():
    idle = evaluate("llama-3-8b", "h100-sxm", overrides={"economics.utilization": 0.25})
    busy = evaluate("llama-3-8b", "h100-sxm", overrides={"economics.utilization": 0.5})
    fleet = evaluate("llama-3-8b", "h100-sxm", economics="hyperscaler")

    ratio = idle["cost_per_mtok_output_usd"] / busy["cost_per_mtok_output_usd"]
    assert ratio == pytest.approx(2)
    assert fleet["cost_per_mtok_output_usd"] < busy["cost_per_mtok_output_usd"]


@pytest.mark.parametrize("device", ["h100-sxm", "m1-max", "groq-lpu", "tpu-v5p", "epyc-9654"])
def test_bound_is_never_slower(device):
    configuration = Configuration(
        "llama-3-8b", device, batch=4, overrides={"engine.launch": "90 us"}
    )

    assert configuration.bound().tpot_s <= configuration.evaluate().tpot_s
    assert configuration.bound().ttft_s <= configuration.evaluate().ttft_s


SERVERS = [
    {"scheduler": "continuous", "batch": 64},
    {"scheduler": "continuous", "batch": 5000, "input_len": 4000},  # most of them wait
    {"batch": 64, "tp": 2, "dp": 4, "ep": 8, "scheduler": "continuous"},
    {"tp": 2, "pp": 4, "input_len": 4000},
    {"draft_len": 4, "acceptance": 0.7, "batch": 8},
    {"offload": "weights", "weight_format": "bf16"},
    {"offload": "kv", "batch": 512, "input_len": 4000},
]


@pytest.mark.parametrize("options", SERVERS)
@pytest.mark.parametrize("engine", [name for name in loader.names("engine") if name != "ideal"])
@pytest.mark.parametrize("model", ["mixtral-8x7b", "llama-3.1-70b"])
def test_bound_holds_for_every_engine_and_deployment(model, engine, options):
    configuration = Configuration(
        model, "h100-sxm", engine=engine, **{"weight_format": "fp8", **options}
    )
    point, bound = configuration.evaluate(), configuration.bound()

    assert bound.tpot_s <= point.tpot_s
    assert bound.ttft_s <= point.ttft_s
    assert bound.running_batch == point.running_batch


def test_bound_of_a_disaggregated_server():
    configuration = Configuration("llama-3-8b", "h100-sxm", scheduler="disaggregated", batch=32)

    assert configuration.bound().ttft_s <= configuration.evaluate().ttft_s


def test_every_axis_reaches_physics():
    deployment = Configuration(
        "deepseek-v3",
        "h200-sxm",
        scheduler="disaggregated",
        offload="kv",
        tp=2,
        pp=3,
        dp=4,
        ep=8,
        batch="64",
        prefix_hit="50 %",
        draft_len=3,
        acceptance=np.float32(0.5),
    ).records.deployment

    assert deployment == records.Deployment(
        tp=2.0,
        pp=3.0,
        dp=4.0,
        ep=8.0,
        batch=64.0,
        scheduler=records.SCHEDULER_DISAGGREGATED,
        prefix_hit=0.5,
        draft_len=3.0,
        acceptance=0.5,
        offload=records.OFFLOAD_KV,
    )


def test_devices_of_a_replica():
    assert Configuration("deepseek-v3", "h200-sxm", tp=2, pp=3, dp=4, ep=8).device_count == 24


def test_speculation_without_acceptance_gains_nothing():
    options = {"draft_len": 4, "batch": 4, "tp": 2}
    none = Configuration("llama-3-70b", "h100-sxm", acceptance=1e-9, **options)
    much = Configuration("llama-3-70b", "h100-sxm", acceptance=0.8, **options)

    assert none.evaluate().tpot_s > none.without_speculation().tpot_s
    assert much.evaluate().tpot_s < much.without_speculation().tpot_s
    assert much.without_speculation() == none.without_speculation()


def test_drafts_without_an_acceptance_are_refused():
    """Otherwise they would slow decode down without a word."""
    with pytest.raises(perfcore.InputError, match="all drafts are rejected; use acceptance"):
        Configuration("llama-3-8b", "h100-sxm", draft_len=4)


def test_price_follows_how_devices_are_paid():
    price = {
        economics: evaluate("llama-3-8b", "h100-sxm", economics=economics)[
            "cost_per_mtok_output_usd"
        ]
        for economics in ("on-demand", "spot", "owned")
    }
    device = loader.load_device("h100-sxm")

    assert price["spot"] / price["on-demand"] == pytest.approx(
        device.spot_price_per_hour / device.price_per_hour
    )
    assert price["spot"] < price["owned"] < price["on-demand"]


@pytest.mark.parametrize(
    ("economics", "told", "untold"),
    [
        ("on-demand", {"price_per_hour"}, {"spot_price_per_hour", "purchase_price", "interest"}),
        ("spot", {"spot_price_per_hour", "price_per_hour"}, {"purchase_price", "interest"}),
        ("owned", {"purchase_price", "price_per_hour", "interest"}, {"spot_price_per_hour"}),
    ],
)
def test_estimates_tell_prices_that_a_device_does_not_list(economics, told, untold):
    configuration = Configuration("llama-3-8b", "rubin", economics=economics)
    found = {estimate.field: estimate.derivation for estimate in configuration.estimated}

    assert told <= set(found)
    assert not untold & set(found)
    for field in told & {"spot_price_per_hour", "purchase_price"}:
        assert "median of the" in found[field]


def test_listed_price_is_no_estimate():
    found = Configuration("llama-3-8b", "h100-sxm", economics="spot").estimated

    assert not [estimate for estimate in found if estimate.kind == "device"]


def test_configuration_that_cannot_run_is_data():
    row = evaluate("llama-3.1-405b", "rtx-4090", tp=1)

    assert row["status"] == "weights do not fit"
    assert row["status"] in STATUS
    assert row["devices_needed"] > 1


@pytest.mark.parametrize(
    ("device", "options"),
    [
        ("mi300x", {}),
        ("mi300x", {"tp": 8}),
        ("mi300x", {"tp": 4, "pp": 2}),
        ("m1", {"weight_format": "q4_0"}),
        ("tpu-v5e", {"weight_format": "fp8"}),
        ("groq-lpu", {"pp": 300}),
        ("groq-lpu", {"pp": 300, "weight_format": "int8"}),
        ("mi300x", {"scheduler": "disaggregated", "batch": 4}),
        ("mi300x", {"economics": "owned"}),
        ("m1", {"economics": "spot"}),
        ("m1-max", {"economics": "owned"}),
        ("rubin", {"offload": "kv", "economics": "spot"}),
        ("wse-3", {"economics": "owned"}),
        ("corsair", {"pp": 16}),
        ("gb200", {"dp": 4}),
    ],
)
def test_fields_that_are_said_to_have_no_part_have_none(device, options):
    configuration = Configuration("llama-3-8b", device, **options)
    point = configuration.evaluate()
    used = {estimate.field for estimate in configuration.estimated}
    unused = {
        FIELDS.get(field, field)
        for field in configuration.entries.device.estimated
        if field not in used
    }
    unused &= set(configuration.records.device._fields)
    for field in unused:
        changed = Configuration(
            "llama-3-8b", device, overrides={f"device.{field}": {"scale": 1.5}}, **options
        )

        assert changed.evaluate() == point, field


def test_estimates_tell_entry_field_and_derivation():
    found = {(e.entry, e.field): e.derivation for e in Configuration("llama-3-8b", "m1").estimated}

    assert "Hugging Face" in found["m1", "board_power"]
    assert ("m1", "link_bandwidth") not in found


def test_estimate_that_an_override_replaces_is_gone():
    overrides = {"device.board_power": "20 W", "device.idle_power": {"scale": 2}}
    fields = {e.field for e in Configuration("llama-3-8b", "m1", overrides=overrides).estimated}

    assert "board_power" not in fields
    assert "idle_power" in fields


def test_hypothetical_entries_are_named():
    assert Configuration("llama-3-8b", "hbm4-6tbs").hypothetical == ("hbm4-6tbs",)
    assert Configuration("llama-3-8b", "h100-sxm").hypothetical == ()


def test_every_fault_is_told_at_once():
    with pytest.raises(perfcore.InputError) as caught:
        Configuration(
            "lama-3-70b",
            "h10-sxm",
            tp=0,
            batch="x",
            overrides={"devic.x": 1, "tp": 3, "device.memory_bandwidth": [1e12, 2e12]},
        )

    faults = caught.value.faults
    assert len(faults) == 7
    assert "did you mean 'llama-3-70b'?" in faults[0]
    assert "did you mean 'h100-sxm'?" in faults[1]
    assert faults[2].startswith("tp: 0 is out of bounds")
    assert faults[3].startswith("batch: 'x'")
    assert all("\n" not in fault for fault in faults)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 1.5}, "batch: 1.5"),
        ({"batch": True}, "batch: True is not a number"),
        ({"batch": None}, "batch: None is not a number"),
        ({"batch": math.nan}, "batch: nan"),
        ({"batch": 10**400}, "batch: 1"),
        ({"output_len": -1}, "output_len: -1 is out of bounds"),
        ({"engine": 3}, "engine: 3 is not a name"),
        ({"overrides": {"economics.pue": {"scale": 0.5}}}, "scale 0.5 makes it 0.6"),
        ({"overrides": {"economics.utilization": 0}}, "economics.utilization"),
        ({"scheduler": "dynamic"}, "scheduler: unknown value 'dynamic'; use one of: static"),
        ({"scheduler": "continous"}, "did you mean 'continuous'?"),
        ({"offload": 1}, "offload: unknown value '1'; use one of: none, weights, kv"),
        ({"prefix_hit": 1}, "prefix_hit: 1 is out of bounds"),
        ({"acceptance": "120 %"}, "acceptance: '120 %' is out of bounds"),
        ({"draft_len": 0.5}, "draft_len: 0.5"),
        ({"dp": 0}, "dp: 0 is out of bounds"),
        ({"economics": "onwed"}, "did you mean 'owned'?"),
        ({"btch": 3}, "unknown option 'btch'; did you mean 'batch'?"),
    ],
)
def test_faulty_option_is_an_input_error(options, message):
    with pytest.raises(perfcore.InputError) as caught:
        evaluate("llama-3-8b", "h100-sxm", **options)

    assert message in str(caught.value)


def test_published_weights_are_in_the_files_of_the_engine():
    """GGUF files of gpt-oss hold all but the experts as Q8_0, its checkpoint in 16 bits."""
    assert Configuration("gpt-oss-20b", "rtx-5090").labels["weight_format"] == "mxfp4"
    gguf = Configuration("gpt-oss-20b", "rtx-5090", engine="llamacpp")
    assert gguf.labels["weight_format"] == "mxfp4-gguf-q8"


def test_devices_are_an_option_of_one_configuration():
    row = evaluate("llama-3-70b", "h100-sxm", devices="auto")

    assert row == Configuration("llama-3-70b", "h100-sxm", devices="auto").to_dict()
    assert row["tp"] == 2


def test_device_left_without_arithmetic_is_a_fault():
    overrides = {f"device.flops_{kind}": 0 for kind in ("fp32", "fp16", "fp8", "int8", "fp4")}
    with pytest.raises(perfcore.InputError, match="no arithmetic rate is left"):
        Configuration("llama-3-8b", "h100-sxm", overrides=overrides)


def test_entry_of_the_wrong_kind_is_a_fault():
    with pytest.raises(perfcore.InputError, match="is a device; give a model"):
        Configuration(loader.load_device("h100-sxm"), "h100-sxm")


def test_overrides_that_change_nothing_are_known():
    """A raised power limit has no effect, nor has a second tier that nothing is offloaded to."""
    overrides = {
        "device.board_power": 1000.0,
        "device.memory2_bandwidth": 1e10,
        "device.memory_bandwidth": 5e12,
    }
    found = Configuration("llama-3-8b", "h100-sxm", overrides=overrides).without_effect

    assert [one.key for one in found] == ["device.board_power", "device.memory2_bandwidth"]
    lower = Configuration("llama-3-8b", "h100-sxm", overrides={"device.board_power": 300.0})
    assert lower.without_effect == ()


def test_the_stack_reaches_the_result():
    plain = Configuration("llama-3-8b", "a100-80gb-sxm", engine="vllm", batch=8)
    stacked = Configuration(
        "llama-3-8b",
        "a100-80gb-sxm",
        engine="vllm",
        engine_version="0.7.3",
        eager=True,
        power_limit="300 W",
        batch=8,
    )

    assert stacked.labels["engine"] == "vllm-0.7"
    assert stacked.evaluate().tpot_s > plain.evaluate().tpot_s
    assert stacked.records.device.board_power == 300
    row = stacked.to_dict()
    assert (row["engine_version"], row["eager"], row["power_limit"]) == ("0.7.3", "true", 300)
    assert "eager" not in plain.to_dict()


def test_a_token_budget_and_a_runner_change_a_server():
    options = {"engine": "vllm-2024", "scheduler": "continuous", "batch": 32}
    plain = evaluate("llama-3-8b", "h100-sxm", **options)
    offline = evaluate("llama-3-8b", "h100-sxm", runner="offline", **options)
    small = evaluate("llama-3-8b", "h100-sxm", prefill_chunk="256", **options)

    assert offline["tpot_s"] < plain["tpot_s"]
    assert small["ttft_s"] != plain["ttft_s"]


def test_what_a_stack_does_not_change_is_said():
    static = Configuration("llama-3-8b", "m4-max", prefill_chunk=4096, eager=True)

    assert static.remarks == ("eager changes nothing here", "prefill chunk changes nothing here")


def test_the_bound_has_the_power_limit_but_not_the_engines_stack():
    options = {"engine": "vllm", "engine_version": "0.7.3", "eager": True, "power_limit": 200}
    limited = Configuration("llama-3.1-8b", "a100-80gb-sxm", input_len=8192, **options)
    free = Configuration("llama-3.1-8b", "a100-80gb-sxm", input_len=8192)

    assert limited.bound().ttft_s > free.bound().ttft_s
    assert limited.bound().tpot_s <= limited.evaluate().tpot_s
    assert limited.changed(engine="sglang", device="h100-sxm").evaluate().status == 0


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"engine": "vllm", "engine_version": "new"}, "engine_version: 'new' is not a version"),
        ({"engine_version": "0.7.3"}, "engine_version: default has one entry"),
        ({"engine_version": 7}, "engine_version: 7 is not a text; write it in quotes"),
        ({"backend": "cud"}, "backend: unknown value 'cud'; did you mean 'cuda'?"),
        ({"backend": "metal"}, "backend: h100-sxm has no back end 'metal'; use cuda or vulkan"),
        ({"eager": "perhaps"}, "eager: 'perhaps' is neither true nor false"),
        ({"runner": "client"}, "runner: unknown value 'client'"),
        ({"prefill_chunk": 0}, "prefill_chunk: 0 is out of bounds"),
        ({"power_limit": "10 W"}, "power_limit: 10 W is not between the idle and the rated"),
        ({"power_limit": 800}, "power_limit: 800 W is not between the idle and the rated"),
        (
            {"power_limit": 400, "overrides": {"device.board_power": "300 W"}},
            "power_limit: beside device.board_power; leave out one of them",
        ),
    ],
)
def test_faults_of_a_stack(options, fault):
    with pytest.raises(perfcore.InputError) as error:
        Configuration("llama-3-8b", "h100-sxm", **options)

    assert fault in str(error.value)


def test_a_power_limit_may_be_a_share():
    share = Configuration("llama-3.1-8b", "h100-sxm", power_limit="50 %")

    assert share.evaluate() == Configuration("llama-3.1-8b", "h100-sxm", power_limit=350).evaluate()
    assert share.stated["power_limit"] == 350
    with pytest.raises(InputError, match="not a share of the rated power"):
        Configuration("llama-3.1-8b", "h100-sxm", power_limit="0 %")


@pytest.mark.parametrize(
    ("devices", "expected"),
    [(8, (8, 1)), (16, (8, 2)), (7, (1, 7)), (6, (2, 3)), ("auto", (2, 1))],
)
def test_layouts_of_a_number_of_devices(devices, expected):
    """Llama-3-70B has 64 heads, which neither 3, 6 nor 7 divide."""
    numbers = Configuration("llama-3-70b", "h100-sxm", devices=devices).numbers

    assert (numbers["tp"], numbers["pp"]) == expected
    assert Configuration("llama-3-70b", "groq-lpu", devices=600).numbers["pp"] == 600


@pytest.mark.parametrize("scheduler", ["static", "continuous", "disaggregated"])
@pytest.mark.parametrize("hit", [0.0, 0.5])
def test_money_of_a_request_is_price_times_time(scheduler, hit):
    made = Configuration(
        *("llama-3.1-8b", "h100-sxm"),
        tp=2,
        scheduler=scheduler,
        batch=16,
        input_len=2000,
        output_len=300,
        prefix_hit=hit,
    )
    point, economics = made.evaluate(), made.records.economics
    devices = made.device_count * (1.0 + point.prefill_pool)
    rate = usd_per_second(made.records.device, devices, economics)

    assert made.per_request().usd == pytest.approx(rate / point.requests_per_s)


def test_what_an_engine_holds_besides_is_said():
    made = Configuration("gpt-oss-120b", "h100-sxm", engine="vllm")

    assert any("hold 4 to 5 GiB more" in remark for remark in made.remarks)
    assert not any("GiB" in r for r in Configuration("llama-3.1-8b", "h100-sxm").remarks)


def test_room_for_the_sampler_is_said():
    """It decides on the batch of a large vocabulary: vLLM up to 0.16 sorts 1,024 requests."""
    many = Configuration("qwen3.5-35b-a3b", "h20", engine="vllm", input_len=32767)
    few = many.changed(overrides={"engine.sampled_sequences": 16})

    assert any(one.startswith("9.211 GB of each device are kept") for one in many.remarks)
    assert not any("to sample" in one for one in few.remarks)
