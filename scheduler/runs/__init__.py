"""The life of a run: synchronous services over (store, workspace, now), one transaction each.

The daemon calls them from threads, commands call them directly, rehearsals call them in virtual time.
"""
