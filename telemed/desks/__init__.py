"""Desks: a role's home page and the screens that show several steps. They own no data."""
