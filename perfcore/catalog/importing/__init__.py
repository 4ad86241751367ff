"""Models from other people's files: ``config.json`` of Hugging Face, and headers of GGUF files."""

from perfcore.catalog.importing.sources import import_model

__all__ = ["import_model"]
