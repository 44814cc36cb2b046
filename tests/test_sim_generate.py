# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""sim/generate.py and `litenorm generate`: a language model on the simulated SoC, token for token as the reference."""

import json
import zlib

import numpy as np
import pytest

from litenorm.bench.generate import run_generate as run_on_board
from litenorm.bench.host import Board, BoardError
from litenorm.nn.generate import Sampler, generate, load_gpt
from litenorm.nn.image import write_gpt_image
from litenorm.nn.testing import random_gpt, write_gpt_checkpoint
from litenorm.sim import cli, protocol
from litenorm.sim.errors import ProtocolError
from litenorm.sim.generate import OPERATIONS, TextFilter, compare, multiply_accumulates, run_generate
from litenorm.sim.generate_command import sampler_of
from litenorm.sim.runner import Observer, SimOptions, SimResult, run_soc
from litenorm.sim.serial import SimulatedPort

PROMPT, COUNT = "abcde", 6
SAMPLERS = {"greedy": Sampler(), "top 4": Sampler(0.9, 4, 3)}


class Reader(Observer):
    """What a terminal would show."""

    def __init__(self):
        self.filter, self.text = TextFilter(), ""

    def chunk(self, data):
        self.text += self.filter.feed(data)


# On the SoC -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("variant, sampler", [("standard", "top 4"), ("full+cfu", "greedy")])
def test_core_and_twin_write_the_reference_s_tokens(variant, sampler):
    gpt, sampler, reader = random_gpt(5), SAMPLERS[sampler], Reader()
    report = run_generate(SimOptions(cpu_variant=variant), gpt, PROMPT, COUNT, sampler, ("accel", "cpu"), reader)
    assert report.ok, report.result.log
    expected = generate(gpt, gpt.encode(PROMPT), COUNT, sampler).tokens
    assert report.tokens == {"accel": expected, "cpu": expected} and report.different == {"accel": 0, "cpu": 0}
    assert report.text == dict.fromkeys(("accel", "cpu"), gpt.decode(expected))
    assert reader.text == 2 * f"{PROMPT}{gpt.decode(expected)}\n"
    for path in ("accel", "cpu"):
        assert report.rows[path]["softmax_rows"] == 2 * 2 * (len(PROMPT) + COUNT - 1)
        assert report.rows[path]["sampler_rows"] == (0 if sampler.greedy else COUNT)
        for cycles in report.cycles[path].values():
            assert sum(cycles[op] for op in OPERATIONS[:-1]) == cycles["total"] > 0
    accel, cpu = report.per_token("accel"), report.per_token("cpu")
    assert accel["softmax"] < cpu["softmax"] and accel["layernorm"] < cpu["layernorm"]


def test_without_the_core():
    gpt = random_gpt(5)
    report = run_generate(SimOptions(config=None), gpt, PROMPT, COUNT, SAMPLERS["top 4"])
    assert report.ok and list(report.tokens) == ["cpu"], report.result.log
    assert report.tokens["cpu"] == generate(gpt, gpt.encode(PROMPT), COUNT, SAMPLERS["top 4"]).tokens


def test_a_prompt_can_be_typed_at_the_console():
    """As a person at a board would: another prompt than that of the image, and one that the model does not know."""
    gpt = random_gpt(6)
    image = write_gpt_image(gpt, gpt.encode("j"), 4)
    console = "generate cpu abba\ngenerate xyz\ngenerate aaaaaaaaaaaaa\nlayer\nexit\n"
    result = run_soc(SimOptions(config=None, console=console, image=image))
    assert result.records.tensors["cpu", "tokens"].ravel().tolist() == generate(gpt, gpt.encode("abba"), 4).tokens
    assert "generate: the model does not know what begins with x" in result.log
    assert "generate: prompt and 4 tokens are too many; good: at most 16 together" in result.log
    assert result.exit_code == 1 and result.records.one("error")["text"] == "there_is_no_workload_image_in_memory"


def test_the_command_writes_on_a_board(tmp_path, capsys):
    """`litenorm generate --port`; the board is the simulated SoC behind a pseudo-terminal, with the model in memory."""
    folder = write_gpt_checkpoint(tmp_path / "tiny")
    gpt, _ = load_gpt(folder)
    sampler, file = Sampler(0.7, 4, 9), tmp_path / "out.json"
    expected = generate(gpt, gpt.encode("bad"), 4, sampler).tokens
    options = SimOptions(image=write_gpt_image(gpt, gpt.encode("bad"), 4, sampler), max_cycles=0)
    arguments = ["--checkpoint", str(folder), "--tokens", "4", "--temperature", "0.7", "--top-k", "4", "--seed", "9"]
    with SimulatedPort(options) as port:
        arguments = ["generate", "--port", port.path, *arguments, "--prompt"]
        assert cli.main([*arguments, "bad", "--path", "both", "--json", str(file)]) == 0
        out, data = capsys.readouterr().out, json.loads(file.read_text())
        assert out.startswith(2 * f"bad{gpt.decode(expected)}\n") and "generate: ok" in out
        assert data["tokens"] == {"accel": expected, "cpu": expected} and data["simulated_cycles"] is None
        assert cli.main([*arguments, "bed"]) == 1
    error = capsys.readouterr().err
    assert "the model in the board's memory is another one, or has another prompt: reset the board" in error
    assert error.count("\n") == 1


