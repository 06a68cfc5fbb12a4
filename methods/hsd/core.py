"""HSD from embeddings to losses, vectors and decisions, whatever the backbone.

A method that embeds HSD holds an :class:`HSDCore`, calls :meth:`HSDCore.begin_epoch`, and hands
over :class:`Inputs`: with ``read`` for an item-level signal that reads other embeddings than the
raw ones, and ``original`` where some slots hold interactions that never happened.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.methods.parts.counter_noise import gumbel
from bench.methods.parts.gumbel import gumbel_noise
from bench.methods.parts.packing import newest, pack
from bench.model.backbone import Backbone
from bench.model.method import Denoised, NextItemLoss

from .config import HSDConfig
from .gates import HSDGates, Verdict
from .losses import curriculum, interest_losses, truncated
from .schedules import Schedules
from .tally import Tally


@dataclass(frozen=True, eq=False)
class Inputs:
    """A batch as HSD sees it.

    Attributes
    ----------
    users
        int64 ``[B]``.
    valid
        bool ``[B, L]``: slots that hold an item, a prefix of each row.
    embedded
        ``[B, L, D]`` raw item embeddings: what the sequence-level signal, the interest loss and
        the backbone read.
    read
        ``[B, L, D]``: what the item-level signal reads; None = ``embedded``.
    original
        bool ``[B, L]``: real interactions, which alone count in the interest loss; None = all.
    """

    users: Tensor
    valid: Tensor
    embedded: Tensor
    read: Tensor | None = None
    original: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Draws:
    """The chance of one training step.

    Attributes
    ----------
    gates
        ``[2, B, L, 2]`` standard Gumbel, for the sequence and the item gate.
    negatives
        int64 ``[B]``: an item other than the target.
    """

    gates: Tensor
    negatives: Tensor


class HSDCore(nn.Module):
    """Gates, user table, schedules and losses.

    Parameters
    ----------
    config
        All settings of HSD.
    n_users, width, slots
        Rows of the user table, D, and most positions of a sequence (insertions included).
    seed
        Of the draws in evaluation.

    Attributes
    ----------
    sampled
        bool ``[B, L]``: what the last call of :meth:`losses` kept; empty before the first.
    """

    def __init__(
        self, config: HSDConfig, n_users: int, width: int, slots: int, seed: int = 0
    ) -> None:
        super().__init__()
        self.config = config
        self.slots = slots
        self.seed = seed
        self.users = nn.Embedding(n_users, width)
        nn.init.xavier_normal_(self.users.weight)
        self.gates = HSDGates(config, width, slots)
        self.schedules = Schedules(config)
        self.tally = Tally()
        self.sampled = torch.zeros(0, slots, dtype=torch.bool)
        self.pad = None
        if config.pads == "official":
            self.pad = nn.Parameter(self.users.weight.new_empty(width).normal_(std=width**-0.5))

    def begin_epoch(self, epoch: int) -> None:
        """Move the schedules, and count gates' votes anew."""
        self.schedules.begin_epoch(epoch)
        self.tally.reset()

    def losses(
        self,
        backbone: Backbone,
        next_item_loss: NextItemLoss,
        inputs: Inputs,
        targets: Tensor,
        draws: Draws | None = None,
    ) -> dict[str, Tensor]:
        """Give ``next_item``, ``reconstruction`` and ``interest``, weighted.

        Parameters
        ----------
        backbone
            Reads the survivors; its item table is shared.
        next_item_loss
            The run's.
        inputs
            Prefixes.
        targets
            int64 ``[B]``: the item after each prefix.
        draws
            None draws them from torch's generator.
        """
        table = backbone.item_vectors()
        if draws is None:
            draws = self.draw(inputs.valid.shape, targets, len(table))
        query = self._training_query(inputs, table, targets)
        verdict = self.gates(inputs.embedded, inputs.valid, query, inputs.read)
        keep = self.gates.sample(verdict, self.schedules.tau, draws.gates)
        self.tally.add(verdict, keep)
        self.sampled = keep.detach() > 0
        learnt = curriculum(verdict.reconstruction, self.schedules.curriculum)
        vectors = self._project_survivors(backbone, inputs, keep)[learnt]
        interest = self._interest(inputs, table[draws.negatives - 1])
        self.schedules.end_batch()
        reconstruction = verdict.reconstruction[learnt].mean()
        return {
            "next_item": self._next_item(next_item_loss, vectors, table, targets[learnt]),
            "reconstruction": self.config.weight_reconstruction * reconstruction,
            "interest": self.config.weight_interest * interest,
        }

    def draw(self, frame: torch.Size, targets: Tensor, n_items: int) -> Draws:
        """Draw what a training step needs from torch's generator."""
        others = torch.randint(1, max(2, n_items), targets.shape, device=targets.device)
        # Shifting by one past the target makes every other item equally likely.
        negatives = others + (others >= targets) if n_items > 1 else others
        return Draws(gumbel_noise((2, *frame, 2), self.users.weight), negatives)

    def user_vectors(self, backbone: Backbone, inputs: Inputs) -> Tensor:
        """Give ``[B, D]`` vectors of the denoised sequences, in evaluation."""
        verdict = self.judge(inputs)
        if self.config.eval_gate == "argmax":
            keep = self.gates.decide(verdict).to(inputs.embedded.dtype)
            return self._project_survivors(backbone, inputs, keep)
        drawn = [
            self._project_survivors(backbone, inputs, self._drawn(inputs, verdict, number))
            for number in range(self.config.eval_draws)
        ]
        return torch.stack(drawn).mean(0)

    def judge(self, inputs: Inputs) -> Verdict:
        """Judge with the user's vector as query, as in evaluation."""
        query = self.users(inputs.users)
        verdict: Verdict = self.gates(inputs.embedded, inputs.valid, query, inputs.read)
        return verdict

    def denoise(self, inputs: Inputs) -> Denoised:
        """Read decisions without chance, and drop probabilities, off the original slots."""
        verdict = self.judge(inputs)
        return Denoised(self.gates.decide(verdict), verdict.score())

    def diagnostics(self) -> dict[str, float | int | str]:
        """Say how the gates voted in the training epoch whose weights are in use."""
        return {**self.tally.means(), "temperature": float(self.schedules.tau)}

    def fill(self, embedded: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Widen a frame to all slots with the trained padding, where padding is official.

        Parameters
        ----------
        embedded, valid
            ``[B, L, D]`` and bool ``[B, L]``.
        """
        if self.pad is None:
            return embedded, valid
        missing = self.slots - valid.shape[1]
        valid = nn.functional.pad(valid, (0, missing))
        embedded = nn.functional.pad(embedded, (0, 0, 0, missing))
        return embedded.where(valid[..., None], self.pad), valid

    def _training_query(self, inputs: Inputs, table: Tensor, targets: Tensor) -> Tensor:
        by_user = self.config.train_query == "user"
        query: Tensor = self.users(inputs.users) if by_user else table[targets - 1]
        return query

    def _project_survivors(self, backbone: Backbone, inputs: Inputs, keep: Tensor) -> Tensor:
        """Pack what is kept, with the gates' gradient, and let the backbone read it."""
        # A frame with inserted items may hold more than the backbone reads.
        packing = pack(newest(keep.detach() > 0, backbone.sizes.max_length))
        # The gate's gradient enters where an item was kept, and only there.
        x = packing.gather(inputs.embedded) * packing.gather(keep)[..., None]
        valid = packing.valid
        # A backbone needs one position: rows that lost everything read one zero vector.
        empty = ~valid[:, 0]
        valid = torch.cat([valid[:, :1] | empty[:, None], valid[:, 1:]], 1)
        return backbone.project(backbone.encode_last(x, valid, inputs.users))

    def _next_item(
        self, loss: NextItemLoss, vectors: Tensor, table: Tensor, targets: Tensor
    ) -> Tensor:
        if self.pad is None:
            return loss(vectors, table, targets)
        # The official softmax has the padding row as one more class.
        return loss(vectors, torch.cat([self.pad[None], table]), targets + 1)

    def _interest(self, inputs: Inputs, negative: Tensor) -> Tensor:
        counted = inputs.valid if inputs.original is None else inputs.original
        losses = interest_losses(inputs.embedded, counted, self.users(inputs.users), negative)
        kept = truncated(
            losses,
            counted,
            self.schedules.truncation,
            wipe_short_rows=self.config.wipe_short_rows,
        )
        rows = kept.sum(1)
        if self.config.interest_reduction == "mean":
            rows = rows / counted.sum(1).clamp_min(1)
        return rows.mean()

    def _drawn(self, inputs: Inputs, verdict: Verdict, number: int) -> Tensor:
        """Sample with noise that depends on seed, user, slot and draw only."""
        device = inputs.users.device
        gate, slot, side = torch.meshgrid(
            torch.arange(2, device=device),
            torch.arange(inputs.valid.shape[1], device=device),
            torch.arange(2, device=device),
            indexing="ij",
        )
        keys = (gate[:, None], inputs.users[None, :, None, None], slot[:, None], side[:, None])
        noise = gumbel(self.seed, *keys, torch.tensor(number, device=device))
        return self.gates.sample(verdict, self.schedules.tau, noise)
