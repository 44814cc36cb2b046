# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""sim/dma_soak: a short run of it finds nothing, and each of the planted faults is found."""

import functools
import json

import pytest
from litex.gen import *
from migen import *

from litenorm.accel.status import Status
from litenorm.sim.dma_soak import run as run_module
from litenorm.sim.dma_soak.__main__ import main
from litenorm.sim.dma_soak.adversary import FAULTS
from litenorm.sim.dma_soak.queues import QueuePlan
from litenorm.sim.dma_soak.run import BLOCK, run
from litenorm.sim.dma_soak.soak import Soak

JOBS = 2000     # of the short run; `make dma-soak` runs 100000
SEED = 11


def test_short_soak():
    report = run(JOBS, SEED)
    assert not report.messages, report.messages[0]
    assert sum(report.outcomes.values()) == JOBS
    # It has seen everything: each status, each fault.
    assert set(report.outcomes) == {s.name for s in Status if s != Status.SKIPPED} | {"cut by a hard reset"}
    assert report.checked["jobs in queues"] > JOBS // 10 and report.checked["jobs skipped"] > 10
    assert report.checked["starts rejected"] > 10
    assert set(report.faults) == {"none", *FAULTS}
    assert report.checked["interrupts"] == JOBS - report.outcomes["cut by a hard reset"]
    assert report.outcomes["OK"] >= JOBS / 2
    assert report.checked["rows compared with the model"] > JOBS


def test_same_seed_same_run_and_later_blocks_alone():
    whole = run(2 * BLOCK, SEED)
    later = run(BLOCK, SEED, first=BLOCK)
    first = run(BLOCK, SEED)
    assert first.outcomes + later.outcomes == whole.outcomes
    assert first.checked + later.checked == whole.checked


# Planted faults --------------------------------------------------------------------------------------


