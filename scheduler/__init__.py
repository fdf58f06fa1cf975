"""Clarion decides when each device is to be notified, and sends it.

The packages are layers; imports point down only (see docs/architecture.md):
cli, api, engine and rehearsal, runs, workspace and store and transport, planning and rendering and apns,
rules and http2 and delivery, conditions, diagnostics, domain.
"""
