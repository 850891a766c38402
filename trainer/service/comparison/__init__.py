"""Several runs beside each other: what differs, their curves, and which values mattered."""
