"""The command line: thin commands that make the clock, the store and the engine, and print what comes back."""
