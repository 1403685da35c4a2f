"""Laws of the page on the emulator: its samples do what stands beside them. The pytest sample is run with the plugin's tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from halocline.emulator.errors import ApiError
from halocline.emulator.server import Emulator, EmulatorConfig

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "emulator.md").read_text()


def test_the_object_written_by_hand_has_its_rules(tmp_path: Path) -> None:
    """The YAML sample loads; its validation rule and its duplicate rule refuse."""
    sample = re.search(r"```yaml\n(object: .*?)```", PAGE, re.DOTALL)
    assert sample is not None
    (tmp_path / "order.yaml").write_text(sample[1])
    with Emulator(EmulatorConfig(schemas=(tmp_path / "order.yaml",))) as emulator:
        emulator.create("Order__c", {"Number__c": "1", "Amount__c": 1})
        with pytest.raises(ApiError, match="The amount is negative"):
            emulator.create("Order__c", {"Number__c": "2", "Amount__c": -1})
        with pytest.raises(ApiError, match="DUPLICATES_DETECTED"):
            emulator.create("Order__c", {"Number__c": "1"})


def test_the_python_sample_runs() -> None:
    """The first Python block runs as it is printed."""
    sample = re.search(r"```python\n(from halocline\.emulator.*?)```", PAGE, re.DOTALL)
    assert sample is not None
    exec(sample[1], {})


def test_the_faults_on_the_page_are_rules() -> None:
    """Every rule in a sample command is accepted."""
    rules = re.findall(r"--fault '([^']+)'", PAGE)
    assert rules
    emulator = Emulator()
    try:
        for rule in rules:
            emulator.faults.add_text(rule)
        assert len(list(emulator.faults)) == len(rules)
    finally:
        emulator.stop()
