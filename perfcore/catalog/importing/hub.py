"""``hf:org/name``: the ``config.json`` of a model on the Hugging Face hub."""

import re
from typing import Final

from perfcore.catalog.names import HUB
from perfcore.errors import InputError

_NAME: Final = re.compile(r"(?:[\w.-]{1,96}/)?[\w.-]{1,96}(?:@[\w./-]{1,96})?", re.ASCII)


def download(name: str) -> str:
    """Return the path of a local copy of ``config.json``; nothing else is downloaded.

    Parameters
    ----------
    name
        ``org/name`` or ``org/name@revision``; the default is the newest revision.

    Raises
    ------
    InputError
        The name has another form, ``huggingface_hub`` is not installed, the hub has no such file,
        or the hub cannot be reached and no local copy exists.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"{HUB}{name}: is not of the form hf:org/name or hf:org/name@revision")
    try:
        from huggingface_hub import errors as hub_errors  # noqa: PLC0415
        from huggingface_hub import hf_hub_download  # noqa: PLC0415 - optional
    except ImportError:
        raise InputError(
            f"{HUB}{name}: needs huggingface_hub; pip install huggingface_hub, "
            "or download config.json and give its path"
        ) from None
    repository, _, revision = name.partition("@")
    try:
        return hf_hub_download(repository, "config.json", revision=revision or None)
    except hub_errors.GatedRepoError:
        problem = "is gated; accept its licence on the hub and log in (`hf auth login`)"
    except hub_errors.RepositoryNotFoundError:
        problem = "no such model on the hub, or it is private; check the name"
    except hub_errors.RevisionNotFoundError:
        problem = f"has no revision {revision!r}; check it"
    except hub_errors.LocalEntryNotFoundError:
        problem = "the hub cannot be reached, and there is no local copy; connect, or give"
        problem += " the path of a config.json"
    except hub_errors.EntryNotFoundError:
        problem = "has no config.json; give the path of a GGUF file instead"
    except (hub_errors.HFValidationError, hub_errors.HfHubHTTPError, OSError, ValueError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        problem = f"cannot be downloaded: {first[:200]}; try again, or give a path"
    raise InputError(f"{HUB}{name}: {problem}")
