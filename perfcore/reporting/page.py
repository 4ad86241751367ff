"""Pages of pictures: self-contained HTML files that work offline."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, replace
from importlib import resources
from typing import Any, Final

from perfcore import tables
from perfcore.reporting import vega
from perfcore.reporting.picture import Picture, Series, described
from perfcore.tables import Table, left
from perfcore.tables import escape_html as escape

_ROOM: Final = "perfcore.reporting"
_DRAWN: Final = ("x", "y", "x2", "y2", "series", "text")  # entries for a row's place and colour
TIP: Final = '<div id="tip" role="status" hidden></div>\n'  # which follows the pointer
MOST_ROWS: Final = 300  # most rows of a table
_PLAIN: Final = frozenset({"cell", "area", "bar"})  # marks without shapes
_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; script-src 'unsafe-inline'"
)
# Outlines of shapes, in a square from -6 to 6.
_SWATCHES: Final = {
    "circle": '<circle r="5"/>',
    "square": '<rect x="-5" y="-5" width="10" height="10"/>',
    "triangle-up": '<path d="M0,-5 5,5 -5,5z"/>',
    "triangle-down": '<path d="M0,5 5,-5 -5,-5z"/>',
    "triangle-right": '<path d="M5,0 -5,5 -5,-5z"/>',
    "triangle-left": '<path d="M-5,0 5,5 5,-5z"/>',
    "diamond": '<path d="M0,-6 4,0 0,6 -4,0z"/>',
    "cross": '<path d="M-2,-5h4v3h3v4h-3v3h-4v-3h-3v-4h3z"/>',
}


class Page:
    """Page under construction; text is escaped as parts are added."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.contents: list[tuple[str, str]] = []
        self.parts: list[str] = []
        self.pictures: list[dict[str, object]] = []

    def section(self, anchor: str, title: str, *parts: str) -> None:
        """Add a section made of parts that are HTML already."""
        self.contents.append((anchor, title))
        body = "\n".join(parts)
        self.parts.append(
            f'<section id="{anchor}" aria-labelledby="{anchor}-title">\n'
            f'<h2 id="{anchor}-title">{escape(title)}</h2>\n{body}\n</section>'
        )

    def picture(self, picture: Picture) -> None:
        """Add a section with a picture and a table of its numbers."""
        number = len(self.pictures)
        self.pictures.append(_data(picture))
        drawn = "\n".join(
            '<div class="panel">'
            + (f"<h4>{escape(panel.title)}</h4>" if panel.title else "")
            + f'<canvas role="img" aria-label="{escape(described(picture, [panel]))}"></canvas>'
            "</div>"
            for panel in picture.panels
        )
        notes = " ".join(escape(note) for note in picture.remarks)
        self.section(
            f"picture-{picture.kind}",
            picture.question,
            paragraph(picture.finding + ".", "finding"),
            paragraph(picture.setting, "setting"),
            f'<figure data-picture="{number}">\n{_legend(picture)}\n'
            f'<div class="panels">\n{drawn}\n</div>\n'
            f"<figcaption>{notes}{'<br>' if notes else ''}{escape(picture.source)}</figcaption>\n"
            '<p><button type="button" class="png">PNG</button> '
            '<button type="button" class="csv">CSV</button></p>\n</figure>',
            details(
                f"Numbers of this picture ({len(picture.table):,} rows)",
                table(Table.of(left(*picture.header), picture.table, f"Numbers of {picture.kind}")),
            ),
        )

    def html(self, head: str, foot: str, style: str = "", script: str = "") -> str:
        """Return the page; ``head`` and ``foot`` are HTML; style and script are added."""
        contents = "\n".join(f"<li>{linked(anchor, title)}</li>" for anchor, title in self.contents)
        nav = (
            f'<nav aria-label="Contents"><ul>\n{contents}\n</ul></nav>'
            if len(self.contents) > 1
            else ""
        )
        scripts = ""
        if self.pictures:
            scripts = (
                "<noscript><p>The pictures need JavaScript; "
                "the tables have the same numbers.</p></noscript>\n"
                f'<script type="application/json" id="drawn">{json_of(self.pictures)}</script>\n'
            )
        if self.pictures or script:
            code = text_of(_ROOM, "drawing.js") + script + text_of(_ROOM, "pictures.js")
            scripts += f"{TIP}<script>\n{code}</script>\n"
        body = "\n".join(self.parts)
        return shell(
            self.title,
            style,
            '<a class="skip" href="#main">Skip to the content</a>\n'
            f"<header>\n<h1>{escape(self.title)}</h1>\n{head}\n</header>\n{nav}\n"
            f'<main id="main" tabindex="-1">\n{body}\n</main>\n'
            f"{f'<footer>{chr(10)}{foot}{chr(10)}</footer>' if foot else ''}\n{scripts}",
        )


