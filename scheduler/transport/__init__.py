"""Trio: TLS, one link, the pool of links, back-off. `pool.Pool` is the entry."""
