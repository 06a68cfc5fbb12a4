"""IADSR: interest alignment for denoising sequential recommendation (CIKM 2025)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.errors import ConfigError
from bench.methods.parts.ragged import Ragged, lay_out
from bench.model.backbone import Backbone
from bench.model.batch import Batch
from bench.model.method import Denoised, Method, TrainingData

from .agreement import Agreement, draw_causal_mask, measure_agreement
from .alignment import align
from .config import IADSRConfig
from .diagnostics import EpochCounts
from .interests import Interests, SemanticInterests
from .masks import CarriedMasks, row_ends, visible_until
from .reconstruction import reconstruction_loss

_CARRIED = {"carried", "causal", "leaky"}


class IADSR(Method):
    """A backbone, two semantic projections, a gate on the states and a linear decoder.

    Trained on (prefix, next item) pairs: interests, and so every mask, depend on the whole input.
    The state that is ranked with is the backbone's on the input after the progressive mask; the
    gate of the current step enters the reconstruction only.

    Raises
    ------
    ConfigError
        There are no text vectors, or causal masks are asked of a backbone that is not causal.
    """

    def __init__(self, config: IADSRConfig, data: TrainingData, backbone: Backbone) -> None:
        super().__init__()
        if data.text_vectors is None:
            raise ConfigError("this method reads item texts; name an encoder with --encoder")
        if config.progressive == "causal" and not backbone.causal:
            raise ConfigError(
                "iadsr's progressive = 'causal' holds for states that have seen no later item, and "
                "those of this backbone have; choose 'carried' or 'recomputed'"
            )
        self.config = config
        self.backbone = backbone
        self.next_item_loss = data.next_item_loss
        self.semantic_interests = SemanticInterests(data.text_vectors, backbone.state_size)
        self.decoder = nn.Linear(backbone.state_size, backbone.embedding_size)
        carries = config.progressive in _CARRIED
        self.carried = CarriedMasks(len(data.train.items)) if carries else None
        self.masking = False
        self.statistics = EpochCounts("users", "qualified", "positions", "kept", "compared")

    def begin_epoch(self, epoch: int) -> None:
        """Mask inputs from the second epoch on, and reset the statistics."""
        self.masking = epoch > 0 and self.config.progressive != "none"
        self.statistics.reset()
        if self.carried is not None:
            self.carried.next_epoch()

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Compute ``next_item``, ``info`` and ``recon``; a part of weight 0 is left out."""
        tokens = lay_out(batch.valid)
        semantic = self.semantic_interests(batch, tokens).units()
        original = self.backbone.embed(batch.items)
        x = original
        if self.masking:
            x = x * tokens.put(self._input_mask(original, batch, tokens, semantic))[..., None]
        states = self._states(x, batch, tokens)
        agreement = measure_agreement(states, semantic, tokens, self.config)
        gate, keep = agreement.draw(self.config.tau)
        if self.carried is not None:
            self._carry(self.carried, batch, tokens, states, keep)
        self.statistics.add(
            users=len(batch.users),
            qualified=agreement.qualified.sum(),
            positions=tokens.lengths.sum(),
            kept=tokens.without_padding(keep).sum(),
        )
        target = tokens.take(original if self.config.recon_target == "original" else x)
        parts = {
            "next_item": self._next_item(states, batch, tokens),
            "info": self._info(agreement, batch.users, tokens.take(batch.flat_index)),
            "recon": self._recon(states * gate[:, None], target, agreement, tokens),
        }
        return {name: part for name, part in parts.items() if part is not None}

    def user_vectors(self, batch: Batch) -> Tensor:
        """Project the state after the last item, ``[B, D]``; masking the input is an option."""
        x = self.backbone.embed(batch.items)
        if self.config.denoise_at_inference:
            x = x * self.denoise(batch).keep[..., None]
        return self.backbone.project(self.backbone.encode_last(x, batch.valid, batch.users))

    def item_vectors(self) -> Tensor:
        """Return the backbone's item table, ``[n_items, D]``."""
        return self.backbone.item_vectors()

    def denoise(self, batch: Batch) -> Denoised:
        """Keep what a draw keeps with probability above one half; the score is the disagreement."""
        tokens = lay_out(batch.valid)
        states = self._states(self.backbone.embed(batch.items), batch, tokens)
        agreement = measure_agreement(
            states, self.semantic_interests(batch, tokens).units(), tokens, self.config
        )
        return Denoised(keep=tokens.put(agreement.decide()), score=-tokens.put(agreement.score))

    def diagnostics(self) -> dict[str, float | int | str]:
        """Return the cap on contrasted rows, and shares over the best epoch's training samples."""
        return {
            "info_rows": self.config.info_rows,
            "info_share": self.statistics.share("compared", "positions"),
            "qualified_share": self.statistics.share("qualified", "users"),
            "kept_share": self.statistics.share("kept", "positions"),
        }

    def _states(self, x: Tensor, batch: Batch, tokens: Ragged) -> Tensor:
        return tokens.take(self.backbone.encode(x, batch.valid, batch.users)).float()

    @torch.no_grad()
    def _input_mask(
        self, original: Tensor, batch: Batch, tokens: Ragged, semantic: Interests
    ) -> Tensor:
        """Draw or read the mask of the input, ``[M]``."""
        limit = visible_until(batch, tokens)
        if self.carried is not None:
            guard = None if self.config.progressive == "leaky" else limit
            return self.carried.read(tokens.take(batch.flat_index), guard).float()
        states = self._states(original, batch, tokens)
        _, keep = measure_agreement(states, semantic, tokens, self.config).draw(self.config.tau)
        return (keep | (row_ends(batch, tokens) > limit)).float()

    @torch.no_grad()
    def _carry(
        self,
        carried: CarriedMasks,
        batch: Batch,
        tokens: Ragged,
        states: Tensor,
        keep: Tensor,
    ) -> None:
        """Store masks for the next epoch, with the last interaction that they have seen."""
        own = tokens.take(batch.flat_index)
        if self.config.progressive == "causal":
            semantic = self.semantic_interests.causal(batch, tokens).units()
            keep = draw_causal_mask(states, semantic, tokens, self.config)
            carried.write(own, own, keep)
        else:
            carried.write(own, row_ends(batch, tokens), keep)

    def _next_item(self, states: Tensor, batch: Batch, tokens: Ragged) -> Tensor:
        self.backbone.check_targets(batch.valid, batch.targets)
        predicted = tokens.find(batch.predicted)
        vectors = self.backbone.project(states.index_select(0, predicted))
        targets = batch.targets.flatten()[batch.predicted]
        return self.next_item_loss(vectors, self.item_vectors(), targets)

    def _info(self, agreement: Agreement, users: Tensor, interactions: Tensor) -> Tensor | None:
        """Align long- and short-term interests of the two views (equations 8 to 10)."""
        config = self.config
        if not config.info_weight:
            return None
        ours, semantic = agreement.collaborative, agreement.semantic
        total = ours.short.new_zeros(())
        if config.interests != "short":
            loss, _ = align(ours.long, semantic.long, users, config.info_rows, config.tau_info)
            total = total + loss
        if config.interests != "long":
            views = ours.short, semantic.short
            loss, compared = align(*views, interactions, config.info_rows, config.tau_info)
            self.statistics.add(compared=compared)
            total = total + loss
        return config.info_weight * total

    def _recon(
        self, kept: Tensor, target: Tensor, agreement: Agreement, tokens: Ragged
    ) -> Tensor | None:
        """Reconstruct the input embeddings from the gated states (equations 20 and 21)."""
        if not self.config.recon_weight:
            return None
        target = target.detach() if self.config.detach_target else target
        loss = reconstruction_loss(self.decoder(kept), target, tokens, agreement.qualified)
        return self.config.recon_weight * loss
