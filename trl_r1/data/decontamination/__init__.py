"""What of a benchmark is in the data: found, reported, and taken out."""
