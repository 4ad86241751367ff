"""Single configurations: their results, alternatives, and the provenance of their figures."""
