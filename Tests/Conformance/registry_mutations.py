"""Ways in which a schema registry can be wrong, each made between its clients and it.

A mutation is a function of a Call and of `send`, which asks the registry: it may change the call, ask for other things
first or afterwards, change the answer, or not ask at all. `prove_registry.py` runs the checks that must notice.
"""

import itertools
import json
import re
import urllib.parse
from dataclasses import dataclass, field, replace


@dataclass
class Answer:
    status: int
    body: object  # parsed JSON; None if there is none


@dataclass
class Call:
    method: str
    path: str  # quoted
    query: dict = field(default_factory=dict)
    headers: dict = field(default_factory=dict)
    content: bytes | None = None

    @property
    def body(self):
        """The parsed body; None if there is none or it does not parse."""
        try:
            return json.loads(self.content) if self.content else None
        except ValueError:
            return None

    def is_(self, method, pattern):
        return self.method == method and re.fullmatch(pattern, self.path) is not None

    def with_body(self, body):
        return replace(self, content=json.dumps(body).encode())

    @property
    def subject(self):
        """As it is written in the path, quoted."""
        return re.match(r"/(?:compatibility/)?[a-z]+/([^/]+)", self.path)[1]


@dataclass
class Mutation:
    title: str
    checks: tuple[str, ...]  # the checks that must notice
    change: object


MUTATIONS = []
VERSIONS, SUBJECT, COMPATIBILITY = r"/subjects/[^/]+/versions", r"/subjects/[^/]+", r"/compatibility/.*"


def mutation(*checks):
    def register(function):
        MUTATIONS.append(Mutation(function.__name__.replace("_", " "), checks, function))
        return function

    return register


def without_queries(call, name):
    return replace(call, query={key: value for key, value in call.query.items() if key != name})


def with_schema(call, change):
    """The call with another schema, if it brings one that is a record."""
    try:
        schema = json.loads(call.body["schema"])
        for each in schema["fields"]:
            change(each)
    except (TypeError, KeyError, ValueError):
        return call
    return call.with_body({**call.body, "schema": json.dumps(schema)})


def turns(answer, status, code, into):
    """Another answer in the place of an error."""
    found = answer.body.get("error_code") if isinstance(answer.body, dict) else None
    return into if (answer.status, found) == (status, code) else answer


def error(status, code):
    return Answer(status, {"error_code": code, "message": "a mutation"})


# ---------------------------------------------------------------- what a schema is

COUNTER = itertools.count(5000)


@mutation(
    "the_same_schema_again_is_no_new_version",
    "the_same_schema_elsewhere_keeps_its_id",
    "spelling_does_not_matter",
    "a_deleted_schema_comes_back_with_its_id",
    "concurrent_registration",
)
def each_registration_has_a_new_id(call, send):
    answer = send(call)
    if call.is_("POST", VERSIONS) and answer.status == 200:
        answer.body["id"] = next(COUNTER)
    return answer


@mutation("a_default_is_part_of_the_schema")
def defaults_are_dropped(call, send):
    return send(with_schema(call, lambda each: each.pop("default", None)) if call.is_("POST", VERSIONS) else call)


@mutation("what_the_bytes_mean_is_part_of_the_schema")
def logical_types_are_dropped(call, send):
    def plain(each):
        if isinstance(each["type"], dict) and "logicalType" in each["type"]:
            each["type"] = each["type"]["type"]

    return send(with_schema(call, plain) if call.is_("POST", VERSIONS) else call)


@mutation("register_and_read")
def avro_is_named(call, send):
    answer = send(call)
    if call.is_("GET", r"/schemas/ids/\d+") and answer.status == 200:
        answer.body["schemaType"] = "AVRO"
    return answer


@mutation("normalize_changes_the_text_and_nothing_else")
def normalize_is_ignored(call, send):
    return send(without_queries(call, "normalize"))


@mutation("avro_serializer_settings", "normalize_changes_the_text_and_nothing_else")
def a_normalized_lookup_finds_nothing(call, send):
    if call.is_("POST", SUBJECT) and call.query.get("normalize", "").lower() == "true":
        return error(404, 40403)
    return send(call)


@mutation("a_version_may_be_named_if_it_is_the_next", "an_import_names_ids_and_versions")
def versions_cannot_be_named(call, send):
    if call.is_("POST", VERSIONS) and call.body:
        call = call.with_body({key: value for key, value in call.body.items() if key != "version"})
    return send(call)


