# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""`add_litenorm`: LiteNorm in any LiteX SoC."""

from litenorm.accel import LiteNormConfig
from litenorm.soc.peripheral import (
    MAGIC,
    PENDING,
    RESULTS,
    VERSION,
    LiteNormPeripheral,
    formats_mask,
    inputs_mask,
    ops_mask,
)

BUS_TIMEOUT = 65536  # cycles, when the SoC's own bus timeout is not shorter


def add_litenorm(soc, name="litenorm", config=None, bus_timeout=None, dram=None, **options):
    """Add LiteNorm to a LiteX SoC: registers, bus masters, interrupt, and constants in the generated headers.

        from litenorm.soc import add_litenorm
        add_litenorm(self)

    soc          LiteX SoC, before it is finalized. With `bus_bursting=True` a word takes little more than a cycle,
                 without it takes two
    name         of the peripheral, and so of its registers, interrupt and constants
    config       LiteNormConfig of the core; None: the default one
    bus_timeout  cycles without an answer after which a bus access is given up; None: 65536, or half of the SoC's
                 own bus timeout if that is shorter
    dram         True: memory is accessed through native ports of the SoC's LiteDRAM (`soc.sdram`), past the bus and an
                 L2 cache, and nothing but the SDRAM can be accessed; False: through the bus. None: through native ports
                 when the SoC has them, their words are 32, 64 or 128 bits wide, and there is no L2 cache that the
                 firmware would have to flush
    options      further arguments of `LiteNormPeripheral`: burst_length, watchdog_cycles, jobs_waiting
    returns      the LiteNormPeripheral

    The masters are attached to the SoC's cache-coherent `dma_bus` where the CPU has one, else to its main bus; caches
    are then the driver's business. Raises ValueError when the bus is not a Wishbone bus or its words are not 32, 64 or
    128 bits wide, and when an option does not fit.
    """
    bus = getattr(soc, "dma_bus", soc.bus)
    if bus.standard != "wishbone":
        raise ValueError(f"the SoC's bus is {bus.standard}; good: bus_standard='wishbone'")
    if bus.data_width not in (32, 64, 128):
        raise ValueError(f"the SoC's bus is {bus.data_width} bits wide; good: 32, 64 or 128")
    if config is None:
        config = LiteNormConfig()
    if bus_timeout is None:
        bus_timeout = BUS_TIMEOUT if bus.timeout is None else min(BUS_TIMEOUT, int(bus.timeout) // 2)

    if dram is None:
        dram = has_native_ports(soc) and not hasattr(soc, "l2_cache")
    elif dram and not has_native_ports(soc):
        raise ValueError("dram is True, and the SoC has no native ports of 32, 64 or 128 bits; good: None, False, or "
                         "add_sdram() before add_litenorm()")
    native = None
    if dram:
        region = soc.bus.regions["main_ram"]
        native = [soc.sdram.crossbar.get_port() for _ in range(2)], region.origin, region.size
    if native is not None:
        options["dram"] = native
    peripheral = LiteNormPeripheral(config,
        data_width    = bus.data_width if native is None else native[0][0].data_width,
        address_width = bus.address_width,
        bursting      = bus.bursting,
        bus_timeout   = bus_timeout,
        **options,
    )
    soc.check_if_exists(name)
    soc.add_module(name=name, module=peripheral)
    if native is None:
        bus.add_master(name=f"{name}_reader", master=peripheral.read_bus)
        bus.add_master(name=f"{name}_writer", master=peripheral.write_bus)
    if soc.irq.enabled:
        soc.irq.add(name, use_loc_if_exists=True)

    # LiteX answers for a slave that does not, after its own timeout and with made-up data; it tells only `ctrl`.
    if bus is soc.bus and hasattr(getattr(soc, "ctrl", None), "bus_error"):
        soc.comb += peripheral.bus_fault.eq(soc.ctrl.bus_error)

    for key, value in constants(peripheral).items():
        soc.add_constant(f"{name}_{key}", value)
    return peripheral


def has_native_ports(soc):
    """The SoC's main memory is behind a LiteDRAM whose native ports are as wide as a bus word may be."""
    crossbar = getattr(getattr(soc, "sdram", None), "crossbar", None)
    return crossbar is not None and "main_ram" in soc.bus.regions and crossbar.controller.data_width in (32, 64, 128)


def constants(peripheral):
    """What the firmware has to know about a peripheral, name to value, as in `soc.h` behind the peripheral's name.

    OPS, INPUTS, FORMATS are bit masks over the codes in the mode register. SERIAL is 1 when the codes are those of the
    serial back end. BUS_TIMEOUT and WATCHDOG_CYCLES are the cycles without an answer of the bus, and without a moving
    word, after which a job is given up. REGISTERS is what the id register reads. RESULTS jobs, by ticket, have their
    results in the codes register, PENDING while they have none.
    """
    config = peripheral.config
    return {
        "LANES": config.lanes,
        "MAX_LENGTH": config.max_length,
        "OPS": ops_mask(config),
        "INPUTS": inputs_mask(config),
        "FORMATS": formats_mask(config),
        "HAS_AFFINE": int(config.has_affine),
        "SERIAL": int(config.serial),
        "BUS_BYTES": peripheral.data_width // 8,
        "BUS_TIMEOUT": peripheral.bus_timeout,
        "WATCHDOG_CYCLES": peripheral.watchdog_cycles,
        "RESULTS": RESULTS,
        "PENDING": PENDING,
        "REGISTERS": MAGIC << 16 | VERSION[0] << 8 | VERSION[1],
    }
