"""Rules: the table of their fields, from which reading, JSON Schema and reference are made, and the Rule value."""
