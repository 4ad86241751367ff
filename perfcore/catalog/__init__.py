"""Facts with sources: models, devices, formats, engines, energy and prices."""

from perfcore.catalog.loader import (
    KINDS,
    aliases,
    default_economics,
    load,
    load_device,
    load_engine,
    load_kv_format,
    load_model,
    load_weight_format,
    names,
    user_directory,
)

__all__ = [
    "KINDS",
    "aliases",
    "default_economics",
    "load",
    "load_device",
    "load_engine",
    "load_kv_format",
    "load_model",
    "load_weight_format",
    "names",
    "user_directory",
]
