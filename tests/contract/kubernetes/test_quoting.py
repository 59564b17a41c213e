"""Texts of the configuration are quoted in manifests so that kubectl reads the same texts."""

from __future__ import annotations

import json
import random

import yaml
from harness.manifests import Variant, build

from devai_tasks.config.project import Project
from devai_tasks.targets.kubernetes import objects


def test_variables_reach_config_map_unchanged(lab: Project) -> None:
    texts = {"PRICE": "5$(X) & up", "QUOTED": "'\"", "LINES": "a\\nb", "NUMBER": "0123", "YES": "yes", "EDGE": " x "}
    overrides = tuple(
        f"env.{name}={yaml.safe_dump(text, default_style=chr(39)).strip()}" for name, text in texts.items()
    )
    stack = build(lab, Variant("local", "dev", overrides=overrides))
    (settings,) = (item for item in stack.of("ConfigMap").values() if "JUPYTER_BASE_URL" in item["data"])
    assert {name: settings["data"][name] for name in texts} == texts


def test_labels_are_converted_to_valid_kubernetes_labels(lab: Project) -> None:
    stack = build(lab, Variant("gcp", "dev", overrides=("labels={Team/x_y: 'R & D, Köln'}",)))
    for item in stack.objects:
        assert item["metadata"]["labels"]["team/x_y"] == "R___D__K_ln"


def test_yaml_like_texts_stay_strings(lab: Project) -> None:
    generator = random.Random(0)
    texts = {"".join(generator.choices("0178aefxob_+-.EyYnN:T", k=generator.randint(1, 6))) for _ in range(500)}
    texts |= {"1e3", "0o17", "123456e7", "-_1", ".inf", "on", "null", "~", "2001-1-2T1:2:3", "=", "<<", "", "{"}
    env = {f"A{number}": text for number, text in enumerate(sorted(texts))}
    names = {"n": "y", "o": "0o17"}
    overrides = (f"env={json.dumps(env | {'y': 'n'})}", f"labels={json.dumps(names)}", "project.name=n")
    stack = build(lab, Variant("aws", "dev", True, (*overrides, "kubernetes.gpu_nodes={n: 1e3}"), "texts"))
    (data,) = (item["data"] for item in stack.of("ConfigMap").values() if "JUPYTER_BASE_URL" in item["data"])
    assert env.items() | {("y", "n")} <= data.items()
    assert names.items() <= stack.pods["devai"]["metadata"]["labels"].items()
    assert stack.pods["ollama"]["spec"]["nodeSelector"]["n"] == "1e3"
    # Also if only some objects are applied.
    assert objects.parse(objects.only(stack.text, "ConfigMap")) == list(stack.of("ConfigMap").values())