def test_a_board_without_the_core():
    gpt, reader = random_gpt(7), Reader()
    options = SimOptions(config=None, image=write_gpt_image(gpt, gpt.encode("bad"), 4), max_cycles=0)
    with SimulatedPort(options) as port, Board(port.path, silence=120.0, heard=reader.chunk) as board:
        report = run_on_board(board, gpt, "bad", 4)
        assert report.ok and list(report.tokens) == ["cpu"] and reader.text == f"bad{report.text['cpu']}\n"
        with pytest.raises(BoardError, match="path accel needs the core"):
            run_on_board(board, gpt, "bad", 4, paths=("accel",))
        assert board.line_errors == 0


def test_the_command_with_the_gpt(tmp_path, capsys):
    path = tmp_path / "out.json"
    assert cli.main(["generate", "--cfu", "--prompt", "I", "--tokens", "2", "--json", str(path)]) == 0
    data, out = json.loads(path.read_text()), capsys.readouterr().out
    assert data["ok"] is True and data["different"] == {"accel": 0} and data["same_logits"] == {"accel": True}
    assert len(data["tokens"]["accel"]) == 2 and out.startswith("I" + data["text"]["accel"])
    assert "tokens that differ from the NumPy reference" in out and "generate: ok" in out
    assert 0 < data["cycles"]["accel"]["text"]["total"] < 1_200_000     # in C it is 3 million


