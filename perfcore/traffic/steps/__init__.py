"""Servers in steps, compiled: nothing is allocated while they run."""
