"""A bidirectional LSTM that never sees padding."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class BiLSTM(nn.Module):
    """One layer, one state width for both directions; the backward one starts at the row's end.

    Parameters
    ----------
    input_size, hidden_size
        Width of the input, and of each direction's state.
    bias
        Whether the gates have biases.
    """

    def __init__(self, input_size: int, hidden_size: int, *, bias: bool = True) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.lstm = nn.LSTM(
            input_size, hidden_size, bias=bias, batch_first=True, bidirectional=True
        )

    def forward(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Read each row's real positions in both directions.

        Parameters
        ----------
        x
            ``[B, L, input_size]``.
        valid
            bool ``[B, L]``, a prefix of each row.

        Returns
        -------
        tuple of Tensor
            Forward and backward states ``[B, L, hidden_size]``, zero at padding. What stands
            at padding, and how much padding there is, changes nothing.
        """
        lengths = valid.sum(1)
        # A row without real positions reads one padding slot, whose states are zeroed.
        packed = pack_padded_sequence(
            x, lengths.clamp_min(1).cpu(), batch_first=True, enforce_sorted=False
        )
        states, _ = pad_packed_sequence(
            self.lstm(packed)[0], batch_first=True, total_length=x.shape[1]
        )
        forward, backward = (states * valid[..., None]).chunk(2, -1)
        return forward, backward

    def over_padding(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Read whole rows ``[B, L, input_size]``, padding and all, as unpacked code does."""
        forward, backward = self.lstm(x)[0].chunk(2, -1)
        return forward, backward
