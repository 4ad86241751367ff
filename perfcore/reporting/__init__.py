"""Pictures and pages of sweeps: data first, then drawings."""
