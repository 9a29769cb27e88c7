"""HTTP -> log."""
