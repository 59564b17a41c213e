"""Names of cloud resources: different for different stacks, and valid for all services."""

from __future__ import annotations

import dataclasses
import re

import pytest
from harness.project import fresh
from harness.settings import load
from hypothesis import assume, example, given
from hypothesis import strategies as st

from devai_tasks.config import naming
from devai_tasks.config.schema import Settings
from devai_tasks.config.stack import STACK_NAME, Stack

Identity = tuple[str, str, str, str, str, str]
"""Identity and name of the project, cloud, environment, account, region."""

LONG = "a-very-long-name-of-a-labora"
WORDS = st.sampled_from(["lab", "lab-ml", "ml", "ml-dev", "dev", "aws", "aws-us", LONG, f"{LONG}to"])
NAMES = WORDS | st.from_regex(STACK_NAME, fullmatch=True)
PROJECTS = WORDS | st.from_regex(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?", fullmatch=True)
IDENTITIES = st.tuples(
    st.sampled_from(["", "abcdefghijkl", "abcdefghijkm"]),
    PROJECTS,
    NAMES,
    NAMES,
    st.sampled_from(["123456789012", "210987654321"]),
    st.sampled_from(["eu-central-1", "us-east-1"]),
)


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A stack of the shipped configuration."""
    project = fresh(tmp_path_factory.mktemp("names") / "lab")
    return load(project, Stack("dev", "aws"), environ={})


def settings_of(shipped: Settings, identity: Identity) -> Settings:
    """Return settings that differ from the shipped ones only in the stack's identity."""
    project_id, project, cloud, environment, account, region = identity
    return dataclasses.replace(
        shipped,
        stack=Stack(environment, cloud),
        project=dataclasses.replace(shipped.project, name=project, id=project_id),
        terraform=dataclasses.replace(shipped.terraform, account=account, region=region),
    )


def stack(project: str = "lab", cloud: str = "aws", environment: str = "dev", region: str = "eu-central-1") -> Identity:
    """Return an identity with defaults for the values that a test does not set."""
    return ("", project, cloud, environment, "123456789012", region)


def location(settings: Settings) -> tuple[str, str]:
    """Return the state's key in its store, and the project ID, which the state's record contains."""
    return naming.state(settings), settings.project.id


@given(left=IDENTITIES, right=IDENTITIES)
@example(left=stack("lab", environment="ml-dev"), right=stack("lab-ml", environment="dev"))
@example(left=stack(cloud="aws"), right=stack(cloud="aws-us"))
@example(left=stack(region="eu-central-1"), right=stack(region="us-east-1"))
@example(left=stack(LONG, environment="dev-eins"), right=stack(LONG, environment="dev-zwei"))
def test_different_stacks_have_different_names(shipped: Settings, left: Identity, right: Identity) -> None:
    assume(left != right)
    for name_of in (naming.name, naming.unique, location):
        names = [name_of(settings_of(shipped, identity)) for identity in (left, right)]
        assert names[0] != names[1]


@given(identity=IDENTITIES)
def test_names_meet_limits_of_all_services(shipped: Settings, identity: Identity) -> None:
    settings = settings_of(shipped, identity)
    assert re.fullmatch(r"[a-z][a-z0-9-]{1,23}", naming.name(settings))
    assert not naming.name(settings).endswith("-")
    assert re.fullmatch(r"[a-z][a-z0-9]{2,23}", naming.unique(settings))


@given(identity=IDENTITIES)
def test_deployed_stack_keeps_its_names(shipped: Settings, identity: Identity) -> None:
    settings = settings_of(shipped, identity)
    deployed = dataclasses.replace(settings.terraform.deployed, name="devai-dev", unique="devaidev0123abcd")
    settings = dataclasses.replace(settings, terraform=dataclasses.replace(settings.terraform, deployed=deployed))
    assert (naming.name(settings), naming.unique(settings)) == ("devai-dev", "devaidev0123abcd")
