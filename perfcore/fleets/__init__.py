"""Fleets: the cheapest servers that serve traffic within objectives, and how to start them."""
