#!/usr/bin/env python3
"""Checks a Schema Registry against the REST contract that Orchestra relies on, with Confluent's own client.

    registry_conformance.py --registry URL [--only NAME]

Every check prints one line; the exit status is 1 if any failed. Subjects are fresh for each run, so the registry
need not be empty; its global compatibility level is put back at the end.
"""

import argparse
import concurrent.futures
import http.client
import json
import sys
import traceback
import urllib.parse
import uuid

from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def record(*fields, name="R", **attributes):
    """The text of a record schema; a field is (name, type) or (name, type, default) or a whole object."""
    made = []
    for field in fields:
        if isinstance(field, dict):
            made.append(field)
        else:
            made.append({"name": field[0], "type": field[1]})
            if len(field) == 3:
                made[-1]["default"] = field[2]
    return json.dumps({"type": "record", "name": name, "namespace": "test", "fields": made, **attributes})


class Registry:
    """The registry as its raw HTTP interface and through Confluent's client."""

    MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"

    def __init__(self, url):
        self.url = url.rstrip("/")
        self.address = urllib.parse.urlsplit(self.url).netloc
        self.client = SchemaRegistryClient({"url": self.url})
        self.run = uuid.uuid4().hex[:12]
        self.subjects = 0

    def subject(self, suffix=""):
        self.subjects += 1
        return f"check-{self.run}-{self.subjects}{suffix}"

    def call(self, method, path, body=None, headers=None):
        """Returns (status, parsed body, headers)."""
        connection = http.client.HTTPConnection(self.address, timeout=20)
        try:
            content = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
            sent = {"Accept": self.MEDIA_TYPE}
            if content is not None:
                sent["Content-Type"] = self.MEDIA_TYPE
            sent.update(headers or {})
            sent = {name: value for name, value in sent.items() if value is not None}
            connection.request(method, path, content, sent)
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None, dict(response.getheaders())
        finally:
            connection.close()

    def register(self, subject, schema, references=(), **members):
        path = f"/subjects/{urllib.parse.quote(subject, safe='')}/versions"
        sent = {"schema": schema, "schemaType": "AVRO", "references": list(references), **members}
        status, body, _ = self.call("POST", path, sent)
        assert status == 200, (status, body)
        return body["id"]

    def get(self, path):
        status, body, _ = self.call("GET", path)
        assert status == 200, (path, status, body)
        return body

    def expect(self, status, code, method, path, body=None, headers=None):
        found, answer, _ = self.call(method, path, body, headers)
        assert found == status, f"{method} {path}: {status} expected, {found} {answer}"
        if code is not None:
            assert answer["error_code"] == code, f"{method} {path}: {code} expected, {answer}"
            assert isinstance(answer["message"], str) and answer["message"], answer
        return answer


A = record(("a", "string"))
AB = record(("a", "string"), ("b", "int", 0))
A_INT = record(("a", "int"))


# Registering and reading


@check
def register_and_read(registry):
    subject = registry.subject()
    status, body, headers = registry.call("POST", f"/subjects/{subject}/versions", {"schema": A})
    assert status == 200 and isinstance(body["id"], int), (status, body)
    assert headers["Content-Type"].startswith(registry.MEDIA_TYPE), headers
    schema_id = body["id"]
    _, body, _ = registry.call("GET", f"/schemas/ids/{schema_id}")
    assert json.loads(body["schema"]) == json.loads(A)
    assert "schemaType" not in body, "Avro is not named"
    _, body, _ = registry.call("GET", f"/subjects/{subject}/versions/1")
    assert (body["subject"], body["version"], body["id"]) == (subject, 1, schema_id), body
    assert json.loads(body["schema"]) == json.loads(A)
    _, latest, _ = registry.call("GET", f"/subjects/{subject}/versions/latest")
    assert latest == body
    assert registry.call("GET", f"/subjects/{subject}/versions")[1] == [1]
    assert subject in registry.call("GET", "/subjects")[1]
    versions = registry.call("GET", f"/schemas/ids/{schema_id}/versions")[1]
    assert {"subject": subject, "version": 1} in versions
    assert subject in registry.call("GET", f"/schemas/ids/{schema_id}/subjects")[1]


@check
def the_same_schema_again_is_no_new_version(registry):
    subject = registry.subject()
    first = registry.register(subject, A)
    assert registry.register(subject, A) == first
    assert registry.call("GET", f"/subjects/{subject}/versions")[1] == [1]


@check
def the_same_schema_elsewhere_keeps_its_id(registry):
    one, other = registry.subject(), registry.subject()
    assert registry.register(one, A) == registry.register(other, A)
    assert registry.register(other, AB) == registry.register(one, AB)


@check
def spelling_does_not_matter(registry):
    subject = registry.subject()
    first = registry.register(subject, A)
    parsed = json.loads(A)
    reordered = json.dumps(dict(reversed(parsed.items())), indent=4)
    assert registry.register(subject, reordered) == first
    full_name = json.dumps({"type": "record", "name": "test.R", "fields": [{"name": "a", "type": {"type": "string"}}]})
    assert registry.register(subject, full_name) == first
    assert registry.call("POST", f"/subjects/{subject}", {"schema": reordered})[1]["version"] == 1


@check
def a_default_is_part_of_the_schema(registry):
    subject = registry.subject()
    first = registry.register(subject, A)
    second = registry.register(subject, record(("a", "string", "x")))
    assert first != second
    _, body, _ = registry.call("GET", f"/subjects/{subject}/versions/latest")
    assert json.loads(body["schema"])["fields"][0]["default"] == "x"


