"""A new client's files, written only once they are known to pass."""

import tempfile
from datetime import datetime
from pathlib import Path

from moderation.documents.mistakes import PolicyMistakes
from moderation.errors import ConfigurationError
from moderation.labels import LabelCatalogue
from moderation.policy.engine.policy_set import PolicySet
from moderation.policy.tools.case_file import cases_path
from moderation.policy.tools.cases import run_cases
from moderation.policy.tools.overlay import examine_overlaid
from moderation.policy.tools.scaffold import Answers, policy_text
from moderation.policy.tools.scaffold_cases import cases_text


def start(answers: Answers, folder: Path, now: datetime) -> tuple[Path, Path]:
    """Write a policy and its cases into a folder; nothing is written unless both pass among the others there.

    Raises PolicyMistakes, or ConfigurationError where a file is in the way or a case does not hold.
    """
    policy = folder / f"{_file_name(answers.client)}.yaml"
    for path in (policy, cases_path(policy)):
        if path.exists():
            raise ConfigurationError(f"{path} exists already; edit it, or remove it first")
    text = policy_text(answers)
    cases = _proven_cases(policy.name, text, folder, now, answers.labels)
    folder.mkdir(parents=True, exist_ok=True)
    policy.write_text(text, "utf-8")
    cases_path(policy).write_text(cases, "utf-8")
    return policy, cases_path(policy)


def _file_name(client: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in client.lower()).strip(".")


def _proven_cases(name: str, text: str, folder: Path, now: datetime, labels: LabelCatalogue) -> str:
    """The cases of a policy, after it was checked and they were run among the others of the folder."""
    with tempfile.TemporaryDirectory() as draft:
        path = Path(draft) / name
        path.write_text(text, "utf-8")
        found = examine_overlaid(path, folder, labels)
        if found.mistakes:
            raise PolicyMistakes(found.mistakes)
        made = next(policy for policy in found.policies if Path(policy.file).name == name)
        cases = cases_text(made, now)
        cases_path(path).write_text(cases, "utf-8")
        result = run_cases(PolicySet(found.policies), made, now, cases_path(path))
    if not result.passed:
        problems = [f"{case.name}: {'; '.join(case.problems)}" for case in result.results if case.problems]
        why = "\n".join([*problems, *(mistake.render() for mistake in result.mistakes)])
        raise ConfigurationError(f"what it inherits decides otherwise than its thresholds say; write it by hand\n{why}")
    return cases