# Command --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("arguments, message", [
    (["--prompt", ""], "the prompt is empty"),
    (["--prompt", "100 %"], "the prompt has characters that gpt does not know: '%01'; good: "),
    (["--tokens", "113"], "the prompt has 16 tokens and 113 are wanted; good: at most 128 together, the context of"),
    (["--tokens", "0"], "the number of tokens is 0; good: 1 or more"),
    (["--top-k", "0"], "top-k is 0; good: 1 or more candidates"),
    (["--temperature", "0", "--seed", "2"], "--seed does nothing at temperature 0, which is greedy"),
    (["--temperature", "nan"], "temperature is nan; good: 0 (greedy), or 0.01 to 100"),
    (["--no-accel", "--path", "both"], "--path both needs the core"),
    (["--max-length", "64", "--tokens", "60"], "in tokens, is 76; good: at most 64, the core's max_length"),
    (["--lanes", "3"], "lanes is 3"),
    (["--json", "/"], "is a folder: name a JSON file"),
    (["--checkpoint", "nowhere"], "nowhere is not a folder"),
    (["--baud", "9600"], "--baud belongs to --port"), (["--port", "x", "--no-accel"], "--no-accel is of the"),
    (["--port", "x", "--cfu"], "--cfu is of the simulated SoC; good: --port without it"),
    (["--port", "x", "--lanes", "8"], "--lanes is of the simulated SoC"),
    (["--cfu", "--cpu-variant", "lite"], "--cfu is VexRiscv's variant full+cfu, --cpu-variant is lite"),
    (["--port", "x", "--baud", "0"], "--baud is 0; good: that of the SoC's UART"),
])
def test_what_cannot_be_is_one_line(capsys, arguments, message):
    assert cli.main(["generate", *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error and error.startswith("litenorm: error: ") and error.count("\n") == 1


def test_a_port_that_is_not_there_is_one_line(tmp_path, capsys):
    folder = write_gpt_checkpoint(tmp_path / "tiny")
    assert cli.main(["generate", "--checkpoint", str(folder), "--port", "/dev/nowhere", "--prompt", "a", "--tokens",
                     "1"]) == 1
    assert capsys.readouterr().err == ("litenorm: error: port /dev/nowhere cannot be opened: No such file or "
                                       "directory\n")


@pytest.mark.parametrize("arguments, sampler", [
    ([], Sampler()), (["--seed", "4"], Sampler(1.0, 0, 4)), (["--top-k", "8"], Sampler(1.0, 8)),
    (["--temperature", "0.5"], Sampler(0.5)), (["--temperature", "0"], Sampler()),
])
def test_any_option_of_the_sampler_means_sampling(arguments, sampler):
    assert sampler_of(cli.make_parser().parse_args(["generate", *arguments])) == sampler


# Text and report ------------------------------------------------------------------------------------------------------

STREAM = ("\r\nlitenorm> generate both\r\n@generate path=accel\r\n@text path=accel\r\nIn th\u00e9\r\nend\r\n"
          "@cycles path=accel x=1\r\n@hex 0 00\r\nnot this\r\n@text path=cpu\r\nagain\r\n@rows path=cpu\r\n").encode()


@pytest.mark.parametrize("size", (1, 2, 7, 1000))
def test_the_text_is_found_in_whatever_pieces_it_comes(size):
    found = TextFilter()
    pieces = [found.feed(STREAM[i : i + size]) for i in range(0, len(STREAM), size)]
    assert "".join(pieces) == "In th\u00e9\nend\nagain\n"
    if size == 1:
        assert max(map(len, pieces)) == 1   # nothing waits for the end of a line


def log_of(gpt, expected, tokens=None, path="accel", **wrong):
    """What a firmware sends that computes `expected`."""
    counts = {f"{row}_{what}": n for row, n in (("softmax", 44), ("layernorm", 50), ("sampler", 6))
              for what, n in (("rows", n), ("sum_errors", 0))} | wrong
    cycles = " ".join(f"{op}={100 + i}" for i, op in enumerate(OPERATIONS))
    crc = 0
    for logits in expected.logits:
        crc = zlib.crc32(logits.astype("<i2").tobytes(), crc)
    data = np.array(expected.tokens if tokens is None else tokens, "<u2").tobytes()
    return "\n".join([
        f"@cycles path={path} phase=prompt tokens=5 {cycles}", f"@cycles path={path} phase=text tokens=5 {cycles}",
        f"@rows path={path} " + " ".join(f"{k}={v}" for k, v in counts.items()),
        f"@logits path={path} crc={crc ^ wrong.get('logits', 0):08x}",
        f"@tensor path={path} name=tokens type=u16 rows=1 cols={len(data) // 2}", f"@hex 0 {data.hex()}",
        f"@end crc={zlib.crc32(data):08x}", ""])


@pytest.fixture(scope="module")
def case():
    gpt = random_gpt(5)
    return gpt, generate(gpt, gpt.encode(PROMPT), COUNT, SAMPLERS["top 4"])


def report(case, log, paths=("accel",), exit_code=0):
    gpt, expected = case
    records = protocol.parse(log)
    return compare(gpt, PROMPT, expected, paths, records, log, SimResult(records, exit_code, 1000, 1.0, log))


def test_a_right_firmware_is_ok(case, capsys):
    both = report(case, log_of(*case) + log_of(*case, path="cpu"), ("accel", "cpu"))
    assert both.ok and both.json()["ok"] is True
    both.show()
    out = capsys.readouterr().out
    assert "0 of 12" in out and "generate: ok" in out and "LayerNorm" in out


def test_one_wrong_token_is_counted(case, capsys):
    tokens = list(case[1].tokens)
    tokens[3] ^= 1
    wrong = report(case, log_of(*case, tokens))
    assert not wrong.ok and wrong.different == {"accel": 1}
    wrong.show()
    assert "generate: FAILED" in capsys.readouterr().out
    assert report(case, log_of(*case, case[1].tokens[:4])).different == {"accel": 2}


@pytest.mark.parametrize("wrong", [{"logits": 1}, {"softmax_sum_errors": 1}, {"layernorm_sum_errors": 2},
                                   {"sampler_sum_errors": 1}])
def test_anything_wrong_is_not_ok(case, wrong):
    assert not report(case, log_of(*case, **wrong)).ok


def test_exit_code_is_not_ok(case):
    assert not report(case, log_of(*case), exit_code=1).ok


@pytest.mark.parametrize("start", ("@tensor", "@rows", "@logits", "@cycles path=accel phase=text"))
def test_missing_record_is_an_error(case, start):
    lines = log_of(*case).split("\n")
    cut = [line for line in lines if not line.startswith(start)
           and not (start == "@tensor" and line.startswith(("@hex", "@end")))]
    with pytest.raises(ProtocolError):
        report(case, "\n".join(cut))


def test_unknown_token_and_error_record_are_errors(case):
    with pytest.raises(ProtocolError, match="sent token 99, 11 is the last"):
        report(case, log_of(*case, [99] * COUNT))
    with pytest.raises(ProtocolError, match="reported error -7: bus"):
        report(case, "@error code=-7 text=bus\n")


def test_multiply_accumulates_are_counted_by_hand():
    """2 layers of 4 matrices of 16 x 16 and 2 of 32 x 16, a head of 12; the second and the third token see 4 and 5."""
    assert multiply_accumulates(random_gpt(1), 3, 3) == 2 * (4 * 256 + 2 * 512) + 12 * 16 + 2 * 4.5 * 16 * 2


def test_a_path_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="path accel needs the core; good: path cpu"):
        run_generate(SimOptions(config=None), random_gpt(1), "a", 1, paths=("accel",))
