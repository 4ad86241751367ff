"""The space of configurations that a sweep file asks for."""
