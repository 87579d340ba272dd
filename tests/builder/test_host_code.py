"""The project's own code, taken from its repository at a revision."""

import pytest
from builder_machine import copy_project, keystone_of
from repository_server import SOURCES
from variations import make_history, page_of

pytestmark = pytest.mark.needs("hg", "git")


def make_project(kind, path):
    """A repository of the project: the first revision calls itself 9.9.9, the tip cannot be run."""
    source = SOURCES[kind](path)
    copy_project(source.path)
    delivery = source.path / "_utils/vmimage/delivery.py"
    own = delivery.read_text(encoding="utf-8")
    delivery.write_text(own.replace('VERSION = "0.1.0"', 'VERSION = "9.9.9"'), encoding="utf-8")
    assert delivery.read_text(encoding="utf-8") != own
    source.nodes = {"first": source.commit_all("another version")}
    source.write({"_utils/vmimage/build/pipeline.py": "this is no Python\n"})
    source.commit_all("broken")
    return source


@pytest.mark.parametrize("kind", ["hg", "git"])
def test_a_builder_runs_the_code_of_the_revision_that_was_asked_and_off_again_that_which_it_came_with(
    kind, builder, repositories, tmp_path
):
    project = make_project(kind, repositories.top / f"project-{tmp_path.name}")
    variation = make_history("git", repositories.top / tmp_path.name)
    settings = {"ami.name": "web", "ami.update": False, "ami.git_address_variation": repositories.address(variation)}
    settings["ami.git_rev_variation"] = asked = variation.shown(variation.nodes["second"])
    revision = project.shown(project.nodes["first"])
    ended = builder.run(settings | {f"ami.{kind}_address": repositories.address(project), f"ami.{kind}_rev": revision})
    assert ended.code == 0, ended
    assert builder.manifest("web")["versions"]["salt-ami-cloud-builder"] == "9.9.9"
    assert builder.manifest("web")["variation"]["revision"] == asked and page_of(builder.output / "web.img") == "second green"
    assert f"code: {repositories.address(project)} at {revision}" in ended.lines

    if kind == "hg":
        ended = builder.run(settings)
        assert ended.code == 0, ended
        assert builder.manifest("web")["versions"]["salt-ami-cloud-builder"] == "0.1.0"


def test_what_is_not_this_project_is_refused(builder, repositories, tmp_path, emptied):
    other = make_history("hg", repositories.top / tmp_path.name)
    ended = builder.run({"ami.hg_address": repositories.address(other), **keystone_of(emptied)})
    assert ended.code == 1 and "is not this project" in str(ended), ended
