"""Loops that Numba compiles, and the arrays that go in and come out."""
