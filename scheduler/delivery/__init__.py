"""Pure parts of delivery: token buckets and retry times. Nothing here reads a clock or draws a number."""
