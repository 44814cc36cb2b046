# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""fpga/report.py: nextpnr's reports, recorded and made up."""

import json
from pathlib import Path

import pytest

from litenorm.fpga.report import Clock, DeviceTooSmall, TimingNotMet, read, too_small

DATA = Path(__file__).parent / "data"


def report(fmax, used=()):
    cells = dict(used)
    return json.dumps({
        "fmax": {net: {"achieved": achieved, "constraint": needed} for net, (achieved, needed) in fmax.items()},
        "utilization": {name: {"used": n, "available": m} for name, (n, m) in cells.items()},
    })


def test_a_recorded_report():
    """Of the ULX3S 45F with the core at 50 MHz."""
    text = (DATA / "nextpnr-ecp5.json").read_text()
    placed = read(text, "ecp5", 50.0)
    raw = json.loads(text)["utilization"]
    for column, name in (("LUT", "TRELLIS_COMB"), ("FF", "TRELLIS_FF"), ("EBR", "DP16KD"), ("DSP", "MULT18X18D")):
        assert placed.count(column) == (raw[name]["used"], raw[name]["available"])
    assert placed.count("EBR")[1] == 108 and placed.count("DSP")[1] == 72
    assert placed.clock.needed == 50 and placed.clock in placed.clocks


def test_the_system_s_clock_by_its_name():
    placed = read(report({"$glbnet$sys_clk": (61.0, 12.0), "$glbnet$por_clk": (200.0, 100.0)}), "ecp5", 50.0)
    assert placed.clock == Clock("sys", 61.0, 50.0)
    assert placed.clocks == (Clock("sys", 61.0, 50.0), Clock("por_clk", 200.0, 100.0))
    assert placed.met


def test_the_system_s_clock_by_its_frequency():
    fmax = {"$glbnet$main_crg_clkout1": (150.0, 100.0), "$glbnet$main_crg_clkout0": (61.0, 50.0), "clk25": (40.0, 25.0)}
    placed = read(report(fmax), "ecp5", 50.0)
    assert placed.clock == Clock("sys", 61.0, 50.0)


def test_every_clock_counts():
    placed = read(report({"sys_clk": (61.0, 50.0), "sys2x": (90.0, 100.0)}), "ecp5", 50.0)
    assert not placed.met
    with pytest.raises(TimingNotMet, match="clock sys2x reaches 90.00 MHz and needs 100.00 MHz; try this"):
        placed.check("try this")


def test_a_clock_that_is_just_fast_enough_is_met():
    read(report({"sys_clk": (50.0, 50.0)}), "ecp5", 50.0).check("")
    with pytest.raises(TimingNotMet):
        read(report({"sys_clk": (49.999, 50.0)}), "ecp5", 50.0).check("")


@pytest.mark.parametrize("text", ("", "{}", "[]", '{"fmax": {"a": 1}, "utilization": {}}', report({})))
def test_what_is_no_report(text):
    with pytest.raises(ValueError, match="good: "):
        read(text, "ecp5", 50.0)


def test_a_design_that_fits():
    log = (DATA / "nextpnr-ecp5.log").read_text().splitlines()
    assert sum("DP16KD" in line for line in log) == 1
    assert too_small(log, "ecp5", "LFE5U-45F") is None


def test_gowin_counts_what_takes_the_same_sites():
    """A LUT site of Gowin's holds logic, a carry or a quarter of a small RAM; nextpnr counts them apart."""
    cells = {"LUT4": (5000, 8640), "ALU": (1500, 6480), "RAM16SDP4": (100, 270), "DFF": (3000, 6480), "BSRAM": (24, 26),
             "MULT18X18": (3, 20), "MULT9X9": (1, 40), "MULTALU18X18": (2, 10)}
    placed = read(report({"sys_clk": (40.0, 27.0)}, cells), "gowin", 27.0)
    assert [placed.count(column) for column in ("LUT", "FF", "EBR", "DSP")] == [
        (6900, 8640), (3000, 6480), (24, 26), (8, 20)]
    log = [f"Info: \t{name:>20}: {used:>7}/ {available:>6}    50%" for name, (used, available) in cells.items()]
    assert too_small(log, "gowin", "GW1NR-9C") is None
    log[0] = "Info: \t                LUT4:    7000/   8640    81%"
    assert "8,900 of 8,640 LUTs (260 too many)" in str(too_small(log, "gowin", "GW1NR-9C"))


def test_any_resource_may_be_short():
    log = ["Info: \t             CLKDIVF:       5/      4   125%",
           "Info: \t          TRELLIS_IO:     300/    245   122%"]
    message = str(too_small(log, "ecp5", "LFE5U-45F"))
    assert "5 of 4 CLKDIVF (1 too many)" in message and "300 of 245 pins (55 too many)" in message


def test_a_design_that_does_not_fit():
    log = (DATA / "nextpnr-ecp5.log").read_text().replace("/    108", "/     10").splitlines()
    error = too_small(log, "ecp5", "LFE5U-45F")
    assert isinstance(error, DeviceTooSmall)
    assert str(error).startswith("LFE5U-45F is too small: the design takes ")
    assert " of 10 block RAMs (" in str(error) and " too many)" in str(error)
