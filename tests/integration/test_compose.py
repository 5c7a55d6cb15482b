"""docker-compose.yml: valid by the compose specification's schema, nothing published by mistake, no secret with a default.

The schema is the one in Debian's package docker-compose.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "docker-compose.yml"
SCHEMA = Path("/usr/lib/python3/dist-packages/compose/config/compose_spec.json")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The file."""
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def test_schema(compose: dict[str, Any]) -> None:
    """As the specification says."""
    jsonschema.Draft7Validator(json.loads(SCHEMA.read_text(encoding="utf-8"))).validate(compose)


def test_docker_compose_accepts_it() -> None:
    """The program resolves it without a complaint; this needs no Docker daemon."""
    done = subprocess.run(["docker-compose", "--file", str(FILE), "config", "--quiet"], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stderr == ""


def test_published_ports(compose: dict[str, Any]) -> None:
    """The devices' TLS port, and Grafana on this machine only."""
    published = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert published == {"broker": ["8883:8883"], "grafana": ["127.0.0.1:3000:3000"]}


def test_no_secret_in_the_file(compose: dict[str, Any]) -> None:
    """Secrets are named by files, never by values."""
    for name, service in compose["services"].items():
        for variable, value in service.get("environment", {}).items():
            if re.search("password|secret|token", variable, re.IGNORECASE):
                assert variable.endswith("__FILE") and value.startswith("/run/vedette/"), f"{name} has {variable}"


def test_services_are_confined(compose: dict[str, Any]) -> None:
    """No rights, no writing outside the volumes, and no account but init's is root."""
    for name, service in compose["services"].items():
        assert service["cap_drop"] == ["ALL"] and service["read_only"] is True, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert name == "init" or "cap_add" not in service, name


def test_volumes_are_declared_and_used(compose: dict[str, Any]) -> None:
    """No volume is missing and none is left over."""
    used = {mount.split(":")[0] for service in compose["services"].values() for mount in service.get("volumes", [])}
    assert {name for name in used if not name.startswith(".")} == set(compose["volumes"])
    assert all((ROOT / name).exists() for name in used if name.startswith("."))


def test_targets_are_in_the_dockerfile(compose: dict[str, Any]) -> None:
    """Every stage that is asked for exists, and ends as an unprivileged account (init has to give files away)."""
    text = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    stages = dict(re.findall(r"^FROM \S+ AS (\S+)\n(.*?)(?=^FROM |\Z)", text, re.MULTILINE | re.DOTALL))
    for service in compose["services"].values():
        if "build" in service:
            stage = stages[service["build"]["target"]]
            assert service["build"]["target"] == "init" or re.search(r"^USER \d+:\d+$", stage, re.MULTILINE)
