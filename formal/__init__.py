# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""Machine-checked proofs on the Verilog that `accel` and `soc` generate; `make formal` runs them.

proofs.py lists every proof with its planted bugs, docs/proofs.md says in plain words what they show. This module
imports nothing: a proof's process changes the sources of `accel` and `soc` before it imports them (edits.py).
"""
