"""Formulas: plain typed Python functions of floats, one topic a file. Nothing here loops."""
