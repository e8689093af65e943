"""The corpus: a module of `CASES` a kind of reward. Every case says in a line why it must get its score."""
