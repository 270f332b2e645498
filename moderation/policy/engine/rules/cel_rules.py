"""The client's own rules, written in CEL."""

from collections.abc import Iterable, Iterator

from moderation.events import Reason, Verdict
from moderation.policy.compile.effective import EffectivePolicy
from moderation.policy.engine.facts import Facts
from moderation.policy.engine.rules.kind import Allowance, RuleKind, RuleRow, find_origin
from moderation.policy.language.expressions import ExpressionError


class CelRules(RuleKind):
    """Rules by name. An expression may read anything, so every event of such a policy is judged."""

    prefixes = ("rules", "on_error.rules")

    def is_in_force(self, policy: EffectivePolicy) -> bool:
        return bool(policy.expressions)

    def list_rules(self, policy: EffectivePolicy) -> Iterable[str]:
        return (f"rules.{name}" for name in policy.settings.rules)

    def fire(self, policy: EffectivePolicy, facts: Facts) -> Iterator[Reason]:
        for name, expression in policy.expressions.items():
            if expression.reads_scores and not facts.examined:
                continue
            try:
                fires = expression.fires(facts.expression_context)
            except ExpressionError as error:
                yield _report_error(policy, name, error)
                continue
            if fires:
                rule = policy.settings.rules[name]
                yield Reason(rule=f"rules.{name}", verdict=rule.verdict, detail=rule.detail or rule.when)

    def describe(self, policy: EffectivePolicy, facts: Facts) -> Iterator[RuleRow]:
        for name, rule in policy.settings.rules.items():
            unasked = policy.expressions[name].reads_scores and not facts.examined
            detail = "not asked: no scores" if unasked else rule.when
            path = f"rules.{name}"
            yield RuleRow(path, rule.verdict, detail=detail, origin=find_origin(policy, path))

    def grant(self, reason: Reason) -> Allowance | None:  # noqa: ARG002
        return Allowance.TRUST


def _report_error(policy: EffectivePolicy, name: str, error: ExpressionError) -> Reason:
    """A rule that erred never allows, whatever `on_error` says."""
    answer = Verdict.BLOCK if policy.settings.on_error is Verdict.BLOCK else Verdict.REVIEW
    return Reason(rule=f"on_error.rules.{name}", verdict=answer, detail=f"the expression erred: {error}")
