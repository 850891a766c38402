"""The rows of one run: followed while they are written, and drawn in as few buckets as suffice."""
