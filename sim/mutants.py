# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors

"""Faults to plant in the core's generated Verilog, and how one is planted: see ``mutation``.

The texts are those of a core of ``CONFIG``. A text that does not occur exactly once is an error: the Verilog has
changed, and the fault has to be written anew.
"""

from dataclasses import dataclass

from litenorm.accel import LiteNormConfig

CONFIG = LiteNormConfig(lanes=2, max_length=1024)


@dataclass(frozen=True)
class Fault:
    """A fault by text substitution.

    name : short, unique.  unit : the file in accel/ whose hardware it is in.  what : what is wrong then.
    edits : tuple of (old, new) texts.
    survives : why no check here can see the fault; "" when it must be caught.
    """

    name: str
    unit: str
    what: str
    edits: tuple
    survives: str = ""

    def plant(self, verilog):
        """Return the Verilog with the fault in it. ValueError when a text does not occur exactly once."""
        for old, new in self.edits:
            count = verilog.count(old)
            if count != 1:
                raise ValueError(f"fault {self.name}: {old!r} occurs {count} times in the Verilog; it must occur once")
            verilog = verilog.replace(old, new)
        return verilog


def _fault(name, unit, what, *edits, survives=""):
    return Fault(name, unit, what, edits, survives)


# A row's total is wrong with it, so that the self-check has something to say.
DROPPED_CARRY = _fault(
    "dropped_carry", "normalizer.py", "the fraction is not carried to the next beat",
    ("normalizer_fraction <= normalizer_total1[11:0];", "normalizer_fraction <= 12'd2048;"))

# Codes that gamma and beta do not touch are changed behind the first self-check.
PASSING_CHANGED = _fault(
    "passing_changed", "requantize.py", "a code that passes gamma and beta is 1 larger, in lane 0",
    ("requantize_y0_operand <= requantize_y0;", "requantize_y0_operand <= (requantize_y0 + 16'sd1);"))

