"""Training: the loop, learning-rate schedules and checkpoints."""

from neurosim.training.checkpoint import load_checkpoint, save_checkpoint
from neurosim.training.loop import EpochRecord, Trainer, TrainingPlan
from neurosim.training.optimizers import Optimizer
from neurosim.training.phases import Phase
from neurosim.training.schedules import Schedule

__all__ = ["EpochRecord", "Optimizer", "Phase", "Schedule", "Trainer", "TrainingPlan", "load_checkpoint", "save_checkpoint"]
