"""Times as people write them."""

import pytest

from config.durations import duration_or_off, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), (" 12H ", 43_200), ("2d", 172_800), ("1.5 h", 5400)]
)
def test_a_time_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "12", "h", "-1h", "0s", "400d", "1e9s", "1h30m"])
def test_what_is_no_time_says_how_one_is_written(text: str) -> None:
    with pytest.raises(ValueError, match="must be a time like 30m, 12h or 2d"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "off", " OFF "])
def test_a_setting_may_be_off(text: str) -> None:
    assert duration_or_off(text) is None
