"""The token service's use cases: exchange, introspect, revoke. They know the rules and no HTTP."""
