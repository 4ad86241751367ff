"""``perfcore completion``, and what names the shell offers: from the catalogue and the columns."""

from collections.abc import Callable, Iterable
from typing import Final

import click
from click.shell_completion import CompletionItem, get_completion_class

SHELLS: Final = ("bash", "zsh", "fish")
_VARIABLE: Final = "_PERFCORE_COMPLETE"

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def entry_name(kind: str) -> Completer:
    """Return what completes the name of a catalogue entry."""

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from perfcore.catalog import loader  # noqa: PLC0415 - pydantic is slow to import

        kinds = ("weight_format", "kv_format") if kind == "format" else (kind,)
        known = dict.fromkeys(name for each in kinds for name in loader.names(each))
        return _matching(known, incomplete)

    return complete


def words(known: Iterable[str]) -> Completer:
    """Return what completes one of some words."""

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return _matching(known, incomplete)

    return complete


def column_name(*kinds: str) -> Completer:
    """Return what completes the name of a column of some kinds, or the last in a list of them."""

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from perfcore.columns import COLUMNS  # noqa: PLC0415 - only where a column is meant

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
    return [CompletionItem(name) for name in names if name.startswith(incomplete.lower())]


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print a script that completes commands and names in a shell.

    \b
    eval "$(perfcore completion bash)"                                     in ~/.bashrc
    eval "$(perfcore completion zsh)"                                      in ~/.zshrc
    perfcore completion fish > ~/.config/fish/completions/perfcore.fish    once
    """  # noqa: D301
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"no completion for {shell}")
    root = click.get_current_context().find_root()
    script = made(root.command, {}, "perfcore", _VARIABLE)
    # of the class' own text, as `source()` would start bash to ask for its version
    click.echo(script.source_template % script.source_vars())
