"""Kinds of entries that are facts."""

from perfcore import catalog

FACT_KINDS = [kind for kind in catalog.KINDS if kind != "model"]
