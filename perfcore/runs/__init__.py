"""Runs: evaluation of a space by workers, storage in Parquet files, and reading them back."""
