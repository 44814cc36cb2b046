# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""What a proof is made of: a unit as it is, free inputs, assumptions about them, and properties, all in Migen.

State that is added for a proof only ("ghost" state: a sum that is kept exactly, a count of beats) is written in Migen
too, next to the unit, and goes through the same Verilog generator.
"""

from difflib import get_close_matches

from litex.gen import *
from migen import *
from migen.fhdl.tools import list_signals


class Harness(LiteXModule):
    """Base class. `free` and `constant` signals are inputs of the proof, `prove` and `assume` its properties.

    Reset is an input too: it may come at any time, and takes the ghost state along.
    """

    free_reset = True

    def __init__(self):
        self.free_signals = []
        self.constant_signals = []
        self.properties = {}
        self.assumptions = {}
        self.supporting = set()
        self.witnesses = {}
        self.cut_signals = []
        self.past_values = {}       # stream's name: it was stalled; id of its Signal: that one's last value

    def free(self, *signals):
        """Inputs that may take any value in each cycle."""
        self.free_signals += signals

    def constant(self, *signals):
        """Inputs that may take any value, the same in each cycle."""
        self.constant_signals += signals

    def prove(self, name, expression):
        """`expression` holds in every cycle."""
        self._add(self.properties, "prove", name, expression)

    def reach(self, expression):
        """There is a run, within the assumptions, that comes to `expression`: what is shown is not shown of nothing."""
        self._add(self.witnesses, "reach", str(len(self.witnesses)), expression)

    def support(self, name, expression):
        """As `prove`, for an invariant that only the induction needs. Planted bugs are not found by it."""
        self.prove(name, expression)
        self.supporting.add(name)

    def assume(self, name, expression):
        """Only runs in which `expression` holds in every cycle are looked at."""
        self._add(self.assumptions, "assume", name, expression)

    def _add(self, table, kind, name, expression):
        if name in table:
            raise ValueError(f"{kind} {name}: there is one already; names must differ")
        table[name] = signal = Signal(name=f"{kind}_{name}")
        self.comb += signal.eq(expression != 0)

    # Ghost state ---------------------------------------------------------------------------------------------

    def past(self, expression, name, reset=0):
        """`expression` one cycle ago."""
        late = Signal(value_bits_sign(expression), name=f"past_{name}", reset=reset)
        self.sync += late.eq(expression)
        return late

    def named(self, expression, name, shape=None):
        """`expression` as a Signal of full width."""
        signal = Signal(value_bits_sign(expression) if shape is None else shape, name=name)
        self.comb += signal.eq(expression)
        return signal

    # Streams -------------------------------------------------------------------------------------------------

    def free_sink(self, endpoint):
        """Everything that goes into a unit's sink is free."""
        self.free(endpoint.valid, endpoint.first, endpoint.last, *endpoint.payload.flatten(), *endpoint.param.flatten())

    def free_source(self, endpoint):
        """A unit's source may or may not be taken, in each cycle."""
        self.free(endpoint.ready)

    def stalled(self, endpoint, name, fields=None):
        """(stalled, kept): the last cycle's beat was not taken; it is still there, unchanged."""
        values = [endpoint.last]
        values += [*endpoint.payload.flatten(), *endpoint.param.flatten()] if fields is None else fields
        stalled = self.past(endpoint.valid & ~endpoint.ready, f"{name}_stalled")
        self.past_values[name] = stalled
        for i, value in enumerate(values):
            self.past_values[id(value)] = self.past(value, f"{name}_{i}")
        return stalled, Reduce("AND", [
            endpoint.valid, *(value == self.past_values[id(value)] for value in values)])

    def prove_stable(self, endpoint, name):
        """Stream rule: a beat that is not taken stays, with its payload, params and `last`."""
        stalled, kept = self.stalled(endpoint, name)
        self.prove(f"{name}_stays", ~stalled | kept)

    def assume_stable(self, endpoint, name):
        """The environment keeps the same rule. Returns a register: the last cycle's beat was not taken."""
        stalled, kept = self.stalled(endpoint, name)
        self.assume(f"{name}_stays", ~stalled | kept)
        return stalled


def inner(module, name):
    """A Signal inside a module by its name, for signals that are no attribute. ValueError: there is not just one."""
    names = {}
    statements = list_signals(module._fragment)
    for fsm in [value for value in module.__dict__.values() if isinstance(value, FSM)]:
        statements |= _next_values(list(fsm.actions.values()))
    for signal in statements:
        names.setdefault(signal.name_override or signal.backtrace[-1][0], set()).add(signal)
    found = names.get(name, ())
    if len(found) != 1:
        near = ", ".join(get_close_matches(name, names)) or "none"
        raise ValueError(
            f"{type(module).__name__} has {len(found)} Signals named {name}, good: 1; similar names: {near}")
    return next(iter(found))


def _next_values(statements):
    """Registers that the statements of an FSM give a next value to."""
    if isinstance(statements, list | tuple):
        return set().union(*(_next_values(s) for s in statements))
    if isinstance(statements, If):
        return _next_values([statements.t, statements.f])
    return list_signals(statements.target) if isinstance(statements, NextValue) else set()
