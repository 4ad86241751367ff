"""Known and unknown architectures."""

import re

import pytest
from paths import ROOT

from catalog.importing.configs import CASES, LLAMA, changed, faults_of, read
from perfcore.catalog.importing import architectures
from perfcore.catalog.parameters import parameter_count

# Published configurations


def test_configs_cover_many_model_types():
    types = {case["config"]["model_type"] for case in CASES.values()}

    assert len(types) >= 30
    assert len(types & set(architectures.ARCHITECTURES)) >= 60


def test_documentation_lists_every_model_type():
    text = (ROOT / "docs" / "importing.md").read_text("utf-8")
    listed = set(re.findall(r"`(\w+)`", text.partition("## Model types")[2].partition("\n## ")[0]))

    assert listed == set(architectures.ARCHITECTURES)


# What cannot be read


def test_unknown_architecture_names_what_it_lacks():
    (fault,) = faults_of({"model_type": "novel", "hidden_size": 512})

    assert fault.startswith("config.json: model_type 'novel' is unknown and lacks ")
    for key in ("num_hidden_layers", "vocab_size", "num_attention_heads", "intermediate_size"):
        assert key in fault
    assert "hidden_size," not in fault
    assert "perfcore models add" in fault


def test_misspelled_architecture_is_suggested():
    assert "did you mean 'mixtral'?" in faults_of({"model_type": "mixtrall"})[0]


def test_unknown_architecture_with_other_physics_is_refused():
    (fault,) = faults_of(changed(LLAMA, model_type="novel", num_local_experts=8, ssm_state_size=16))

    assert "'novel' is unknown, and num_local_experts, ssm_state_size show" in fault


def test_unknown_architecture_like_llama_is_read_and_says_so():
    entry = read(changed(LLAMA, model_type="novel", num_experts=None, use_sliding_window=False))

    assert parameter_count(entry) == parameter_count(read(LLAMA))
    assert "'novel' is unknown" in entry.estimated["layer_types"]


def test_windows_of_an_unknown_architecture_must_be_listed():
    config = changed(LLAMA, model_type="novel", sliding_window=4096)
    assert "sliding_window show" in faults_of(config)[0]

    kinds = ["full_attention"] * 8 + ["sliding_attention"] * 24
    assert read(changed(config, layer_types=kinds)).layers == {"F": 8, "S": 24}
    assert read(changed(config, use_sliding_window=False)).layers == {"F": 32}


def test_unknown_encoder_is_refused():
    config = changed(LLAMA, model_type="novel", architectures=["NovelForMaskedLM"])

    assert "generates no tokens" in faults_of(config)[0]


@pytest.mark.parametrize("model_type", sorted(architectures.UNSUPPORTED))
def test_architecture_that_is_not_modelled_says_why(model_type):
    (fault,) = faults_of(changed(LLAMA, model_type=model_type))

    assert f"model_type {model_type!r} is not modelled: " in fault


def test_known_architecture_names_what_it_lacks():
    config = changed(CASES["deepseek_v3"]["config"], kv_lora_rank=..., moe_intermediate_size=None)
    (fault,) = faults_of(config)

    assert fault == (
        "config.json: model_type 'deepseek_v3': lacks kv_lora_rank, moe_intermediate_size; add "
        "them, or write the model as TOML (`perfcore models add` a similar one, then edit its file)"
    )
