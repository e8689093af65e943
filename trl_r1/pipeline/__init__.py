"""Run the stages of a recipe in the order of their needs: skip what is done, resume what broke."""

from trl_r1.pipeline.graph import Pipeline, Stage
from trl_r1.pipeline.loading import load_pipeline
from trl_r1.pipeline.runner import run_pipeline


__all__ = ["Pipeline", "Stage", "load_pipeline", "run_pipeline"]
