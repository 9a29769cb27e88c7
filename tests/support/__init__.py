"""Real parts for tests: Kafka as plain JVM processes, chDB behind ClickHouse's HTTP interface, containers."""
