"""``perfcore completion``, and shell completion of names from the catalogue and the columns."""

from collections.abc import Callable, Iterable
from typing import Final

import click
from click.shell_completion import CompletionItem, get_completion_class

from perfcore.cli.parsing import Command
from perfcore.cli.text import rendered

SHELLS: Final = ("bash", "zsh", "fish")
_VARIABLE: Final = "_PERFCORE_COMPLETE"

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def entry_name(*kinds: str) -> Completer:
    """Return a completer of the names of catalogue entries."""

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from perfcore.catalog import loader  # noqa: PLC0415 - pydantic is slow to import

        known = dict.fromkeys(name for each in kinds for name in loader.names(each))
        return _matching(known, incomplete)

    return complete


def words(known: Iterable[str]) -> Completer:
    """Return a completer of a fixed list of words."""

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return _matching(known, incomplete)

    return complete


def column_name(*kinds: str) -> Completer:
    """Return a completer of the names of columns of some kinds, or of the last in a list."""

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from perfcore.columns import COLUMNS  # noqa: PLC0415 - only needed to complete

        before, comma, begun = incomplete.rpartition(",")
        taken = before.split(",")
        names = {c.name: c.meaning for c in COLUMNS if c.kind in kinds and c.name not in taken}
        return [
            CompletionItem(f"{before}{comma}{name}", help=meaning)
            for name, meaning in names.items()
            if name.startswith(begun)
        ]

    return complete


def _matching(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    """Return the names that start alike, except those that a shell could not show."""
    begun = incomplete.lower()
    return [CompletionItem(name) for name in names if name.startswith(begun) and name.isprintable()]


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print a shell completion script.

    It completes commands, options, and names in the catalogue. Add the line for your shell to its
    start-up file; for fish, run the command once.

    \b
    eval "$(perfcore completion bash)"                                     # in ~/.bashrc
    eval "$(perfcore completion zsh)"                                      # in ~/.zshrc
    perfcore completion fish > ~/.config/fish/completions/perfcore.fish    # once
    """  # noqa: D301
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"no completion for {shell}")
    root = click.get_current_context().find_root()
    script = made(root.command, {}, "perfcore", _VARIABLE)
    # formatted here, because `source()` would start bash to check its version
    rendered(script.source_template % script.source_vars())
