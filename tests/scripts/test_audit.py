"""scripts/audit: what is installed is held against known holes, or it is said that it was not."""

import os
import subprocess
import sys
from pathlib import Path

AUDIT = Path(__file__).resolve().parents[2] / "scripts" / "audit"


def test_without_a_database_it_is_left_out_and_said():
    """Where nothing answers, nothing fails, and nobody takes it for an audit that found nothing."""
    nobody = {"https_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    call = [sys.executable, str(AUDIT)]
    result = subprocess.run(call, env={**os.environ, **nobody}, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "pip-audit was left out: no database of known holes can be had" in result.stdout
