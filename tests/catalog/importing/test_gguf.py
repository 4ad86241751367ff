"""Models from headers of GGUF files."""

import pytest

import perfcore
from catalog.importing.gguf_files import (
    F16,
    F32,
    GGUF,
    gemma_2_9b,
    gemma_3n_e2b,
    gpt_2,
    gpt_oss_20b,
    header,
    llama_8b,
    mixtral_of_2024,
    model,
    nemotron_super,
)
from perfcore.catalog import loader
from perfcore.catalog.parameters import parameter_count
from perfcore.errors import InputError


@pytest.mark.parametrize("name", GGUF)
def test_gguf_header_is_the_model_of_the_catalogue(tmp_path, name):
    entry = perfcore.load_model(str(header(tmp_path, GGUF[name]())))
    known = loader.load_model(name)

    ours = entry.record()
    assert ours == known.record()._replace(token_price=ours.token_price)  # a file has no price
    assert not entry.extra_parameters
    assert parameter_count(entry) == parameter_count(known)


def test_gguf_with_layers_that_share_a_cache(tmp_path):
    entry = perfcore.load_model(str(header(tmp_path, gemma_3n_e2b())))
    known = loader.load_model("gemma-3n-e2b")
    unused = 10 * (2 * 2048 * 512 + 256)  # keys, values and their norm, which the file has

    assert entry.layer_pattern == known.layer_pattern
    assert parameter_count(entry) == parameter_count(known) + unused
    ours, theirs = entry.record(), known.record()
    assert ours._replace(other_elements=0.0, token_price=0.0) == theirs._replace(
        other_elements=0.0, token_price=0.0
    )
    metadata, tensors = gemma_3n_e2b()
    metadata["gemma3n.attention.shared_kv_layers"] = 27.0
    with pytest.raises(InputError, match="27 of 30: leaves no cache to share"):
        perfcore.load_model(str(header(tmp_path, (metadata, tensors))))


def test_gguf_of_an_encoder_and_decoder_is_refused(tmp_path):
    metadata, tensors = model("t5", 64, 100, [])
    metadata["t5.block_count"] = 2
    tensors = {**tensors, "enc.blk.0.attn_q.weight": ((64, 64), F16)}

    with pytest.raises(InputError, match="architecture 't5' is not modelled: encoder and decoder"):
        perfcore.load_model(str(header(tmp_path, (metadata, tensors))))


def test_gguf_of_2024_has_a_tensor_for_each_expert(tmp_path):
    entry = perfcore.load_model(str(header(tmp_path, mixtral_of_2024())))

    ours, theirs = entry.record(), loader.load_model("mixtral-8x7b").record()
    assert ours == theirs._replace(token_price=ours.token_price)


def test_gguf_with_layers_that_differ(tmp_path):
    entry = perfcore.load_model(str(header(tmp_path, nemotron_super())))
    known = loader.load_model("llama-3.3-nemotron-super-49b")

    assert entry.layer_pattern == known.layer_pattern
    assert sorted(entry.intermediate_sizes) == sorted(known.intermediate_sizes)
    # the catalogue counts half of the norms of a layer without attention, as the file has them
    assert parameter_count(entry) == parameter_count(known)


def test_gguf_names_the_types_of_its_weights(tmp_path):
    entry = perfcore.load_model(str(header(tmp_path, llama_8b(), "Some Model-Q4_K_M.gguf")))

    assert entry.name == "some-model-q4_k_m"
    assert entry.native_dtype == "q4_k_m"
    assert "Q4_K" in entry.notes
    assert "bits each on average" in entry.notes
    oss = perfcore.load_model(str(header(tmp_path, gpt_oss_20b())))
    assert oss.native_dtype == "mxfp4 experts"
    assert perfcore.load_model(str(header(tmp_path, gpt_2()))).native_dtype == "fp16"
    plain = {name: (shape, F32) for name, (shape, _) in gpt_2()[1].items()}
    assert perfcore.load_model(str(header(tmp_path, (gpt_2()[0], plain)))).native_dtype == "fp32"


def test_gguf_pattern_of_windows_may_be_listed(tmp_path):
    metadata, tensors = gemma_2_9b()
    metadata["gemma2.attention.sliding_window_pattern"] = [True, True, False]

    assert perfcore.load_model(str(header(tmp_path, (metadata, tensors)))).layer_types == "SSF"


def test_gguf_window_of_unknown_layers_is_an_estimate(tmp_path):
    metadata, tensors = llama_8b()
    renamed = {key.replace("llama.", "novel."): value for key, value in metadata.items()}
    renamed |= {"general.architecture": "novel", "novel.attention.sliding_window": 4096}
    entry = perfcore.load_model(str(header(tmp_path, (renamed, tensors))))

    assert set(entry.layers) == {"F"}
    assert "window of 4096 tokens" in entry.estimated["sliding_window"]


def test_gguf_small_tensors_without_a_field_are_counted(tmp_path):
    metadata, tensors = llama_8b()
    tensors["blk.0.attn_sub_norm.weight"] = ((4096,), F32)
    entry = perfcore.load_model(str(header(tmp_path, (metadata, tensors))))

    assert entry.extra_parameters == 4096


def test_gguf_that_is_not_what_it_seems_is_refused(tmp_path):
    metadata, tensors = llama_8b()
    for layer in range(32):
        tensors[f"blk.{layer}.altup_router.weight"] = ((4096, 4096), F32)

    with pytest.raises(InputError, match=r"not modelled.*altup_router.*models add"):
        perfcore.load_model(str(header(tmp_path, (metadata, tensors))))


def test_gguf_in_parts(tmp_path):
    metadata, tensors = llama_8b()
    names = list(tensors)
    for number, part in enumerate((names[:100], names[100:]), start=1):
        head = metadata | {"split.count": 2} if number == 1 else {"split.no": 1}
        header(tmp_path, (head, {n: tensors[n] for n in part}), f"m-{number:05}-of-00002.gguf")

    first = tmp_path / "m-00001-of-00002.gguf"
    entry = perfcore.load_model(str(first))
    assert entry.name == "m"
    assert entry == perfcore.load_model(str(tmp_path))
    (tmp_path / "m-00002-of-00002.gguf").unlink()
    with pytest.raises(InputError, match=r"m-00002-of-00002\.gguf: no such file"):
        perfcore.load_model(str(first))
    renamed = first.rename(tmp_path / "other.gguf")
    with pytest.raises(InputError, match=r"give the first, which ends in -00001-of-00002\.gguf"):
        perfcore.load_model(str(renamed))


def test_gguf_of_an_encoder_is_refused(tmp_path):
    metadata, tensors = llama_8b()
    metadata["llama.attention.causal"] = False

    with pytest.raises(InputError, match="generates no tokens"):
        perfcore.load_model(str(header(tmp_path, (metadata, tensors))))


def test_gguf_without_attention_is_refused(tmp_path):
    block = {
        "time_mix_key.weight": ((64, 64), F16),
        "time_mix_output.weight": ((64, 64), F16),
        "channel_mix_key.weight": ((64, 256), F16),
    }
    made = model("rwkv6", 64, 256, [block] * 2, context_length=2048)

    with pytest.raises(InputError, match=r"'rwkv6' is not modelled: .*time_mix_key"):
        perfcore.load_model(str(header(tmp_path, made)))


def test_gguf_lacks_fields(tmp_path):
    metadata, tensors = llama_8b()
    del metadata["llama.embedding_length"], metadata["llama.block_count"]

    with pytest.raises(InputError, match=r"lacks llama\.block_count, llama\.embedding_length"):
        perfcore.load_model(str(header(tmp_path, (metadata, tensors))))
