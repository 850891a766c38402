"""A service asked from outside, by `http.client` alone: connections, errors, streams of events."""
