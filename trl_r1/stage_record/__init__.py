"""`stage.json`: what a finished stage leaves behind, and all that reports ever read.

The file is written last and atomically, so a folder that has one is whole. `schema` says what it holds, `files` reads
and writes it, `typed_reading` and `consistency` refuse one that is damaged, `describe` finds out what goes in.
"""

from trl_r1.stage_record.describe import (
    DATA_SUFFIXES,
    LINEAGE_NAME,
    MERGED_NAME,
    PUBLISHED_NAME,
    RECORDED_PACKAGES,
    collect_hardware,
    collect_versions,
    describe_artefacts,
    describe_data_card,
    describe_data_files,
    describe_parent,
    finish_time,
    hash_model,
    stage_folder,
)
from trl_r1.stage_record.files import (
    check_plausible,
    has_stage_record,
    read_json_record,
    read_record_content,
    read_stage_record,
    write_json,
    write_stage_record,
)
from trl_r1.stage_record.hashing import hash_file, hash_json, hash_weights, is_weight_file, plain_json, weight_files
from trl_r1.stage_record.hub_cache import is_language
from trl_r1.stage_record.plausibility import read_moment
from trl_r1.stage_record.schema import (
    RECORD_NAME,
    SCHEMA_VERSION,
    Artefact,
    ContaminationCheck,
    DataSource,
    Measurement,
    Parent,
    RewardUse,
    StageRecord,
)


__all__ = [
    "DATA_SUFFIXES",
    "LINEAGE_NAME",
    "MERGED_NAME",
    "PUBLISHED_NAME",
    "RECORDED_PACKAGES",
    "RECORD_NAME",
    "SCHEMA_VERSION",
    "Artefact",
    "ContaminationCheck",
    "DataSource",
    "Measurement",
    "Parent",
    "RewardUse",
    "StageRecord",
    "check_plausible",
    "collect_hardware",
    "collect_versions",
    "describe_artefacts",
    "describe_data_card",
    "describe_data_files",
    "describe_parent",
    "finish_time",
    "has_stage_record",
    "hash_file",
    "hash_json",
    "hash_model",
    "hash_weights",
    "is_language",
    "is_weight_file",
    "plain_json",
    "read_json_record",
    "read_moment",
    "read_record_content",
    "read_stage_record",
    "stage_folder",
    "weight_files",
    "write_json",
    "write_stage_record",
]
