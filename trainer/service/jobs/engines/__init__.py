"""Where jobs run, by the name that a submission says."""
