"""Searches of a space for the best rows, Pareto fronts or counts, without writing all rows."""
