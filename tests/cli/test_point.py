"""The command point."""

import re

import pytest

import perfcore
from cli.command import invoke, invoke_json, refused
from perfcore import columns
from perfcore.inputs import AXIS_INPUTS, PREFILL_AXES


def test_point_prints_one_flat_object_of_columns():
    row = invoke_json("point", "llama-3-70b", "h100-sxm", "--tp", "8", "--batch", "32", "--json")

    assert row == perfcore.evaluate("llama-3-70b", "h100-sxm", tp=8, batch=32)
    assert list(row) == [column.name for column in columns.COLUMNS]


def test_point_explains_in_eighty_columns_of_plain_text():
    text = invoke("point", "llama-3-70b", "mi300x", "--tp", "2", "--batch", "32")

    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert text.splitlines()[0] == "llama-3-70b on 2 x mi300x"
    for word in (
        "TPOT",
        "TTFT",
        "per user",
        "per device",
        "per output token",
        "per Mtok out",
        "Bottleneck: ",
        "KV cache",
        "network",
        "ideal engine",
        "+10 % memory bandwidth",
        "device.rated_power",
        "published",
        "fitted",
        "estimated",
    ):
        assert word in text


def test_help_of_point_has_an_option_for_every_axis():
    text = invoke("point", "--help")

    for name in PREFILL_AXES:
        assert f"--{name.replace('_', '-')} " in text
    for name, rule in AXIS_INPUTS.items():
        if name not in ("model", "device"):
            assert f"--{name.replace('_', '-')} " in text
            told = "all" if name in ("gpu_layers", "cpu_moe_layers") else rule.default
            assert f"[{told}]" in " ".join(text.split())
    assert "static|continuous|disaggregated" in text


SERVED = [
    *("point", "deepseek-v3", "h200-sxm", "--tp", "2", "--dp", "8", "--ep", "16", "--batch", "400"),
    *("--weight-format", "fp8", "--scheduler", "continuous", "--prefix-hit", "50 %"),
    *("--draft-len", "2", "--acceptance", "0.8", "--input-len", "4Ki"),
]


def test_card_of_a_server_tells_what_is_new_about_it():
    text = invoke(*SERVED)
    row = invoke_json(*SERVED, "--json")
    told = " ".join(text.split())

    assert max(map(len, text.splitlines())) <= 80
    assert text.splitlines()[0] == "deepseek-v3 on 16 x h200-sxm"
    for word in (
        "dp 8, ep 16",
        "400 requests in flight",
        "4096 tokens in (50.0% cached)",
        "2 draft tokens at acceptance 0.8",
        "400 requests running; ",
        "2.41 tokens expected per step",
        "other requests' prompts",
        f"${row['cost_per_mtok_cached_input_usd']:.3g} cached",
        "than buying tokens at $1.25 per Mtok out",
        "list prices of 6 hosts",
    ):
        assert word in told
    assert f"{row['prefill_s'] * 1e3:.4f} ms" in text
    assert (row["prefix_hit"], row["draft_len"], row["acceptance"]) == (0.5, 2, 0.8)


def test_card_says_nothing_about_what_is_not_there():
    text = invoke("point", "llama-3-8b", "h100-sxm")

    for word in (
        "network",
        "prefill",
        "offload",
        "speculation",
        "cached",
        ", dp ",
        ", ep ",
        "link",
    ):
        assert word not in text


def test_card_tells_who_waits_and_what_never_pays():
    text = invoke(
        *("point", "llama-3-8b", "rtx-4090", "--scheduler", "continuous", "--batch", "500"),
        *("--weight-format", "q4_0", "--input-len", "4Ki", "--tp", "1"),
    )
    row = invoke_json(
        *("point", "llama-3-8b", "rtx-4090", "--scheduler", "continuous", "--batch", "500"),
        *("--weight-format", "q4_0", "--input-len", "4Ki", "--tp", "1", "--json"),
    )

    assert 0 < row["running_batch"] < 500
    assert f"{row['running_batch']} requests running, {500 - row['running_batch']} waiting" in text
    slow = invoke("point", "llama-3-8b", "h100-sxm")

    assert "never cheaper than buying tokens at $0.06" in slow


