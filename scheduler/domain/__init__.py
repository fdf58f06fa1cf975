"""Values, ids, reasons, errors by blame and the Clock protocol: the words that every other package speaks."""
