"""Results of llama-bench."""

import pytest

from accuracy.importing.samples import LLAMA, PROMPT, faults_of, rows_of
from perfcore.accuracy.importing import read_results
from perfcore.accuracy.importing.llamacpp import weight_format
from perfcore.catalog import loader


def test_llama_bench(save):
    found = read_results([save([LLAMA, PROMPT])])
    answer, prompt = found.rows

    assert (answer.metric, answer.value) == ("tpot_s", 1 / 128)
    assert (answer.input_len, answer.output_len, answer.concurrency) == (4096.0, 128.0, 1.0)
    assert (prompt.metric, prompt.value) == ("prefill_tokens_per_s", 7100.0)
    assert (prompt.input_len, prompt.output_len) == (512.0, 1.0)
    assert (answer.engine, answer.engine_version) == ("llamacpp", "b5163")
    assert (answer.model, answer.hardware) == ("qwen2.5-7b", "rtx-4090")
    assert (answer.weight_format, answer.weight_bits) == ("q4_k_m", 4.9132)
    assert (answer.kv_format, answer.date, answer.mode) == ("f16", "2026-04-24", "static")
    assert found.assumed == []


def test_llama_bench_writes_the_same_in_three_forms(save, tmp_path):
    table = tmp_path / "csv" / "results.json"
    table.parent.mkdir()
    lines = [",".join(LLAMA)]
    for test in (LLAMA, PROMPT):
        cells = [int(cell) if isinstance(cell, bool) else cell for cell in test.values()]
        lines.append(",".join(f'"{cell}"' for cell in cells))
    table.write_text("\n".join(lines) + "\n")

    expected = read_results([save([LLAMA, PROMPT])]).rows
    assert read_results([save(LLAMA, PROMPT)]).rows == expected
    assert read_results([str(table)]).rows == expected


@pytest.mark.parametrize(
    ("gpus", "more", "tp", "pp"),
    [
        (1, {}, 1, 1),
        (2, {}, 1, 2),
        (2, {"split_mode": "row"}, 2, 1),
        (2, {"split_mode": "none"}, 1, 1),
        (4, {"devices": "CUDA0/CUDA1"}, 1, 2),
    ],
)
def test_llama_bench_splits(save, gpus, more, tp, pp):
    many = {"gpu_info": ", ".join(["NVIDIA GeForce RTX 4090"] * gpus)}
    row = rows_of(save(LLAMA | many | more))["tpot_s"]

    assert (row.tp, row.pp, row.devices) == (tp, pp, tp * pp)


@pytest.mark.parametrize("more", [{"gpu_info": "", "backends": "CPU"}, {"devices": "none"}])
def test_llama_bench_on_a_cpu(save, more):
    cpu = {"cpu_info": "AMD EPYC 9654 96-Core Processor", "n_gpu_layers": 0}

    assert rows_of(save(LLAMA | cpu | more))["tpot_s"].hardware == "epyc-9654"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"n_prompt": 512}, "one rate for prompt and answer together (pg)"),
        ({"n_gen": 0}, "neither a prompt nor an answer"),
        ({"n_gen": 0, "n_prompt": 512}, "a prompt after a filled context"),
        ({"n_gpu_layers": 0}, "0 of 29 layers on the GPU"),
        ({"n_gpu_layers": 1}, "1 of 29 layers on the GPU"),
        ({"no_kv_offload": True}, "the KV cache on the host"),
        ({"embeddings": 1}, "embeddings, not answers"),
        ({"type_v": "q8_0"}, "keys in 'f16' and values in 'q8_0'"),
        ({"tensor_split": "3.00/1.00"}, "an uneven tensor split"),
        ({"tensor_buft_overrides": "ffn_down=CPU"}, "tensors placed by hand"),
        ({"backends": "CUDA,RPC"}, "devices of other machines (RPC)"),
    ],
)
def test_llama_bench_that_the_table_cannot_express(save, more, reason):
    found = read_results([save([LLAMA, LLAMA | more])])

    assert [skip.reason for skip in found.skipped] == [reason]
    assert len(found.rows) == 1
    assert faults_of(save(LLAMA | more)) == [f"nothing to import: {reason}"]


@pytest.mark.parametrize(
    ("model_type", "name"),
    [
        ("llama 8B Q4_K - Medium", "q4_k_m"),
        ("llama 7B mostly Q4_0", "q4_0"),
        ("llama 8B F16", "fp16"),
        ("llama 8B BF16", "bf16"),
        ("llama 7B all F32", "fp32"),
        ("qwen3moe 30B.A3B Q8_0", "q8_0"),
        ("gpt-oss 20B MXFP4 MoE", "mxfp4"),
        ("llama 70B IQ4_XS - 4.25 bpw", "iq4_xs"),
        ("llama 8B IQ3_S mix - 3.66 bpw", "iq3_m"),
        ("llama 8B Q2_K - Medium", "q2_k"),
        ("llama 8B Q2_K - Small", "q2_k_s"),
        ("llama 8B (guessed) Q5_K - Small", "q5_k_s"),
        ("llama 8B TQ1_0 - 1.69 bpw ternary", "tq1_0"),
        ("llama 8B NVFP4", "nvfp4"),
    ],
)
def test_llama_bench_weight_formats_are_in_the_catalogue(model_type, name):
    assert weight_format(model_type) == name
    assert loader.load_weight_format(name)


