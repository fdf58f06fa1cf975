"""What can be said about a campaign only once its parts are together: one module per family of findings."""
