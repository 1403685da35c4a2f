"""See `halocline.SQSQueue`."""

from __future__ import annotations

from halocline import SQSQueue

__all__ = ["SQSQueue"]