def picture_page(picture: Picture) -> str:
    """Return a page with one picture."""
    page = Page(f"perfcore plot {picture.kind}")
    page.picture(picture)
    return page.html("", "")


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph."""
    named = f' class="{kind}"' if kind else ""
    return f"<p{named}>{worded(text)}</p>"


def worded(text: str) -> str:
    """Return escaped text with words between backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def linked(anchor: str, text: str) -> str:
    """Return a link to a section."""
    return f'<a href="#{escape(anchor)}">{escape(text)}</a>'


def details(title: str, body: str) -> str:
    """Return a part that is folded until opened."""
    return f"<details>\n<summary>{escape(title)}</summary>\n{body}\n</details>"


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return names with their texts as a description list."""
    listed = "\n".join(f"<dt>{escape(name)}</dt><dd>{worded(text)}</dd>" for name, text in pairs)
    return f"<dl>\n{listed}\n</dl>"


def code(text: str) -> str:
    """Return preformatted lines."""
    lines = "\n".join(map(escape, text.split("\n")))
    return f'<pre tabindex="0"><code>{lines}</code></pre>'


def table(shown: Table, most: int = MOST_ROWS) -> str:
    """Return a scrollable table with at most ``most`` rows."""
    more = len(shown.rows) - most
    note = paragraph(f"And {more:,} more rows.", "note") if more > 0 else ""
    first = tables.html(replace(shown, rows=shown.rows[:most]), worded)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(shown.caption)}">\n'
        f"{first}\n</div>{note}"
    )


def _legend(picture: Picture) -> str:
    square = any(layer.mark in _PLAIN for panel in picture.panels for layer in panel.layers)
    buttons = "\n".join(
        f'<button type="button" aria-pressed="true" data-series="{place}">'
        f"{_swatch(series, plain=square)}{escape(series.name)}</button>"
        for place, series in enumerate(picture.series)
    )
    name = escape(picture.legend)
    return (
        f'<div class="legend" role="group" aria-label="Show {name}"><span>{name}</span>\n'
        f"{buttons}\n</div>"
    )


def _swatch(series: Series, *, plain: bool) -> str:
    outline = _SWATCHES["square" if plain else series.shape]
    return f'<svg viewBox="-7 -7 14 14" aria-hidden="true" fill="{series.colour}">{outline}</svg>'


def _data(picture: Picture) -> dict[str, Any]:
    """Return the data of a picture for the page's script."""
    data = asdict(picture)
    for name in ("question", "header", "table", "remarks", "claim", "held"):
        del data[name]
    for panel in data["panels"]:
        for layer in panel["layers"]:
            keys = {*_DRAWN, *layer["tips"]}
            layer["rows"] = [
                {key: value for key, value in row.items() if key in keys} for row in layer["rows"]
            ]
    return data


def shell(title: str, style: str, body: str) -> str:
    """Return a document; ``body`` is HTML, ``style`` is added to that of all pages."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{escape(title)}</title>\n"
        f"<style>\n{text_of(_ROOM, 'page.css')}{style}</style>\n</head>\n"
        f"<body>\n{body}</body>\n</html>\n"
    )


def json_of(value: object) -> str:
    """Return JSON of printable text that cannot close its enclosing script element."""
    text = json.dumps(vega.printable(value), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def text_of(room: str, name: str) -> str:
    """Return a file that comes with a room."""
    return (resources.files(room) / name).read_text(encoding="utf-8")