@mutation("an_import_names_ids_and_versions")
def ids_cannot_be_chosen(call, send):
    if call.is_("POST", VERSIONS) and call.body:
        call = call.with_body({key: value for key, value in call.body.items() if key != "id"})
    return send(call)


# ---------------------------------------------------------------- looking up


@mutation("look_up")
def a_lookup_finds_the_latest_version(call, send):
    answer = send(call)
    if call.is_("POST", SUBJECT) and answer.status == 404 and answer.body["error_code"] == 40403:
        return send(Call("GET", call.path + "/versions/latest"))
    return answer


@mutation("unknown_things", "delete_a_version", "compatibility_with_a_given_version", "confluent_client")
def an_unknown_version_is_an_unknown_subject(call, send):
    return turns(send(call), 404, 40402, error(404, 40401))


@mutation("unknown_things", "delete_a_version", "compatibility_with_a_given_version")
def what_is_no_version_is_an_unknown_one(call, send):
    return turns(send(call), 422, 42202, error(404, 40402))


@mutation("associations_are_unknown")
def every_path_is_known(call, send):
    return turns(send(call), 404, 404, Answer(200, []))


@mutation("types_mode_and_contexts")
def avro_is_no_type(call, send):
    return Answer(200, ["PROTOBUF"]) if call.is_("GET", "/schemas/types") else send(call)


@mutation("everything_about_an_id")
def deleted_places_of_a_schema_are_listed(call, send):
    if call.is_("GET", r"/schemas/ids/\d+/(subjects|versions)"):
        call = replace(call, query={**call.query, "deleted": "true"})
    return send(call)


@mutation("every_schema_at_once")
def latest_only_is_ignored(call, send):
    return send(without_queries(call, "latestOnly"))


@mutation("unusual_subjects")
def subjects_are_unquoted(call, send):
    return send(replace(call, path=urllib.parse.quote(urllib.parse.unquote(call.path), safe="/:")))


# ---------------------------------------------------------------- modes


@mutation("a_read_only_subject_takes_no_schema", "the_global_mode", "confluent_client_settings_and_deletes")
def read_only_is_not_obeyed(call, send):
    if call.is_("PUT", "/mode.*") and str((call.body or {}).get("mode")).startswith("READONLY"):
        return Answer(200, {"mode": call.body["mode"]})
    return send(call)


@mutation("an_import_begins_with_nothing")
def an_import_is_always_forced(call, send):
    if call.is_("PUT", "/mode/.*"):
        call = replace(call, query={**call.query, "force": "true"})
    return send(call)


# ---------------------------------------------------------------- references


@mutation("references_are_kept", "avro_serializer_with_references")
def references_are_not_told(call, send):
    answer = send(call)
    for each in answer.body if isinstance(answer.body, list) else [answer.body]:
        if isinstance(each, dict):
            each.pop("references", None)
    return answer


@mutation("references_are_kept", "references_to_references", "what_is_referred_to_is_not_deleted")
def nobody_refers_to_anything(call, send):
    return Answer(200, []) if call.path.endswith("/referencedby") else send(call)


@mutation("references_that_cannot_be_followed", "hostile_references")
def references_are_not_followed(call, send):
    answer = send(call)
    if call.is_("POST", VERSIONS) and (call.body or {}).get("references"):
        return turns(answer, 422, 42201, Answer(200, {"id": 1}))
    return answer


@mutation("a_reference_to_the_latest_version")
def the_latest_version_stays_the_latest(call, send):
    answer = send(call)
    if call.is_("GET", VERSIONS + "/.*") and isinstance(answer.body, dict):
        for reference in answer.body.get("references", []):
            reference["version"] = -1
    return answer


@mutation("what_is_referred_to_decides_what_a_schema_is", "compatibility_looks_into_references")
def references_mean_the_first_version(call, send):
    if call.method == "POST" and (call.body or {}).get("references"):
        first = [{**reference, "version": 1} for reference in call.body["references"]]
        call = call.with_body({**call.body, "references": first})
    return send(call)


@mutation("what_is_referred_to_is_not_deleted", "a_subject_may_refer_to_itself")
def what_is_referred_to_is_deleted(call, send):
    return turns(send(call), 422, 42206, Answer(200, [1]))


# ---------------------------------------------------------------- bad requests