def plant(dut, mutant):
    """All of MUTANTS in one peripheral, of which `mutant` chooses one. Later statements win over the module's own."""
    engine = dut.engine
    reader, writer = engine.reader, engine.writer

    def on(name, *statements):
        return If(mutant == MUTANTS.index(name), *statements)

    again = Signal()
    dut.sync += again.eq(dut.ev.error.trigger)
    dut.comb += [
        on("lock_ignored", dut._window_base.locked.eq(0), dut._window_limit.locked.eq(0)),
        on("no_watchdog_interrupt", If(dut.ended_code == Status.WATCHDOG, dut.ev.error.trigger.eq(0))),
        on("two_interrupts", If(again, dut.ev.error.trigger.eq(1))),
        on("no_interrupt_of_soft_reset", If(dut.soft_reset, dut.ev.error.trigger.eq(0))),
        on("soft_reset_unlocks", If(dut.soft_reset, dut._window_lock.locked.eq(0))),
        on("waiting_not_skipped", dut.queue.reset.eq(dut.soft_reset)),
        on("waiting_not_reset", dut.queue.reset.eq(dut.skip & ~dut.soft_reset)),
        on("abort_on_the_way_ignored", engine.abort.eq(dut.abort)),
        on("results_of_skipped_jobs_lost", dut.skip.eq(0)),
        on("window_of_the_last_job", engine.window_base.eq(dut.window_base), engine.window_limit.eq(dut.window_limit)),
        on("ticket_given_twice", dut.queue.sink.ticket.eq(dut.started & 0xfe)),
    ]
    dut.sync += on("soft_reset_unlocks", If(dut.soft_reset, dut._window_lock.storage.eq(0)))
    shift = log2_int(dut.data_width // 8)
    reader.burster.comb += on("read_timeout_off", reader.burster.timer.wait.eq(0))
    writer.burster.comb += on("write_timeout_off", writer.burster.timer.wait.eq(0))
    engine.comb += [
        on("read_window_a_word_too_far", reader.window_end.eq(engine.window_end + 1)),
        on("write_window_a_word_too_far", writer.window_end.eq(engine.window_end + 1)),
        on("read_window_a_word_too_early", reader.window_first.eq(engine.window_first - 1)),
        on("write_window_a_word_too_early", writer.window_first.eq(engine.window_first - 1)),
        on("watchdog_off", engine.watchdog.wait.eq(0)),
        on("core_not_reset", engine.core.reset.eq(0)),
        on("reader_not_reset", reader.reset.eq(0)),
        on("pack_not_reset", engine.pack.reset.eq(0)),
        on("parameters_not_copied", engine.core.sink.scale_multiplier.eq(dut._scale.fields.multiplier),
           engine.core.sink.eps.eq(dut._eps.storage)),
        on("all_bytes_of_the_last_word", writer.sink.sel.eq(2 ** len(writer.sink.sel) - 1)),
        on("ack_without_cycle", If(reader.bus.ack, reader.burster.beat.eq(1))),
        on("stop_ignored", reader.stop.eq(0), writer.stop.eq(0)),
    ]
    engine.sync += [
        on("abort_ignored_in_check", If(engine.fsm.ongoing("CHECK"), engine.aborted.eq(0))),
        on("abort_ignored_while_writing", If(writer.on_bus, engine.aborted.eq(0))),
        on("window_not_copied", engine.window_first.eq(dut._window_base.storage[shift:]),
           engine.window_end.eq(dut._window_limit.storage[shift:] + 1)),
        on("row_counted_twice", If(writer.row_done, engine.rows_done.eq(engine.rows_done + 2))),
    ]


MUTANTS = [
    "none",
    "lock_ignored",
    "no_watchdog_interrupt",
    "two_interrupts",
    "no_interrupt_of_soft_reset",
    "waiting_not_skipped",
    "waiting_not_reset",
    "abort_on_the_way_ignored",
    "results_of_skipped_jobs_lost",
    "ticket_given_twice",
    "window_of_the_last_job",
    "soft_reset_unlocks",
    "read_window_a_word_too_far",
    "write_window_a_word_too_far",
    "read_window_a_word_too_early",
    "write_window_a_word_too_early",
    "watchdog_off",
    "read_timeout_off",
    "write_timeout_off",
    "core_not_reset",
    "reader_not_reset",
    "pack_not_reset",
    "parameters_not_copied",
    "all_bytes_of_the_last_word",
    "ack_without_cycle",
    "stop_ignored",
    "abort_ignored_in_check",
    "abort_ignored_while_writing",
    "window_not_copied",
    "row_counted_twice",
]


@functools.cache
def mutants():
    return Soak(planted=plant)


@pytest.mark.parametrize("name", MUTANTS)
def test_planted_fault_is_found(name):
    device = mutants()
    device.mutant = MUTANTS.index(name)
    report = run(JOBS, SEED, soaks={"mutant": device})
    assert bool(report.messages) == (name != "none"), report.messages
    print(report.messages)


def test_which_jobs_of_a_queue_may_be_skipped():
    queue = object.__new__(QueuePlan)
    ok, aborted, skipped, wrong = Status.OK, Status.ABORTED, Status.SKIPPED, Status.BAD_ROWS
    # Job 1 is aborted; job 2 is started while it ends, job 3 behind its end.
    queue.wrong, queue.cut, queue.control, queue.behind = None, 1, "abort", 3
    assert queue.explains([ok, aborted, skipped, ok, ok]) and queue.explains([ok, aborted, ok, ok, ok])
    assert not queue.explains([ok, aborted, skipped, skipped, ok])
    assert not queue.explains([ok, aborted, ok, skipped, ok])
    assert not queue.explains([ok, ok, aborted, skipped, ok])
    # The same behind a wrong job.
    queue.wrong, queue.cut, queue.control, queue.code = 1, None, None, wrong
    assert queue.explains([ok, wrong, skipped, ok, ok])
    assert not queue.explains([ok, wrong, skipped, skipped, ok])
    # A reset ends what was started before it, and nothing else.
    queue.wrong, queue.cut, queue.control = None, 1, "reset"
    assert queue.explains([aborted, aborted, ok, ok, ok])
    assert not queue.explains([aborted, aborted, aborted, ok, ok])


# The command -----------------------------------------------------------------------------------------


def test_command_reports_violations_and_how_to_repeat_them(monkeypatch, tmp_path, capsys):
    device = mutants()
    device.mutant = MUTANTS.index("watchdog_off")
    monkeypatch.setattr(run_module, "CORES", {"mutant": {}})
    monkeypatch.setattr(run_module, "Soak", lambda **_: device)
    path = tmp_path / "soak.json"
    arguments = ["--seed", "3", "--jobs", "1200", "--json", str(path)]
    assert main([*arguments, "--keep-going"]) == 1
    out = capsys.readouterr()
    lines = out.err.splitlines()
    data = json.loads(path.read_text())
    assert len(lines) == data["violations"]["hang"] == 3 and "hangs" in out.out
    # The last of them, as its message says.
    command = lines[-1].split("python -m litenorm.sim.dma_soak ")[1].split()
    assert main(command) == 1
    assert capsys.readouterr().err.splitlines() == lines[-1:]
    device.mutant = 0
    assert main(command) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("arguments", [["--jobs", "0"], ["--first", "7"], ["--seed", "-1"]])
def test_bad_arguments_are_one_line(arguments, capsys):
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "good:" in error
