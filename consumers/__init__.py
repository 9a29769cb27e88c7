"""Log -> ClickHouse."""
