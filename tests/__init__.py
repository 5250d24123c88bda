"""The tests of bambufs."""

import pytest

pytest.register_assert_rewrite("tests.contract.box")
