"""Reads OCSF events, one a line, and says what of them is not as the schema of their class and their profiles has it.

The schema is what schema.ocsf.io exports for the version, as the package ocsf-json-schema carries it. Beside what a JSON
Schema says: no attribute that is deprecated, no name beside an enumerated number that is not the number's own.
"""
import json
import sys

from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

sources, validators = {}, {}


def validator(version, uid, profiles):
    """Of one class under these profiles."""
    key = (version, uid, profiles)
    if key not in validators:
        source = sources.setdefault(version, get_ocsf_schema(version=version))
        schemas = OcsfJsonSchemaEmbedded(source)
        schema = schemas.get_class_schema(schemas.lookup_class_name_from_uid(uid), list(profiles))
        validators[key] = (Draft202012Validator(schema), schema)
    return validators[key]


def deprecated(schema, root, value, path=""):
    """Every attribute in use that the schema has given up."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    if isinstance(value, list):
        for one in value:
            yield from deprecated(schema.get("items", {}), root, one, path)
    if isinstance(value, dict):
        for name, member in value.items():
            known = schema.get("properties", {}).get(name, {})
            if known.get("deprecated"):
                yield f"{path}{name} is deprecated"
            yield from deprecated(known, root, member, f"{path}{name}.")


def captions(event):
    """Names of the class's own numbers that are others than the schema's."""
    metadata = event["metadata"]
    source = sources[metadata["version"]]
    found = next(one for one in source["classes"].values() if one["uid"] == event["class_uid"])
    for number, name in [("activity_id", "activity_name"), ("status_id", "status"), ("action_id", "action"),
                         ("disposition_id", "disposition"), ("severity_id", "severity"),
                         ("category_uid", "category_name"), ("class_uid", "class_name"), ("type_uid", "type_name")]:
        known = found["attributes"].get(number, {}).get("enum", {}).get(str(event.get(number)), {}).get("caption")
        if name in event and event.get(number) not in (0, 99) and event[name] != known:
            yield f"{name} is {event[name]!r}, and {number} is {known!r}"


def main():
    faults = events = 0
    for line in sys.stdin:
        event, events = json.loads(line), events + 1
        metadata = event["metadata"]
        checked, schema = validator(metadata["version"], event["class_uid"], tuple(metadata.get("profiles", [])))
        said = [f"{error.json_path}: {error.message}"[:300] for error in checked.iter_errors(event)]
        if event["type_uid"] != event["class_uid"] * 100 + event["activity_id"]:
            said.append("type_uid is not of class and activity")
        said += [*deprecated(schema, schema, event), *captions(event)]
        for fault in said:
            faults += 1
            print(f"event {events} ({metadata.get('event_code')}): {fault}")
    print(f"{events} events, {faults} faults")
    sys.exit(1 if faults or not events else 0)


main()
