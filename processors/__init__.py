"""What runs under Faust: control, the one writer of each partition of the log, and the runners that perform user code."""
