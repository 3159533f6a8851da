"""Thin adapters round the verifier, one for each framework. Import the one you use: `tokensvc.integrations.asgi`."""
