"""The whole DeepSeek-R1 recipe on top of TRL."""
