import numpy as np
import pytest

from neurosim.units import format_bytes, format_count, format_si


@pytest.mark.parametrize(
    "n, text",
    [
        (None, "unknown"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KB"),
        (65536, "64.0 KB"),
        (2**20 - 1, "1.0 MB"),
        (3 * 2**30, "3.0 GB"),
        (-2048, "-2.0 KB"),
    ],
)
def test_format_bytes(n, text):
    assert format_bytes(n) == text


@pytest.mark.parametrize(
    "value, unit, text",
    [
        (None, "J", "unknown"),
        (0, "J", "0 J"),
        (1.234e-3, "J", "1.23 mJ"),
        (0.45e-9, "J", "450 pJ"),
        (15e-12, "J", "15.0 pJ"),
        (999.9e-3, "W", "1.00 W"),
        (1e-3, "s", "1.00 ms"),
        (1000, "Hz", "1.00 kHz"),
        (300e6, "Hz", "300 MHz"),
        (-2.5e-6, "J", "-2.50 uJ"),
        (2e-21, "J", "0.002 aJ"),
        (float("inf"), "J", "inf J"),
    ],
)
def test_format_si(value, unit, text):
    assert format_si(value, unit) == text


def test_format_si_handles_every_power_of_ten():
    for exponent in range(-18, 18):
        number, unit = format_si(10.0**exponent, "J").split()
        assert number in ("1.00", "10.0", "100"), exponent


def test_format_count():
    assert format_count(65536) == "65,536"
    assert format_count(np.int64(65536)) == "65,536"
    assert format_count(None) == "unknown"
