"""Output of the policy tools: tables for people, JSON for machines, JUnit for build servers."""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from rich.text import Text

from moderation.documents.mistakes import count, render
from moderation.policy import Examination
from moderation.policy.compile.effective import EffectivePolicy
from moderation.policy.tools.cases import PolicyResult
from moderation.policy.tools.explain import Explanation
from moderation.policy.tools.unscored import PolicyWarning
from stream.cli.terminal import console, make_table, print_json, print_line, print_notice, verdict_text

# -- check --------------------------------------------------------------------------------------


def print_check(found: Examination, warnings: Sequence[PolicyWarning], *, as_json: bool) -> None:
    """Mistakes first, then warnings; counts on standard error where there are mistakes."""
    if as_json:
        mistakes = [mistake.as_json() for mistake in found.mistakes]
        print_json({"files": list(found.files), "mistakes": mistakes, "warnings": [w.as_json() for w in warnings]})
        return
    if found.mistakes:
        print_line(render(found.mistakes))
    for warning in warnings:
        print_line(f"{warning.render()}\n")
    warned = f", {count(len(warnings), 'warning')}" if warnings else ""
    if files := len({mistake.file for mistake in found.mistakes}):
        print_notice(f"{count(len(found.mistakes), 'mistake')} in {count(files, 'file')}{warned}")
    else:
        print_line(f"{count(len(found.files), 'file')}, no mistakes{warned}")


# -- test ---------------------------------------------------------------------------------------


def print_results(results: Sequence[PolicyResult]) -> None:
    """Every failed case with its expectation, and the coverage of each policy's rules."""
    out = console()
    for result in results:
        failed = [case for case in result.results if not case.passed]
        out.print(Text(f"{result.policy}  ({result.cases_file})", style="bold"))
        for mistake in result.mistakes:
            out.print(Text(mistake.render(), style="red"))
        for case in failed:
            out.print(Text(f"  FAILED {case.file}:{case.line}: {case.name}", style="red"))
            for problem in case.problems:
                out.print(Text(f"    {problem}"))
        out.print(Text(f"  {len(result.results) - len(failed)} of {len(result.results)} cases passed"))
        covered = len(result.rules) - len(result.uncovered)
        out.print(Text(f"  {covered} of {len(result.rules)} rules fired ({result.coverage:.0%})"))
        for rule in result.uncovered:
            out.print(Text(f"    never fired: {rule}", style="dim"))


def write_junit(results: Sequence[PolicyResult], path: Path) -> None:
    """The results in the format of build servers."""
    root = ElementTree.Element("testsuites")
    for result in results:
        failures = sum(not case.passed for case in result.results) + bool(result.mistakes)
        count = len(result.results) + bool(result.mistakes)
        suite = ElementTree.SubElement(root, "testsuite", name=result.policy, tests=str(count), failures=str(failures))
        for mistake in result.mistakes[:1]:
            text = "\n".join(m.render() for m in result.mistakes)
            _failure(ElementTree.SubElement(suite, "testcase", name="the cases can be read", file=mistake.file), text)
        for case in result.results:
            element = ElementTree.SubElement(suite, "testcase", name=case.name, file=case.file, line=str(case.line))
            if not case.passed:
                _failure(element, "\n".join(case.problems))
    path.write_text(ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n", "utf-8")


def _failure(element: ElementTree.Element, text: str) -> None:
    ElementTree.SubElement(element, "failure", message=text.splitlines()[0]).text = text


# -- explain ------------------------------------------------------------------------------------


def print_explanation(explanation: Explanation) -> None:
    out, decision = console(), explanation.decision
    line = Text(f"{explanation.event.event_id} → {explanation.policy.key}: ")
    out.print(line + verdict_text(decision.verdict.value) + Text(" (audit sample)" if decision.audit_sample else ""))
    numbers = ("score", "threshold", "margin")
    table = make_table("", "", "rule", "says", *numbers, "detail", "written in", numbers=numbers)
    for row in explanation.rows:
        table.add_row(
            "●" if row.fired else "",
            row.rule,
            verdict_text(row.verdict.value if row.verdict else None),
            _number(row.score),
            "never" if row.threshold == float("inf") else _number(row.threshold),
            "" if row.margin in {None, float("-inf")} else f"{row.margin:+.3f}",
            row.detail or "",
            row.origin or "",
        )
    out.print(table)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


# -- effective ----------------------------------------------------------------------------------


def print_effective(policy: EffectivePolicy) -> None:
    out = console()
    out.print(Text(f"{policy.key}, version {policy.version}, hash {policy.hash}", style="bold"))
    table = make_table("", "path", "value", "written in")
    for path, value, origin in policy.printable():
        table.add_row(path, value, origin)
    out.print(table)
