"""One network's part of the paper's results: its increments and runs, beside Big/Little and the budget runs."""

from commands.evaluation.big_little import big_little
from commands.evaluation.budget import budget_runs
from commands.evaluation.network import Evaluation
from commands.evaluation.setup import digest, percent
from golden import golden_models
from synth.paper import schema


def result(of: Evaluation) -> schema.Network:
    """All of it, Big/Little where golden models lie beside the checkpoint."""
    increments = of.increments()
    golden = of.trained.golden_accuracy
    opportunistic, storage = of.opportunistic(increments[-1]), of.storage()
    models = golden_models.beside(of.case.checkpoint)
    return schema.Network(
        title=of.case.title,
        origin=of.setup.origin,
        dataset=of.trained.dataset,
        dataset_note=of.case.note,
        checkpoint=str(of.case.checkpoint),
        checkpoint_sha256=digest(of.case.checkpoint),
        block_causal=of.trained.block_causal,
        shared_classifier=of.trained.weights.shared_classifier,
        test_images=len(of.test),
        increments=increments,
        golden_accuracy=None if golden is None else golden[-1],
        full_drop_to_golden_points=None if golden is None else percent(golden[-1] - increments[-1].accuracy),
        opportunistic=opportunistic,
        storage=storage,
        extra_storage_percent=percent(storage.increments_bytes / storage.full_bytes - 1),
        big_little=big_little(of, golden_models.load(models)) if models.is_file() else None,
        budget=budget_runs(of, of.alone),
    )
