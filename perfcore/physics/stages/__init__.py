"""Stages of a point, in order: replica, capacity, batch, passes, point."""
