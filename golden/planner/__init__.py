"""The planner: increments and thresholds of an opportunistic run, chosen on images held out of the training set."""

from golden.planner.plan import Request, plan

__all__ = ["Request", "plan"]
