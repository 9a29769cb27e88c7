"""What real instrumentations send: the packages themselves, each in an environment of its own, making the same calls."""
