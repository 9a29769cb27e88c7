"""What a test needs of the machine. Where CI is true a missing part fails; elsewhere it skips, and says why."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.support import kafka


def need_kafka() -> None:
    """Java, and Kafka's jars or Maven to fetch them."""
    tools = ["java"] if kafka.resolved() else ["java", "mvn"]
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if not missing:
        return
    reason = f"Kafka needs {' and '.join(missing)} on PATH"
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(f"{reason}; CI is true, so this is not skipped")
    pytest.skip(reason)
