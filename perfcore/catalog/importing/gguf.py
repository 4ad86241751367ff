"""Conversion of a GGUF header to a model entry.

Most fields follow from the shapes of tensors, regardless of the architecture's name. The sum of
their elements checks the result: an entry with a wrong parameter count is refused.
"""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from perfcore.catalog.importing.document import MOST_LAYERS, REMEDY, Fields
from perfcore.catalog.importing.gguf_header import MOST_TENSORS, Header, Tensor, read_header
from perfcore.catalog.importing.huggingface import make_entry
from perfcore.catalog.importing.rules import set_layers
from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.parameters import parameter_count
from perfcore.errors import InputError, show
from perfcore.physics.weights import OTHER_BYTES, body_elements
from perfcore.units import format_quantity

_MOST_SPLITS: Final = 1000
_LARGEST_REST: Final = 0.02  # share of all parameters in tensors without a field in the schema
_SPLIT: Final = re.compile(r"-00001-of-(\d{5})\.gguf$", re.IGNORECASE)
_BLOCK: Final = re.compile(r"blk\.(\d{1,6})\.(.+)", re.ASCII)
_PER_LAYER: Final = "per_layer_token_embd.weight"
_BUFFERS: Final = ("rope_freqs", "rope_factors", "attn_rot_embd")

# Architectures whose window layers are hard-coded in llama.cpp: every n-th is full.
_PERIODS: Final = {
    "gemma2": 2,
    "gemma3": 6,
    "gpt-oss": 2,
    "cohere2": 4,
    "exaone4": 4,
    "exaone-moe": 4,
    "olmo2": 4,
    "afmoe": 4,
    "llama4": 4,
    "plamo3": 8,
    "phi3": 0,  # all layers have the window
    "llama": 0,
    "mistral3": 0,
    "starcoder2": 0,
}
_CHUNK: Final = 8192  # tokens, for Llama 4, whose files may omit it

# Weights of a block that are understood here; others are listed if the count is wrong.
_UNDERSTOOD: Final = re.compile(
    r"(attn_(q|k|v|qkv|output|norm|norm_2|q_norm|k_norm|q_a|q_b|q_a_norm|kv_a_mqa|kv_a_norm|kv_b|"
    r"k_b|v_b|gate)|ffn_(up|down|gate|gate_up|norm|gate_inp|gate_inp_shexp)(\.\d+)?|"
    r"ffn_(up|down|gate|gate_up)_(exps|shexp)|post_attention_norm|post_ffw_norm|attn_sinks|"
    r"exp_probs_b|ssm_\w+|indexer\.\w+|ffn_latent_\w+|laurel_\w+|inp_gate|proj|"
    r"post_norm|layer_output_scale)(\.weight|\.bias)?"
)

# general.file_type -> common name of the mix of types
_MIXES: Final = {
    0: "fp32",
    1: "fp16",
    2: "q4_0",
    3: "q4_1",
    7: "q8_0",
    8: "q5_0",
    9: "q5_1",
    10: "q2_k",
    11: "q3_k_s",
    12: "q3_k_m",
    13: "q3_k_l",
    14: "q4_k_s",
    15: "q4_k_m",
    16: "q5_k_s",
    17: "q5_k_m",
    18: "q6_k",
    19: "iq2_xxs",
    20: "iq2_xs",
    21: "q2_k_s",
    22: "iq3_xs",
    23: "iq3_xxs",
    24: "iq1_s",
    25: "iq4_nl",
    26: "iq3_s",
    27: "iq3_m",
    28: "iq2_s",
    29: "iq2_m",
    30: "iq4_xs",
    31: "iq1_m",
    32: "bf16",
    36: "tq1_0",
    37: "tq2_0",
    38: "mxfp4 experts",
    39: "nvfp4",
}

