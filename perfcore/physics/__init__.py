"""Formulas: plain typed Python functions of floats, one topic per file, without loops."""
