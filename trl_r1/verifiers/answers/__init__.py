"""Mathematical answers: found in a completion, read, and compared in exact arithmetic, without leaving the process."""
