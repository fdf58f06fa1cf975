"""An APNs look-alike: a second implementation, written from Apple's pages, that shares no code with the client.

`serve` answers like Apple, fails by script and judges its clients; `serve_sink` only counts. Both are made for users'
own tests as much as for Clarion's: docs/simulator.md.
"""
