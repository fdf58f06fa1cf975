"""What many tests build on: real workspaces on disk, real stores, a simulator that runs, processes that are killed."""
