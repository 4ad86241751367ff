"""Tables as values, and renderers for plain text, terminals, HTML and Markdown."""

from perfcore.tables.markup import NOTEBOOK, escape_html, escape_markdown, html, markdown
from perfcore.tables.table import STYLES, Column, Row, Table, facts, left, right
from perfcore.tables.text import GAP, plain_text, terminal_text

__all__ = [
    "GAP",
    "NOTEBOOK",
    "STYLES",
    "Column",
    "Row",
    "Table",
    "escape_html",
    "escape_markdown",
    "facts",
    "html",
    "left",
    "markdown",
    "plain_text",
    "right",
    "terminal_text",
]