def test_card_of_a_disaggregated_server_has_its_prefill_pool():
    arguments = ["point", "llama-3-70b", "h100-sxm", "--tp", "8", "--batch", "64"]
    row = invoke_json(*arguments, "--scheduler", "disaggregated", "--json")
    text = invoke(*arguments, "--scheduler", "disaggregated")

    assert f"{row['prefill_pool']:.3g} prefill replicas per decode replica" in text
    assert "other requests" not in text
    assert "prefill pool" not in invoke(*arguments)


PAIR = [
    *("point", "llama-3.3-70b", "h20", "--tp", "4", "--batch", "64", "--input-len", "4096"),
    *("--scheduler", "disaggregated", "--prefill-device", "h100-sxm"),
]


def test_cards_name_the_devices_of_a_draft_and_of_experts():
    draft = ["--draft-model", "llama-3.2-1b", "--draft-device", "l40s", "--draft-len", "4"]
    drafted = ["point", "llama-3.3-70b", "h100-sxm", "--tp", "4", "--acceptance", "0.8", *draft]
    apart = ["point", "deepseek-v3", "h20", "--tp", "8", "--expert-device", "h100-sxm"]
    row, text, other = invoke_json(*drafted, "--json"), invoke(*drafted), invoke(*apart)

    assert (row["draft_model"], row["draft_device"], row["draft_devices"]) == (*draft[1:4:2], 1)
    assert "llama-3.3-70b on 4 x h100-sxm, draft llama-3.2-1b on 1 x l40s" in text
    assert "on its devices, links" in text
    assert "requests/s on 4 devices and 1 for the draft" in text
    assert "deepseek-v3 on 8 x h20, experts on 9 x h100-sxm" in other
    assert max(map(len, (text + other).splitlines())) <= 80


def test_card_of_a_pair_names_both_machines():
    row = invoke_json(*PAIR, "--prefill-tp", "8", "--prefill-ratio", "2", "--json")
    text = invoke(*PAIR, "--prefill-tp", "8", "--prefill-ratio", "2")
    slow = invoke(*PAIR, "--prefill-link", "10 Mb/s")

    assert (row["prefill_device"], row["prefill_tp"], row["prefill_ratio"]) == ("h100-sxm", 8, 2.0)
    assert "llama-3.3-70b on 4 x h20, prompts on 8 x h100-sxm" in text
    assert "2 prefill replicas per decode replica, 16 devices" in text
    assert "1.342 GB a prompt in " in text
    assert "caches would queue" not in text
    assert "more than it carries, so caches would queue" in " ".join(slow.split())


def test_a_pool_that_cannot_run_says_why():
    text = invoke(*PAIR, "--prefill-tp", "1")

    assert "DOES NOT RUN: prefill pool cannot run" in text
    assert "prefill pool: 141.1 GB of weights" in text
    assert "prefill tp 2" in text
    assert "raise --prefill-tp or --prefill-pp" in " ".join(text.split())


@pytest.mark.parametrize(
    "options",
    [
        ["llama-3.3-70b", "rtx-4090", "--offload", "weights"],
        ["llama-3.1-8b", "rtx-4090", "--offload", "kv", "--batch", "64", "--input-len", "8Ki"],
        ["qwen3.8-flash-next", "h100-sxm", "--offload", "kv", "--batch", "900", "--tp", "4"],
        ["gpt-oss-120b", "rtx-4090", "--offload", "experts"],
    ],
)
def test_parts_of_memory_fill_it_whatever_lies_on_the_host(options):
    """What is offloaded is told apart from what the device holds, n-gram tables included."""
    card = invoke("point", *options).split("Memory per device")[1].split("max batch")[0]
    shares = [float(share) for share in re.findall(r" (\d+\.\d)% ", card)]

    assert sum(shares) == pytest.approx(100.0, abs=0.3)  # rounded


def test_card_of_an_offloaded_model_names_the_second_tier():
    host = invoke("point", "llama-3-70b", "h100-sxm", "--offload", "weights")
    grace = invoke("point", "llama-3-70b", "gh200-96gb", "--offload", "weights")

    assert "Bottleneck: offload, " in host
    assert "256 GB of host memory" in host
    assert "480 GB of Grace LPDDR5X over NVLink-C2C" in grace
    assert max(map(len, (host + grace).splitlines())) <= 80


