"""One configuration: its result, what is near it, and where its figures come from."""
