"""The pure core: the grammars, the order on authority, the grant chain, JWS and key sets. No I/O, no clock, no randomness."""