def test_prices_that_a_device_does_not_list_are_told_everywhere(tmp_path):
    shown = invoke("devices", "show", "inferentia2")
    card = invoke("point", "llama-3-8b", "inferentia2", "--economics", "spot")
    path = tmp_path / "s.toml"
    path.write_text(
        "[axes]\nmodel = 'llama-3-8b'\ndevice = 'inferentia2'\neconomics = ['default', 'owned']\n"
    )
    planned = invoke_json("plan", path, "--json")["estimated"]

    assert "prices that are not listed" in shown
    assert "spot_price_per_hour  0.3787 USD/h, 0.35 x price_per_hour: median of the 9" in shown
    assert "purchase_price (median of others)" in " ".join(invoke("plan", path).split())
    assert "device.spot_price_per_hour" in card
    assert "estimated: 0.35 x price_per_hour: median of the 9 devices" in card
    assert ", spot (estimated)" in card
    assert "purchase_price" in {item["field"] for item in planned}
    assert "spot_price_per_hour" not in {item["field"] for item in planned}
    assert "prices that it" not in invoke("devices", "show", "h100-sxm")


def test_shares_of_the_card_are_those_of_the_terms():
    arguments = ["point", "llama-3-70b", "h100-sxm", "--tp", "8"]
    row = invoke_json(*arguments, "--json")
    text = invoke(*arguments)

    for name in ("weights", "kv", "compute", "network", "latency"):
        assert f"{row[f'{name}_s'] * 1e3:.4f} ms" in text
        assert f"{row[f'{name}_share']:.1%}" in text


@pytest.mark.parametrize(
    ("arguments", "status", "advice"),
    [
        (["llama-3-70b", "h100-sxm", "--tp", "1"], "weights do not fit", "at least 2 devices"),
        (["llama-3-70b", "h100-sxm", "--tp", "7"], "heads not divisible by tp", "--tp 1, 2, 4, 8"),
        (["llama-3-70b", "h100-sxm", "--pp", "99"], "fewer layers than pp", "--pp 80 or less"),
        (
            ["mixtral-8x7b", "h100-sxm", "--tp", "8", "--ep", "3"],
            "experts cannot be spread over ep",
            "use --ep 1, 2, 4, 8",
        ),
        (
            ["llama-3-70b", "h100-sxm", "--tp", "8", "--ep", "2"],
            "experts cannot be spread over ep",
            "use --ep 1",
        ),
        (["llama-3-70b", "h100-sxm", "--tp", "1"], "weights do not fit", "or --offload weights"),
        (
            ["llama-3-70b", "b200", "--tp", "8", "--input-len", "1M"],
            "context above the model's maximum",
            "shorten --input-len",
        ),
        (
            ["llama-3-70b", "h100-sxm", "--tp", "8", "--batch", "10000"],
            "kv cache does not fit",
            "--batch ",
        ),
    ],
)
def test_point_that_cannot_run_says_why_and_what_helps(arguments, status, advice):
    text = " ".join(invoke("point", *arguments).replace("│", "").split())

    assert f"DOES NOT RUN: {status}" in text
    assert advice in text
    assert invoke_json("point", *arguments, "--json")["status"] == status


def test_point_takes_overrides():
    row = invoke_json(
        "point",
        "llama-3-8b",
        "h100-sxm",
        "--json",
        "--set",
        "device.memory_bandwidth=4 TB/s",
        "--set",
        "economics.utilization=60 %",
        "--set",
        "device.flops_fp16.scale=2",
    )

    assert row["device_memory_bandwidth_bytes_per_s"] == 4e12
    assert row["economics_utilization"] == 0.6
    assert row["device_flops_fp16_scale"] == 2
    text = invoke("point", "llama-3-8b", "h100-sxm", "--set", "device.board_power={scale=2}")

    assert "what if device.board_power x 2, which changes nothing here" in text


