"""Parameter counts, KV cache and records of the catalogue's models."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import perfcore
from perfcore import records
from perfcore.catalog.architecture import Architecture
from perfcore.catalog.consistency import faults
from perfcore.catalog.linear import matrices
from perfcore.catalog.loader import load_kv_format, load_model, names
from perfcore.catalog.mixers import MIXERS
from perfcore.catalog.mixers.mixer import Layer, Mixer
from perfcore.catalog.model_entry import ModelEntry
from perfcore.catalog.parameters import active_parameter_count, parameter_count
from perfcore.physics.attention import kv_bytes_per_sequence, kv_bytes_per_token

# (all parameters, active ones), counted once by a program that shares no code with perfcore; 63
# of the architectures were also instantiated with Hugging Face transformers 4.57.1, without
# weights, and had the same number to the parameter (5 more but for their router biases). Two
# active counts of that program were corrected: OLMo 7B's had a norm too many, LongCat's lacked
# its router biases.
COUNTS = {
    "gpt-2-124m": (124_439_808, 123_653_376),
    "gpt-2-xl": (1_557_611_200, 1_555_972_800),
    "gpt-3-175b": (174_604_259_328, 174_579_093_504),
    "opt-125m": (125_239_296, 123_664_896),
    "opt-1.3b": (1_315_758_080, 1_311_559_680),
    "opt-6.7b": (6_658_473_984, 6_650_077_184),
    "opt-13b": (12_853_473_280, 12_842_977_280),
    "opt-30b": (29_974_540_288, 29_959_845_888),
    "opt-66b": (65_719_701_504, 65_700_808_704),
    "opt-175b": (174_604_468_224, 174_579_277_824),
    "bloom-7b1": (7_069_016_064, 7_069_007_872),
    "bloom-176b": (176_247_271_424, 176_247_242_752),
    "palm-8b": (8_632_012_800, 8_632_012_800),
    "palm-62b": (62_495_662_080, 62_495_662_080),
    "palm-540b": (540_356_474_880, 540_356_474_880),
    "llama-1-7b": (6_738_415_616, 6_607_343_616),
    "llama-1-13b": (13_015_864_320, 12_852_024_320),
    "llama-1-33b": (32_528_943_616, 32_315_951_616),
    "llama-1-65b": (65_285_660_672, 65_023_516_672),
    "llama-2-7b": (6_738_415_616, 6_607_343_616),
    "llama-2-13b": (13_015_864_320, 12_852_024_320),
    "llama-2-70b": (68_976_648_192, 68_714_504_192),
    "codellama-34b": (33_743_970_304, 33_481_826_304),
    "llama-3-8b": (8_030_261_248, 7_504_924_672),
    "llama-3-70b": (70_553_706_496, 69_503_033_344),
    "llama-3.1-8b": (8_030_261_248, 7_504_924_672),
    "llama-3.1-70b": (70_553_706_496, 69_503_033_344),
    "llama-3.1-405b": (405_853_388_800, 403_752_042_496),
    "llama-3.2-1b": (1_235_814_400, 1_235_814_400),
    "llama-3.2-3b": (3_212_749_824, 3_212_749_824),
    "llama-3.3-70b": (70_553_706_496, 69_503_033_344),
    "llama-4-scout-17b-16e": (107_769_861_120, 16_138_408_960),
    "llama-4-maverick-17b-128e": (400_711_848_960, 16_150_205_440),
    "mistral-7b-v0.1": (7_241_732_096, 7_110_660_096),
    "mistral-7b-v0.3": (7_248_023_552, 7_113_805_824),
    "mistral-nemo-12b": (12_247_782_400, 11_576_693_760),
    "ministral-8b": (8_019_808_256, 7_482_937_344),
    "mistral-small-22b": (22_247_282_688, 22_045_956_096),
    "mistral-small-3-24b": (23_572_403_200, 22_901_314_560),
    "mistral-large-123b": (122_610_069_504, 122_207_416_320),
    "mixtral-8x7b": (46_702_792_704, 12_748_853_248),
    "mixtral-8x22b": (140_620_634_112, 38_955_423_744),
    "qwen2-0.5b": (494_032_768, 494_032_768),
    "qwen2-1.5b": (1_543_714_304, 1_543_714_304),
    "qwen2-7b": (7_615_616_512, 7_070_619_136),
    "qwen2-72b": (72_706_203_648, 71_460_495_360),
    "qwen2.5-0.5b": (494_032_768, 494_032_768),
    "qwen2.5-1.5b": (1_543_714_304, 1_543_714_304),
    "qwen2.5-3b": (3_085_938_688, 3_085_938_688),
    "qwen2.5-7b": (7_615_616_512, 7_070_619_136),
    "qwen2.5-14b": (14_770_033_664, 13_991_465_984),
    "qwen2.5-32b": (32_763_876_352, 31_985_308_672),
    "qwen2.5-72b": (72_706_203_648, 71_460_495_360),
    "qwen2-57b-a14b": (57_408_658_944, 13_704_732_160),
    "qwen1.5-moe-a2.7b": (14_315_784_192, 2_378_008_576),
    "qwen3-0.6b": (596_049_920, 596_049_920),
    "qwen3-1.7b": (1_720_574_976, 1_720_574_976),
    "qwen3-4b": (4_022_468_096, 4_022_468_096),
    "qwen3-8b": (8_190_735_360, 7_568_405_504),
    "qwen3-14b": (14_768_307_200, 13_990_394_880),
    "qwen3-32b": (32_762_123_264, 31_984_210_944),
    "qwen3-30b-a3b": (30_532_122_624, 3_041_867_776),
    "qwen3-235b-a22b": (235_093_634_560, 21_568_433_664),
    "qwen3-coder-480b-a35b": (480_154_875_392, 34_541_270_528),
    "qwen3-next-80b-a3b": (79_674_391_296, 3_563_764_480),
    "qwen3.5-27b": (26_895_998_464, 25_624_600_064),
    "qwen3.5-35b-a3b": (34_660_610_688, 2_946_429_568),
    "qwen3.5-122b-a10b": (122_111_526_912, 9_008_449_536),
    "qwen3.5-397b-a17b": (396_346_350_336, 16_331_922_176),
    "deepseek-moe-16b": (16_375_728_128, 2_618_935_296),
    "deepseek-llm-67b": (67_425_001_472, 66_586_140_672),
    "deepseek-v2": (235_741_434_880, 20_851_512_320),
    "deepseek-v2-lite": (15_706_484_224, 2_451_435_008),
    "deepseek-v3": (671_026_419_200, 36_625_618_432),
    "deepseek-r1": (671_026_419_200, 36_625_618_432),
    "deepseek-v3.2": (671_877_944_064, 37_477_143_296),
    "deepseek-v4-flash": (284_332_162_002, 13_270_023_122),
    "deepseek-v4-pro": (1_572_997_060_958, 48_852_261_214),
    "kimi-k2": (1_026_408_232_448, 31_687_095_808),
    "kimi-k2.5": (1_026_408_232_448, 31_687_095_808),
    "kimi-k3": (2_779_481_795_168, 104_186_931_808),
    "glm-4-9b": (9_399_951_360, 8_779_194_368),
    "glm-4.5": (352_797_829_024, 32_856_319_904),
    "glm-4.5-air": (106_852_251_264, 12_803_372_672),
    "glm-5": (743_911_218_432, 40_833_146_112),
    "glm-5.2": (743_377_019_904, 40_298_947_584),
    "gemma-2b": (2_506_172_416, 2_506_172_416),
    "gemma-7b": (8_537_680_896, 8_537_680_896),
    "gemma-2-2b": (2_614_341_888, 2_614_341_888),
    "gemma-2-9b": (9_241_705_984, 9_241_705_984),
    "gemma-2-27b": (27_227_128_320, 27_227_128_320),
    "gemma-3-1b": (999_885_952, 999_885_952),
    "gemma-3-4b": (3_880_263_168, 3_880_263_168),
    "gemma-3-12b": (11_766_034_176, 11_766_034_176),
    "gemma-3-27b": (27_009_346_304, 27_009_346_304),
    "gemma-4-26b-a4b": (25_233_053_440, 3_822_442_240),
    "gemma-4-31b": (30_697_345_280, 30_697_345_280),
    "phi-2": (2_779_683_840, 2_648_611_840),
    "phi-3-mini": (3_821_079_552, 3_722_578_944),
    "phi-3-medium": (13_960_238_080, 13_796_070_400),
    "phi-3.5-moe": (41_873_153_344, 6_509_665_600),
    "phi-4": (14_659_507_200, 14_145_704_960),
    "phi-4-mini": (3_836_021_760, 3_836_021_760),
    "gpt-oss-20b": (20_914_757_184, 3_608_307_264),
    "gpt-oss-120b": (116_829_156_672, 5_132_849_472),
    "falcon-7b": (6_921_720_704, 6_921_720_704),
    "falcon-40b": (41_303_293_952, 41_303_293_952),
    "falcon-180b": (178_557_088_768, 178_557_088_768),
    "falcon3-7b": (7_455_550_464, 7_052_897_280),
    "mpt-7b": (6_649_286_656, 6_649_286_656),
    "mpt-30b": (29_957_200_896, 29_957_200_896),
    "pythia-12b": (11_846_072_320, 11_586_549_760),
    "grok-1": (315_684_820_992, 83_756_587_008),
    "dbrx": (131_596_523_520, 35_853_146_112),
    "command-r-35b": (34_980_831_232, 34_980_831_232),
    "command-r+-104b": (103_810_674_688, 103_810_674_688),
    "command-a-111b": (111_057_580_032, 111_057_580_032),
    "yi-6b": (6_061_035_520, 5_798_891_520),
    "yi-34b": (34_388_917_248, 33_930_165_248),
    "starcoder2-3b": (3_030_371_328, 3_030_371_328),
    "starcoder2-15b": (15_957_889_024, 15_655_899_136),
    "minimax-text-01": (456_089_655_296, 47_174_113_280),
    "minimax-m2.5": (228_689_764_864, 10_415_956_480),
    "minimax-m3": (425_950_425_216, 24_509_132_928),
    "nemotron-4-15b": (15_628_775_424, 14_055_911_424),
    "nemotron-4-340b": (341_029_195_776, 336_310_603_776),
    "mistral-nemo-minitron-8b": (8_414_105_600, 7_877_234_688),
    "llama-3.3-nemotron-super-49b": (49_867_145_216, 48_816_472_064),
    "nemotron-h-56b": (56_324_350_464, 55_250_608_640),
    "nemotron-3-nano-30b-a3b": (31_577_940_288, 3_227_754_816),
    "nemotron-3-super-120b-a12b": (120_668_707_840, 12_233_366_528),
    "nemotron-3-ultra-550b-a55b": (549_308_993_536, 54_985_101_312),
    "olmo-7b": (6_888_095_744, 6_682_050_560),
    "olmo-2-7b": (7_298_617_344, 6_887_575_552),
    "olmo-2-13b": (13_716_198_400, 13_202_396_160),
    "olmo-2-32b": (32_234_279_936, 31_720_477_696),
    "olmoe-1b-7b": (6_919_161_856, 1_178_994_688),
    "smollm2-135m": (134_515_008, 134_515_008),
    "smollm2-360m": (361_821_120, 361_821_120),
    "smollm2-1.7b": (1_711_376_384, 1_711_376_384),
    "smollm3-3b": (3_075_098_624, 3_075_098_624),
    "tinyllama-1.1b": (1_100_048_384, 1_034_512_384),
    "jamba-v0.1-52b": (51_570_323_328, 11_841_875_840),
    "jamba-1.5-large": (398_555_145_696, 93_612_467_680),
    "falcon-mamba-7b": (7_272_665_088, 7_006_326_784),
    "mamba-2.8b": (2_768_345_600, 2_768_345_600),
    "seed-oss-36b": (36_151_104_512, 35_356_808_192),
    "mimo-7b": (7_622_619_136, 7_001_337_856),
    "mimo-v2-flash": (308_784_021_248, 14_826_225_408),
    "longcat-flash": (560_664_980_480, 27_149_511_680),
    "ernie-4.5-21b-a3b": (21_825_437_888, 3_352_150_208),
    "step-3.7-flash": (195_832_700_736, 10_335_936_320),
}

# Published totals that differ from ours by more than 1 %, and why.
KNOWN_DEVIATIONS = {
    "falcon-7b": -0.0409,  # the published file stores the tied output head a second time
    "mimo-7b": -0.0265,  # published with one multi-token-prediction layer
    "deepseek-v4-pro": -0.0169,  # "1.6T" is rounded
    "llama-4-scout-17b-16e": -0.0113,  # published with the vision tower
}

# Published active parameters that differ by more than 10 %, and why: cards round, some leave
# out the output head (Qwen3-Next: 0.31 billion of 3.56), Qwen1.5's counts the input embedding.
KNOWN_ACTIVE_DEVIATIONS = {
    "qwen3-next-80b-a3b": 0.188,
    "ernie-4.5-21b-a3b": 0.117,
    "qwen1.5-moe-a2.7b": -0.119,
}


def record_of(name):
    return load_model(name).record()


@pytest.mark.parametrize("name", COUNTS)
def test_counts_are_exact(name):
    entry = load_model(name)

    assert (parameter_count(entry), active_parameter_count(entry)) == COUNTS[name]


def test_every_model_of_the_catalogue_has_a_reference_count(monkeypatch, tmp_path):
    monkeypatch.setenv("PERFCORE_CATALOG", str(tmp_path))

    assert set(names("model")) == set(COUNTS)


def test_golden_counts():
    llama, deepseek = load_model("llama-3-70b"), load_model("deepseek-v3")

    assert parameter_count(llama) == 70_553_706_496
    assert parameter_count(deepseek) == 671_026_419_200
    assert active_parameter_count(deepseek) == 36_625_618_432
    per_layer = llama.record().attention_in_elements + llama.record().attention_out_elements
    assert per_layer / 80 == 150_994_944
    assert (llama.record().ffn_in_elements + llama.record().ffn_out_elements) / 80 == 704_643_072


@pytest.mark.parametrize("name", COUNTS)
def test_published_totals(name):
    entry = load_model(name)
    if entry.published_params is None:
        assert name == "step-3.7-flash"
        return
    deviation = parameter_count(entry) / entry.published_params - 1

    if name in KNOWN_DEVIATIONS:
        assert deviation == pytest.approx(KNOWN_DEVIATIONS[name], abs=1e-3)
    else:
        assert abs(deviation) < 0.01


@pytest.mark.parametrize("name", COUNTS)
def test_published_active_totals(name):
    entry = load_model(name)
    if entry.published_active is None:
        return
    deviation = active_parameter_count(entry) / entry.published_active - 1

    if name in KNOWN_ACTIVE_DEVIATIONS:
        assert deviation == pytest.approx(KNOWN_ACTIVE_DEVIATIONS[name], abs=1e-2)
    else:
        assert abs(deviation) < 0.1


def classes_sum(record):
    return (
        record.attention_in_elements
        + record.attention_out_elements
        + record.ffn_in_elements
        + record.ffn_out_elements
        + record.shared_elements
        + record.experts * record.expert_elements
        + record.lm_head_elements
        + record.embedding_elements
        + record.other_elements
    )


@pytest.mark.parametrize("name", COUNTS)
def test_records_are_complete(name):
    entry = load_model(name)
    record = entry.record()

    assert classes_sum(record) == parameter_count(entry)
    assert all(type(value) is float and value >= 0 for value in record)
    assert record.kv_heads >= 1
    assert record.max_context > 0
    assert record.other_elements < 0.01 * parameter_count(entry)
    assert record.global_layers + record.window_layers + record.state_layers == entry.mixers
    assert record.global_prefill_score_flops > 0 or record.global_layers == 0


def test_kv_cache_of_grouped_query_attention():
    assert 2 * record_of("llama-3-70b").global_kv_elements == 327_680
    assert record_of("llama-3-70b").kv_heads == 8


def test_kv_cache_of_latent_attention():
    record = record_of("deepseek-v3")

    assert 2 * record.global_kv_elements == 70_272
    assert (record.latent_cache, record.kv_heads) == (1, 1)
    assert record.global_score_flops == 61 * 2 * 128 * 1088
    assert record.global_prefill_score_flops == 61 * 2 * 128 * (128 + 64 + 128)
    assert record.attention_io_elements == 61 * 128 * (576 + 512)


def test_kv_cache_of_windows():
    record, context = record_of("gemma-3-27b"), 131_072
    tokens = min(context, record.window)
    kept = record.global_kv_elements * context + record.window_kv_elements * tokens

    assert 2 * kept == 11_173_625_856
    assert (record.global_layers, record.window_layers) == (10, 52)


def test_explicit_head_dim_wins_over_hidden_size_by_heads():
    assert record_of("mistral-nemo-12b").global_kv_elements == 40 * 2 * 8 * 128


def test_key_and_value_heads_of_different_width():
    record = record_of("mimo-v2-flash")

    assert (record.global_kv_elements, record.window_kv_elements) == (10_240, 102_400)
    assert record.window_score_flops == 40 * 2 * 64 * (192 + 128)


def test_indexers():
    sparse, shared = record_of("deepseek-v3.2"), record_of("glm-5.2")

    assert sparse.index_elements == 61 * 128
    assert sparse.global_kv_elements == 61 * 576
    assert sparse.index_score_flops == 61 * 2 * 64 * 128
    assert (sparse.index_topk, shared.index_elements) == (2048, 21 * 128)


def test_compressed_attention_of_deepseek_v4():
    record = record_of("deepseek-v4-flash")

    assert record.global_kv_elements == 21 * 512 / 4
    assert record.index_elements == 21 * 128 / 4 + 20 * 512 / 128
    assert record.global_kv_elements + record.index_elements == 3_440
    assert record.window_kv_elements == 22_016
    assert record.index_topk == 4 * 512
    assert record.experts_only == 1


def test_compressed_layers_have_windows_even_if_no_layer_is_only_a_window():
    pro = record_of("deepseek-v4-pro")
    cache = load_kv_format("bf16").record()

    assert (pro.window_layers, pro.window, pro.window_kv_elements) == (0, 128, 61 * 512)
    assert kv_bytes_per_sequence(pro, cache, 4096) == (
        kv_bytes_per_token(pro, cache) * 4096 + 2 * 61 * 512 * 128
    )

    def kv_s(length):
        row = perfcore.evaluate("deepseek-v4-pro", "b300", tp=8, input_len=length, output_len=2)
        return row["kv_s"]

    # 256 more tokens are compressed, but the first 128 were kept whole as well
    assert kv_s(128) - kv_s(64) > 4 * (kv_s(1024) - kv_s(960))


@pytest.mark.parametrize(
    ("name", "elements"),
    [
        ("qwen3-next-80b-a3b", 19_759_104),
        ("minimax-text-01", 73_400_320),
        ("nemotron-h-56b", 229_810_176),
        ("jamba-v0.1-52b", 4_358_144),
        ("falcon-mamba-7b", 9_961_472),
        ("kimi-k3", 116_158_464),
    ],
)
def test_recurrent_states(name, elements):
    assert record_of(name).state_elements == elements


def test_operators_are_fused_as_engines_fuse_them():
    llama, mixture = record_of("llama-3-8b"), record_of("mixtral-8x7b")

    assert llama.attention_in_operators == llama.ffn_in_operators == llama.ffn_out_operators == 32
    assert llama.attention_in_io_elements == 32 * (4096 + 6144)
    assert llama.ffn_in_io_elements == 32 * (4096 + 2 * 14336)
    assert record_of("deepseek-v3").attention_in_operators == 61 * 4
    assert record_of("deepseek-v3").shared_operators == 58 * 2
    assert mixture.expert_io_elements == 32 * 2 * (2 * 4096 + 3 * 14336)
    assert mixture.ffn_in_operators == 0


@pytest.mark.parametrize(
    ("name", "all_reduces"),
    [
        ("llama-3-70b", 160),
        ("palm-62b", 64),  # parallel block
        ("llama-3.3-nemotron-super-49b", 49 + 80),
        ("nemotron-h-56b", 118),  # a layer is a mixer or an FFN
        ("falcon-mamba-7b", 64),
        ("longcat-flash", 56 + 56 + 28),
    ],
)
def test_all_reduces(name, all_reduces):
    assert record_of(name).all_reduces == all_reduces


def test_experts_that_compute_nothing_are_not_active():
    assert record_of("longcat-flash").experts_per_token == 8


def test_state_space_models_have_no_attention_and_no_longest_context():
    record = record_of("mamba-2.8b")

    assert (record.heads, record.kv_heads, record.global_kv_elements) == (0, 1, 0)
    assert record.max_context >= 1e9


def test_tied_embeddings_are_counted_once():
    assert record_of("gemma-2b").embedding_elements == 0
    assert record_of("llama-3-8b").embedding_elements == 128_256 * 4096


def test_chunked_windows_and_quantised_experts_are_marked():
    assert record_of("llama-4-scout-17b-16e").window_chunked == 1
    assert record_of("gemma-3-27b").window_chunked == 0
    assert record_of("gpt-oss-120b").experts_only == 1
    assert record_of("kimi-k2.5").experts_only == 1
    assert record_of("kimi-k2").experts_only == 0


@pytest.mark.parametrize("name", COUNTS)
def test_models_are_found_by_their_hugging_face_name(name):
    entry = load_model(name)
    if entry.hf_id:
        assert load_model(entry.hf_id.upper()) is entry
    else:
        assert name in {"gpt-3-175b", "palm-8b", "palm-62b", "palm-540b"}
    assert entry.source


@pytest.mark.parametrize("alias", ["llama3-70b", "Meta-Llama-3-70B", "Llama_3-70B"])
def test_common_spellings(alias):
    assert load_model(alias).name == "llama-3-70b"


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


@pytest.mark.parametrize("letter", MIXERS)
def test_every_mixer_says_what_it_lacks(letter):
    bare = Architecture(
        name="x",
        source="test",
        hidden_size=1024,
        num_hidden_layers=1,
        vocab_size=1000,
        layer_types=letter,
    )

    assert bool(faults(bare)) == (letter != "-")


def test_a_declaration_is_all_that_a_new_mixer_needs(monkeypatch):
    new = Mixer(
        letter="Z",
        title="attention that is not in the catalogue",
        reach="global",
        layer=lambda entry: Layer(
            matrices((entry.hidden_size, 10)),
            matrices((10, entry.hidden_size)),
            other=7,
            global_kv_elements=Fraction(5, 2),
        ),
        rules=lambda entry: [(not entry.head_dim, "new attention needs head_dim")],
    )
    monkeypatch.setitem(MIXERS, "Z", new)

    record = plain(layer_types="Z", num_hidden_layers=3, head_dim=64).record()
    assert (record.attention_in_elements, record.attention_out_operators) == (3 * 10_240, 3)
    assert (record.global_layers, record.heads, record.latent_cache) == (3, 16, 1)
    assert record.global_kv_elements == 7  # 3 layers of 5/2, in whole elements
    with pytest.raises(ValidationError, match="new attention needs head_dim"):
        plain(layer_types="Z")


heads = st.sampled_from([1, 2, 4, 8])
small = st.integers(1, 200)


@st.composite
def architectures(draw):
    """Entries with grouped, windowed, latent or delta-rule mixers and dense or expert FFNs."""
    kv_heads = draw(heads)
    layers = draw(st.integers(1, 12))
    letters = draw(st.text("FSAaGKTM-", min_size=1, max_size=layers))
    experts = draw(st.sampled_from([0, 4, 16]))
    return ModelEntry(
        name="random",
        source="test",
        hidden_size=draw(small),
        num_hidden_layers=layers,
        vocab_size=draw(small),
        tie_word_embeddings=draw(st.booleans()),
        layer_types=letters,
        norm=draw(st.sampled_from(["scale", "scale-and-bias", "none"])),
        num_attention_heads=kv_heads * draw(heads),
        num_key_value_heads=kv_heads,
        head_dim=draw(small),
        sliding_window=draw(small),
        attention_bias=draw(st.sampled_from(["none", "qkv", "all"])),
        qk_norm=draw(st.sampled_from(["none", "head-dim", "full"])),
        attn_output_gate=draw(st.booleans()),
        q_lora_rank=draw(st.integers(0, 50)),
        kv_lora_rank=draw(small),
        qk_nope_head_dim=draw(small),
        qk_rope_head_dim=draw(small),
        v_head_dim=draw(small),
        index_topk=draw(st.integers(0, 1)),
        index_n_heads=2,
        index_head_dim=16,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
        linear_key_head_dim=draw(small),
        linear_value_head_dim=draw(small),
        linear_conv_kernel_dim=4,
        mamba_num_heads=draw(st.sampled_from([0, 4])),
        mamba_head_dim=16,
        mamba_intermediate_size=64,
        time_step_rank=4,
        n_groups=2,
        ssm_state_size=draw(small),
        conv_kernel=4,
        intermediate_size=draw(small),
        gated_mlp=draw(st.booleans()),
        mlp_bias=draw(st.booleans()),
        num_experts=experts,
        num_experts_per_tok=draw(st.integers(1, 4)) if experts else 0,
        moe_intermediate_size=draw(small),
        moe_latent_size=draw(st.sampled_from([0, 24])),
        shared_expert_intermediate_size=draw(st.sampled_from([0, 32])),
        router_bias=draw(st.booleans()),
        first_k_dense_replace=draw(st.integers(0, 1)),
        decoder_sparse_step=draw(st.integers(1, 3)),
        dense_beside_moe=draw(st.booleans()),
    )


@given(architectures())
@settings(deadline=None)
def test_classes_of_any_architecture_sum_to_its_parameters(entry):
    record = entry.record()

    assert classes_sum(record) == parameter_count(entry)
    assert active_parameter_count(entry) <= parameter_count(entry)
    assert all(value >= 0 for value in record)
    assert isinstance(record, records.Model)


@given(d=small, n=st.integers(1, 9), groups=heads, per_group=heads, h=small, f=small, vocab=small)
@settings(deadline=None)
def test_dense_transformers_against_a_sum_over_tensors(d, n, groups, per_group, h, f, vocab):
    entry = ModelEntry(
        name="dense",
        source="test",
        hidden_size=d,
        num_hidden_layers=n,
        vocab_size=vocab,
        num_attention_heads=groups * per_group,
        num_key_value_heads=groups,
        head_dim=h,
        intermediate_size=f,
    )
    tensors = [(vocab, d), (vocab, d), (d, 1)]
    for _ in range(n):
        tensors += [(d, groups * per_group * h), (d, groups * h), (d, groups * h)]
        tensors += [(groups * per_group * h, d), (d, f), (d, f), (f, d), (d, 1), (d, 1)]

    assert parameter_count(entry) == sum(rows * columns for rows, columns in tensors)
