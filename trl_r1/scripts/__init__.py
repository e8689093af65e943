"""One verb a file, each launched by `trl-r1 <verb>`, `python -m` or `accelerate launch -m trl_r1.scripts.<verb>`."""
