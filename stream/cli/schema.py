"""`adjudicate schema`: the wire contracts and the policy language as JSON Schema; field tables in docs/events.md."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import BaseModel

from moderation.events import Decision, ImageEvent, Reject, ScoredEvent
from moderation.labels import LabelCatalogue
from stream.cli.options import Catalogue, labels_of
from stream.cli.terminal import print_line, print_notice

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
BEGIN, END = "<!-- fields of {} -->", "<!-- end of {} -->"


CONTRACTS: Final[dict[str, type[BaseModel]]] = {
    "image_event": ImageEvent,
    "scored_event": ScoredEvent,
    "decision": Decision,
    "reject": Reject,
}
"""File stem → model, in the order of the data flow."""


def schema_text(model: type[BaseModel]) -> str:
    """JSON Schema (draft 2020-12) of a wire contract, indented, with a newline at the end."""
    schema = {"$schema": DIALECT, **model.model_json_schema(mode="validation")}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def policy_schema_text(labels: LabelCatalogue) -> str:
    """JSON Schema of a policy file that may name the labels of a catalogue."""
    from moderation.policy.language.schema import json_schema

    return json.dumps(json_schema(labels), indent=2, ensure_ascii=False) + "\n"


def field_table(model: type[BaseModel]) -> str:
    """One Markdown table for the model and one for each part it holds, from the same schema."""
    schema = model.model_json_schema(mode="validation")
    parts = [("", schema), *sorted(schema.get("$defs", {}).items())]
    return "\n\n".join(_table(name, part) if "properties" in part else _words(name, part) for name, part in parts)


def _words(name: str, schema: dict[str, Any]) -> str:
    return f"**{name}**: one of " + ", ".join(f"`{word}`" for word in schema["enum"]) + "."


def _table(name: str, schema: dict[str, Any]) -> str:
    required = set(schema.get("required", ()))
    heading = [f"**{name}**", ""] if name else []
    lines = [*heading, "| field | type | needed | meaning |", "|---|---|---|---|"]
    for field, details in schema["properties"].items():
        needed = "yes" if field in required else "no"
        meaning = " ".join(str(details.get("description", "")).split())
        lines.append(f"| `{field}` | {_type(details)} | {needed} | {_escape(meaning)} |")
    return "\n".join(lines)


def _type(details: dict[str, Any]) -> str:
    if "$ref" in details:
        return str(details["$ref"].rpartition("/")[2])
    if "anyOf" in details:
        return _escape(" | ".join(_type(option) for option in details["anyOf"]))
    if "const" in details:
        return f"`{details['const']}`"
    if details.get("type") == "array":
        return f"list of {_type(details.get('items', {}))}"
    if details.get("type") == "object" and isinstance(details.get("additionalProperties"), dict):
        return f"map to {_type(details['additionalProperties'])}"
    return " ".join(filter(None, (str(details.get("type", "any")), _limits(details))))


def _limits(details: dict[str, Any]) -> str:
    if "format" in details:
        return f"({details['format']})"
    if "minimum" in details or "maximum" in details:
        return f"({details.get('minimum', '')}…{details.get('maximum', '')})"
    return f"(`{_escape(details['pattern'])}`)" if "pattern" in details else ""


def _escape(text: str) -> str:
    return text.replace("\\|", "|").replace("|", "\\|")


def with_tables(page: str) -> str:
    """The page with each generated section filled anew. Text outside the marks stays unchanged."""
    for name, model in CONTRACTS.items():
        begin, end = BEGIN.format(name), END.format(name)
        before, found, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise typer.BadParameter(f"docs page has no section {begin} … {end}")
        page = f"{before}{begin}\n\n{field_table(model)}\n\n{end}{after}"
    return page


def schema(
    out: Annotated[Path, typer.Option(help="Folder for the *.schema.json files.")] = Path("docs/schema"),
    page: Annotated[
        Path | None, typer.Option(help="Page whose field tables are written.", show_default="docs/events.md")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if a file is stale.")] = False,
    catalogue: Catalogue = None,
) -> None:
    """Write the wire contracts and the policy language as JSON Schema, and the field tables of the events page."""
    page = page or (Path("docs/events.md") if Path("docs/events.md").exists() else None)
    fresh = {out / f"{name}.schema.json": schema_text(model) for name, model in CONTRACTS.items()}
    fresh[out / "policy.schema.json"] = policy_schema_text(labels_of(catalogue))
    if page:
        fresh[page] = with_tables(page.read_text("utf-8"))
    stale = [path for path, text in fresh.items() if not path.exists() or path.read_text("utf-8") != text]
    for path in stale:
        print_line(f"{'stale' if check else 'written'}: {path}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(fresh[path], "utf-8")
    if check and stale:
        print_notice("run `adjudicate schema` and commit the result")
        sys.exit(1)
