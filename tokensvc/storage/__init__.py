"""Adapters for `ports.Store`: memory (tests and trials) and sqlite (the embedded default)."""
