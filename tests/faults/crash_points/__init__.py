"""Crash points of ClickHouse, not left to luck: the server is killed before each file operation of an insert in turn.

`preload.c` counts and kills, `points` builds and arms it, `batches` makes what is inserted, `sums` compares raw with rollups
without the product's own comparison, `trial` runs one crash to its repaired end, `variants` says which crashes there are.

    python -m tests.faults.crash_points [--every 1] [--seed N]
"""
