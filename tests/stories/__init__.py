"""Wrong designs, the rule that each breaks, and the shortest schedule that breaks it."""

import pytest

pytest.register_assert_rewrite("tests.stories.story")
