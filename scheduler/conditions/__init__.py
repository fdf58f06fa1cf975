"""The expression language: Jinja's grammar, checked types, three-valued meaning, partial evaluation. No SQL here."""