def test_point_of_a_device_that_is_not_sold_says_so():
    assert "rubin is not on the market" in invoke("point", "llama-3.1-8b", "rubin")
    assert "not on the market" not in invoke("point", "llama-3.1-8b", "h100-sxm")


def test_point_of_a_hypothetical_device_says_so():
    assert "hbm4-6tbs is hypothetical" in invoke("point", "llama-3-8b", "hbm4-6tbs")


STACKED = [
    *("point", "llama-3-8b", "a100-80gb-sxm", "--engine", "vllm", "--engine-version", "0.5.4"),
    *("--scheduler", "continuous", "--batch", "32", "--runner", "offline", "--eager"),
    *("--prefill-chunk", "1Ki", "--backend", "vulkan", "--power-limit", "300"),
]


def test_point_takes_the_stack_of_an_engine():
    text = " ".join(invoke(*STACKED).split())
    row = invoke_json(*STACKED, "--json")

    for word in (
        "engine vllm-2024",
        "engine version 0.5.4, backend vulkan, eager, runner offline",
        "prefill chunk 1024 tokens, power limit 300 W",
        "runner offline: no time of a server is counted",
        "backend vulkan was not measured with vllm-2024 on a100-80gb-sxm",
    ):
        assert word in text
    assert (row["engine"], row["eager"], row["prefill_chunk"]) == ("vllm-2024", "true", 1024)


# Choices


def test_devices_are_chosen_and_the_choice_is_told():
    text = invoke("point", "llama-3.3-70b", "h100")
    row = invoke_json("point", "deepseek-v3", "h200", "--devices", "16", "--json")

    assert "tp 2 chosen: the fewest devices that hold weights and batch" in text
    assert (row["tp"], row["pp"]) == (8, 2)
    assert "chosen" not in invoke("point", "llama-3.3-70b", "h100", "--tp", "2")
    assert invoke_json("point", "llama-3.1-8b", "m1", "--json")["status"] != "ok"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["llama-3.1-8b", "h100", "--batch", "1,2"], "--batch: '1,2' has 2 values"),
        (["llama-3.1-8b", "h100,b200"], "DEVICE: 'h100,b200' has 2 values"),
        (["llama-3.1-8b", "AMD"], "'AMD' stands for "),
        (["llama-3.1-8b", "all"], "one is needed here; name one, e.g. "),
        (["llama-3.1-8b", "hopper"], "did you mean the class 'datacentre-gpu-hopper'?"),
        (["h100", "llama-3.1-8b"], "unknown model 'h100'; it is a device"),
        (["llama-3.1-8b", "b200", "--devices", "8", "--tp", "2"], "beside tp or pp"),
    ],
)
def test_arguments_that_are_not_a_point(arguments, words):
    assert words in refused("point", *arguments)


def test_layers_and_experts_on_the_cpu_have_the_names_of_llamacpp():
    model = ("point", "gpt-oss-20b", "rtx-4090", "--engine", "llamacpp", "--json")
    here = invoke_json(*model, "--offload", "experts", "--cpu-moe-layers", "9")
    there = invoke_json(*model, "--offload", "experts", "--n-cpu-moe", "9")
    layers = invoke_json(*model, "-ngl", "20", "--host", "ddr4-3200")

    assert there == here
    assert (here["cpu_moe_layers"], here["gpu_layers"]) == (9, 1_000_000)
    assert (layers["gpu_layers"], layers["host"]) == (20, "ddr4-3200")
    assert layers["offload_s"] > here["offload_s"] > 0.0
    assert "here it is --offload experts" in refused(*model, "--cpu-moe")


def test_the_card_says_what_is_in_host_memory():
    card = invoke(
        *("point", "gpt-oss-120b", "rtx-3090", "--engine", "llamacpp"),
        *("--weight-format", "mxfp4-gguf-q8", "--offload", "experts", "-ncmoe", "28"),
    )
    text = " ".join(card.split())

    assert "experts computed by the CPU in 28 of 36 layers" in text
    assert "of 192 GB at 96 GB/s, 4.6 TFLOP/s; link 31.5 GB/s" in text
    assert "host desktop-ddr5-6000, usual for a consumer-gpu" in text
