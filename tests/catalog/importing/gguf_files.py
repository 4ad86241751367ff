"""Headers of GGUF files, made as converters make them."""

import struct

from perfcore.catalog import loader

F32, F16, Q4_K, Q6_K, MXFP4 = 0, 1, 12, 14, 39


def gguf_text(text):
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def gguf_value(value):
    if isinstance(value, str):
        return struct.pack("<I", 8) + gguf_text(value)
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if value and isinstance(value[0], str):
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(gguf_text, value))
    code, form = (7, "?") if value and isinstance(value[0], bool) else (5, "i")
    return struct.pack("<IIQ", 9, code, len(value)) + struct.pack(f"<{len(value)}{form}", *value)


def gguf_bytes(metadata, tensors, version=3):
    """Return a GGUF header; no weights follow."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata))
    for key, value in metadata.items():
        head += gguf_text(key) + gguf_value(value)
    for name, (shape, kind) in tensors.items():
        head += gguf_text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        head += struct.pack("<IQ", kind, 0)
    return head


def dense_block(d, q, kv, ffn, kind=Q4_K):
    return {
        "attn_norm.weight": ((d,), F32),
        "ffn_norm.weight": ((d,), F32),
        "attn_q.weight": ((d, q), kind),
        "attn_k.weight": ((d, kv), kind),
        "attn_v.weight": ((d, kv), Q6_K),
        "attn_output.weight": ((q, d), kind),
        "ffn_gate.weight": ((d, ffn), kind),
        "ffn_up.weight": ((d, ffn), kind),
        "ffn_down.weight": ((ffn, d), kind),
    }


def without(block, *names):
    return {name: tensor for name, tensor in block.items() if name not in names}


def model(architecture, d, vocab, blocks, *, tied=False, extra=None, **metadata):
    """Return metadata and tensors of a model; keys have ``__`` for a point."""
    keys = {
        "general.architecture": architecture,
        "general.name": "A Model",
        "tokenizer.ggml.tokens": ["<s>", "</s>", "a"],
        "tokenizer.ggml.scores": list(range(3)),
        f"{architecture}.block_count": len(blocks),
        f"{architecture}.embedding_length": d,
    }
    for key, value in metadata.items():
        name = key.replace("__", ".")
        keys[name if name.startswith("general.") else f"{architecture}.{name}"] = value
    tensors = {"token_embd.weight": ((d, vocab), Q4_K), "output_norm.weight": ((d,), F32)}
    if not tied:
        tensors["output.weight"] = ((d, vocab), Q6_K)
    tensors |= extra or {}
    for number, block in enumerate(blocks):
        tensors |= {f"blk.{number}.{name}": tensor for name, tensor in block.items()}
    return keys, tensors


def attention(heads, kv_heads, **more):
    return {"attention__head_count": heads, "attention__head_count_kv": kv_heads, **more}


def llama_8b():
    return model(
        "llama",
        4096,
        128256,
        [dense_block(4096, 4096, 1024, 14336)] * 32,
        extra={"rope_freqs.weight": ((64,), F32)},
        context_length=131072,
        general__file_type=15,
        **attention(32, 8),
    )


def mixtral_8x7b():
    block = without(
        dense_block(4096, 4096, 1024, 1), "ffn_gate.weight", "ffn_up.weight", "ffn_down.weight"
    ) | {
        "ffn_gate_inp.weight": ((4096, 8), F32),
        "ffn_gate_exps.weight": ((4096, 14336, 8), Q4_K),
        "ffn_up_exps.weight": ((4096, 14336, 8), Q4_K),
        "ffn_down_exps.weight": ((14336, 4096, 8), Q6_K),
    }
    return model(
        "llama",
        4096,
        32000,
        [block] * 32,
        context_length=32768,
        expert_count=8,
        expert_used_count=2,
        **attention(32, 8),
    )


def mixtral_of_2024():
    """One tensor an expert."""
    metadata, tensors = mixtral_8x7b()
    old = {}
    for name, (shape, kind) in tensors.items():
        if name.endswith("_exps.weight"):
            for expert in range(8):
                old[name.replace("_exps", f".{expert}")] = (shape[:2], kind)
        else:
            old[name] = (shape, kind)
    return metadata, old


def gemma_2_9b():
    block = dense_block(3584, 4096, 2048, 14336) | {
        "post_attention_norm.weight": ((3584,), F32),
        "post_ffw_norm.weight": ((3584,), F32),
    }
    return model(
        "gemma2",
        3584,
        256000,
        [block] * 42,
        tied=True,
        context_length=8192,
        attention__sliding_window=4096,
        attention__key_length=256,
        attention__value_length=256,
        **attention(16, 8),
    )


def gemma_4_31b():
    """Full layers have wider and fewer KV heads, and one matrix for keys and values."""

    def block(q, kv, width):
        return dense_block(5376, q, kv, 21504) | {
            "post_attention_norm.weight": ((5376,), F32),
            "post_ffw_norm.weight": ((5376,), F32),
            "attn_q_norm.weight": ((width,), F32),
            "attn_k_norm.weight": ((width,), F32),
        }

    windowed = block(32 * 256, 16 * 256, 256)
    full = without(block(32 * 512, 4 * 512, 512), "attn_v.weight")
    return model(
        "gemma4",
        5376,
        262144,
        ([windowed] * 5 + [full]) * 10,
        tied=True,
        context_length=262144,
        attention__sliding_window=1024,
        attention__sliding_window_pattern=([True] * 5 + [False]) * 10,
        attention__key_length=512,
        attention__value_length=512,
        attention__key_length_swa=256,
        attention__value_length_swa=256,
        **attention(32, ([16] * 5 + [4]) * 10),
    )


def gpt_oss_20b():
    d, q, kv, ffn, experts = 2880, 4096, 512, 2880, 32
    block = {
        "attn_norm.weight": ((d,), F32),
        "post_attention_norm.weight": ((d,), F32),
        "attn_sinks.weight": ((64,), F32),
        "ffn_gate_inp.weight": ((d, experts), F32),
        "ffn_gate_inp.bias": ((experts,), F32),
    }
    for name, shape in (("q", (d, q)), ("k", (d, kv)), ("v", (d, kv)), ("output", (q, d))):
        block[f"attn_{name}.weight"] = (shape, 8)
        block[f"attn_{name}.bias"] = (shape[1:], F32)
    for name, shape in (("gate", (d, ffn)), ("up", (d, ffn)), ("down", (ffn, d))):
        block[f"ffn_{name}_exps.weight"] = ((*shape, experts), MXFP4)
        block[f"ffn_{name}_exps.bias"] = ((shape[1], experts), F32)
    return model(
        "gpt-oss",
        d,
        201088,
        [block] * 24,
        context_length=131072,
        expert_count=experts,
        expert_used_count=4,
        attention__sliding_window=128,
        attention__key_length=64,
        attention__value_length=64,
        **attention(64, 8),
    )


def deepseek_v3():
    d, heads, rank, latent, nope, rope, value = 7168, 128, 1536, 512, 128, 64, 128
    mla = {
        "attn_norm.weight": ((d,), F32),
        "ffn_norm.weight": ((d,), F32),
        "attn_q_a.weight": ((d, rank), Q4_K),
        "attn_q_a_norm.weight": ((rank,), F32),
        "attn_q_b.weight": ((rank, heads * (nope + rope)), Q4_K),
        "attn_kv_a_mqa.weight": ((d, latent + rope), Q4_K),
        "attn_kv_a_norm.weight": ((latent,), F32),
        "attn_kv_b.weight": ((latent, heads * (nope + value)), Q4_K),
        "attn_k_b.weight": ((nope, latent, heads), Q4_K),  # the same numbers once more
        "attn_v_b.weight": ((latent, value, heads), Q4_K),
        "attn_output.weight": ((heads * value, d), Q4_K),
    }
    dense = mla | {
        "ffn_gate.weight": ((d, 18432), Q4_K),
        "ffn_up.weight": ((d, 18432), Q4_K),
        "ffn_down.weight": ((18432, d), Q4_K),
    }
    sparse = mla | {
        "ffn_gate_inp.weight": ((d, 256), F32),
        "exp_probs_b.bias": ((256,), F32),
        "ffn_gate_exps.weight": ((d, 2048, 256), Q4_K),
        "ffn_up_exps.weight": ((d, 2048, 256), Q4_K),
        "ffn_down_exps.weight": ((2048, d, 256), Q4_K),
        "ffn_gate_shexp.weight": ((d, 2048), Q4_K),
        "ffn_up_shexp.weight": ((d, 2048), Q4_K),
        "ffn_down_shexp.weight": ((2048, d), Q4_K),
    }
    several = sparse | {"nextn.eh_proj.weight": ((2 * d, d), Q4_K)}
    return model(
        "deepseek2",
        d,
        129280,
        [dense] * 3 + [sparse] * 58 + [several],
        nextn_predict_layers=1,
        context_length=163840,
        expert_count=256,
        expert_used_count=8,
        attention__q_lora_rank=rank,
        attention__kv_lora_rank=latent,
        attention__key_length=latent + rope,
        attention__value_length=latent,
        attention__key_length_mla=nope + rope,
        attention__value_length_mla=value,
        rope__dimension_count=rope,
        **attention(128, 1),
    )


def qwen3_next():
    d, experts = 2048, 512
    ffn = {
        "attn_norm.weight": ((d,), F32),
        "post_attention_norm.weight": ((d,), F32),
        "ffn_gate_inp.weight": ((d, experts), F32),
        "ffn_gate_inp_shexp.weight": ((d,), F32),
        "ffn_gate_exps.weight": ((d, 512, experts), Q4_K),
        "ffn_up_exps.weight": ((d, 512, experts), Q4_K),
        "ffn_down_exps.weight": ((512, d, experts), Q4_K),
        "ffn_gate_shexp.weight": ((d, 512), Q4_K),
        "ffn_up_shexp.weight": ((d, 512), Q4_K),
        "ffn_down_shexp.weight": ((512, d), Q4_K),
    }
    linear = ffn | {
        "attn_qkv.weight": ((d, 2 * 2048 + 4096), Q4_K),
        "attn_gate.weight": ((d, 4096), Q4_K),
        "ssm_ba.weight": ((d, 64), F32),
        "ssm_conv1d.weight": ((4, 8192), F32),
        "ssm_dt.bias": ((32,), F32),
        "ssm_a": ((32,), F32),
        "ssm_norm.weight": ((128,), F32),
        "ssm_out.weight": ((4096, d), Q4_K),
    }
    full = ffn | {
        "attn_q.weight": ((d, 2 * 4096), Q4_K),
        "attn_k.weight": ((d, 512), Q4_K),
        "attn_v.weight": ((d, 512), Q4_K),
        "attn_output.weight": ((4096, d), Q4_K),
        "attn_q_norm.weight": ((256,), F32),
        "attn_k_norm.weight": ((256,), F32),
    }
    return model(
        "qwen3next",
        d,
        151936,
        [linear, linear, linear, full] * 12,
        context_length=262144,
        expert_used_count=10,
        attention__key_length=256,
        attention__value_length=256,
        ssm__conv_kernel=4,
        ssm__state_size=128,
        ssm__group_count=16,
        ssm__time_step_rank=32,
        ssm__inner_size=4096,
        **attention(16, 2),
    )


def mamba_2_8b():
    d, inner, rank, state = 2560, 5120, 160, 16
    block = {
        "attn_norm.weight": ((d,), F32),
        "ssm_in.weight": ((d, 2 * inner), F16),
        "ssm_conv1d.weight": ((4, inner), F32),
        "ssm_conv1d.bias": ((inner,), F32),
        "ssm_x.weight": ((inner, rank + 2 * state), F16),
        "ssm_dt.weight": ((rank, inner), F32),
        "ssm_dt.bias": ((inner,), F32),
        "ssm_a": ((state, inner), F32),
        "ssm_d": ((inner,), F32),
        "ssm_out.weight": ((inner, d), F16),
    }
    return model(
        "mamba",
        d,
        50280,
        [block] * 64,
        tied=True,
        ssm__conv_kernel=4,
        ssm__inner_size=inner,
        ssm__state_size=state,
        ssm__time_step_rank=rank,
        attention__head_count=0,
    )


def falcon_40b():
    d, ffn = 8192, 32768
    block = {
        "attn_norm.weight": ((d,), F32),
        "attn_norm.bias": ((d,), F32),
        "attn_norm_2.weight": ((d,), F32),
        "attn_norm_2.bias": ((d,), F32),
        "attn_qkv.weight": ((d, d + 2 * 512), Q4_K),
        "attn_output.weight": ((d, d), Q4_K),
        "ffn_up.weight": ((d, ffn), Q4_K),
        "ffn_down.weight": ((ffn, d), Q4_K),
    }
    return model(
        "falcon",
        d,
        65024,
        [block] * 60,
        tied=True,
        extra={"output_norm.bias": ((d,), F32)},
        context_length=2048,
        **attention(128, 8),
    )


def gpt_2():
    d = 768
    block = {"attn_norm.weight": ((d,), F32), "ffn_norm.weight": ((d,), F32)}
    for name, shape in (
        ("attn_qkv", (d, 3 * d)),
        ("attn_output", (d, d)),
        ("ffn_up", (d, 4 * d)),
        ("ffn_down", (4 * d, d)),
    ):
        block |= {f"{name}.weight": (shape, F16), f"{name}.bias": (shape[1:], F32)}
    block |= {f"{name}.bias": ((d,), F32) for name in ("attn_norm", "ffn_norm")}
    return model(
        "gpt2",
        d,
        50257,
        [block] * 12,
        tied=True,
        extra={"output_norm.bias": ((d,), F32), "position_embd.weight": ((d, 1024), F32)},
        context_length=1024,
        **attention(12, 12),
    )


def phi_3_mini():
    d, ffn = 3072, 8192
    block = {
        "attn_norm.weight": ((d,), F32),
        "ffn_norm.weight": ((d,), F32),
        "attn_qkv.weight": ((d, 3 * d), Q4_K),
        "attn_output.weight": ((d, d), Q4_K),
        "ffn_up.weight": ((d, 2 * ffn), Q4_K),
        "ffn_down.weight": ((ffn, d), Q4_K),
    }
    return model(
        "phi3",
        d,
        32064,
        [block] * 32,
        context_length=4096,
        attention__sliding_window=2047,
        **attention(32, 32),
    )


def command_r_plus():
    d, q, kv, ffn = 12288, 12288, 1024, 33792
    block = without(dense_block(d, q, kv, ffn), "ffn_norm.weight") | {
        "attn_q_norm.weight": ((128, 96), F32),
        "attn_k_norm.weight": ((128, 8), F32),
    }
    return model(
        "command-r",
        d,
        256000,
        [block] * 64,
        tied=True,
        context_length=131072,
        **attention(96, 8),
    )


def qwen2_5_7b():
    d, kv = 3584, 512
    block = dense_block(d, d, kv, 18944) | {
        "attn_q.bias": ((d,), F32),
        "attn_k.bias": ((kv,), F32),
        "attn_v.bias": ((kv,), F32),
    }
    return model("qwen2", d, 152064, [block] * 28, context_length=131072, **attention(28, 4))


def nemotron_super():
    """Layers without attention, and widths that differ."""
    known = loader.load_model("llama-3.3-nemotron-super-49b")
    widths = [width for width, layers in known.intermediate_sizes for _ in range(layers)]
    blocks = []
    for letter, width in zip(known.layer_pattern, widths, strict=True):
        block = dense_block(8192, 8192, 1024, width)
        attends = [f"attn_{name}.weight" for name in ("q", "k", "v", "output", "norm")]
        blocks.append(block if letter == "F" else without(block, *attends))
    heads = [64 if letter == "F" else 0 for letter in known.layer_pattern]
    return model(
        "deci",
        8192,
        128256,
        blocks,
        context_length=131072,
        **attention(heads, [head // 8 for head in heads]),
    )


def header(tmp_path, made, name="model.gguf"):
    path = tmp_path / name
    path.write_bytes(made if isinstance(made, bytes) else gguf_bytes(*made))
    return path


START = b"GGUF" + struct.pack("<I", 3)
SMALL = model(
    "llama",
    64,
    256,
    [dense_block(64, 64, 32, 128, F16)] * 2,
    context_length=2048,
    rope__freq_base=1e4,
    **attention([4, 4], [2, 2]),
)


def gemma_3n_e2b():
    """Keys and values of layers that share a cache are in the file, and nothing uses them."""
    d, layers = 2048, 30
    vectors = ("post_attention_norm", "post_ffw_norm", "laurel_post_norm", "post_norm")
    vectors += ("altup_correct_scale", "altup_router_norm")
    block = dense_block(d, 2048, 512, 8192) | {f"{name}.weight": ((d,), F32) for name in vectors}
    block |= {f"attn_{name}_norm.weight": ((256,), F32) for name in "qk"}
    block |= {
        "altup_correct_coef.weight": ((4, 4), F32),
        "altup_predict_coef.weight": ((4, 16), F32),
        "altup_router.weight": ((d, 4), F16),
        "laurel_l.weight": ((d, 64), F16),
        "laurel_r.weight": ((64, d), F16),
        "inp_gate.weight": ((d, 256), Q4_K),
        "proj.weight": ((256, d), Q4_K),
    }
    extra = {
        "per_layer_token_embd.weight": ((layers * 256, 262_144), Q6_K),
        "per_layer_model_proj.weight": ((d, layers * 256), F16),
        "per_layer_proj_norm.weight": ((256,), F32),
        "altup_proj.weight": ((d, d, 3), F16),
        "altup_unembd_proj.weight": ((d, d, 3), F16),
    }
    return model(
        "gemma3n",
        d,
        262_400,
        [block] * layers,
        tied=True,
        extra=extra,
        context_length=32_768,
        general__file_type=15,
        attention__key_length=256,
        attention__value_length=256,
        attention__sliding_window=512,
        attention__sliding_window_pattern=[True, True, True, True, False] * 6,
        attention__shared_kv_layers=10.0,
        **attention(8, 2),
    )


def falcon_h1_7b():
    d, inner = 3072, 3072
    convolved = inner + 2 * 256
    block = dense_block(d, 12 * 128, 2 * 128, 12_288) | {
        "ssm_in.weight": ((d, inner + convolved + 24), Q4_K),
        "ssm_conv1d.weight": ((4, convolved), F32),
        "ssm_conv1d.bias": ((convolved,), F32),
        "ssm_dt.bias": ((24,), F32),
        "ssm_a": ((1, 24), F32),
        "ssm_d": ((1, 24), F32),
        "ssm_norm.weight": ((inner,), F32),
        "ssm_out.weight": ((inner, d), Q4_K),
    }
    return model(
        "falcon-h1",
        d,
        130_049,
        [block] * 44,
        context_length=262_144,
        general__file_type=15,
        attention__key_length=128,
        attention__value_length=128,
        ssm__inner_size=inner,
        ssm__time_step_rank=24,
        ssm__state_size=256,
        ssm__conv_kernel=4,
        ssm__group_count=1,
        **attention(12, 2),
    )


def step_3_5_flash():
    d, f = 4096, 1280
    blocks = []
    for layer in range(45):
        heads = 96 if layer % 4 else 64
        block = dense_block(d, heads * 128, 1024, 11_264) | {
            "attn_gate.weight": ((d, heads), Q4_K),
            "attn_q_norm.weight": ((128,), F32),
            "attn_k_norm.weight": ((128,), F32),
        }
        if layer >= 3:
            block = without(block, "ffn_gate.weight", "ffn_up.weight", "ffn_down.weight") | {
                "ffn_gate_inp.weight": ((d, 288), F32),
                "exp_probs_b.bias": ((288,), F32),
                "ffn_gate_exps.weight": ((d, f, 288), Q4_K),
                "ffn_up_exps.weight": ((d, f, 288), Q4_K),
                "ffn_down_exps.weight": ((f, d, 288), Q4_K),
                "ffn_gate_shexp.weight": ((d, f), Q4_K),
                "ffn_up_shexp.weight": ((d, f), Q4_K),
                "ffn_down_shexp.weight": ((f, d), Q4_K),
            }
        blocks.append(block)
    return model(
        "step35",
        d,
        128_896,
        blocks,
        context_length=262_144,
        general__file_type=15,
        expert_used_count=8,
        attention__key_length=128,
        attention__value_length=128,
        attention__sliding_window=512,
        attention__sliding_window_pattern=[layer % 4 > 0 for layer in range(45)],
        **attention([96 if layer % 4 else 64 for layer in range(45)], [8] * 45),
    )


GGUF = {
    "llama-3.1-8b": llama_8b,
    "mixtral-8x7b": mixtral_8x7b,
    "gemma-2-9b": gemma_2_9b,
    "gemma-4-31b": gemma_4_31b,
    "gpt-oss-20b": gpt_oss_20b,
    "deepseek-v3": deepseek_v3,
    "qwen3-next-80b-a3b": qwen3_next,
    "mamba-2.8b": mamba_2_8b,
    "falcon-40b": falcon_40b,
    "gpt-2-124m": gpt_2,
    "phi-3-mini": phi_3_mini,
    "command-r+-104b": command_r_plus,
    "qwen2.5-7b": qwen2_5_7b,
    "falcon-h1-7b": falcon_h1_7b,
    "step-3.5-flash": step_3_5_flash,
}
