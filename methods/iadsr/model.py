"""IADSR: interest alignment for denoising sequential recommendation (CIKM 2025)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.errors import ConfigError
from bench.model.backbone import Backbone
from bench.model.batch import Batch
from bench.model.method import Denoised, Method, TrainingData

from .alignment import info_nce, sample_rows
from .config import IADSRConfig
from .interests import Interests, Meaning
from .judge import Judged, draw_so_far, judge
from .masks import CarriedMasks, known, row_ends
from .reconstruction import reconstruction_loss
from .tally import Tally
from .tokens import Tokens

_CARRIED = {"carried", "causal", "leaky"}


class IADSR(Method):
    """A backbone, two semantic projections, a gate on the states and a linear decoder.

    Trains on (prefix, next item) pairs: interests, and so every mask, are read from the whole
    input. The state that is ranked with is the backbone's on the input that the progressive
    mask leaves; the gate of the present step enters the reconstruction only.

    Raises
    ------
    ConfigError
        There are no text vectors.
    """

    def __init__(self, config: IADSRConfig, data: TrainingData, backbone: Backbone) -> None:
        super().__init__()
        if data.text_vectors is None:
            raise ConfigError("this method reads item texts; name an encoder with --encoder")
        self.config = config
        self.backbone = backbone
        self.next_item_loss = data.next_item_loss
        self.meaning = Meaning(data.text_vectors, backbone.state_size)
        self.decoder = nn.Linear(backbone.state_size, backbone.embedding_size)
        carries = config.progressive in _CARRIED
        self.carried = CarriedMasks(len(data.train.items)) if carries else None
        self.masking = False
        self.tally = Tally("users", "qualified", "positions", "kept", "compared")

    def begin_epoch(self, epoch: int) -> None:
        """Mask inputs from the second epoch on, and count anew."""
        self.masking = epoch > 0 and self.config.progressive != "none"
        self.tally.reset()
        if self.carried is not None:
            self.carried.turn()

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Give ``next_item``, ``info`` and ``recon``; a part of weight 0 is left out."""
        tokens = Tokens(batch.valid)
        meant = self.meaning(batch, tokens).units()
        original = self.backbone.embed(batch.items)
        x = original
        if self.masking:
            x = x * tokens.put(self._input_mask(original, batch, tokens, meant))[..., None]
        states = self._states(x, batch, tokens)
        judged = judge(states, meant, tokens, self.config)
        gate, keep = judged.draw(self.config.tau)
        if self.carried is not None:
            self._carry(self.carried, batch, tokens, states, keep)
        self.tally.add(
            users=len(batch.users),
            qualified=judged.qualified.sum(),
            positions=len(keep),
            kept=keep.sum(),
        )
        target = tokens.take(original if self.config.recon_target == "original" else x)
        parts = {
            "next_item": self._next_item(states, batch, tokens),
            "info": self._info(judged, batch.users, tokens.take(batch.flat_index)),
            "recon": self._recon(states * gate[:, None], target, judged, tokens),
        }
        return {name: part for name, part in parts.items() if part is not None}

    def user_vectors(self, batch: Batch) -> Tensor:
        """Project the state after the last item, ``[B, D]``; masked input is an option."""
        x = self.backbone.embed(batch.items)
        if self.config.denoise_at_inference:
            x = x * self.denoise(batch).keep[..., None]
        return self.backbone.project(self.backbone.encode_last(x, batch.valid, batch.users))

    def item_vectors(self) -> Tensor:
        """Give the backbone's item table, ``[n_items, D]``."""
        return self.backbone.item_vectors()

    def denoise(self, batch: Batch) -> Denoised:
        """Keep what a draw would keep more often than not; the less agreement, the noisier."""
        tokens = Tokens(batch.valid)
        states = self._states(self.backbone.embed(batch.items), batch, tokens)
        judged = judge(states, self.meaning(batch, tokens).units(), tokens, self.config)
        return Denoised(keep=tokens.put(judged.decide()), score=-tokens.put(judged.score))

    def diagnostics(self) -> dict[str, float | int | str]:
        """Give the cap on contrasted rows, and shares over the best epoch's training samples."""
        return {
            "info_rows": self.config.info_rows,
            "info_share": self.tally.share("compared", "positions"),
            "qualified_share": self.tally.share("qualified", "users"),
            "kept_share": self.tally.share("kept", "positions"),
        }

    def _states(self, x: Tensor, batch: Batch, tokens: Tokens) -> Tensor:
        return tokens.take(self.backbone.encode(x, batch.valid, batch.users)).float()

    @torch.no_grad()
    def _input_mask(
        self, original: Tensor, batch: Batch, tokens: Tokens, meant: Interests
    ) -> Tensor:
        """Draw or recall the mask of the input, ``[M]``."""
        limit = known(batch, tokens)
        if self.carried is not None:
            guard = None if self.config.progressive == "leaky" else limit
            return self.carried.read(tokens.take(batch.flat_index), guard).float()
        states = self._states(original, batch, tokens)
        _, keep = judge(states, meant, tokens, self.config).draw(self.config.tau)
        return (keep | (row_ends(batch, tokens) > limit)).float()

    @torch.no_grad()
    def _carry(
        self, carried: CarriedMasks, batch: Batch, tokens: Tokens, states: Tensor, keep: Tensor
    ) -> None:
        """Note masks for the next epoch, with what they have seen."""
        own = tokens.take(batch.flat_index)
        if self.config.progressive == "causal":
            meant = self.meaning.so_far(batch, tokens).units()
            keep = draw_so_far(states, meant, tokens, self.config)
            carried.write(own, own, keep)
        else:
            carried.write(own, row_ends(batch, tokens), keep)

    def _next_item(self, states: Tensor, batch: Batch, tokens: Tokens) -> Tensor:
        targets = tokens.take(batch.targets)
        predicted = torch.nonzero(targets).squeeze(1)
        vectors = self.backbone.project(states.index_select(0, predicted))
        return self.next_item_loss(vectors, self.item_vectors(), targets[predicted])

    def _info(self, judged: Judged, users: Tensor, slots: Tensor) -> Tensor | None:
        """Align long- and short-term interests of the two views (equations 8 to 10)."""
        config = self.config
        if not config.info_weight:
            return None
        ours, meant = judged.collaborative, judged.semantic
        total = ours.short.new_zeros(())
        if config.interests != "short":
            rows = sample_rows(meant.long, users, config.info_rows)
            total = total + info_nce(ours.long[rows], meant.long[rows], config.tau_info)
        if config.interests != "long":
            rows = sample_rows(meant.short, slots, config.info_rows)
            self.tally.add(compared=len(rows))
            total = total + info_nce(ours.short[rows], meant.short[rows], config.tau_info)
        return config.info_weight * total

    def _recon(self, kept: Tensor, target: Tensor, judged: Judged, tokens: Tokens) -> Tensor | None:
        """Rebuild the input embeddings from the states that the gate leaves."""
        if not self.config.recon_weight:
            return None
        target = target.detach() if self.config.detach_target else target
        loss = reconstruction_loss(self.decoder(kept), target, tokens, judged.qualified)
        return self.config.recon_weight * loss
