"""Commands that refuse an option given twice, and know the words of other tools."""

from collections import Counter
from typing import Final

import click

from perfcore.reading.other_words import OTHER_WORDS, meant_by

_SWEEP: Final = ("spec", "source")  # arguments that are sweeps


class Command(click.Command):
    """Command of perfcore."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments of a command line.

        Raises
        ------
        click.UsageError
            If they are not the command's, or have an option twice that takes one value.

        """
        if not ctx.resilient_parsing and args:
            try:
                _, _, given = self.make_parser(ctx).parse_args(list(args))
            except click.NoSuchOption as error:
                hint = self._own_word(error.option_name) or self._axis(error.option_name)
                if not hint:
                    raise
                raise click.UsageError(
                    f"no such option {error.option_name!r}; {hint}", ctx
                ) from error
            for param, times in Counter(given).items():
                if times > 1 and isinstance(param, click.Option) and _takes_one(param):
                    raise click.UsageError(_twice(param), ctx)
        return super().parse_args(ctx, args)

    def _own_word(self, option: str) -> str:
        """Return perfcore's name for another tool's option; empty if unknown."""
        options = {name for param in self.params for name in param.opts}
        arguments = {p.human_readable_name for p in self.params if isinstance(p, click.Argument)}
        for words, meant in OTHER_WORDS.items():
            if option.lstrip("-") not in words:
                continue
            for word in meant:
                if _spelled(word).split()[0] in options:
                    return f"here it is {_spelled(word)}"
                if word in arguments:
                    return f"here it is the argument {word}"
        return ""

    def _axis(self, option: str) -> str:
        """Return how an axis of a sweep is set that has no option; empty if it is none."""
        from perfcore.inputs import AXIS_INPUTS  # noqa: PLC0415 - after a fault only

        name = option.lstrip("-").replace("-", "_")
        axis = name if name in AXIS_INPUTS else meant_by(name, AXIS_INPUTS)
        takes_sweep = any(param.name in _SWEEP for param in self.params)
        if not (axis and takes_sweep and any("--set" in param.opts for param in self.params)):
            return ""
        return f"it is an axis of the sweep: --set axes.{axis}=VALUE"


class Group(click.Group):
    """Group of such commands."""

    command_class = Command


def _spelled(word: str) -> str:
    """Return perfcore's spelling of an argument on the command line: ``--offload experts``."""
    parts = (part.replace("=", " ", 1) for part in word.split())
    return " with ".join(f"--{part}" for part in parts)


def _takes_one(option: click.Option) -> bool:
    return not (option.multiple or option.is_flag or option.count)


def _twice(option: click.Option) -> str:
    name = option.opts[-1]
    lists = "," in (option.metavar or "")
    remedy = "separate its values with commas" if lists else "give it once"
    return f"{name} is given more than once; {remedy}"
