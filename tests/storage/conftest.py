import pytest

# Shared by several test modules, and no test module itself: its asserts are explained all the same.
pytest.register_assert_rewrite("tests.storage.conformance")
