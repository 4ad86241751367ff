"""The best rows of a space, the undominated ones, or counts, without writing the others."""
