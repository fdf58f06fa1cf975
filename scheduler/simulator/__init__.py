"""An APNs look-alike: a second implementation, written from Apple's pages, that shares no code with the client.

`serve` answers like Apple, `serve_sink` only counts. Both are made for users' own tests as much as for Clarion's.
"""
