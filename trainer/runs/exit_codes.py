"""The exit codes of every command; one that a signal stopped exits with 128 plus its number."""

DONE, FAILED, REFUSED = 0, 1, 2
