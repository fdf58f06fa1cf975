"""HTTP for app backends: devices, users and events come in; an answer of success means that it is on disk."""