# name of a mix -> weight format of the catalogue
_FORMATS: Final = {
    **{name: name for name in _MIXES.values()},
    "fp32": "gguf-f16",
    "fp16": "gguf-f16",
    "bf16": "gguf-f16",
    "f16": "gguf-f16",
    "q3_k_m": "q3_k_m",
    "mxfp4 experts": "mxfp4-gguf-q8",
    "nvfp4": "",
}
_ROUTED: Final = re.compile(r"ffn_(up|down|gate|gate_up)_exps\.weight|ffn_(up|down|gate)\.\d+\.")
_WIDTHS: Final = ((3.0, "q2_k"), (4.0, "q3_k_m"), (5.2, "q4_k_m"), (6.2, "q5_k_m"), (7.5, "q6_k"))


def _nearest(bits: float) -> str:
    """Return the format whose kernels run a file with mixed bits."""
    return next((name for most, name in _WIDTHS if bits <= most), "q8_0")


Block = dict[str, Tensor]


def from_gguf(path: Path, identity: Mapping[str, str]) -> ModelEntry:
    """Return the model in a GGUF file; for a split file, ``path`` is its first part.

    Raises
    ------
    InputError
        The header cannot be read, lacks fields, or has an architecture that is not modelled.
    """
    header = _whole(path, read_header(path))
    return _Model(path, header).entry(identity)


def _whole(path: Path, header: Header) -> Header:
    """Return the header with the tensors of all parts of a split file."""
    count = header.metadata.get("split.count")
    if isinstance(count, bool) or not isinstance(count, int) or count < 2:
        return header
    match = _SPLIT.search(path.name)
    if match is None or int(match[1]) != count or count > _MOST_SPLITS:
        raise InputError(
            f"{path}: is a part of a file split into {count:,}; give the first, "
            f"which ends in -00001-of-{count:05}.gguf"
        )
    tensors = dict(header.tensors)
    for number in range(2, count + 1):
        part = path.with_name(f"{path.name[: match.start()]}-{number:05}-of-{count:05}.gguf")
        tensors |= read_header(part).tensors
        if len(tensors) > MOST_TENSORS:
            raise InputError(f"{path}: has more than {MOST_TENSORS:,} tensors; this is not a model")
    return Header(header.metadata, tensors)


