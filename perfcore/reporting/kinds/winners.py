"""Map of the best device or format, by batch and context length."""

import math
from collections import Counter
from typing import Final

from perfcore.reporting.choosing import CHAMPIONS, configured
from perfcore.reporting.picture import (
    LETTERS,
    MOST_SERIES,
    Axis,
    Layer,
    Panel,
    Picture,
    Row,
    Series,
    round_numbers,
    series_of,
)
from perfcore.reporting.settling import need_axes, need_columns, nothing_runs, settle, spread
from perfcore.reporting.source import Source
from perfcore.reporting.wording import (
    is_more_better,
    listing,
    plain,
    rows_as_text,
    value_text,
    with_unit,
)
from perfcore.searching.objectives import Objective

_OTHERS: Final = "others"
_COLUMNS_OF_LETTERS: Final = 14
_MOST_ROWS: Final = 16  # of a map
_MOST_COLUMNS: Final = 48


def winners(source: Source, by: str, metric: str | None) -> Picture:
    """Return maps of the best device or format at each batch and context length."""
    kind = "winners"
    need_axes(
        source,
        kind,
        {
            "batch": "axes.batch={pow2=[1,256]}",
            "input_len": 'axes.input_len={log=[128,"128Ki"],n=21}',
        },
    )
    metrics = [metric] if metric else [name for name in CHAMPIONS if name in source.metrics]
    need_columns(source, kind, metrics or list(CHAMPIONS))
    setting = settle(source, ("batch", "input_len", by), "best")
    batch_axis = spread(source.axes["batch"], _MOST_ROWS)
    length_axis = spread(source.axes["input_len"], _MOST_COLUMNS)
    drawn = {**setting.fixed, "batch": tuple(batch_axis), "input_len": tuple(length_axis)}
    found: dict[str, list[Row]] = {}
    for name in metrics:
        objective = Objective(name, maximize=is_more_better(name))
        found[name] = source.best(objective, ("batch", "input_len"), drawn, (name,))
    counts = Counter(row[by] for rows in found.values() for row in rows)
    if not counts:
        raise nothing_runs(source, kind, setting.fixed)
    room = MOST_SERIES if len(counts) <= MOST_SERIES else MOST_SERIES - 1
    leading = [value for value, _ in counts.most_common(room)]
    leading.sort(key=source.axes[by].index)
    known = source.axes[by] if len(source.axes[by]) <= MOST_SERIES else leading
    letters = dict(zip(known, LETTERS, strict=False))  # the same in every map of a sweep
    series = [
        Series(f"{letters[value]}  {value}", one.colour)
        for value, one in zip(leading, series_of(leading, source.axes[by]), strict=True)
    ]
    if len(counts) > room:
        series.append(Series(_OTHERS, "#8A8A8A"))
    batches = tuple(value_text(value) for value in reversed(batch_axis))
    lengths = tuple(value_text(value) for value in length_axis)
    labelled = tuple(
        value_text(value) for value in round_numbers([int(value) for value in length_axis])
    )
    every = max(1, math.ceil(len(lengths) / _COLUMNS_OF_LETTERS))
    lettered = set(lengths[every // 2 :: every])
    tips = ("winner", "batch", "prompt", "value", "configuration")
    panels, table, verdicts, claims = [], [], [], []
    words = [CHAMPIONS.get(name, f"best in {plain(name)}") for name in found]
    for word, (name, rows) in zip(words, found.items(), strict=True):
        cells: list[Row] = []
        for row in rows:
            value = row[by]
            cells.append(
                {
                    "x": value_text(row["input_len"]),
                    "y": value_text(row["batch"]),
                    "series": f"{letters[value]}  {value}" if value in letters else _OTHERS,
                    "text": letters.get(value, "·")
                    if value_text(row["input_len"]) in lettered
                    else "",
                    "metric": plain(name),
                    "winner": str(value),
                    "batch": value_text(row["batch"]),
                    "prompt": f"{row['input_len']:,} tokens",
                    "value": with_unit(row[name], name),
                    "configuration": configured(source, row, (by,)),
                }
            )
        wins = Counter(row[by] for row in rows)
        first, number = wins.most_common(1)[0] if wins else ("-", 0)
        claims.append(f"{first} is most often {'the ' * word.startswith('most')}{word}")
        where = "everywhere" if number == len(rows) else f"on {number / len(rows):.0%} of the map"
        verdicts.append(f"{first} is {word} {where}")
        panels.append(
            Panel(
                f"{word}, by {plain(name)}" if name in CHAMPIONS else word,
                Axis("prompt length [tokens]", categories=lengths, labelled=labelled),
                Axis("batch [sequences]", categories=batches),
                (Layer("cell", cells, tips),),
            )
        )
        table += cells
    finding = ", ".join(verdicts)
    if len(source.axes[by]) == 1:
        finding = f"{leading[0]} is the only {by}, so it is best wherever it runs"
    header = ("metric", *tips)
    return Picture(
        kind=kind,
        question=f"Which {by} is {listing(words, last='or')} at each batch and context length?",
        finding=finding,
        setting=setting.text(source),
        source=source.line,
        series=tuple(series),
        panels=tuple(panels),
        legend=by,
        header=header,
        table=rows_as_text(table, header),
        remarks=("Blank: nothing runs there.",)
        if any(len(rows) < len(batches) * len(lengths) for rows in found.values())
        else (),
        claim=listing(claims) if len(counts) > 1 else "",
        held=setting.held(source),
    )
