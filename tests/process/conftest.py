import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

from system import System  # noqa: E402


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    setattr(item, "report_" + outcome.get_result().when, outcome.get_result())


@pytest.fixture
def system(request):
    """A System that is taken down at the end; its logs are shown if the test failed."""
    made = System()
    yield made
    report = getattr(request.node, "report_call", None)
    if report is not None and report.failed:
        print(made.logs())
    made.close()
