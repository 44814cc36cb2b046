# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""sim/soc_arguments.py: what the arguments of `litenorm sim` and `litenorm generate` make of the simulated SoC."""

import pytest

from litenorm.accel import LiteNormConfig
from litenorm.sim import cli
from litenorm.sim.runner import SimOptions
from litenorm.sim.soc_arguments import sim_options


@pytest.fixture(params=("sim", "generate"))
def options(request):
    """SimOptions of the arguments of one of the commands."""
    def parse(*arguments, **others):
        return sim_options(cli.make_parser().parse_args([request.param, *arguments]), **others)

    return parse


@pytest.mark.parametrize("flags, variant", [
    ([], "standard"), (["--cpu-variant", "imac"], "imac"), (["--cfu"], "full+cfu"),
    (["--cfu", "--cpu-variant", "full"], "full+cfu"), (["--cpu-variant", "full+cfu"], "full+cfu"),
])
def test_flags_of_the_cpu_variant(options, flags, variant):
    assert options(*flags).cpu_variant == variant


def test_defaults_are_those_of_the_simulated_soc(options):
    assert options() == SimOptions()


def test_each_argument_arrives(options):
    wide = options("--lanes", "8", "--max-length", "64", "--timeout", "5", "--max-cycles", "99", console="info\n")
    assert wide == SimOptions("info\n", LiteNormConfig(lanes=8, max_length=64), timeout=5.0, max_cycles=99)
    assert options("--no-accel").config is None


@pytest.mark.parametrize("arguments, message", [
    (["--cfu", "--cpu-variant", "lite"], "--cfu is VexRiscv's variant full[+]cfu, --cpu-variant is lite"),
    (["--no-accel", "--lanes", "3"], "lanes is 3; good: 1, 2, 4, 8, 16"),
    (["--timeout", "0"], "timeout is 0.0: use a number of seconds above 0"),
])
def test_what_cannot_be_is_refused(options, arguments, message):
    with pytest.raises(ValueError, match=message):
        options(*arguments)
