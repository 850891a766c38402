"""What every command exits with; one that a signal stopped exits with 128 and its number."""

DONE, FAILED, REFUSED = 0, 1, 2
