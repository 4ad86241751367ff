"""Model entries that contradict themselves."""

import pytest
from pydantic import ValidationError

from perfcore.catalog.model_entry import ModelEntry


def plain(**changes):
    fields = {
        "name": "x",
        "source": "test",
        "hidden_size": 1024,
        "num_hidden_layers": 4,
        "vocab_size": 1000,
        "num_attention_heads": 16,
        "num_key_value_heads": 4,
        "intermediate_size": 4096,
    }
    return ModelEntry.model_validate({**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_key_value_heads": 5}, "5: does not divide num_attention_heads = 16"),
        ({"hidden_size": 1000}, "does not divide hidden_size = 1000; give head_dim"),
        ({"num_key_value_heads": 0}, "num_key_value_heads: missing"),
        ({"num_attention_heads": 0}, "num_attention_heads: missing"),
        ({"layer_types": "SF"}, "sliding_window: missing"),
        ({"layer_types": "SF", "sliding_window": 9, "attention_chunk_size": 9}, "one of the two"),
        ({"layer_types": "FX"}, "unknown letter"),
        ({"layer_types": "FFFFF"}, "5 letters for num_hidden_layers = 4"),
        ({"layer_types": "M"}, "Mamba layers need"),
        ({"layer_types": "G"}, "linear-attention layers need"),
        ({"layer_types": "T"}, "lightning attention needs"),
        ({"layer_types": "C"}, "compressed attention needs"),
        ({"layer_types": "D"}, "layers D, E, d and e need index_topk"),
        ({"layer_types": "VdDe"}, "layers d and e need an earlier D or E"),
        ({"kv_lora_rank": 512}, "latent attention needs"),
        ({"index_topk": 64}, "needs index_n_heads"),
        ({"num_experts": 8}, "needs num_experts_per_tok"),
        (
            {"num_experts": 8, "num_experts_per_tok": 9, "moe_intermediate_size": 64},
            "9: exceeds num_experts = 8",
        ),
        ({"first_k_dense_replace": 5}, "exceeds the 4 layers"),
        ({"intermediate_sizes": [[64, 3]]}, "3 layers listed, the model has 4"),
        (
            {
                "intermediate_size": 0,
                "num_experts": 8,
                "num_experts_per_tok": 2,
                "moe_intermediate_size": 64,
                "first_k_dense_replace": 1,
            },
            "intermediate_size: missing; 1 layers",
        ),
        ({"layer_types": "F", "mixer_or_ffn": True, "intermediate_size": 0}, "mixer_or_ffn: needs"),
        ({"hidden_size": -1}, "greater than or equal to 1"),
        ({"hiden_size": 1}, "Extra inputs"),
        ({"published_params": float("nan")}, "finite"),
    ],
)
def test_inconsistent_entries_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        plain(**changes)
