"""Dry runs: the services of runs/ with another clock and another sink. Nothing is decided a second way."""
