"""A workspace: clarion.yaml, schema.yaml, rules and templates, loaded whole or not at all, and never changed."""
