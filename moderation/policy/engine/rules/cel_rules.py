"""Rules that a client writes in CEL."""

from collections.abc import Iterable, Iterator

from moderation.events import Reason, Verdict
from moderation.policy.compile.effective import EffectivePolicy
from moderation.policy.engine.facts import Facts
from moderation.policy.engine.rules.doubts import give_doubt
from moderation.policy.engine.rules.kind import Allowance, Group, RuleKind, RuleRow, find_origin
from moderation.policy.language.expressions import Expression, ExpressionError
from moderation.policy.language.schema import Rule


class CelRules(RuleKind):
    """Rules by name. An expression may read anything, so every event of such a policy is judged."""

    prefixes = ("rules", "on_error.rules", "incomparable")

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
                if unreadable := expression.reads(facts.unreadable):
                    yield from _fire_partly(policy.settings.rules[name], name, unreadable[0], expression, facts)
                else:
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

    def find_group(self, rule: str) -> Group:
        """An expression that erred, or that needed what cannot be compared, is a guard."""
        return Group.RULES if rule.startswith("rules.") else Group.GUARDS

    def grant(self, reason: Reason) -> Allowance | None:  # noqa: ARG002
        return Allowance.TRUST


def _fire_partly(rule: Rule, name: str, field: str, expression: Expression, facts: Facts) -> Iterator[Reason]:
    """A rule that needs what cannot be compared: it fires by what can be, or a person looks. It never allows."""
    if rule.verdict is Verdict.ALLOW:
        return
    try:
        fires = expression.fires(facts.partial_context)
    except ExpressionError:
        fires = False
    if fires:
        yield Reason(rule=f"rules.{name}", verdict=rule.verdict, detail=rule.detail or rule.when)
    else:
        yield give_doubt(field, facts.unreadable[field], f"rules.{name}")


def _report_error(policy: EffectivePolicy, name: str, error: ExpressionError) -> Reason:
    """A rule that failed never allows, even where `on_error` is allow."""
    answer = Verdict.BLOCK if policy.settings.on_error is Verdict.BLOCK else Verdict.REVIEW
    return Reason(rule=f"on_error.rules.{name}", verdict=answer, detail=f"the expression erred: {error}")
