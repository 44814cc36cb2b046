# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""A Verilated peripheral with CSRs: registers by name from Python, DMA against a C++ memory.

    memory = Memory(base=0x4000_0000, size=1 << 16)
    dut = CsrDut(peripheral, buses={"dma": peripheral.bus}, memory=memory, outputs={"irq": peripheral.ev.irq})
    dut.buses["dma"].set(latency=3, stall=0.2)
    dut.write("src", 0x4000_0000)
    dut.write("control", start=1)
    dut.run_until("irq")
    assert dut.read_fields("status")["code"] == 0
"""

from litex.gen import LiteXModule
from litex.soc.interconnect import csr_bus
from litex.soc.interconnect.csr import CSR

from litenorm.sim.verilated import SignalDut

_WORD = 32  # bits of a CSR word, LiteX's default for a 32-bit CPU


class _CsrTop(LiteXModule):
    """The peripheral with a register bank of its own, as in an SoC, at address 0."""

    def __init__(self, module):
        self.bus = csr_bus.Interface(data_width=_WORD, address_width=14)
        self.dut = module
        self.csrs = module.get_csrs()
        self.bank = csr_bus.CSRBank(self.csrs, address=0, bus=self.bus, ordering="big")


class CsrDut(SignalDut):
    """A peripheral whose CSRs are read and written by name; the parameters are those of SignalDut.

    The registers sit in a bank as LiteX builds it (32-bit words, the high word of a wide register first). An
    EventManager must have been finalized by the module, as in an SoC.
    """

    def __init__(self, module, inputs=(), outputs=(), name=None, **options):
        top = _CsrTop(module)
        self.csrs = {csr.name: csr for csr in top.csrs}
        self._words = {}
        address = {id(simple): i for i, simple in enumerate(top.bank.simple_csrs)}
        for csr in top.csrs:
            simple = [csr] if isinstance(csr, CSR) else csr.get_simple_csrs()
            self._words[csr.name] = [address[id(s)] for s in simple]
        bus = top.bus
        inputs = {**_dict(inputs), "csr_adr": bus.adr, "csr_re": bus.re, "csr_we": bus.we, "csr_dat_w": bus.dat_w}
        outputs = {**_dict(outputs), "csr_dat_r": bus.dat_r}
        super().__init__(top, inputs, outputs, name=name or type(module).__name__.lower(), **options)

    def _register(self, name):
        if name not in self.csrs:
            raise KeyError(f"no CSR {name}; there is {', '.join(self.csrs)}")
        return self.csrs[name]

    def words(self, name):
        """Return the addresses of a register's words on the CSR bus, the high word first."""
        self._register(name)
        return self._words[name]

    def pack(self, name, value=0, **fields):
        """Return the words to write, the high word first, for a value or fields by name (those not named are 0)."""
        csr = self._register(name)
        for key, part in fields.items():
            entry = next((f for f in csr.fields.fields if f.name == key), None) if hasattr(csr, "fields") else None
            if entry is None:
                raise KeyError(f"CSR {name} has no field {key}")
            if not 0 <= part < 1 << entry.size:
                raise ValueError(f"{name}.{key} is {entry.size} bits wide: {part} does not fit")
            value |= int(part) << entry.offset
        if not 0 <= value < 1 << csr.size:
            raise ValueError(f"{name} is {csr.size} bits wide: {value:#x} does not fit")
        return [value >> _WORD * i & 0xffffffff for i in reversed(range(len(self._words[name])))]

    def write(self, name, value=0, **fields):
        """Write a register: a value, or its fields by name (those not named are 0). One cycle per word."""
        for address, word in zip(self.words(name), self.pack(name, value, **fields), strict=True):
            self.set(csr_adr=address, csr_we=1, csr_dat_w=word)
            self.clock()
        self.set(csr_we=0)
        self.settle()

    def read(self, name):
        """Return the value of a register. One cycle per word."""
        self._register(name)
        value = 0
        for address in self._words[name]:
            self.set(csr_adr=address, csr_re=1)
            self.clock()
            value = value << _WORD | self.get("csr_dat_r")
        self.set(csr_re=0)
        self.settle()
        return value

    def read_fields(self, name):
        """Return the dict of a register's fields."""
        value = self.read(name)
        return {f.name: value >> f.offset & ((1 << f.size) - 1) for f in self._register(name).fields.fields}


def _dict(ios):
    return dict(ios) if isinstance(ios, dict) else {s.name_override or s.backtrace[-1][0]: s for s in ios}
