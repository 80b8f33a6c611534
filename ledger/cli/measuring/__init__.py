"""The project's own benchmark: what `jobledger bench` measures, on the running stack, each run with a prefix and a schema of its own."""
