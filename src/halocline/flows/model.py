"""What every part of `halocline.yaml` is: a value that is checked when it is read, and knows no other names than its own."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A mapping of the file. Texts are no numbers here, and numbers are no texts: YAML has told them apart already."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True, hide_input_in_errors=True)
