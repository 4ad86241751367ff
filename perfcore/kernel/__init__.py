"""Loops compiled by Numba, with their input and output arrays."""
