"""Tables as values, and their renderers: plain text, text for terminals, HTML, Markdown."""

from perfcore.tables.markup import escape_markdown, html, markdown
from perfcore.tables.table import STYLES, Column, Row, Table, facts, left, right
from perfcore.tables.text import GAP, plain_text, terminal_text

__all__ = [
    "GAP",
    "STYLES",
    "Column",
    "Row",
    "Table",
    "escape_markdown",
    "facts",
    "html",
    "left",
    "markdown",
    "plain_text",
    "right",
    "terminal_text",
]
