"""The letters of ``ModelEntry.layer_types``: what mixes the tokens in a layer."""

MIXERS = {
    "F": "attention over the whole context",
    "S": "attention over a window",
    "A": "latent attention (MLA), with its own sparse indexer where index_topk is given",
    "a": "latent attention that uses the selection of an earlier layer's indexer",
    "C": "DeepSeek-V4 compressed sparse attention: one entry for 4 tokens, top-k, and a window",
    "H": "DeepSeek-V4 heavily compressed attention: one entry for 128 tokens, and a window",
    "V": "DeepSeek-V4 attention over a window only",
    "G": "Gated DeltaNet",
    "K": "Kimi delta attention",
    "T": "lightning (linear) attention",
    "M": "Mamba, version 1 or (with mamba_num_heads) 2",
    "-": "no mixer",
}
LATENT, COMPRESSED, STATE = "Aa", "CHV", "GKTM"
