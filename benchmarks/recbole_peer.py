"""Train one RecBole model and write what each epoch took and reached, as JSON lines.

This file runs under the Python of an environment that holds ``recbole==1.2.1`` and imports
nothing of this project. RecBole's own trainer, data loaders and evaluator do all the work;
the protocol is set to leave-one-out with full ranking, the loss to cross-entropy.
"""

from __future__ import annotations

import argparse
import functools
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

SIZES: dict[str, dict[str, int]] = {
    "GRU4Rec": {"embedding_size": 64, "hidden_size": 128, "num_layers": 2},
    "SASRec": {"n_layers": 2, "n_heads": 2, "hidden_size": 64, "inner_size": 256},
    "Caser": {"embedding_size": 64},
    "BERT4Rec": {"n_layers": 2, "n_heads": 2, "hidden_size": 64, "inner_size": 256},
}


def main() -> None:
    """Train, early-stopped on validation NDCG@10; test whenever it is better than before."""
    options = parser().parse_args()
    del sys.argv[1:]  # RecBole reads the command line by itself
    import numpy as np
    import torch

    # RecBole 1.2.1 predates torch's refusal to unpickle its own checkpoints, and numpy 2.
    torch.load = functools.partial(torch.load, weights_only=False)
    for name, kind in (("float_", np.float64), ("complex_", np.complex128), ("unicode_", np.str_)):
        setattr(np, name, kind)
    from recbole.config import Config
    from recbole.data import create_dataset, data_preparation
    from recbole.utils import get_model, get_trainer, init_seed

    if options.threads:
        torch.set_num_threads(options.threads)
    settings = _settings(options)
    config = Config(model=options.model, dataset=options.name, config_dict=settings)
    # RecBole reads a copy of its own, and scales its times, where the name is ml-100k.
    config["data_path"], config["normalize_all"] = str(options.data / options.name), None
    init_seed(config["seed"], True)
    train, validation, test = data_preparation(config, create_dataset(config))
    model = get_model(config["model"])(config, train.dataset).to(config["device"])
    if options.quick:
        _quicken(model)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    with options.out.open("w", buffering=1, encoding="utf-8") as stream:

        def emit(**row: Any) -> None:
            stream.write(json.dumps(row) + "\n")

        emit(event="start", model=options.model, targets=len(train.dataset), settings=settings)
        spent, best, best_epoch, tested = 0.0, -1.0, -1, {}
        for epoch in range(options.epochs):
            start = time.perf_counter()
            trainer._train_epoch(train, epoch)  # noqa: SLF001 - one epoch is not public there
            trained = time.perf_counter()
            figures = trainer.evaluate(validation, load_best_model=False)
            ended = time.perf_counter()
            spent += ended - start
            emit(
                event="epoch",
                epoch=epoch,
                training_seconds=trained - start,
                evaluation_seconds=ended - trained,
                wall_seconds=spent,
                validation=dict(figures),
            )
            if figures["ndcg@10"] > best:
                best, best_epoch = figures["ndcg@10"], epoch
                # Tested at once, outside the counted time: a run that is cut off keeps it.
                tested = dict(trainer.evaluate(test, load_best_model=False))
                emit(event="best", epoch=epoch, test=tested)
                if options.ranks:
                    _write_ranks(options.ranks, model, test)
            if epoch - best_epoch >= options.patience:
                break
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        emit(event="end", best_epoch=best_epoch, test=tested, peak_memory_bytes=peak)


def _write_ranks(path: Path, model: Any, test: Any) -> None:
    """Write the rank of each test target among all items, in the form of ``bench import ranks``.

    Items that score like the target come before it, as in the default protocol.
    """
    import torch

    names = test.dataset.id2token
    model.eval()
    with path.open("w", encoding="utf-8") as stream, torch.inference_mode():
        stream.write("user,target,rank\n")
        for interaction, _, row, item in test:
            rows = interaction.to(model.device)
            scores = model.full_sort_predict(rows).view(len(interaction), -1)[:, 1:]
            own = scores[row, item - 1][:, None]
            ranks = (scores >= own).sum(1)
            users = names("user_id", interaction["user_id"])
            for line in zip(users, names("item_id", item), ranks.tolist(), strict=True):
                stream.write("{},{},{}\n".format(*line))


def _quicken(model: Any) -> None:
    """Leave anomaly mode, and compute the same sums by cheaper calls.

    One side of the kernels of Caser's convolutions is as long as the input's, so that they slide
    one way only. BERT4Rec's loss leaves out the places that stand for no hidden item, most of all
    in short histories, instead of multiplying them by zero.
    """
    import torch
    from torch.nn import functional

    # RecBole's package of sequential models turns it on for all of them (in sine.py).
    torch.autograd.set_detect_anomaly(False)

    def horizontal(kernel: Any, x: Any) -> Any:
        along, weight = x.squeeze(1).transpose(1, 2), kernel.weight.squeeze(1).transpose(1, 2)
        return functional.conv1d(along, weight, kernel.bias).unsqueeze(3)

    def vertical(kernel: Any, x: Any) -> Any:
        return (kernel.weight[:, 0, :, 0] @ x.squeeze(1) + kernel.bias[:, None]).unsqueeze(2)

    def loss(rows: Any) -> Any:
        hidden = rows[model.MASK_INDEX]
        row, place = (hidden > 0).nonzero(as_tuple=True)
        states = model(rows[model.MASK_ITEM_SEQ])[row, hidden[row, place]]
        scores = states @ model.item_embedding.weight[: model.n_items].T + model.output_bias
        return functional.cross_entropy(scores, rows[model.POS_ITEMS][row, place])

    if hasattr(model, "MASK_INDEX"):
        model.calculate_loss = loss
    if hasattr(model, "conv_h"):
        for kernel in model.conv_h:
            kernel.forward = functools.partial(horizontal, kernel)
        model.conv_v.forward = functools.partial(vertical, model.conv_v)


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=sorted(SIZES), required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder of NAME/NAME.inter")
    parser.add_argument("--name", required=True)
    parser.add_argument("--max-length", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--patience", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seed", type=int, default=2020, help="RecBole's own default")
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="without anomaly mode, in cheaper calls: equal up to rounding, not RecBole's times",
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--ranks", type=Path, help="CSV of the best epoch's test ranks")
    return parser


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "data_path": str(options.data),
        "checkpoint_dir": str(options.data / "saved"),
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "MAX_ITEM_LIST_LENGTH": options.max_length,
        "loss_type": "CE",
        "train_neg_sample_args": None,
        "train_batch_size": options.batch,
        "eval_batch_size": 4096,
        "learning_rate": 1e-3,
        "metrics": ["Hit", "NDCG"],
        "topk": [5, 10, 20],
        "valid_metric": "NDCG@10",
        "eval_args": {
            "split": {"LS": "valid_and_test"},
            "order": "TO",
            "mode": "full",
            "group_by": "user",
        },
        "seed": options.seed,
        "show_progress": False,
        "state": "WARNING",
        "use_gpu": options.gpu,
        "metric_decimal_place": 6,
        **SIZES[options.model],
    }


if __name__ == "__main__":
    main()
