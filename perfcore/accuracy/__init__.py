"""Measurements, how far predictions are from them, and constants fitted to them."""