@mutation("invalid_schemas")
def invalid_schemas_are_taken(call, send):
    return turns(send(call), 422, 42201, Answer(200, {"id": 1}))


@mutation("malformed_bodies")
def malformed_bodies_are_invalid_schemas(call, send):
    return turns(send(call), 400, 400, error(422, 42201))


@mutation("media_types")
def every_media_type_is_taken(call, send):
    return send(replace(call, headers={"Content-Type": "application/json", "Accept": "application/json"}))


@mutation("large_bodies")
def every_length_is_taken(call, send):
    return Answer(200, {"id": 1}) if len(call.content or b"") > 32 << 20 else send(call)


# ---------------------------------------------------------------- deleting


@mutation(
    "delete_a_subject",
    "only_what_was_deleted",
    "everything_about_an_id",
    "every_schema_at_once",
    "a_deleted_schema_comes_back_with_its_id",
)
def what_is_deleted_is_gone_for_good(call, send):
    answer = send(call)
    if call.is_("DELETE", "/subjects/.*") and answer.status == 200 and "permanent" not in call.query:
        send(replace(call, query={"permanent": "true"}))
    return answer


@mutation("delete_a_subject", "delete_a_version", "confluent_client_settings_and_deletes")
def anything_can_be_deleted_for_good_at_once(call, send):
    if call.is_("DELETE", "/subjects/.*") and "permanent" in call.query:
        send(replace(call, query={}))
    return send(call)


@mutation("only_what_was_deleted")
def only_the_deleted_are_not_told_apart(call, send):
    return send(without_queries(call, "deletedOnly"))


@mutation("a_deleted_version_goes_when_its_schema_returns")
def a_deleted_version_stays_when_its_schema_returns(call, send):
    answer = send(call)
    if call.is_("GET", VERSIONS) and call.query.get("deleted") == "true" and answer.body:
        answer.body = list(range(1, max(answer.body) + 1))
    return answer


@mutation("an_empty_subject_has_no_settings")
def settings_outlive_their_subject(call, send):
    if not call.is_("DELETE", "/subjects/.*"):
        return send(call)
    path = f"/config/{call.subject}"
    before, answer = send(Call("GET", path)), send(call)
    if before.status == 200:
        level = {"compatibility": before.body["compatibilityLevel"]}
        send(Call("PUT", path, headers={"Content-Type": "application/json"}).with_body(level))
    return answer


# ---------------------------------------------------------------- compatibility


@mutation("config", "an_empty_subject_has_no_settings")
def subjects_have_the_global_level(call, send):
    if call.is_("GET", "/config/.*"):
        call = replace(call, query={"defaultToGlobal": "true"})
    return send(call)


@mutation("the_global_level_can_be_reset")
def the_global_level_stays(call, send):
    return send(replace(call, method="GET")) if call.is_("DELETE", "/config") else send(call)


@mutation("the_default_level_is_backward", "compatibility_table", "avro_serializer_round_trip")
def incompatible_schemas_are_taken(call, send):
    return turns(send(call), 409, 409, Answer(200, {"id": 1}))


@mutation(
    "compatibility_table",
    "compatibility_with_a_given_version",
    "compatibility_looks_into_references",
    "confluent_client",
)
def everything_is_compatible(call, send):
    answer = send(call)
    if call.is_("POST", COMPATIBILITY) and answer.status == 200:
        answer.body = {"is_compatible": True, "messages": []}
    return answer


@mutation("only_transitive_levels_look_at_older_versions")
def no_level_is_transitive(call, send):
    if call.is_("PUT", "/config/.*"):
        call = call.with_body({"compatibility": call.body["compatibility"].removesuffix("_TRANSITIVE")})
    return send(call)


@mutation("only_transitive_levels_look_at_older_versions")
def every_level_is_transitive(call, send):
    if call.is_("PUT", "/config/.*") and call.body["compatibility"] in ("BACKWARD", "FORWARD", "FULL"):
        call = call.with_body({"compatibility": call.body["compatibility"] + "_TRANSITIVE"})
    return send(call)


@mutation("a_deleted_version_does_not_count", "a_deleted_schema_comes_back_with_its_id")
def deleted_versions_count(call, send):
    if call.is_("POST", VERSIONS):
        deleted = send(Call("GET", call.path, query={"deletedOnly": "true"}))
        if deleted.status == 200 and deleted.body:
            return error(409, 409)
    return send(call)
