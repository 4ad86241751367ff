"""Model size as an axis."""

from perfcore.space.spec import Spec


def spec(axes=None, overrides=(), **sections):
    minimal = {"model": ["llama-3-70b"], "device": ["h100-sxm"]}
    document = {"axes": {**minimal, **(axes or {})}, **sections}
    return Spec.from_dict(document, overrides=overrides)


def test_model_size_is_an_axis():
    one = spec({"model": {"family": "dense", "params": {"log": ["1B", "1T"], "n": 4}}})
    mixed = spec(
        {
            "model": [
                "llama-3-8b",
                {"family": "moe", "params": ["100B", "1T"], "active": [0.05, 0.1]},
            ]
        }
    )

    assert one.axis("model").values == ("dense-1B", "dense-10B", "dense-100B", "dense-1T")
    assert mixed.axis("model").values == (
        "llama-3-8b",
        "moe-100B-A5B",
        "moe-100B-A10B",
        "moe-1T-A50B",
        "moe-1T-A100B",
    )
    assert tuple(e.name for e in mixed.axis("model").entries) == mixed.axis("model").values


def test_sizes_that_look_alike_get_more_digits():
    found = spec({"model": {"family": "dense", "params": [70_000_000_000, 70_000_400_000]}})

    assert found.axis("model").values == ("dense-70B", "dense-70.0004B")


def test_absolute_and_relative_active_sizes():
    for active in ("3B", 0.1, "10 %"):
        found = spec({"model": {"family": "moe", "params": "30B", "active": active}})

        assert found.axis("model").values == ("moe-30B-A3B",)
