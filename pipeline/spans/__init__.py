"""OpenTelemetry spans -> events: one event for each call, however many spans tell of it."""
