"""Parsers of user-written text. They return data, or one readable line per fault."""
