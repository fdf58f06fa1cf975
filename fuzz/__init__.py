"""Fuzz targets: each states what must hold for any input, and looks for one where it does not."""
