"""Sweep files, and the spaces of configurations that they define."""
