"""The field's common schemas of data, and the explicit mapping by which each becomes what a stage reads."""

from trl_r1.data.schemas.detection import SCHEMAS, detect_schema
from trl_r1.data.schemas.forms import Form, Purpose, Schema
from trl_r1.data.schemas.reading import read_as


__all__ = ["SCHEMAS", "Form", "Purpose", "Schema", "detect_schema", "read_as"]
