"""Bad input of every kind: each ends in one sentence and the right exit code or errno, and never in a traceback."""
