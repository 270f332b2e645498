"""Every command and every option of `adjudicate policy` is documented."""

from pathlib import Path

import pytest
from typer.main import get_group

from moderation.policy.tools.case_file import read_cases
from stream.cli.policy import policy
from tests.catalogue import CATALOGUE

PAGE = (Path(__file__).parents[2] / "docs/policy-tools.md").read_text("utf-8")
COMMANDS = get_group(policy).commands


def section(command: str) -> str:
    return PAGE.partition(f"\n## {command}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_a_command_has_a_section_with_its_call(command: str) -> None:
    assert f"adjudicate policy {command}" in section(command)
    assert f"| `{command}` |" in PAGE


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_option_is_on_the_page(command: str) -> None:
    general = PAGE.partition("\n## ")[0]
    for parameter in COMMANDS[command].params:
        for name in parameter.opts:
            if name.startswith("--") and name != "--help":
                assert name in section(command) + general, f"{command} {name}"


def test_the_example_cases_of_the_page_are_cases(tmp_path: Path) -> None:
    example = section("test").partition("```yaml\n")[2].partition("```")[0]
    path = tmp_path / "acme.cases.yaml"
    path.write_text(example, "utf-8")
    source, cases = read_cases(path, CATALOGUE)
    assert source.mistakes == []
    assert cases
    assert len(cases.cases) == 3