@check
def what_the_bytes_mean_is_part_of_the_schema(registry):
    subject = registry.subject()
    registry.call("PUT", f"/config/{subject}", {"compatibility": "NONE"})

    def decimal(precision, scale):
        kind = {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
        return record(("a", kind))

    ids = {
        registry.register(subject, schema)
        for schema in (record(("a", "bytes")), decimal(9, 2), decimal(9, 3), decimal(8, 2), decimal(9, 2))
    }
    assert len(ids) == 4, ids
    documented = json.loads(decimal(9, 2))
    documented["doc"], documented["owner"] = "words", "somebody"
    assert registry.register(subject, json.dumps(documented)) in ids


@check
def look_up(registry):
    subject = registry.subject()
    registry.expect(404, 40401, "POST", f"/subjects/{subject}", {"schema": A})
    schema_id = registry.register(subject, A)
    _, body, _ = registry.call("POST", f"/subjects/{subject}", {"schema": A})
    assert (body["subject"], body["version"], body["id"]) == (subject, 1, schema_id), body
    registry.expect(404, 40403, "POST", f"/subjects/{subject}", {"schema": AB})


@check
def unknown_things(registry):
    subject = registry.subject()
    registry.expect(404, 40403, "GET", "/schemas/ids/2000000000")
    registry.expect(404, 40401, "GET", f"/subjects/{subject}/versions")
    registry.expect(404, 40401, "GET", f"/subjects/{subject}/versions/1")
    registry.expect(404, 40401, "DELETE", f"/subjects/{subject}")
    registry.register(subject, A)
    registry.expect(404, 40402, "GET", f"/subjects/{subject}/versions/2")
    registry.expect(404, 40402, "DELETE", f"/subjects/{subject}/versions/2")
    for version in ("0", "-2", "abc", "99999999999", "1.5"):
        registry.expect(422, 42202, "GET", f"/subjects/{subject}/versions/{version}")
    registry.expect(404, 404, "GET", "/nothing/here")


@check
def associations_are_unknown(registry):
    status, _, _ = registry.call("GET", "/associations/resources/-/topic?resourceType=topic")
    assert status == 404, status


@check
def types_mode_and_contexts(registry):
    assert "AVRO" in registry.call("GET", "/schemas/types")[1]
    assert registry.call("GET", "/mode")[1] == {"mode": "READWRITE"}
    assert registry.call("GET", "/")[0] == 200


@check
def everything_about_an_id(registry):
    one, other = sorted([registry.subject(), registry.subject()])
    schema_id = registry.register(one, A)
    registry.register(other, AB)
    registry.register(other, A)
    path = f"/schemas/ids/{schema_id}"
    assert registry.get(f"{path}/schema") == json.loads(A)
    assert {one, other} <= set(registry.get(f"{path}/subjects"))
    places = [{"subject": one, "version": 1}, {"subject": other, "version": 2}]
    assert [place for place in registry.get(f"{path}/versions") if place["subject"] in (one, other)] == places
    registry.call("DELETE", f"/subjects/{one}")
    assert one not in registry.get(f"{path}/subjects")
    assert one in registry.get(f"{path}/subjects?deleted=true")
    assert places[0] not in registry.get(f"{path}/versions")
    assert places[0] in registry.get(f"{path}/versions?deleted=true")
    assert registry.get(f"{path}?fetchMaxId=true")["maxId"] >= schema_id
    for part in ("", "/schema", "/subjects", "/versions"):
        registry.expect(404, 40403, "GET", f"/schemas/ids/2000000000{part}")


@check
def every_schema_at_once(registry):
    prefix = registry.subject()
    first = registry.register(prefix + "-a", A)
    second = registry.register(prefix + "-a", AB)
    registry.register(prefix + "-b", A)
    registry.call("DELETE", f"/subjects/{prefix}-b")

    def found(query):
        return [
            (item["subject"][len(prefix) :], item["version"], item["id"])
            for item in registry.get(f"/schemas?subjectPrefix={prefix}{query}")
        ]

    assert found("") == [("-a", 1, first), ("-a", 2, second)], found("")
    assert found("&latestOnly=true") == [("-a", 2, second)]
    assert found("&deleted=true") == [("-a", 1, first), ("-a", 2, second), ("-b", 1, first)]
    assert found("&offset=1&limit=1") == [("-a", 2, second)]
    assert found("&offset=5") == []
    assert json.loads(registry.get(f"/schemas?subjectPrefix={prefix}")[0]["schema"]) == json.loads(A)


@check
def normalize_changes_the_text_and_nothing_else(registry):
    subject = registry.subject()
    path = f"/subjects/{subject}/versions?normalize=true"
    spelled = json.dumps(dict(reversed(json.loads(AB).items())), indent=2)
    unique = json.loads(spelled)
    unique["name"] = "Normalized" + registry.run
    spelled = json.dumps(unique, indent=2)
    schema_id = registry.call("POST", path, {"schema": spelled})[1]["id"]
    text = registry.get(f"/schemas/ids/{schema_id}")["schema"]
    assert json.loads(text) == unique and " " not in text and "\n" not in text, text
    assert registry.register(subject, spelled) == schema_id
    assert registry.call("POST", f"/subjects/{subject}?normalize=true", {"schema": spelled})[1]["id"] == schema_id


@check
def a_version_may_be_named_if_it_is_the_next(registry):
    subject = registry.subject()
    path = f"/subjects/{subject}/versions"
    registry.expect(422, 42201, "POST", path, {"schema": A, "version": 2})
    registry.register(subject, A, version=1)
    registry.register(subject, AB, version=-1)
    assert registry.get(path) == [1, 2]


# Modes


@check
def a_read_only_subject_takes_no_schema(registry):
    for mode in ("READONLY", "READONLY_OVERRIDE"):
        subject = registry.subject()
        first = registry.register(subject, A)
        registry.expect(404, 40409, "GET", f"/mode/{subject}")
        assert registry.get(f"/mode/{subject}?defaultToGlobal=true") == {"mode": "READWRITE"}
        assert registry.call("PUT", f"/mode/{subject}", {"mode": mode})[1] == {"mode": mode}
        registry.expect(422, 42205, "POST", f"/subjects/{subject}/versions", {"schema": AB})
        registry.expect(422, 42205, "DELETE", f"/subjects/{subject}")
        registry.expect(422, 42205, "DELETE", f"/subjects/{subject}/versions/1")
        assert registry.register(subject, A) == first, "what is there may be asked for"
        registry.expect(422, 42204, "PUT", f"/mode/{subject}", {"mode": "SOMETIMES"})
        assert registry.call("DELETE", f"/mode/{subject}")[1] == {"mode": mode}
        registry.expect(404, 40401, "DELETE", f"/mode/{subject}")
        registry.register(subject, AB)


@check
def the_global_mode(registry):
    locked, free = registry.subject(), registry.subject()
    registry.register(locked, A)
    registry.call("PUT", f"/mode/{free}", {"mode": "READWRITE"})
    try:
        registry.call("PUT", "/mode", {"mode": "READONLY"})
        registry.expect(422, 42205, "POST", f"/subjects/{locked}/versions", {"schema": AB})
        registry.register(free, A)
        registry.call("PUT", "/mode", {"mode": "READONLY_OVERRIDE"})
        assert registry.get("/mode") == {"mode": "READONLY_OVERRIDE"}
        registry.expect(422, 42205, "POST", f"/subjects/{free}/versions", {"schema": AB})
        registry.expect(422, 42205, "PUT", "/mode", {"mode": "IMPORT"})
    finally:
        assert registry.call("DELETE", "/mode")[0] == 200
    assert registry.get("/mode") == {"mode": "READWRITE"}
    registry.register(free, AB)


@check
def an_import_names_ids_and_versions(registry):
    client, subject = registry.client, registry.subject()
    known = registry.register(registry.subject(), A)
    highest = registry.get(f"/schemas/ids/{known}?fetchMaxId=true")["maxId"]
    one, other = (record(("a", "string"), name=f"Imported{registry.run}{end}") for end in "ab")
    path = f"/subjects/{subject}/versions"
    registry.expect(422, 42205, "POST", path, {"schema": one, "id": highest + 100})
    assert client.update_mode(subject, "IMPORT") == "IMPORT"
    registry.expect(422, 42205, "POST", path, {"schema": one})
    assert registry.register(subject, one, id=highest + 100, version=7) == highest + 100
    assert registry.register(subject, one, id=highest + 100, version=7) == highest + 100, "once more"
    # Not compatible, an older version, and without a version.
    assert registry.register(subject, other, id=highest + 50, version=3) == highest + 50
    assert registry.register(subject, A_INT, id=highest + 51) == highest + 51
    assert registry.get(path) == [3, 7, 8]
    assert registry.get(f"{path}/3")["id"] == highest + 50
    assert json.loads(registry.get(f"/schemas/ids/{highest + 100}")["schema"]) == json.loads(one)
    registry.expect(422, 42205, "POST", path, {"schema": AB, "id": highest + 100})
    registry.expect(422, 42205, "POST", path, {"schema": AB, "id": highest + 60, "version": 7})
    client.update_mode(subject, "READWRITE")
    fresh = record(("a", "string"), name=f"After{registry.run}")
    assert registry.register(registry.subject(), fresh) > highest + 100, "ids go on after the highest"
    assert registry.register(registry.subject(), one) == highest + 100


@check
def an_import_begins_with_nothing(registry):
    subject = registry.subject()
    registry.register(subject, A)
    registry.expect(422, 42205, "PUT", f"/mode/{subject}", {"mode": "IMPORT"})
    registry.expect(422, 42205, "PUT", "/mode", {"mode": "IMPORT"})
    assert registry.call("PUT", f"/mode/{subject}?force=true", {"mode": "IMPORT"})[0] == 200
    assert registry.get(f"/subjects/{subject}/versions") == [1]
    registry.call("PUT", f"/mode/{subject}", {"mode": "READWRITE"})
    registry.call("DELETE", f"/subjects/{subject}")
    assert registry.call("PUT", f"/mode/{subject}", {"mode": "IMPORT"})[0] == 200
    registry.expect(404, 40401, "GET", f"/subjects/{subject}/versions?deleted=true")
    registry.call("DELETE", f"/mode/{subject}")


# References


def refer(name, subject, version):
    return {"name": name, "subject": subject, "version": version}


ADDRESS = record(("street", "string"), name="Address")
PERSON = record(("name", "string"), ("home", "test.Address"), ("work", ["null", "test.Address"], None), name="Person")


def address_and_person(registry):
    """Registers both; returns their subjects and the person's id."""
    address, person = registry.subject(), registry.subject()
    registry.register(address, ADDRESS)
    return address, person, registry.register(person, PERSON, [refer("test.Address", address, 1)])


@check
def references_are_kept(registry):
    address, person, schema_id = address_and_person(registry)
    references = [refer("test.Address", address, 1)]
    assert registry.get(f"/schemas/ids/{schema_id}")["references"] == references
    assert json.loads(registry.get(f"/schemas/ids/{schema_id}")["schema"]) == json.loads(PERSON)
    for version in ("1", "latest"):
        assert registry.get(f"/subjects/{person}/versions/{version}")["references"] == references
    body = {"schema": PERSON, "references": references}
    assert registry.call("POST", f"/subjects/{person}", body)[1]["references"] == references
    assert registry.register(person, PERSON, references) == schema_id
    assert "references" not in registry.get(f"/subjects/{address}/versions/1")
    listed = [item for item in registry.get("/schemas") if item["subject"] == person]
    assert listed[0]["references"] == references, listed
    assert registry.get(f"/subjects/{address}/versions/1/referencedby") == [schema_id]
    assert registry.get(f"/subjects/{person}/versions/1/referencedby") == []
    assert registry.client.get_referenced_by(address, 1) == [schema_id]


@check
def references_to_references(registry):
    address, person, _ = address_and_person(registry)
    team = registry.subject()
    schema = record(("members", {"type": "array", "items": "test.Person"}), ("seat", "test.Address"), name="Team")
    both = [refer("test.Person", person, 1), refer("test.Address", address, 1)]
    team_id = registry.register(team, schema, both)
    assert team_id in registry.get(f"/subjects/{person}/versions/1/referencedby")
    # What the person refers to is known, too.
    registry.register(registry.subject(), schema, both[:1])
    assert registry.register(registry.subject(), schema, list(reversed(both))) == team_id, "their order is not kept"


@check
def references_that_cannot_be_followed(registry):
    address, person = registry.subject(), registry.subject()
    path = f"/subjects/{person}/versions"
    registry.expect(422, 42201, "POST", path, {"schema": PERSON})
    registry.expect(422, 42201, "POST", path, {"schema": PERSON, "references": [refer("test.Address", address, 1)]})
    registry.register(address, ADDRESS)
    registry.expect(422, 42201, "POST", path, {"schema": PERSON, "references": [refer("test.Address", address, 2)]})
    twice = [refer("test.Address", address, 1), refer("test.Address", registry.subject(), 1)]
    registry.register(twice[1]["subject"], record(("other", "int"), name="Address"))
    registry.expect(422, 42201, "POST", path, {"schema": PERSON, "references": twice})
    registry.call("DELETE", f"/subjects/{address}")
    registry.expect(422, 42201, "POST", path, {"schema": PERSON, "references": twice[:1]})
    registry.expect(400, 400, "POST", path, {"schema": PERSON, "references": [{"name": "test.Address"}]})


@check
def a_reference_to_the_latest_version(registry):
    address, person = registry.subject(), registry.subject()
    registry.register(address, ADDRESS)
    registry.register(address, record(("street", "string"), ("city", "string", ""), name="Address"))
    registry.register(person, PERSON, [refer("test.Address", address, -1)])
    assert registry.get(f"/subjects/{person}/versions/1")["references"] == [refer("test.Address", address, 2)]


@check
def what_is_referred_to_decides_what_a_schema_is(registry):
    address, person, schema_id = address_and_person(registry)
    registry.register(address, record(("street", "string"), ("city", "string", ""), name="Address"))
    newer_id = registry.register(person, PERSON, [refer("test.Address", address, 2)])
    assert newer_id != schema_id
    assert registry.get(f"/subjects/{person}/versions") == [1, 2]
    # A client that has put the types into the text itself finds the version that refers to them.
    inline = json.loads(PERSON)
    inline["fields"][1]["type"] = json.loads(ADDRESS)
    assert registry.call("POST", f"/subjects/{person}", {"schema": json.dumps(inline)})[1]["id"] == schema_id
    assert registry.register(person, json.dumps(inline)) == schema_id
    assert registry.get(f"/subjects/{person}/versions") == [1, 2]


@check
def compatibility_looks_into_references(registry):
    address, person, _ = address_and_person(registry)
    registry.call("PUT", f"/config/{address}", {"compatibility": "NONE"})
    registry.register(address, record(("street", "string"), ("city", "string"), name="Address"))
    registry.register(address, record(("street", "string"), ("city", "string", ""), name="Address"))
    for version, fits in ((2, False), (3, True)):
        body = {"schema": PERSON, "references": [refer("test.Address", address, version)]}
        answer = registry.call("POST", f"/compatibility/subjects/{person}/versions/latest", body)[1]
        assert answer["is_compatible"] is fits, answer
        assert fits or "READER_FIELD_MISSING_DEFAULT_VALUE" in answer["messages"][0], answer
        registry.expect(200 if fits else 409, None, "POST", f"/subjects/{person}/versions", body)


@check
def what_is_referred_to_is_not_deleted(registry):
    address, person, schema_id = address_and_person(registry)
    for path in (f"/subjects/{address}", f"/subjects/{address}/versions/1"):
        answer = registry.expect(422, 42206, "DELETE", path)
        assert person in answer["message"], answer
    assert registry.call("DELETE", f"/subjects/{person}/versions/1")[1] == 1
    assert registry.get(f"/subjects/{address}/versions/1/referencedby") == []
    assert registry.get(f"/subjects/{address}/versions/1/referencedby?deleted=true") == [schema_id]
    assert registry.call("DELETE", f"/subjects/{address}")[1] == [1]
    # The person's data can still be read, so what its schema refers to stays until it goes for good.
    assert registry.get(f"/schemas/ids/{schema_id}")["references"] == [refer("test.Address", address, 1)]
    registry.expect(422, 42206, "DELETE", f"/subjects/{address}?permanent=true")
    registry.expect(422, 42206, "DELETE", f"/subjects/{address}/versions/1?permanent=true")
    assert registry.call("DELETE", f"/subjects/{person}?permanent=true")[1] == [1]
    assert registry.call("DELETE", f"/subjects/{address}?permanent=true")[1] == [1]


@check
def a_subject_may_refer_to_itself(registry):
    subject = registry.subject()
    registry.call("PUT", f"/config/{subject}", {"compatibility": "NONE"})
    registry.register(subject, ADDRESS)
    registry.register(subject, PERSON, [refer("test.Address", subject, 1)])
    registry.expect(422, 42206, "DELETE", f"/subjects/{subject}/versions/1")
    assert registry.call("DELETE", f"/subjects/{subject}")[1] == [1, 2]
    assert registry.call("DELETE", f"/subjects/{subject}?permanent=true")[1] == [1, 2]


@check
def hostile_references(registry):
    """A long chain of schemas that each use the last one is refused before anything runs out."""
    address = registry.subject()
    registry.register(address, record(("a", "int"), name="Link0"))
    last, refused = refer("test.Link0", address, 1), None
    for link in range(1, 100):
        subject = registry.subject()
        schema = record(("next", {"type": "array", "items": f"test.Link{link - 1}"}), name=f"Link{link}")
        body = {"schema": schema, "references": [last]}
        status, body, _ = registry.call("POST", f"/subjects/{subject}/versions", body)
        if status != 200:
            refused = (link, status, body)
            break
        last = refer(f"test.Link{link}", subject, 1)
    assert refused and refused[0] > 20 and refused[1] == 422 and refused[2]["error_code"] == 42201, refused
    assert "nest deeper" in refused[2]["message"], refused


# Bad requests


@check
def invalid_schemas(registry):
    subject = registry.subject()
    bad = [
        "",
        "{",
        "null",
        "7",
        '"nosuchtype"',
        '{"type": "record"}',
        record(("a", "nosuchtype")),
        record(("a", "int"), ("a", "string")),
        record(("a", "int", "text")),
        '["int", "int"]',
        '{"type": "enum", "name": "E", "symbols": ["A", "A"]}',
        '{"type": "fixed", "name": "F", "size": -1}',
        record(("1a", "int")),
        "[" * 5000,
    ]
    for schema in bad:
        registry.expect(422, 42201, "POST", f"/subjects/{subject}/versions", {"schema": schema})
    registry.expect(422, 42201, "POST", f"/subjects/{subject}/versions", {"schemaType": "AVRO"})
    registry.expect(422, 42201, "POST", f"/subjects/{subject}/versions", {"schema": A, "schemaType": "COBOL"})
    registry.expect(404, 40401, "GET", f"/subjects/{subject}/versions")


@check
def malformed_bodies(registry):
    subject = registry.subject()
    for body in (b"", b"{", b"[]", b"\xff\xfe", b'{"schema": 7}'):
        registry.expect(400, 400, "POST", f"/subjects/{subject}/versions", body)


@check
def media_types(registry):
    subject = registry.subject()
    path, body = f"/subjects/{subject}/versions", {"schema": A}
    for accepted in (
        "application/vnd.schemaregistry.v1+json",
        "application/vnd.schemaregistry+json",
        "application/json",
        "application/json; charset=utf-8",
        None,
    ):
        registry.expect(200, None, "POST", path, body, {"Content-Type": accepted})
    for refused in ("text/plain", "application/x-www-form-urlencoded", "application/xml"):
        registry.expect(415, 415, "POST", path, body, {"Content-Type": refused})
    for accepted in ("*/*", "application/*", "application/json", "text/html, application/json;q=0.5", None):
        registry.expect(200, None, "GET", path, headers={"Accept": accepted})
    for refused in ("text/html", "application/xml", "application/json;q=0"):
        registry.expect(406, 406, "GET", path, headers={"Accept": refused})


@check
def large_bodies(registry):
    subject = registry.subject()
    fields = [(f"field_{number}", "string") for number in range(5000)]
    registry.register(subject, record(*fields))
    try:
        status, _, _ = registry.call("POST", f"/subjects/{subject}/versions", b" " * (64 << 20))
        assert status == 413, status
    except (ConnectionError, http.client.HTTPException):
        pass  # Closed while the body was still being sent.
    assert registry.call("GET", f"/subjects/{subject}/versions")[1] == [1]


@check
def unusual_subjects(registry):
    for suffix in ("/a b", "%2F", "ä☃", "?x=1", "..", "a+b", ":.ctx:topic-value"):
        subject = registry.subject(suffix)
        schema_id = registry.register(subject, A)
        assert subject in registry.call("GET", "/subjects")[1], subject
        quoted = urllib.parse.quote(subject, safe="")
        assert registry.call("GET", f"/subjects/{quoted}/versions/1")[1]["id"] == schema_id
        assert registry.client.get_latest_version(subject).schema_id == schema_id
    registry.expect(422, 42208, "POST", "/subjects/a%00b/versions", {"schema": A})


# Deleting


@check
def delete_a_subject(registry):
    subject = registry.subject()
    schema_id = registry.register(subject, A)
    registry.register(subject, AB)
    registry.expect(404, 40405, "DELETE", f"/subjects/{subject}?permanent=true")
    assert registry.call("DELETE", f"/subjects/{subject}")[1] == [1, 2]
    registry.expect(404, 40404, "DELETE", f"/subjects/{subject}")
    registry.expect(404, 40401, "GET", f"/subjects/{subject}/versions")
    registry.expect(404, 40401, "POST", f"/subjects/{subject}", {"schema": A})
    assert subject not in registry.call("GET", "/subjects")[1]
    assert subject in registry.call("GET", "/subjects?deleted=true")[1]
    assert registry.call("GET", f"/subjects/{subject}/versions?deleted=true")[1] == [1, 2]
    assert registry.call("GET", f"/schemas/ids/{schema_id}")[0] == 200, "data can still be read"
    assert registry.call("DELETE", f"/subjects/{subject}?permanent=true")[1] == [1, 2]
    assert subject not in registry.call("GET", "/subjects?deleted=true")[1]
    registry.expect(404, 40401, "DELETE", f"/subjects/{subject}?permanent=true")


@check
def delete_a_version(registry):
    subject = registry.subject()
    registry.register(subject, A)
    registry.register(subject, AB)
    registry.expect(404, 40407, "DELETE", f"/subjects/{subject}/versions/1?permanent=true")
    assert registry.call("DELETE", f"/subjects/{subject}/versions/1")[1] == 1
    registry.expect(404, 40406, "DELETE", f"/subjects/{subject}/versions/1")
    registry.expect(404, 40402, "GET", f"/subjects/{subject}/versions/1")
    assert registry.call("GET", f"/subjects/{subject}/versions/1?deleted=true")[0] == 200
    assert registry.call("GET", f"/subjects/{subject}/versions")[1] == [2]
    assert registry.call("DELETE", f"/subjects/{subject}/versions/1?permanent=true")[1] == 1
    registry.expect(404, 40402, "DELETE", f"/subjects/{subject}/versions/1?permanent=true")
    registry.expect(422, 42202, "DELETE", f"/subjects/{subject}/versions/first")
    assert registry.call("DELETE", f"/subjects/{subject}/versions/latest")[1] == 2


@check
def a_deleted_schema_comes_back_with_its_id(registry):
    subject = registry.subject()
    schema_id = registry.register(subject, A)
    registry.call("DELETE", f"/subjects/{subject}")
    assert registry.register(subject, A) == schema_id
    assert registry.call("GET", f"/subjects/{subject}/versions")[1] == [2]


@check
def only_what_was_deleted(registry):
    subject = registry.subject()
    registry.register(subject, A)
    registry.register(subject, AB)
    registry.call("DELETE", f"/subjects/{subject}/versions/1")
    assert registry.get(f"/subjects/{subject}/versions?deletedOnly=true") == [1]
    assert subject not in registry.get("/subjects?deletedOnly=true")
    registry.call("DELETE", f"/subjects/{subject}")
    assert subject in registry.get("/subjects?deletedOnly=true")
    body = {"schema": A}
    registry.expect(404, 40401, "POST", f"/subjects/{subject}", body)
    assert registry.call("POST", f"/subjects/{subject}?deleted=true", body)[1]["version"] == 1


@check
def a_deleted_version_goes_when_its_schema_returns(registry):
    subject = registry.subject()
    schema_id = registry.register(subject, A)
    registry.register(subject, AB)
    registry.call("DELETE", f"/subjects/{subject}/versions/1")
    assert registry.register(subject, A) == schema_id
    assert registry.get(f"/subjects/{subject}/versions?deleted=true") == [2, 3]


@check
def an_empty_subject_has_no_settings(registry):
    for path in ("", "/versions/1"):
        subject = registry.subject()
        registry.register(subject, A)
        registry.call("PUT", f"/config/{subject}", {"compatibility": "FULL"})
        registry.call("PUT", f"/mode/{subject}", {"mode": "READWRITE"})
        registry.call("DELETE", f"/subjects/{subject}{path}")
        registry.expect(404, 40408, "GET", f"/config/{subject}")
        registry.expect(404, 40409, "GET", f"/mode/{subject}")


# Compatibility


@check
def config(registry):
    subject = registry.subject()
    before = registry.call("GET", "/config")[1]["compatibilityLevel"]
    try:
        assert registry.call("PUT", "/config", {"compatibility": "FULL"})[1] == {"compatibility": "FULL"}
        assert registry.call("GET", "/config")[1] == {"compatibilityLevel": "FULL"}
        registry.expect(422, 42203, "PUT", "/config", {"compatibility": "SIDEWAYS"})
        registry.expect(404, 40408, "GET", f"/config/{subject}")
        fallback = registry.call("GET", f"/config/{subject}?defaultToGlobal=true")[1]
        assert fallback == {"compatibilityLevel": "FULL"}, fallback
    finally:
        registry.call("PUT", "/config", {"compatibility": before})
    assert registry.call("PUT", f"/config/{subject}", {"compatibility": "none"})[1] == {"compatibility": "NONE"}
    assert registry.call("GET", f"/config/{subject}")[1] == {"compatibilityLevel": "NONE"}
    assert registry.call("DELETE", f"/config/{subject}")[1] == {"compatibilityLevel": "NONE"}
    registry.expect(404, 40408, "GET", f"/config/{subject}")
    registry.expect(404, 40401, "DELETE", f"/config/{subject}")


@check
def the_global_level_can_be_reset(registry):
    registry.call("PUT", "/config", {"compatibility": "NONE"})
    assert registry.call("DELETE", "/config")[1] == {"compatibilityLevel": "NONE"}
    assert registry.get("/config") == {"compatibilityLevel": "BACKWARD"}


@check
def the_default_level_is_backward(registry):
    subject = registry.subject()
    registry.register(subject, A)
    answer = registry.expect(
        409, 409, "POST", f"/subjects/{subject}/versions", {"schema": record(("a", "string"), ("b", "int"))}
    )
    assert "READER_FIELD_MISSING_DEFAULT_VALUE" in answer["message"], answer
    registry.register(subject, AB)


UNION = record(("a", ["null", "int"]))
ENUM = record(("a", {"type": "enum", "name": "E", "symbols": ["X"]}))
ENUM_GROWN = record(("a", {"type": "enum", "name": "E", "symbols": ["X", "Y"]}))
ALIASED = json.dumps(
    {
        "type": "record",
        "name": "R2",
        "namespace": "test",
        "aliases": ["test.R"],
        "fields": [{"name": "a", "type": "string"}],
    }
)
FIELD_ALIASED = record({"name": "z", "type": "string", "aliases": ["a"]})

# (change, old, new, allowed under BACKWARD, FORWARD, FULL).
COMPATIBILITY = [
    ("add a field without default", A, record(("a", "string"), ("b", "int")), False, True, False),
    ("add a field with default", A, AB, True, True, True),
    ("remove a field with default", AB, A, True, True, True),
    ("remove a field without default", record(("a", "string"), ("b", "int")), A, True, False, False),
    ("int to long", A_INT, record(("a", "long")), True, False, False),
    ("long to int", record(("a", "long")), A_INT, False, True, False),
    ("int to [null, int]", A_INT, UNION, True, False, False),
    ("field renamed with alias", A, FIELD_ALIASED, True, False, False),
    ("record renamed with alias", A, ALIASED, True, False, False),
    ("enum symbol added", ENUM, ENUM_GROWN, True, False, False),
    ("record renamed without alias", A, record(("a", "string"), name="Other"), False, False, False),
    ("type changed", A, A_INT, False, False, False),
]


@check
def compatibility_table(registry):
    for change, old, new, backward, forward, full in COMPATIBILITY:
        for level, allowed in (("BACKWARD", backward), ("FORWARD", forward), ("FULL", full), ("NONE", True)):
            for transitive in [level] if level == "NONE" else [level, level + "_TRANSITIVE"]:
                subject = registry.subject()
                registry.register(subject, old)
                registry.call("PUT", f"/config/{subject}", {"compatibility": transitive})
                _, body, _ = registry.call(
                    "POST", f"/compatibility/subjects/{subject}/versions/latest", {"schema": new}
                )
                assert body["is_compatible"] == allowed, (change, transitive, body)
                assert bool(body["messages"]) != allowed, (change, transitive, body)
                _, every, _ = registry.call(
                    "POST", f"/compatibility/subjects/{subject}/versions?verbose=true", {"schema": new}
                )
                assert every["is_compatible"] == allowed, (change, transitive, every)
                status, answer, _ = registry.call("POST", f"/subjects/{subject}/versions", {"schema": new})
                assert status == (200 if allowed else 409), (change, transitive, status, answer)


@check
def only_transitive_levels_look_at_older_versions(registry):
    required = record(("a", "string"), ("b", "int"))
    chains = {
        # v3 reads v2, but not v1: the field's default was dropped in between.
        "BACKWARD": [A, AB, required],
        # v3 is read by v2, but not by v1, which needs the field.
        "FORWARD": [required, AB, A],
        "FULL": [A, AB, required],
    }
    for level, chain in chains.items():
        for suffix, status in (("", 200), ("_TRANSITIVE", 409)):
            subject = registry.subject()
            registry.call("PUT", f"/config/{subject}", {"compatibility": "NONE"})
            registry.register(subject, chain[0])
            registry.register(subject, chain[1])
            registry.call("PUT", f"/config/{subject}", {"compatibility": level + suffix})
            path = f"/compatibility/subjects/{subject}/versions"
            latest = registry.call("POST", f"{path}/latest", {"schema": chain[2]})[1]
            assert latest["is_compatible"] is True, (level + suffix, latest)
            every = registry.call("POST", path, {"schema": chain[2]})[1]
            assert every["is_compatible"] is (status == 200), (level + suffix, every)
            registry.expect(status, None, "POST", f"/subjects/{subject}/versions", {"schema": chain[2]})


@check
def compatibility_with_a_given_version(registry):
    subject = registry.subject()
    path = f"/compatibility/subjects/{subject}/versions"
    registry.expect(404, 40401, "POST", f"{path}/1", {"schema": A})
    registry.register(subject, A)
    registry.register(subject, AB)
    new = record(("a", "string"), ("b", "int"))
    assert registry.call("POST", f"{path}/1", {"schema": new})[1]["is_compatible"] is False
    assert registry.call("POST", f"{path}/2", {"schema": new})[1]["is_compatible"] is True
    registry.expect(404, 40402, "POST", f"{path}/9", {"schema": new})
    registry.expect(422, 42202, "POST", f"{path}/zero", {"schema": new})
    registry.expect(422, 42201, "POST", f"{path}/1", {"schema": "{"})


@check
def a_deleted_version_does_not_count(registry):
    subject = registry.subject()
    registry.register(subject, A_INT)
    registry.call("DELETE", f"/subjects/{subject}/versions/1")
    registry.register(subject, A)


# Confluent's client


@check
def confluent_client(registry):
    client, subject = registry.client, registry.subject("-value")
    schema_id = client.register_schema(subject, Schema(A, "AVRO"))
    fresh = SchemaRegistryClient({"url": registry.url})
    assert json.loads(fresh.get_schema(schema_id).schema_str) == json.loads(A)
    assert fresh.lookup_schema(subject, Schema(A, "AVRO")).schema_id == schema_id
    assert fresh.get_latest_version(subject).version == 1
    assert fresh.get_version(subject, 1).schema_id == schema_id
    assert fresh.get_versions(subject) == [1]
    assert subject in fresh.get_subjects()
    assert fresh.test_compatibility(subject, Schema(AB, "AVRO"))
    assert not fresh.test_compatibility(subject, Schema(A_INT, "AVRO"))
    fresh.set_compatibility(subject, "NONE")
    assert fresh.get_compatibility(subject) == "NONE"
    try:
        fresh.get_version(subject, 7)
        raise AssertionError("version 7 was found")
    except SchemaRegistryError as error:
        assert (error.http_status_code, error.error_code) == (404, 40402), error
    assert fresh.delete_version(subject, 1) == 1
    assert fresh.delete_subject(registry_subject(fresh, registry)) == [1]


def registry_subject(client, registry):
    subject = registry.subject()
    client.register_schema(subject, Schema(A, "AVRO"))
    return subject


@check
def avro_serializer_round_trip(registry):
    topic = registry.subject()
    context = SerializationContext(topic, MessageField.VALUE)
    old = record(("a", "string"), ("gone", "int", 5))
    value = {"a": "Grüße ☃", "gone": 7}
    data = AvroSerializer(SchemaRegistryClient({"url": registry.url}), old)(value, context)
    schema_id = int.from_bytes(data[1:5], "big")
    assert data[0] == 0
    assert registry.call("GET", f"/subjects/{topic}-value/versions/latest")[1]["id"] == schema_id
    reader = SchemaRegistryClient({"url": registry.url})
    assert AvroDeserializer(reader)(data, context) == value
    # A newer reader: a field dropped, one added with its default.
    new = record(("a", "string"), ("added", ["null", "string"], None))
    assert AvroDeserializer(reader, new)(data, context) == {"a": value["a"], "added": None}
    # A newer writer under the same subject.
    newer = AvroSerializer(SchemaRegistryClient({"url": registry.url}), new)({"a": "x", "added": "y"}, context)
    assert AvroDeserializer(reader, old)(newer, context) == {"a": "x", "gone": 5}
    try:
        AvroSerializer(SchemaRegistryClient({"url": registry.url}), record(("a", "int")))({"a": 1}, context)
        raise AssertionError("an incompatible schema was registered")
    except SchemaRegistryError as error:
        assert error.http_status_code == 409, error


@check
def avro_serializer_with_references(registry):
    address, topic = registry.subject(), registry.subject()
    client = SchemaRegistryClient({"url": registry.url})
    client.register_schema(address, Schema(ADDRESS, "AVRO"))
    person = Schema(PERSON, "AVRO", [SchemaReference("test.Address", address, 1)])
    context = SerializationContext(topic, MessageField.VALUE)
    value = {"name": "Ada", "home": {"street": "Ringstraße"}, "work": {"street": "Allee"}}
    data = AvroSerializer(client, person)(value, context)
    reader = SchemaRegistryClient({"url": registry.url})
    assert AvroDeserializer(reader)(data, context) == value
    assert AvroDeserializer(reader, person)(data, context) == value
    found = reader.get_latest_version(topic + "-value")
    assert [(r.name, r.subject, r.version) for r in found.schema.references] == [("test.Address", address, 1)]
    assert reader.lookup_schema(topic + "-value", person).schema_id == int.from_bytes(data[1:5], "big")
    assert reader.test_compatibility(topic + "-value", person)
    # A reader that knows a newer address, in the words of its own text.
    newer = json.loads(PERSON)
    newer["fields"][1]["type"] = json.loads(record(("street", "string"), ("city", "string", "?"), name="Address"))
    expected = dict(value, home={"street": "Ringstraße", "city": "?"}, work={"street": "Allee", "city": "?"})
    assert AvroDeserializer(reader, json.dumps(newer))(data, context) == expected


@check
def avro_serializer_settings(registry):
    context = SerializationContext(registry.subject(), MessageField.VALUE)
    subject = context.topic + "-value"
    client = SchemaRegistryClient({"url": registry.url})
    closed = {"auto.register.schemas": False}
    try:
        AvroSerializer(client, A, conf=closed)({"a": "x"}, context)
        raise AssertionError("an unregistered schema was used")
    except SchemaRegistryError as error:
        assert error.error_code == 40401, error
    client.register_schema(subject, Schema(A, "AVRO"), normalize_schemas=True)
    again = SchemaRegistryClient({"url": registry.url})
    data = AvroSerializer(again, A, conf={**closed, "normalize.schemas": True})({"a": "x"}, context)
    newest = AvroSerializer(again, conf={**closed, "use.latest.version": True})({"a": "x"}, context)
    assert data == newest
    keyed = SerializationContext(context.topic, MessageField.KEY)
    key = AvroSerializer(again, json.dumps("string"))("key", keyed)
    assert AvroDeserializer(client)(key, keyed) == "key"


@check
def confluent_client_settings_and_deletes(registry):
    client, subject = registry.client, registry.subject()
    client.register_schema(subject, Schema(A, "AVRO"))
    client.register_schema(subject, Schema(AB, "AVRO"))
    schema_id = client.get_version(subject, 1).schema_id
    assert subject in client.get_subjects_by_schema_id(schema_id)
    assert (subject, 1) in [(found.subject, found.version) for found in client.get_schema_versions(schema_id)]
    assert client.test_compatibility_all_versions(subject, Schema(AB, "AVRO"))
    assert client.update_mode(subject, "READONLY") == "READONLY" == client.get_mode(subject)
    try:
        client.delete_subject(subject)
        raise AssertionError("a read-only subject was deleted")
    except SchemaRegistryError as error:
        assert (error.http_status_code, error.error_code) == (422, 42205), error
    assert client.delete_mode(subject) == "READONLY"
    assert client.get_global_mode() == "READWRITE"
    assert client.delete_version(subject, 1) == 1
    assert client.get_versions(subject) == [2]
    assert client.get_versions(subject, deleted=True) == [1, 2]
    assert client.delete_version(subject, 1, permanent=True) == 1
    try:
        client.delete_subject(subject, permanent=True)
        raise AssertionError("a subject that was not deleted before is gone")
    except SchemaRegistryError as error:
        assert (error.http_status_code, error.error_code) == (404, 40405), error
    assert client.delete_subject(subject) == [2]
    assert client.delete_subject(subject, permanent=True) == [2]


# Many at once


@check
def concurrent_registration(registry):
    subject = registry.subject()
    schemas = [record(("a", "string"), *[(f"b{n}", "int", 0) for n in range(k)]) for k in range(8)]
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        ids = list(pool.map(lambda n: (n % 8, registry.register(subject, schemas[n % 8])), range(160)))
    by_schema = {}
    for schema, schema_id in ids:
        by_schema.setdefault(schema, set()).add(schema_id)
    assert all(len(found) == 1 for found in by_schema.values()), by_schema
    assert len({next(iter(found)) for found in by_schema.values()}) == 8, by_schema
    assert registry.call("GET", f"/subjects/{subject}/versions")[1] == list(range(1, 9))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--registry", required=True, help="URL of the registry")
    parser.add_argument("--only", help="run only checks whose name contains this")
    arguments = parser.parse_args()
    registry = Registry(arguments.registry)
    failed = 0
    selected = [function for function in CHECKS if (arguments.only or "") in function.__name__]
    for function in selected:
        name = function.__name__.replace("_", " ")
        try:
            function(registry)
            print(f"ok    {name}")
        except Exception:  # Any failure is one failed check; the others still run.
            failed += 1
            print(f"FAIL  {name}\n{traceback.format_exc()}")
    print(f"{len(selected) - failed} of {len(selected)} checks passed")
    return 1 if failed or not selected else 0


if __name__ == "__main__":
    sys.exit(main())
