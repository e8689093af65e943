"""What runs inside the sandbox: a fork server and, in each process it forks, the harness of one candidate.

This folder is all of trl_r1 a candidate could read, and it imports the standard library only.
"""
