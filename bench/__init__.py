"""Benchmarks: one command each, a table and a JSON line, the baseline beside us in the same run."""
