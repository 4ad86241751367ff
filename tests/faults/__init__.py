"""Faults of system calls in runs, and the record of all faults that tests inject."""
