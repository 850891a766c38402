"""The runs below a root: what each is in a few numbers, and an index of them."""