FAULTS = (
    # Pass 0.
    _fault("length_off_by_one", "rows.py", "the first masked beat counts as valid, in the statistics",
           ("(statistics_beat1 < statistics_full_beats)", "(statistics_beat1 <= statistics_full_beats)")),
    _fault("mask_lane_swapped", "rows.py", "the mask of a row's last valid beat is in the wrong lane",
           ("exp_mask[0] <= (exp_length[0] > 1'd0);", "exp_mask[1] <= (exp_length[0] > 1'd0);"),
           ("exp_mask[1] <= (exp_length[0] > 1'd1);", "exp_mask[0] <= (exp_length[0] > 1'd1);")),
    _fault("maximum_unsigned", "statistics.py", "the maximum over the lanes compares without sign",
           ("(statistics_lowest0 > statistics_lowest1)",
            "($unsigned(statistics_lowest0) > $unsigned(statistics_lowest1))")),
    _fault("masked_counts_as_0", "statistics.py", "a masked element is 0 in the maximum",
           ("(statistics_mask[1] ? statistics_x1 : -16'd32768)", "(statistics_mask[1] ? statistics_x1 : 16'sd0)")),
    _fault("sum_not_cleared", "statistics.py", "the sum goes on from the row before",
           ("statistics_running_sum_x <= statistics_sum_x_d2;",
            "statistics_running_sum_x <= (statistics_running_sum_x + statistics_sum_x_d2);")),
    _fault("square_truncated", "statistics.py", "the highest bit of a square is lost",
           ("statistics_square0 <= statistics_product0[30:0];", "statistics_square0 <= statistics_product0[29:0];")),
    _fault("peak_of_other_lane", "statistics.py", "the last valid element is taken from the wrong lane",
           ("if (statistics_mask[1]) begin\n        statistics_tail <= statistics_x1;",
            "if (statistics_mask[1]) begin\n        statistics_tail <= statistics_x0;")),
    _fault("record_without_room", "statistics.py", "rows enter while the queue of their records may be full",
           ("((statistics_queue_queue_level <= 4'd9) & (statistics_exp_queue_queue_level <= 4'd9))", "1'd1")),
    _fault("beat_without_room", "exponential.py", "beats enter pass 1 while the queue behind it may be full",
           ("((exp_buffer_queue_level <= 10'd533) & (exp_sum_queue_queue_level <= 2'd2))", "1'd1")),
    _fault("no_reset_of_beat", "rows.py", "reset does not reach the beat count of the mask",
           ("        statistics_beat1 <= 9'd0;\n", "")),
    # Pass 1.
    _fault("wrong_table_entry", "exponential.py", "chord end G[16] is 1 too large, in lane 0",
           ("exp_exp2lane0_grid <= 17'd92682;", "exp_exp2lane0_grid <= 17'd92683;")),
    _fault("wrong_slope", "exponential.py", "the slope of chord 14 is 1 too small, in lane 1",
           ("exp_exp2lane1_drop <= 12'd2074;", "exp_exp2lane1_drop <= 12'd2073;")),
    _fault("chord_truncated", "exponential.py", "the product of the chord loses its highest bit",
           ("(exp_exp2lane0_base_out - exp_exp2lane0_fall[21:10])",
            "(exp_exp2lane0_base_out - exp_exp2lane0_fall[20:10])")),
    _fault("octaves_not_saturated", "exponential.py", "distances of 32 octaves and more wrap around",
           ("((exp_exp2lane1_shifted[37:20] != 1'd0) | exp_exp2lane1_masked_d5)", "exp_exp2lane1_masked_d5")),
    _fault("masked_not_zero", "exponential.py", "a masked element has an exponential",
           ("((exp_exp2lane0_shifted[37:20] != 1'd0) | exp_exp2lane0_masked_d5)",
            "(exp_exp2lane0_shifted[37:20] != 1'd0)")),
    _fault("octave_off_by_one", "exponential.py", "the exponent turns into a shift one octave late",
           ("(exp_exp2lane0_octave > 3'd5)", "(exp_exp2lane0_octave > 3'd6)")),
    _fault("scale_off_by_one", "exponential.py", "the headroom of the scale is 5 bits",
           ("(exp_exp2lane0_product_out <<< 3'd6)", "(exp_exp2lane0_product_out <<< 3'd5)")),
    _fault("swapped_lanes", "exponential.py", "the two exponentials of a beat change places",
           ("exp_buffer_sink_payload_data[20:0] <= {exp_exp2lane0_exponent, exp_exp2lane0_mantissa};",
            "exp_buffer_sink_payload_data[20:0] <= {exp_exp2lane1_exponent, exp_exp2lane1_mantissa};"),
           ("exp_buffer_sink_payload_data[41:21] <= {exp_exp2lane1_exponent, exp_exp2lane1_mantissa};",
            "exp_buffer_sink_payload_data[41:21] <= {exp_exp2lane0_exponent, exp_exp2lane0_mantissa};")),
    _fault("exp_sum_kept", "exponential.py", "S goes on from the row before",
           ("exp_total <= exp_exp_sum_s0_0;", "exp_total <= (exp_total + exp_exp_sum_s0_0);")),
    # Constants of a row.
    _fault("reciprocal_too_large", "row_constants.py", "R is 1 larger, and its largest value becomes 0",
           ("assign constants_source_payload_gain = constants_quotient;",
            "assign constants_source_payload_gain = (constants_quotient + 1'd1);")),
    _fault("reciprocal_not_rounded", "row_constants.py", "S >> 1 is left out of the dividend",
           ("{constants_total, 2'd0, constants_sum_shift_shifted[32:1]}",
            "{constants_total, 2'd0, 32'd0}")),
    _fault("shift_off_by_one", "row_constants.py", "softmax's k is 1 too small",
           ("(6'd33 - constants_sum_shift_count)", "(6'd32 - constants_sum_shift_count)")),
    _fault("cap_limit_off", "row_constants.py", "rows that end with their peak are not marked, in tfl_s8",
           ("(constants_sums_payload_total <= 23'd4206628)", "(constants_sums_payload_total <= 1'd0)")),
    _fault("remainder_truncated", "divider.py", "the comparison of a digit leaves out the remainder's highest bit",
           ("assign constants_fits0_1 = (constants_shifted0 >= constants_divisor1);",
            "assign constants_fits0_1 = (constants_shifted0[32:0] >= constants_divisor1);")),
    _fault("remainder_as_large_as_divisor", "divider.py", "a digit is 0 when the remainder equals the divisor",
           ("assign constants_fits0_1 = (constants_shifted0 >= constants_divisor1);",
            "assign constants_fits0_1 = (constants_shifted0 > constants_divisor1);"),
           survives="the quotient is 1 too small then, 2^-16 of it or less, in rows that are too rare to be met; "
                    "tests/test_divider.py catches it"),
    _fault("root_digit_wrong", "divider.py", "a digit of the square root is 0 when the trial fits exactly",
           ("assign constants_root_bit1 = "
            "(constants_root_shifted1 >= constants_root_trial1);",
            "assign constants_root_bit1 = "
            "(constants_root_shifted1 > constants_root_trial1);")),
    _fault("partial_product_misplaced", "variance.py", "the middle of N * sum(x^2) is one bit too low",
           ("(constants_variance_product <<< 5'd18)", "(constants_variance_product <<< 5'd17)")),
    _fault("cross_product_not_doubled", "variance.py", "the square of the sum counts its cross product once",
           ("(constants_variance_product <<< 5'd19)", "(constants_variance_product <<< 5'd18)")),
    _fault("sum_sign_lost", "variance.py", "a negative sum is squared without its sign being taken off",
           ("((constants_variance_sum_x < $signed({1'd0, 1'd0})) ? "
            "(-constants_variance_sum_x) : constants_variance_sum_x)",
            "constants_variance_sum_x")),
    _fault("eps_left_out", "variance.py", "V = V0",
           ("(constants_variance_stage1[0] ? constants_variance_eps :",
            "(constants_variance_stage1[0] ? 1'd0 :")),
    _fault("mean_not_rounded", "row_constants.py", "B is floored",
           ("(1'd1 <<< (constants_source_payload_amount + 2'd2))", "67'd0")),
    _fault("rmsnorm_minus_mean", "row_constants.py", "RMSNorm subtracts the mean",
           ("constants_mean <= (constants_root_centered ? ",
            "constants_mean <= (1'd1 ? ")),
    _fault("digit_missed", "divider.py", "the last digit of A is left out of B",
           ("constants_strobe <= (constants_running & constants_norm);",
            "constants_strobe <= ((constants_running & constants_norm) & "
            "(constants_count != 1'd1));")),
    _fault("mean_of_next_row", "row_constants.py", "the upper half of the mean is that of the row behind it",
           ("((constants_in_high & constants_mean_high_done) & (~constants_in_low))",
            "(constants_in_high & constants_mean_high_done)")),
    _fault("constant_flag_kept", "row_constants.py", "the flag of a constant row stays for the softmax row behind it",
           ("        constants_source_payload_zero <= 1'd0;\n        constants_whole <= 1'd1;\n",
            "        constants_whole <= 1'd1;\n")),
    _fault("length_shift_off_by_one", "row_constants.py", "the gain of the norms is one bit off",
           ("((5'd21 + constants_length_shift_count)", "((5'd20 + constants_length_shift_count)")),
    # Pass 2.
    DROPPED_CARRY,
    _fault("wrong_seed", "normalizer.py", "a row starts 2^-12 below one half",
           ("(normalizer_first7 | (~normalizer_carried_d7)) ? 12'd2048 : normalizer_fraction",
            "(normalizer_first7 | (~normalizer_carried_d7)) ? 12'd2047 : normalizer_fraction")),
    _fault("seed_of_first_row_only", "normalizer.py", "a row goes on from the fraction of the row before",
           ("((normalizer_first7 | (~normalizer_carried_d7)) ?", "((~normalizer_carried_d7) ?")),
    _fault("lane_carry_missing", "normalizer.py", "the second lane does not see the first one's increment",
           ("(normalizer_w1 + (normalizer_carried_l1_d6 ? normalizer_w0 : 1'd0))", "normalizer_w1")),
    _fault("rmsnorm_not_clipped", "normalizer.py", "RMSNorm's largest value wraps around, in lane 0",
           ("(normalizer_difference0[16:15] == $signed({1'd0, 1'd0}))", "1'd1")),
    _fault("cap_rule_off", "normalizer.py", "T stays T in tfl_s8, in lane 0",
           ("normalizer_full[0] <= normalizer_out0[8];", "normalizer_full[0] <= 1'd0;")),
    _fault("cap_leaks_into_next_row", "normalizer.py", "the unit that a peak owes is paid by the next row",
           ("(normalizer_pending & (~normalizer_cap_first9))", "normalizer_pending")),
    _fault("wrong_zero_point", "normalizer.py", "the zero point of tfl_s8 is -127",
           ("normalizer_zero_point <= -8'd128;", "normalizer_zero_point <= -8'd127;")),
    _fault("norm_follows_format", "normalizer.py", "a norm's row is capped after the format of the softmax register",
           ("normalizer_full <= 2'd0;\n    normalizer_large <= 2'd0;\n    if (normalizer_cap_softmax_d9) begin",
            "normalizer_full <= 2'd0;\n    normalizer_large <= 2'd0;\n    if (1'd1) begin")),
    _fault("no_reset_of_first", "normalizer.py", "after a reset in mid-row the next row goes on from its fraction",
           ("        normalizer_first <= 1'd1;\n", "")),
    # The self-check.
    _fault("self_check_dead", "core.py", "row_error never pulses",
           ("((check_selfcheck_row_error | exit_check_selfcheck_row_error) |", "(1'd0 &")),
    _fault("inner_check_dead", "self_check.py", "the sums in front of gamma and beta are not compared",
           ("(check_selfcheck_row_error | exit_check_selfcheck_row_error)", "exit_check_selfcheck_row_error")),
    _fault("outer_check_dead", "self_check.py", "the sums behind gamma and beta are not compared",
           ("(check_selfcheck_row_error | exit_check_selfcheck_row_error)", "check_selfcheck_row_error")),
    _fault("self_check_false_alarm", "self_check.py", "the checked sum goes on from the row before",
           ("            check_selfcheck_row_sum <= check_selfcheck_sum_s0_0;\n",
            "            check_selfcheck_row_sum <= (check_selfcheck_row_sum + check_selfcheck_sum_s0_0);\n")),
    _fault("no_reset_of_checked_sum", "self_check.py", "reset does not reach the sum of the self-check",
           ("        check_selfcheck_row_sum <= 28'd0;\n", ""),
           survives="the first beat of a row loads the sum, and it is looked at only behind a row's last beat"),
    _fault("no_reset_of_promises", "self_check.py", "after a reset the promises of the dropped rows are still there",
           ("        entry_queue_level <= 5'd0;\n", "")),
    # Streams and memories.
    _fault("missed_last", "requantize.py", "the last beat of a row is not marked",
           ("requantize_last1 <= requantize_sink_last;", "requantize_last1 <= 1'd0;")),
    _fault("stall_drops_beat", "requantize.py", "the output register does not wait for ready",
           ("assign requantize_ce = (requantize_source_ready | (~requantize_valid6));",
            "assign requantize_ce = 1'd1;")),
    _fault("buffer_not_held", "buffers.py", "the row buffer reads on while pass 1 waits",
           ("if (row_buffer_queue_read_port_re)\n", "if (1'd1)\n")),
    _fault("stale_memory", "requantize.py", "the first beat of gamma is never written",
           ("(requantize_weights_valid & (requantize_weights_param_beta == 1'd0))",
            "((requantize_weights_valid & (requantize_weights_param_beta == 1'd0)) & (requantize_write != 1'd0))")),
    _fault("gamma_not_restarted", "requantize.py", "gamma goes on from the row before",
           ("            requantize_read <= 1'd0;\n", "            requantize_read <= (requantize_read + 1'd1);\n")),
    # Gamma, beta, requantization.
    PASSING_CHANGED,
    _fault("affine_not_rounded", "requantize.py", "half is 0",
           ("((1'd1 <<< requantize_shift_d3) >>> 1'd1)", "32'd0")),
    _fault("affine_not_clipped", "requantize.py", "s16 results wrap around, in lane 1",
           ("(requantize_rounded1[33:15] == $signed({1'd0, 1'd0}))", "1'd1")),
    _fault("beta_shift_of_next_row", "requantize.py", "beta's shift is a cycle early",
           ("(requantize_beta0_in <<< requantize_beta_shift_d2)",
            "(requantize_beta0_in <<< requantize_beta_shift_d1)")),
    _fault("affine_on_softmax", "core.py", "gamma and beta are applied to softmax rows",
           ("(row_queue_queue_source_payload_affine & (row_queue_queue_source_payload_op != 1'd0))",
            "row_queue_queue_source_payload_affine")),
)


def by_name(name):
    """Return the Fault called ``name``; ValueError lists the names."""
    for fault in FAULTS:
        if fault.name == name:
            return fault
    raise ValueError(f"no fault {name}; there is {', '.join(f.name for f in FAULTS)}")
