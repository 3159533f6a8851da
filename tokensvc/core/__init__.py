"""The pure core: grammars, the order on authority, the grant chain, JWS and key sets. No I/O, clock or randomness."""
