"""Pages to explore configurations: read the inputs, make the page and write it."""

from collections.abc import Sequence
from pathlib import Path

from perfcore.errors import InputError, argument
from perfcore.exploring.page import page
from perfcore.exploring.start import start
from perfcore.output import check_output, replacing


def explore(
    given: str | Path | Sequence[str | Path] = (),
    output: str | Path | None = None,
    *,
    again: str = "",
) -> str:
    """Return an HTML page that computes configurations in the browser; write it if a file is named.

    ``perfcore.explore(["llama-3.3-70b", "qwen3-32b"], "page.html")``

    The page needs no network. It has the physics as JavaScript and the whole catalogue, sliders for
    batch, lengths and what-ifs, and shows the parts of a token's time, memory, latency against
    throughput, intervals, and the command that computes each point again.

    Parameters
    ----------
    given
        Models that the page begins with, by names or files as in ``Configuration``; and at most one
        sweep file or directory of a run, with whose axes and rows it begins.
    output
        File to write, ``.html``.
    again
        Command that makes the page again, shown in place of a call from Python.

    Raises
    ------
    InputError
        With every fault of what is given; or if the file cannot be written.
    """
    listed = [given] if isinstance(given, str | Path) else list(given)
    if output is not None:
        if Path(output).suffix != ".html":
            raise InputError(f"{argument('output')}: {str(output)!r} must end in .html")
        check_output(argument("output"), str(output), [str(one) for one in listed])
    words = again or f"perfcore.explore({[str(one) for one in listed]!r})"
    text = page(start(listed), words)
    if output is not None:
        with replacing(Path(output)) as part:
            part.write_text(text, encoding="utf-8", newline="")
    return text
