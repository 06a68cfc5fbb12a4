"""Every backbone's conformance, and each against an independent writing of its equations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_models import build_backbone
from torch import nn
from torch_layers import load

from bench.components import BACKBONES
from bench.errors import ConfigError
from bench.methods.backbones.caser.config import CaserConfig
from bench.methods.backbones.caser.model import Caser
from bench.methods.backbones.gru4rec.config import GRU4RecConfig
from bench.methods.backbones.gru4rec.model import GRU4Rec
from bench.methods.backbones.sasrec.config import SASRecConfig
from bench.methods.backbones.sasrec.model import SASRec
from bench.model.backbone import Sizes
from bench.testing import BackboneTests, example_items

SIZES = Sizes(n_users=7, n_items=50, max_length=12)


class TestGRU4Rec(BackboneTests):
    name = "gru4rec"


class TestSASRec(BackboneTests):
    name = "sasrec"


class TestSASRecPreNorm(BackboneTests):
    name = "sasrec"
    settings = {"norm": "pre"}


class TestCaser(BackboneTests):
    name = "caser"


class TestCaserWithUsers(BackboneTests):
    name = "caser"
    settings = {"user_embedding": True}


class TestCaserOfRecBole(BackboneTests):
    name = "caser"
    settings = dict(BACKBONES.get("caser:recbole").defaults)


class TestBERT4Rec(BackboneTests):
    name = "bert4rec"


class TestBERT4RecWithoutHead(BackboneTests):
    name = "bert4rec"
    settings = {"head": False, "bias": False}


class TestFMLP(BackboneTests):
    name = "fmlp"


class TestFMLPZeroPads(BackboneTests):
    name = "fmlp"
    settings = {"pads": "zero", "blocks": 1}


class TestBSARec(BackboneTests):
    name = "bsarec"


class TestBSARecZeroPads(BackboneTests):
    name = "bsarec"
    settings = {"pads": "zero", "heads": 2}


class TestCaserOfOneItem(BackboneTests):
    name = "caser"
    settings = {"window": 1, "short_windows": "start"}


def test_every_registered_backbone_is_tested_here():
    tested = {value.name for value in globals().values() if _is_conformance(value)}
    assert tested == set(BACKBONES.names())


def _is_conformance(value):
    return isinstance(value, type) and issubclass(value, BackboneTests) and hasattr(value, "name")


def test_gru_states_follow_the_recurrence():
    torch.manual_seed(3)
    backbone = GRU4Rec(GRU4RecConfig(embedding_size=4, hidden_size=3, layers=1), SIZES).eval()
    items = example_items(rows=2, length=4)
    x = backbone.embed(items)
    w_in, w_hidden = backbone.gru.weight_ih_l0, backbone.gru.weight_hh_l0
    h = torch.zeros(2, 3)
    expected = []
    for step in range(4):
        reset_in, update_in, new_in = (x[:, step] @ w_in.T).chunk(3, 1)
        reset_h, update_h, new_h = (h @ w_hidden.T).chunk(3, 1)
        reset, update = torch.sigmoid(reset_in + reset_h), torch.sigmoid(update_in + update_h)
        h = (1 - update) * torch.tanh(new_in + reset * new_h) + update * h
        expected.append(h)
    states = backbone.encode(x, items > 0)
    real = items > 0
    expected = torch.stack(expected, 1)
    torch.testing.assert_close(states[real], expected[real], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_sasrec_block_equals_torch_transformer_layer(norm):
    config = SASRecConfig(embedding_size=8, heads=2, inner_size=16, blocks=1, norm=norm)
    torch.manual_seed(0)
    backbone = SASRec(config, SIZES).eval()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.normal_(std=0.5)
    shared = {"activation": "gelu", "layer_norm_eps": 1e-12, "batch_first": True}
    layer = nn.TransformerEncoderLayer(8, 2, 16, norm_first=norm == "pre", **shared)
    layer = load(layer.eval(), backbone.blocks[0])
    items = example_items()
    x = backbone.embed(items) + backbone.positions.weight[: items.shape[1]]
    mask = nn.Transformer.generate_square_subsequent_mask(items.shape[1])
    if norm == "post":
        expected = layer(backbone.norm(x), src_mask=mask)
    else:
        expected = backbone.norm(layer(x, src_mask=mask))
    states = backbone.encode(backbone.embed(items), items > 0)
    real = items > 0
    torch.testing.assert_close(states[real], expected[real], rtol=1e-4, atol=1e-5)


def test_caser_equals_convolving_every_window_by_itself():
    torch.manual_seed(0)
    config = CaserConfig(embedding_size=6, window=4, horizontal=3, vertical=2)
    backbone = Caser(config, SIZES).eval()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.normal_()
        backbone.items.weight[0].zero_()
    items = example_items(rows=3, length=6)
    states = backbone.encode(backbone.embed(items), items > 0)
    for row in range(3):
        for end in range(int((items[row] > 0).sum())):
            places = range(end - 3, end + 1)
            window = torch.stack(
                [backbone.items.weight[items[row, p]] if p >= 0 else torch.zeros(6) for p in places]
            )
            features = []
            for height, convolution in enumerate(backbone.horizontal, start=1):
                answers = [
                    torch.relu(
                        torch.einsum("fdh,hd->f", convolution.weight, window[top : top + height])
                        + convolution.bias
                    )
                    for top in range(4 - height + 1)
                ]
                features.append(torch.stack(answers).max(0).values)
            vertical = backbone.vertical.weight @ window
            features.append(vertical.T.flatten())
            z = torch.relu(backbone.connect(torch.cat(features)))
            torch.testing.assert_close(states[row, end], backbone.output(z), rtol=1e-4, atol=1e-4)


def test_recbole_caser_reads_right_padded_windows_with_biases_and_a_last_relu():
    """A window by itself, as a right-padded row of an image, in numpy."""
    settings = {"embedding_size": 6, "window": 4, "horizontal": 3, "vertical": 2}
    config = BACKBONES.get("caser:recbole").parse({"caser:recbole": settings}, "here")
    torch.manual_seed(0)
    backbone = Caser(config, SIZES).eval()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.normal_()
        backbone.items.weight[0].zero_()
    items, users = example_items(rows=3, length=6), torch.tensor([3, 0, 6])
    states = backbone.encode(backbone.embed(items), items > 0, users)
    p = {name: tensor.detach().double().numpy() for name, tensor in backbone.named_parameters()}
    for row, ids in enumerate(items.tolist()):
        for end in range(sum(item > 0 for item in ids)):
            recent = ids[max(0, end - 3) : end + 1]
            image = p["items.weight"][recent + [0] * (4 - len(recent))]
            features = []
            for number in range(4):
                weight, bias = (p[f"horizontal.{number}.{kind}"] for kind in ("weight", "bias"))
                answers = [
                    np.einsum("fdh,hd->f", weight, image[top : top + number + 1]) + bias
                    for top in range(4 - number)
                ]
                features.append(np.maximum(answers, 0).max(0))
            vertical = p["vertical.weight"] @ image + p["vertical.bias"][:, None]
            features.append(vertical.T.flatten())
            z = p["connect.weight"] @ np.concatenate(features) + p["connect.bias"]
            z = np.concatenate([np.maximum(z, 0), p["users.weight"][users[row]]])
            expected = np.maximum(p["output.weight"] @ z + p["output.bias"], 0)
            np.testing.assert_allclose(states[row, end].detach(), expected, rtol=1e-4, atol=1e-4)


def test_recbole_caser_starts_its_linear_maps_without_biases():
    backbone = Caser(BACKBONES.get("caser:recbole").parse({}, "here"), SIZES)
    for layer in (backbone.connect, backbone.output):
        assert layer.bias.abs().sum() == 0
        spread = (2 / sum(layer.weight.shape)) ** 0.5
        assert layer.weight.std().item() == pytest.approx(spread, rel=0.05)


def test_caser_with_user_embedding_needs_users():
    backbone = Caser(CaserConfig(user_embedding=True), SIZES)
    items = example_items()
    with pytest.raises(ValueError, match="needs the users"):
        backbone.encode(backbone.embed(items), items > 0)


def test_heads_must_divide_the_width():
    with pytest.raises(ConfigError, match="heads must divide embedding_size"):
        SASRecConfig.parse({"embedding_size": 64, "heads": 3}, "here")


def test_padding_row_is_zero_from_the_start():
    for name in BACKBONES.names():
        assert build_backbone(name, SIZES).items.weight[0].abs().sum() == 0
