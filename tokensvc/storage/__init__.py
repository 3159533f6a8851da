"""Adapters for `ports.Store`: memory (tests and trials), sqlite (the embedded default) and redis (several machines)."""