MOE = LLAMA | {
    "model_filename": "models/Qwen3-30B-A3B-Q4_K_M.gguf",
    "model_type": "qwen3moe 30B.A3B Q4_K - Medium",
    "model_size": 18550000000,
    "model_n_params": 30532122624,
}


@pytest.mark.parametrize(
    ("record", "more", "offload", "gpu_layers", "cpu_moe_layers"),
    [
        (LLAMA, {"n_gpu_layers": 20}, "", 19, None),
        (LLAMA, {"n_gpu_layers": 20, "test_time": "2025-06-01T00:00:00Z"}, "", 20, None),
        (LLAMA, {"n_gpu_layers": 28, "test_time": "2025-06-01T00:00:00Z"}, "", None, None),
        (LLAMA, {"n_gpu_layers": 28}, "", 27, None),
        (LLAMA, {"n_gpu_layers": 29}, "", None, None),
        (LLAMA, {"n_gpu_layers": -1}, "", None, None),
        (LLAMA, {"n_cpu_moe": 8}, "", None, None),  # has no experts
        (MOE, {"n_cpu_moe": 30}, "experts", None, 30),
        (MOE, {"n_cpu_moe": 99}, "experts", None, None),
        (MOE, {"n_cpu_moe": 30, "n_gpu_layers": 40}, "experts", 39, 30),
        (MOE, {"tensor_buft_overrides": r"\.ffn_(up|down|gate)_exps\.=CPU"}, "experts", None, None),
    ],
)
def test_layers_and_experts_on_the_cpu(save, record, more, offload, gpu_layers, cpu_moe_layers):
    row = rows_of(save(record | more), host="desktop-ddr5-4800")["tpot_s"]

    assert (row.offload, row.gpu_layers) == (offload, gpu_layers)
    assert row.cpu_moe_layers == cpu_moe_layers
    assert row.host == "desktop-ddr5-4800"
    assert row.prefill_chunk == (512 if offload or gpu_layers else None)


def test_a_result_with_weights_on_the_host_asks_for_its_memory(save):
    found = read_results([save(MOE | {"n_cpu_moe": 30})])
    prompt = {"n_cpu_moe": 30, "n_prompt": 512, "n_gen": 0, "n_depth": 0, "no_op_offload": 1}

    assert any("is not stated: add given={'host': 'NAME'}" in note for note in found.notes)
    assert "no_op_offload" in faults_of(save(MOE | prompt))[0]
    none = read_results([save(LLAMA | {"n_cpu_moe": 8})])
    assert not any("host" in note for note in none.notes)


def test_layers_on_the_cpu_are_seen_without_the_log(save):
    row = rows_of(save(LLAMA | {"gpu_info": "", "n_gpu_layers": 20}), hardware="rtx-4090")["tpot_s"]

    assert row.gpu_layers == 19


def test_a_run_on_the_cpu_beside_a_gpu_says_so(save):
    cpu = {"cpu_info": "AMD Ryzen AI MAX+ 395 w/ Radeon 8060S", "gpu_info": "", "backends": "CPU"}
    row = rows_of(save(LLAMA | cpu))["tpot_s"]

    assert (row.hardware, row.backend) == ("strix-halo", "cpu")
    epyc = {**cpu, "cpu_info": "AMD EPYC 9654 96-Core Processor"}
    assert rows_of(save(LLAMA | epyc))["tpot_s"].backend == ""


def test_only_a_back_end_other_than_the_vendors_is_stated(save):
    cuda, vulkan = (
        next(iter(rows_of(save(LLAMA | {"backends": backend})).values()))
        for backend in ("CUDA", "Vulkan")
    )

    assert (cuda.backend, vulkan.backend) == ("", "vulkan")


def test_an_option_that_llama_bench_chooses_is_told_as_auto(save):
    row = rows_of(save([LLAMA | {"flash_attn": -1}]))["tpot_s"]

    assert "flash_attn auto" in row.task_note


@pytest.mark.parametrize(
    ("name", "parameters", "like"),
    [
        (
            "gpt-oss 20B MXFP4 MoE",
            "20.91 B",
            "('gpt-oss 20B MXFP4 MoE' has the size of gpt-oss-20b)",
        ),
        ("rwkv7 3B Q8_0", "2.95 B", "('rwkv7 3B Q8_0' is not in the catalogue)"),
    ],
)
def test_a_table_that_names_no_file_says_which_model_it_may_be(tmp_path, name, parameters, like):
    path = tmp_path / "bench.md"
    path.write_text(
        "| model | size | params | backend | ngl | test | t/s |\n"
        "| --- | ---: | ---: | --- | --: | ---: | ---: |\n"
        f"| {name} | 11.27 GiB | {parameters} | CUDA | 99 | tg128 | 180.0 ± 1.0 |\n"
    )
    (fault,) = faults_of(str(path), hardware="rtx-4090")

    assert like in fault
