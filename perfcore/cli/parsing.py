"""Commands that refuse an option given twice, of which click would keep the last in silence."""

from collections import Counter

import click


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
            _, _, given = self.make_parser(ctx).parse_args(list(args))
            for param, times in Counter(given).items():
                if times > 1 and isinstance(param, click.Option) and _takes_one(param):
                    raise click.UsageError(_twice(param), ctx)
        return super().parse_args(ctx, args)


class Group(click.Group):
    """Group of such commands."""

    command_class = Command


def _takes_one(option: click.Option) -> bool:
    return not (option.multiple or option.is_flag or option.count)


def _twice(option: click.Option) -> str:
    name = option.opts[-1]
    lists = "," in (option.metavar or "")
    remedy = "separate its values with commas" if lists else "give it once"
    return f"{name} is given more than once; {remedy}"
