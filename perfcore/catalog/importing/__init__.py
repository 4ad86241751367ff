"""Import of models from foreign files: Hugging Face ``config.json`` and GGUF headers."""

from perfcore.catalog.importing.document import SIZE, NotModelledError
from perfcore.catalog.importing.sources import import_model

__all__ = ["SIZE", "NotModelledError", "import_model"]
