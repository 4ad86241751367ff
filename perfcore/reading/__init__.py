"""Text that a user wrote, turned into data or into one readable line a fault."""