class _Model:
    """Header of a GGUF file during its conversion to an entry."""

    def __init__(self, path: Path, header: Header) -> None:
        architecture = header.metadata.get("general.architecture")
        if not isinstance(architecture, str) or not architecture:
            raise InputError(f"{path}: lacks general.architecture; download the file again")
        prefix = f"{architecture}."
        values = {
            key.removeprefix(prefix): value
            for key, value in header.metadata.items()
            if key.startswith(prefix)
        }
        self.path = path
        self.architecture = architecture
        self.shown = show(architecture).strip("'")
        self.metadata = header.metadata
        self.fields = Fields(values, f"{path}: {self.shown}")
        self.blocks: dict[int, Block] = {}
        self.others: Block = {}
        layers = self.fields.need("block_count") - self.fields.whole("nextn_predict_layers")
        if layers > MOST_LAYERS:
            self.fields.fault("block_count", f"{layers:,} layers", f"at most {MOST_LAYERS:,}")
        self.layers = max(min(layers, MOST_LAYERS), 1)
        for name, tensor in header.tensors.items():
            match = _BLOCK.fullmatch(name)
            if match is None:
                self.others[name] = tensor
            elif int(match[1]) < self.layers:  # later blocks are for multi-token prediction
                self.blocks.setdefault(int(match[1]), {})[match[2]] = tensor

    def entry(self, identity: Mapping[str, str]) -> ModelEntry:
        """Return the entry, with the parameter count of the tensors."""
        fields: dict[str, Any] = {}
        if self.fields.raw("attention.causal") is False:
            raise InputError(
                f"{self.path}: architecture {self.shown!r} generates no tokens; "
                "use a causal language model"
            )
        self._size(fields)
        self._check()
        letters = "".join(self._letter(self.blocks[n]) for n in range(self.layers))
        self._attention(fields, letters)
        self._recurrent(fields, letters)
        self._ffn(fields, letters)
        self._norms(fields)
        self._check()
        fields |= {**identity, "native_dtype": self._native_dtype(), "notes": self._mix()}
        fields["native_format"] = _FORMATS.get(str(fields["native_dtype"]), "")
        if fields.pop("_all_full", False):
            fields["estimated"] = {
                "sliding_window": f"it is not known which layers of {self.shown} have the window "
                f"of {self.fields.raw('attention.sliding_window')} tokens: all are assumed to see "
                "the whole context"
            }
        entry = self._counted(make_entry(fields, self.fields.place), fields)
        return make_entry({**entry.model_dump(), **self._own_bits(entry)}, self.fields.place)

    def _check(self) -> None:
        faults = list(self.fields.faults)
        if self.fields.missing:
            listed = ", ".join(f"{self.shown}.{key}" for key in self.fields.missing)
            faults.insert(0, f"{self.path}: lacks {listed}; download the file again, or {REMEDY}")
        if faults:
            raise InputError(faults)

    def _size(self, fields: dict[str, Any]) -> None:
        embedding = self.others.get("token_embd.weight")
        if any(name.startswith(("enc.blk.", "dec.blk.")) for name in self.others):
            raise InputError(
                f"{self.path}: architecture {self.shown!r} is not modelled: encoder and decoder; "
                "use another model"
            )
        if embedding is None or len(embedding.shape) != 2:
            raise InputError(
                f"{self.path}: lacks the tensor token_embd.weight; it is not a language model"
            )
        missing = next((n for n in range(self.layers) if n not in self.blocks), None)
        if missing is not None:
            raise InputError(
                f"{self.path}: {self.layers:,} layers, but no tensor of layer {missing:,}; "
                "download the file again"
            )
        fields |= {
            "hidden_size": self.fields.need("embedding_length"),
            "num_hidden_layers": self.layers,
            "vocab_size": embedding.shape[1],
            "tie_word_embeddings": "output.weight" not in self.others,
            "max_position_embeddings": self.fields.whole("context_length"),
            "lm_head_bias": "output.bias" in self.others,
            "embedding_norm": "token_embd_norm.weight" in self.others,
        }
        self._side_paths(fields)
        positions = self.others.get("position_embd.weight")
        if positions is not None and len(positions.shape) == 2:
            fields["learned_positions"] = positions.shape[1]

    def _side_paths(self, fields: dict[str, Any]) -> None:
        """Read per-layer embeddings, learned residuals and streams (Gemma 3n and 4)."""
        table = self.others.get(_PER_LAYER)
        if table is not None and len(table.shape) == 2:
            fields |= {
                "hidden_size_per_layer_input": table.shape[0] // self.layers,
                "vocab_size_per_layer_input": table.shape[1],
            }
        streams = self.others.get("altup_proj.weight")
        if streams is not None and len(streams.shape) == 3:
            fields["altup_num_inputs"] = streams.shape[2] + 1
        residual = self._one("laurel_l.weight").get("laurel_l.weight")
        if residual is not None:
            fields["laurel_rank"] = residual.shape[-1]

    def _letter(self, block: Block) -> str:
        if "attn_kv_a_mqa.weight" in block:
            indexed = any(name.startswith("indexer.") for name in block)
            return "A" if indexed or not self._has_indexers else "a"
        if "ssm_ba.weight" in block or "ssm_beta.weight" in block:
            return "G"
        if "ssm_in.weight" in block:
            return "P" if "attn_q.weight" in block else "M"
        return "F" if "attn_q.weight" in block or "attn_qkv.weight" in block else "-"

    @property
    def _has_indexers(self) -> bool:
        """Whether any layer has an indexer; layers without one share the last before them."""
        return any(name.startswith("indexer.") for block in self.blocks.values() for name in block)

    def _one(self, *names: str) -> Block:
        """Return the first block that has one of these tensors, or an empty block."""
        return next((b for b in self.blocks.values() if any(name in b for name in names)), {})

    # Mixers

    def _attention(self, fields: dict[str, Any], letters: str) -> None:
        read = self.fields
        if not set(letters) & set("FAP"):
            set_layers(fields, letters)
            return
        letters = letters if "A" in letters else self._windows(fields, letters)
        code = next(letter for letter in "FPSA" if letter in letters)
        heads = self._alike("attention.head_count", letters, "" if code == "A" else code)
        if not heads:
            read.missing.append("attention.head_count")
            return
        fields["num_attention_heads"] = heads
        if "A" in letters:
            self._latent(fields, letters)
            return
        set_layers(fields, self._borrowed(letters))
        self._heads(fields, letters)
        code = next(letter for letter in "SFP" if letter in letters)
        block, width = self.blocks[letters.index(code)], fields["head_dim"]
        if code == "S":
            heads = self._alike("attention.head_count", letters, "S") or heads
            fields["swa_num_attention_heads"] = (
                heads if heads != fields["num_attention_heads"] else 0
            )
        fields |= {
            "head_dim": 0 if width * heads == fields["hidden_size"] else width,
            "attention_sinks": "attn_sinks" in block or "attn_sinks.weight" in block,
            "attention_bias": self._attention_bias(block),
        }
        queries = block.get("attn_q.weight")
        fields["attn_output_gate"] = bool(queries and queries.shape[-1] == 2 * heads * width)
        gate = block.get("attn_gate.weight")
        if gate is not None:
            fields["attn_head_gate"] = gate.shape[-1] == heads
            fields["attn_output_gate"] = gate.shape[-1] == heads * width
        norm = block.get("attn_q_norm.weight")
        if norm is not None:
            fields["qk_norm"] = "head-dim" if norm.elements == width else "full"

    def _borrowed(self, letters: str) -> str:
        """Return the letters with those of the last layers small, which share others' caches."""
        shared = self.fields.whole("attention.shared_kv_layers")
        own = letters[: max(self.layers - shared, 0)]
        if set(letters[len(own) :]) - set(own):
            problem = f"{shared} of {self.layers}: leaves no cache to share"
            self.fields.fault("attention.shared_kv_layers", problem, "correct it")
            return letters
        return own + letters[len(own) :].lower()

    def _heads(self, fields: dict[str, Any], letters: str) -> None:
        """Read KV heads and widths, which may differ between full and window layers."""
        read, heads = self.fields, fields["num_attention_heads"]
        groups = {
            code: self._alike("attention.head_count_kv", letters, code) or heads
            for code in "FSP"
            if code in letters
        }
        width = read.whole("attention.key_length") or fields["hidden_size"] // heads
        value = read.whole("attention.value_length") or width
        fields |= {
            "num_key_value_heads": groups.get("S") or groups.get("F") or groups["P"],
            "head_dim": width,
            "v_head_dim": 0 if value == width else value,
        }
        if len(groups) < 2:
            return
        narrow = read.whole("attention.key_length_swa") or width
        if groups["F"] != groups["S"]:
            fields["num_global_key_value_heads"] = groups["F"]
        if narrow != width:
            fields |= {"head_dim": narrow, "global_head_dim": width, "v_head_dim": 0}
        block = self.blocks[letters.index("F")]
        fields["attention_k_eq_v"] = "attn_k.weight" in block and "attn_v.weight" not in block

    @staticmethod
    def _attention_bias(block: Block) -> str:
        if "attn_q.bias" not in block and "attn_qkv.bias" not in block:
            return "none"
        return "all" if "attn_output.bias" in block else "qkv"

    def _alike(self, key: str, letters: str = "", code: str = "") -> int:
        """Return a number that may be a list with one item per layer; zeros mean no attention.

        With ``letters``, only the layers with the letter ``code`` count.
        """
        if not isinstance(self.fields.raw(key), list):
            return self.fields.whole(key)
        listed = self.fields.wholes(key)
        if code and len(listed) >= len(letters):
            listed = [
                count for count, letter in zip(listed, letters, strict=False) if letter == code
            ]
        found = set(listed) - {0}
        if len(found) > 1:
            self.fields.fault(key, f"differs between layers ({show(sorted(found))})", REMEDY)
        return max(found, default=0)

    def _latent(self, fields: dict[str, Any], letters: str) -> None:
        read, heads = self.fields, fields["num_attention_heads"]
        block = self.blocks[letters.index("A")]
        rope = read.need("rope.dimension_count")
        queries = block.get("attn_q_b.weight") or block.get("attn_q.weight")
        output = block.get("attn_output.weight")
        whole = queries.shape[-1] // heads if queries else read.need("attention.key_length")
        if whole <= rope:
            read.fault("rope.dimension_count", f"{rope} is not below {whole}", REMEDY)
        fields |= {
            "num_key_value_heads": 0,
            "kv_lora_rank": read.need("attention.kv_lora_rank"),
            "q_lora_rank": read.whole("attention.q_lora_rank"),
            "qk_rope_head_dim": rope,
            "qk_nope_head_dim": max(whole - rope, 1),
            "v_head_dim": output.shape[0] // heads
            if output
            else read.need("attention.value_length"),
        }
        if read.has("attention.indexer.top_k"):
            fields |= {
                "index_topk": read.need("attention.indexer.top_k"),
                "index_n_heads": read.need("attention.indexer.head_count"),
                "index_head_dim": read.need("attention.indexer.key_length"),
            }
        if set(letters) != {"A"}:
            set_layers(fields, letters)

    def _windows(self, fields: dict[str, Any], letters: str) -> str:
        """Return the letters with "S" where a layer has a window."""
        read, chunked = self.fields, self.architecture == "llama4"
        width = read.whole("attention.sliding_window")
        if chunked:
            width = read.whole("attention.chunk_size") or width or _CHUNK
        limit = fields["max_position_embeddings"]
        pattern = self._slides() if width and not (limit and width >= limit) else []
        if pattern is None:
            fields["_all_full"] = True
            pattern = []
        if any(pattern):
            fields["attention_chunk_size" if chunked else "sliding_window"] = width
            letters = "".join(
                "S" if letter == "F" and slides else letter
                for letter, slides in zip(letters, pattern, strict=True)
            )
        return letters

    def _slides(self) -> list[bool] | None:
        """Return for each layer whether it has a window; ``None`` if it is not known."""
        key, layers = "attention.sliding_window_pattern", self.layers
        given = self.fields.raw(key)
        if isinstance(given, list) and given:
            return [bool(given[n % len(given)]) for n in range(layers)]
        if given is None and self.architecture not in _PERIODS:
            return None
        period = self.fields.whole(key, default=_PERIODS.get(self.architecture, 0))
        return [not period or n % period < period - 1 for n in range(layers)]

    def _recurrent(self, fields: dict[str, Any], letters: str) -> None:
        read = self.fields
        if not set(letters) & set("GMP"):
            return
        inner, rank = read.need("ssm.inner_size"), read.need("ssm.time_step_rank")
        state, kernel = read.need("ssm.state_size"), read.need("ssm.conv_kernel")
        if "G" in letters:
            fields |= {
                "linear_num_key_heads": read.need("ssm.group_count"),
                "linear_num_value_heads": rank,
                "linear_key_head_dim": state,
                "linear_value_head_dim": inner // rank,
                "linear_conv_kernel_dim": kernel,
            }
            return
        fields |= {"ssm_state_size": state, "conv_kernel": kernel}
        block = self._one("ssm_in.weight")
        if "ssm_x.weight" in block:
            fields |= {
                "mamba_intermediate_size": inner,
                "time_step_rank": rank,
                "mamba_inner_norms": "ssm_dt_norm.weight" in block,
            }
        else:
            fields |= {
                "mamba_num_heads": rank,
                "mamba_head_dim": inner // rank,
                "n_groups": read.whole("ssm.group_count", default=1) or 1,
                "mamba_norm": "ssm_norm.weight" in block,
            }

    # FFN

    def _ffn(self, fields: dict[str, Any], letters: str) -> None:
        dense: Counter[int] = Counter()
        sparse = beside = 0
        for block in self.blocks.values():
            down = block.get("ffn_down.weight")
            routed = "ffn_gate_inp.weight" in block
            if down is not None:
                dense[down.shape[0]] += 1
            sparse += routed
            beside += routed and down is not None
        if "-" in letters and sum(dense.values()) + sparse - beside == letters.count("-"):
            fields["mixer_or_ffn"] = True
        if len(dense) == 1:
            fields["intermediate_size"] = next(iter(dense))
        elif dense:
            fields["intermediate_sizes"] = tuple(sorted(dense.items(), reverse=True))
        block = self._one("ffn_down.weight")
        if block:
            up, down = block.get("ffn_up.weight"), block["ffn_down.weight"]
            fused = up is not None and up.shape[-1] == 2 * down.shape[0]
            fields["gated_mlp"] = "ffn_gate.weight" in block or fused
            fields["mlp_bias"] = "ffn_up.bias" in block
        if sparse:
            self._experts(fields, sum(dense.values()), beside)

    def _experts(self, fields: dict[str, Any], dense: int, beside: int) -> None:
        block = self._one("ffn_gate_inp.weight")
        fields["num_experts_per_tok"] = self.fields.need("expert_used_count")
        down = block.get("ffn_down_exps.weight")
        if down is not None and len(down.shape) == 3:
            fields |= {"num_experts": down.shape[2], "moe_intermediate_size": down.shape[0]}
            gated = "ffn_gate_exps.weight" in block or "ffn_gate_up_exps.weight" in block
        else:  # files of 2024 have one tensor per expert
            first = block.get("ffn_down.0.weight")
            fields["num_experts"] = self.fields.need("expert_count")
            fields["moe_intermediate_size"] = (
                first.shape[0] if first else self.fields.need("expert_feed_forward_length")
            )
            gated = True
        shared = block.get("ffn_down_shexp.weight")
        latent = block.get("ffn_latent_down.weight")
        fields |= {
            "gated_mlp": gated,
            "shared_expert_intermediate_size": shared.shape[0] if shared else 0,
            "shared_expert_gate": "ffn_gate_inp_shexp.weight" in block,
            "router_bias": any(
                name in block for name in ("exp_probs_b.bias", "exp_probs_b", "ffn_gate_inp.bias")
            ),
            "mlp_bias": fields.get("mlp_bias", False) or "ffn_up_exps.bias" in block,
            "moe_latent_size": latent.shape[1] if latent and len(latent.shape) == 2 else 0,
        }
        if beside:
            fields["dense_beside_moe"] = True
        elif dense:
            fields["first_k_dense_replace"] = dense

    def _norms(self, fields: dict[str, Any]) -> None:
        block = self._one("ffn_up.weight", "ffn_gate_inp.weight")
        norms = sum(
            f"{name}.weight" in block
            for name in (
                "attn_norm",
                "attn_norm_2",
                "ffn_norm",
                "post_attention_norm",
                "post_ffw_norm",
                "post_ffw_norm_1",
                "post_ffw_norm_2",
                "pre_ffw_norm_2",
            )
        )
        if "output_norm.weight" not in self.others:
            fields["norm"] = "none"
        elif "output_norm.bias" in self.others:
            fields["norm"] = "scale-and-bias"
        if norms and not fields.get("mixer_or_ffn"):
            fields["norms_per_layer"] = norms
        fields["parallel_block"] = (
            norms == 1
            or "attn_norm_2.weight" in block
            or self.fields.raw("use_parallel_residual") is True
        ) and not fields.get("mixer_or_ffn")

    # Weights

    def _own_bits(self, entry: ModelEntry) -> dict[str, object]:
        """Return the bits of matrices such that together they take the bytes of the tensors."""
        weights = self._weights()
        if not all(tensor.bytes for tensor in weights.values()):
            return {}
        made = entry.record()
        tables = made.embedding_elements + made.lm_head_elements
        names = ("token_embd.weight", "output.weight", _PER_LAYER)
        outer = sum(weights[name].bytes for name in names if name in weights)
        routed = sum(tensor.bytes for name, tensor in weights.items() if _ROUTED.search(name))
        total = sum(tensor.bytes for tensor in weights.values())
        rest = total - outer - routed - OTHER_BYTES * made.other_elements
        experts = made.experts * made.expert_elements
        body = body_elements(made)
        found = {
            "own_bits": 8.0 * rest / body if body else 0.0,
            "own_expert_bits": 8.0 * routed / experts if experts else 0.0,
            "own_embedding_bits": 8.0 * outer / tables if tables else 0.0,
        }
        if min(found["own_bits"], found["own_embedding_bits"]) <= 0.0:
            return {}
        form = entry.native_format or _nearest(found["own_bits"])
        return {**found, "native_format": form}

    def _weights(self) -> dict[str, Tensor]:
        """Return the tensors that are parameters, each once."""
        named = {
            f"blk.{n}.{name}": t for n, block in self.blocks.items() for name, t in block.items()
        }
        twice = {
            f"blk.{n}.{name}"
            for n, block in self.blocks.items()
            if "attn_kv_b.weight" in block
            for name in ("attn_k_b.weight", "attn_v_b.weight")
        }
        return {
            name: tensor
            for name, tensor in (self.others | named).items()
            if name not in twice and not any(buffer in name for buffer in _BUFFERS)
        }

    def _native_dtype(self) -> str:
        weights = self._weights()
        types: Counter[str] = Counter()
        for tensor in weights.values():
            types[tensor.type_name] += tensor.elements
        routed = {t.type_name for name, t in weights.items() if name.endswith("_exps.weight")}
        if routed == {"MXFP4"}:
            return "mxfp4 experts"
        kind = self.metadata.get("general.file_type")
        if isinstance(kind, int) and not isinstance(kind, bool) and kind in _MIXES:
            return _MIXES[kind]
        name = types.most_common(1)[0][0]
        return {"F32": "fp32", "F16": "fp16"}.get(name, name.lower())

    def _mix(self) -> str:
        """Return the share of each type in the weights, as a note."""
        weights = self._weights().values()
        total = sum(tensor.elements for tensor in weights)
        types: Counter[str] = Counter()
        for tensor in weights:
            types[tensor.type_name] += tensor.elements
        shares = ", ".join(f"{name} {count / total:.1%}" for name, count in types.most_common(6))
        if not all(tensor.bytes for tensor in weights):
            return f"weights: {shares}"
        bits = 8 * sum(tensor.bytes for tensor in weights) / total
        return f"weights: {shares}; {bits:.3g} bits each on average"

    def _counted(self, entry: ModelEntry, fields: dict[str, Any]) -> ModelEntry:
        """Return the entry with ``extra_parameters``, from small tensors outside the schema."""
        exact = sum(tensor.elements for tensor in self._weights().values())
        rest = exact - parameter_count(entry)
        if rest == 0:
            return entry
        if 0 < rest <= _LARGEST_REST * exact:
            notes = f"{fields['notes']}; extra_parameters: tensors without a field in the schema"
            return make_entry(
                {**fields, "extra_parameters": rest, "notes": notes}, self.fields.place
            )
        strange = dict.fromkeys(
            name
            for block in self.blocks.values()
            for name in block
            if not _UNDERSTOOD.fullmatch(name)
        )
        named = f", with {', '.join(list(strange)[:8])}" if strange else ""
        raise InputError(
            f"{self.path}: architecture {show(self.architecture)} is not modelled: its tensors "
            f"have {format_quantity(exact)} parameters{named}, as a transformer they would have "
            f"{format_quantity(parameter_count(entry))}; {REMEDY}"
        )
