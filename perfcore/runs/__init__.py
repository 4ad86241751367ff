"""Rows of a space, evaluated by workers, kept in Parquet files and read back."""
