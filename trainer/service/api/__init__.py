"""The paths under `/api/v1`, and what is answered there."""
