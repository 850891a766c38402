"""What a config would train, told while it is typed; in a process of its own."""
