"""Small functions to break: the bank that [`~trl_r1.data.repair_tasks`] makes repair tasks from.

Each module defines functions with one sentence of documentation, and `INPUTS`: arguments to call each of them with. A
function that calls others of its module becomes a task of two files, itself and its helpers.
"""
