"""Adapters for the port `Signer`: the keys that the token service signs with."""
