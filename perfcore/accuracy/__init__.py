"""Measurements, the errors of predictions against them, and constants fitted to them."""
