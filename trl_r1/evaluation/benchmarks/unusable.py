"""A row that is no question, with the reason in a word, under which it is counted."""

from trl_r1.errors import R1Error


class UnusableRowError(R1Error):
    """
    A row of a benchmark cannot be asked, or no answer to it could be judged.

    Its text is the reason as it is counted: a few words joined by underscores.
    """
