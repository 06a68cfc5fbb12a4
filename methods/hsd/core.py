"""HSD from embeddings to losses, user vectors and decisions, independent of the backbone.

A method that contains HSD holds an :class:`HSDCore`, calls :meth:`HSDCore.begin_epoch` and
:meth:`HSDCore.begin_batch`, and passes :class:`HSDInputs`: with ``read`` if the item-level signal
reads other embeddings than the raw ones, and with ``original`` if some positions hold inserted
items.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.methods.parts.counter_noise import gumbel
from bench.methods.parts.gumbel import gumbel_noise
from bench.methods.parts.packing import keep_last, pack
from bench.model.backbone import Backbone
from bench.model.method import Denoised, NextItemLoss
from bench.model.shapes import is_static

from .config import HSDConfig
from .diagnostics import GateStatistics
from .gates import GateOutput, HSDGates
from .losses import curriculum, interest_losses, truncate_largest
from .schedules import Schedules


@dataclass(frozen=True, eq=False)
class HSDInputs:
    """Input of HSD for one batch.

    Attributes
    ----------
    users
        int64 ``[B]``.
    valid
        bool ``[B, L]``: positions that hold an item, a prefix of each row.
    embedded
        ``[B, L, D]`` raw item embeddings, read by the sequence-level signal, the interest loss and
        the backbone.
    read
        ``[B, L, D]`` read by the item-level signal; None = ``embedded``.
    original
        bool ``[B, L]``: real interactions, which alone count in the interest loss; None = all.
    lengths
        int64 ``[B]``: lengths that reconstruction errors are divided by and that truncation takes
        its share of; None = the number of positions that each counts.
    """

    users: Tensor
    valid: Tensor
    embedded: Tensor
    read: Tensor | None = None
    original: Tensor | None = None
    lengths: Tensor | None = None


@dataclass(frozen=True, eq=False)
class HSDDraws:
    """Random numbers of one training step.

    Attributes
    ----------
    gates
        ``[2, B, L, 2]`` standard Gumbel noise of the sequence gate and the item gate.
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
        Settings of HSD.
    n_users
        Number of users.
    width
        D, size of an item embedding.
    max_positions
        Largest length of a sequence, insertions included.
    seed
        Seed of the draws in evaluation.

    Attributes
    ----------
    sampled
        bool ``[B, L]``: interactions kept in the last call of :meth:`losses`; empty before.
    """

    def __init__(
        self, config: HSDConfig, n_users: int, width: int, max_positions: int, seed: int = 0
    ) -> None:
        super().__init__()
        self.config = config
        self.max_positions = max_positions
        self.seed = seed
        self.users = nn.Embedding(n_users, width)
        nn.init.xavier_normal_(self.users.weight)
        self.gates = HSDGates(config, width, max_positions)
        self.schedules = Schedules(config)
        self.statistics = GateStatistics()
        self.sampled = torch.zeros(0, max_positions, dtype=torch.bool)
        self.pad = None
        if config.pads == "official":
            self.pad = nn.Parameter(self.users.weight.new_empty(width).normal_(std=width**-0.5))

    def begin_epoch(self, epoch: int) -> None:
        """Advance the schedules and reset the statistics."""
        self.schedules.begin_epoch(epoch)
        self.statistics.reset()

    def begin_batch(self) -> None:
        """Advance the temperature, if it falls by batches."""
        self.schedules.begin_batch()

    def losses(
        self,
        backbone: Backbone,
        next_item_loss: NextItemLoss,
        inputs: HSDInputs,
        targets: Tensor,
        draws: HSDDraws | None = None,
    ) -> dict[str, Tensor]:
        """Compute the weighted losses ``next_item``, ``reconstruction`` and ``interest``.

        Parameters
        ----------
        backbone
            Encoder of the kept interactions; its item table is shared.
        next_item_loss
            Loss of the run.
        inputs
            Prefixes.
        targets
            int64 ``[B]``: the item after each prefix.
        draws
            Random numbers; drawn from torch's generator if None.

        Returns
        -------
        dict of Tensor
            Scalars by name.
        """
        embeddings = backbone.item_embeddings()
        table = backbone.scoring_vectors(embeddings)
        if draws is None:
            draws = self.draw(inputs.valid.shape, targets, len(table))
        query = self._training_query(inputs, embeddings, targets)
        output = self.gates(inputs.embedded, inputs.valid, query, inputs.read, inputs.lengths)
        keep = self.gates.sample(output, self.schedules.tau, draws.gates)
        self.statistics.add(output, keep)
        self.sampled = keep.detach() > 0
        selected = curriculum(output.reconstruction, self.schedules.curriculum)
        vectors = self._project_survivors(backbone, inputs, keep)
        interest = self._interest(inputs, functional.embedding(draws.negatives - 1, embeddings))
        reconstruction = output.reconstruction[selected].mean()
        return {
            "next_item": self._next_item(
                next_item_loss,
                functional.embedding(selected, vectors),
                table,
                targets[selected],
            ),
            "reconstruction": self.config.weight_reconstruction * reconstruction,
            "interest": self.config.weight_interest * interest,
        }

    def draw(self, frame: torch.Size, targets: Tensor, n_items: int) -> HSDDraws:
        """Draw the random numbers of a training step from torch's generator."""
        others = torch.randint(1, max(2, n_items), targets.shape, device=targets.device)
        # Shift by one from the target on: every other item is equally likely.
        negatives = others + (others >= targets) if n_items > 1 else others
        return HSDDraws(gumbel_noise((2, *frame, 2), self.users.weight), negatives)

    def user_vectors(self, backbone: Backbone, inputs: HSDInputs) -> Tensor:
        """Compute ``[B, D]`` vectors of the denoised sequences, for evaluation."""
        output = self.evaluate_gates(inputs)
        if self.config.eval_gate == "argmax":
            keep = self.gates.decide(output).to(inputs.embedded.dtype)
            return self._project_survivors(backbone, inputs, keep)
        drawn = [
            self._project_survivors(backbone, inputs, self._sample_seeded(inputs, output, number))
            for number in range(self.config.eval_draws)
        ]
        return torch.stack(drawn).mean(0)

    def evaluate_gates(self, inputs: HSDInputs) -> GateOutput:
        """Compute the gates with the user's vector as query, as in evaluation."""
        query = self.users(inputs.users)
        output: GateOutput = self.gates(inputs.embedded, inputs.valid, query, inputs.read)
        return output

    def denoise(self, inputs: HSDInputs) -> Denoised:
        """Return deterministic decisions and drop probabilities of original positions."""
        output = self.evaluate_gates(inputs)
        return Denoised(self.gates.decide(output), output.score())

    def diagnostics(self) -> dict[str, float | int | str]:
        """Return mean votes of the gates in the training epoch of the current weights."""
        return {**self.statistics.means(), "temperature": float(self.schedules.tau)}

    def pad_frame(self, embedded: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Extend a frame to ``max_positions`` with the trained padding vector, if any.

        The vector learns as a row of the softmax and not from here, as the padding row of a torch
        embedding does.

        Parameters
        ----------
        embedded
            ``[B, L, D]``.
        valid
            bool ``[B, L]``.

        Returns
        -------
        tuple of Tensor
            Both, extended, or unchanged if padding is masked.
        """
        if self.pad is None:
            return embedded, valid
        missing = self.max_positions - valid.shape[1]
        valid = functional.pad(valid, (0, missing))
        embedded = functional.pad(embedded, (0, 0, 0, missing))
        return embedded.where(valid[..., None], self.pad.detach()), valid

    def _training_query(self, inputs: HSDInputs, embeddings: Tensor, targets: Tensor) -> Tensor:
        by_user = self.config.train_query == "user"
        query: Tensor = (
            self.users(inputs.users) if by_user else functional.embedding(targets - 1, embeddings)
        )
        return query

    def _project_survivors(self, backbone: Backbone, inputs: HSDInputs, keep: Tensor) -> Tensor:
        """Pack the kept interactions, with the gates' gradient, and encode them."""
        # A frame with inserted items may be longer than the backbone allows.
        most = backbone.sizes.max_length
        packing = pack(keep_last(keep.detach() > 0, most), most)
        # The gate's gradient enters where an item was kept, and only there.
        x = packing.gather(inputs.embedded * keep[..., None])
        # A backbone needs at least one position: empty rows read one zero vector.
        valid = functional.pad(packing.valid[:, 1:], (1, 0), value=True)
        states = backbone.encode_last(x, valid, inputs.users)
        if self.pad is not None:
            states = _of_empty_rows(backbone, inputs.users, ~packing.valid[:, 0], states)
        return backbone.project(states)

    def _next_item(
        self, loss: NextItemLoss, vectors: Tensor, table: Tensor, targets: Tensor
    ) -> Tensor:
        if self.pad is None:
            return loss(vectors, table, targets)
        # The official softmax has the padding row as one more class, whose output bias is zero.
        pad = functional.pad(self.pad[None], (0, table.shape[1] - len(self.pad)))
        return loss(vectors, torch.cat([pad, table]), targets + 1)

    def _interest(self, inputs: HSDInputs, negative: Tensor) -> Tensor:
        counted = inputs.valid if inputs.original is None else inputs.original
        losses = interest_losses(inputs.embedded, counted, self.users(inputs.users), negative)
        kept = truncate_largest(
            losses,
            counted,
            self.schedules.truncation,
            inputs.lengths,
            wipe_short_rows=self.config.wipe_short_rows,
        )
        rows = kept.sum(1)
        if self.config.interest_reduction == "mean":
            rows = rows / counted.sum(1).clamp_min(1)
        return rows.mean()

    def _sample_seeded(self, inputs: HSDInputs, output: GateOutput, number: int) -> Tensor:
        """Sample with noise that depends only on seed, user, position and number of the draw."""
        device = inputs.users.device
        gate, position, side = torch.meshgrid(
            torch.arange(2, device=device),
            torch.arange(inputs.valid.shape[1], device=device),
            torch.arange(2, device=device),
            indexing="ij",
        )
        keys = (gate[:, None], inputs.users[None, :, None, None], position[:, None], side[:, None])
        noise = gumbel(self.seed, *keys, torch.full((), number, device=device))
        return self.gates.sample(output, self.schedules.tau, noise)


def _of_empty_rows(backbone: Backbone, users: Tensor, empty: Tensor, states: Tensor) -> Tensor:
    """Replace the states of empty rows by those of sequences without any item."""
    if is_static(states.device):
        return backbone.encode_empty(users).where(empty[:, None], states)
    rows = torch.nonzero(empty).squeeze(1)
    if not len(rows):
        return states
    return states.index_copy(0, rows, backbone.encode_empty(users[rows]))
