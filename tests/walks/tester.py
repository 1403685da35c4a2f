"""Somebody who only wants the emulator in their pytest: the first test against an org that misbehaves."""

from __future__ import annotations

from tests.walks.walk import Look, Part, Walk, main

_REPORT = """
import subprocess, sys
done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-rA", "test_leads.py"], capture_output=True, text=True)
print(sorted(line.split("::")[1] for line in done.stdout.splitlines() if line.startswith("PASSED")))
"""
_TESTS = "['test_a_busy_org_gets_a_lead_once', 'test_a_lead_arrives', 'test_a_rule_of_the_org_is_told']"

WALK = Walk("Tester", [Part("emulator-in-pytest", "python -m pytest -q", Look(_REPORT, (_TESTS,)))])

if __name__ == "__main__":
    main(WALK)
