"""Payloads and texts from templates: sandboxed Jinja leaves in YAML trees, fused, overlaid, valid JSON always."""
