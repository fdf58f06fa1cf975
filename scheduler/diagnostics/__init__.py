"""Where a problem is and how to say it: source text, YAML with exact positions, diagnostics and their printers."""
