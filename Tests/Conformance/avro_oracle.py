"""Random Avro schemas and values, encoded, decoded and resolved by fastavro: the independent opinion.

    python avro_oracle.py KIND SEED CASES SCHEMA_FOLDER
    python avro_oracle.py decode < CASES

Prints one case a line, its parts separated by tabs:
  plain      schema, canonical form, fingerprint, data, the value as fastavro reads it back
  evolution  writer's schema, reader's schema, data, the value as fastavro resolves it
  conflict   writer's schema, reader's schema, data: the reader's schema cannot read it
  record     the name of one of the project's own schemas, data
  evolved    the name of one of the project's own schemas, another writer's, data, what the reader makes of it
With `decode`, reads lines of a schema and data, and prints each value as fastavro reads it.
Values are printed in a notation that both sides can produce; see `render`.
"""

import io
import json
import pathlib
import random
import struct
import sys

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

PRIMITIVES = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"]
BREAKING = {
    "boolean": ["int", "string", "null"],
    "int": ["boolean", "string", "bytes"],
    "long": ["int", "boolean", "string"],
    "float": ["int", "long", "string"],
    "double": ["float", "long", "bytes"],
    "bytes": ["int", "double", "null"],
    "string": ["int", "boolean", ["null", "long"]],
}
PROMOTION_GROUPS = {"int": "number", "long": "number", "float": "number", "double": "number", "bytes": "string"}


def render(value):
    if value is None:
        return "n"
    if value is True:
        return "t"
    if value is False:
        return "f"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return "d" + struct.pack(">d", value).hex()
    if isinstance(value, bytes):
        return "x" + value.hex()
    if isinstance(value, str):
        return "s" + value.encode().hex()
    if isinstance(value, list):
        return "[" + ",".join(render(item) for item in value) + "]"
    members = sorted((key.encode().hex(), render(item)) for key, item in value.items())
    return "{" + ",".join(key + ":" + item for key, item in members) + "}"


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.names = 0
        # fastavro takes the first branch of a reader's union that a value can be promoted to, even when a later one is
        # of its very type; the specification and Java prefer the latter. So such unions are not its to judge.
        self.unions_may_be_ambiguous = True

    def name(self, prefix):
        self.names += 1
        return f"{prefix}{self.names}"

    def full_name(self, schema):
        """The name to refer to a record by, as the generator only makes full names or names without namespaces."""
        return schema["namespace"] + "." + schema["name"] if schema.get("namespace") else schema["name"]

    # Schemas

    def named(self, kind, namespace):
        schema = {"type": kind, "name": self.name(kind.capitalize()), "namespace": namespace}
        if self.random.random() < 0.3:
            schema["doc"] = self.string()
        return schema

    def schema(self, depth, namespace, enclosing=()):
        choice = self.random.random()
        if depth == 0 or choice < 0.35:
            return self.primitive()
        if choice < 0.5:
            return {"type": "array", "items": self.schema(depth - 1, namespace, enclosing)}
        if choice < 0.6:
            return {"type": "map", "values": self.schema(depth - 1, namespace, enclosing)}
        if choice < 0.75:
            return self.union(depth - 1, namespace, enclosing)
        if choice < 0.82:
            count = self.random.randint(1, 5)
            schema = self.named("enum", namespace)
            schema["symbols"] = [self.name("S") for _ in range(count)]
            return schema
        if choice < 0.88:
            schema = self.named("fixed", namespace)
            schema["size"] = self.random.choice([0, 1, 2, 16, 33])
            return schema
        return self.record(depth - 1, namespace, enclosing)

    def primitive(self):
        kind = self.random.choice(PRIMITIVES)
        if kind == "long" and self.random.random() < 0.2:
            return {"type": "long", "logicalType": "x-unknown"}
        return kind

    def union(self, depth, namespace, enclosing):
        branches, seen = [], set()
        if enclosing and self.random.random() < 0.4:
            return ["null", enclosing[-1]]
        for _ in range(self.random.randint(1, 4)):
            branch = self.schema(depth, namespace, enclosing)
            if isinstance(branch, list):
                continue
            key = branch if isinstance(branch, str) else branch["type"]
            if key in ("record", "enum", "fixed"):
                key = branch["name"]
            if not self.unions_may_be_ambiguous:
                key = PROMOTION_GROUPS.get(key, key)
            if key not in seen:
                seen.add(key)
                branches.append(branch)
        return branches or ["null"]

    def record(self, depth, namespace, enclosing=()):
        namespace = self.random.choice([namespace, "", "test.a", "test.b.c"])
        schema = self.named("record", namespace)
        enclosing = enclosing + (self.full_name(schema),)
        if not namespace:
            # A name without a namespace can only be referred to from inside the null namespace.
            enclosing = ()
        schema["fields"] = []
        for _ in range(self.random.choice([0, 1, 2, 3, 5, 8])):
            field = {"name": self.name("f"), "type": self.schema(depth, namespace, enclosing)}
            if self.random.random() < 0.2:
                field["doc"] = self.string()
            schema["fields"].append(field)
        return schema

    # Values

    def string(self):
        alphabet = ["a", "Z", "0", " ", '"', "\\", "\n", "\0", "é", "ß", "漢", "🙂", "\u2028", "\u0301"]
        return "".join(self.random.choice(alphabet) for _ in range(self.random.choice([0, 1, 3, 15, 16, 40, 200])))

    def value(self, schema, names, depth=0):
        r = self.random
        if isinstance(schema, list):
            branches = schema
            if depth > 12 and "null" in schema:
                return None
            return self.value(r.choice(branches), names, depth + 1)
        if isinstance(schema, str) and schema not in PRIMITIVES:
            schema = names[schema]
        kind = schema if isinstance(schema, str) else schema["type"]
        if kind == "null":
            return None
        if kind == "boolean":
            return r.random() < 0.5
        if kind in ("int", "long"):
            bits = r.choice([1, 6, 7, 8, 14, 31] + ([32, 45, 63] if kind == "long" else []))
            return r.choice([r.randrange(-(1 << bits), 1 << bits), (1 << bits) - 1, -(1 << bits)])
        if kind == "float":
            number = r.choice([0.0, -0.0, 1.5, r.uniform(-1e30, 1e30), float("inf")])
            return struct.unpack("<f", struct.pack("<f", number))[0]
        if kind == "double":
            return r.choice([0.0, -0.0, 0.1, r.uniform(-1e300, 1e300), float("-inf"), 5e-324])
        if kind == "bytes":
            return r.randbytes(r.choice([0, 1, 7, 64, 65, 300]))
        if kind == "string":
            return self.string()
        if kind == "array":
            count = 0 if depth > 8 else r.choice([0, 1, 2, 7])
            return [self.value(schema["items"], names, depth + 1) for _ in range(count)]
        if kind == "map":
            count = 0 if depth > 8 else r.choice([0, 1, 2, 5])
            keys = sorted({f"k{r.randrange(1000)}é"[: r.randint(1, 6)] for _ in range(count)}, key=str.encode)
            return {key: self.value(schema["values"], names, depth + 1) for key in keys}
        if kind == "enum":
            return r.choice(schema["symbols"])
        if kind == "fixed":
            return r.randbytes(schema["size"])
        return {field["name"]: self.value(field["type"], names, depth + 1) for field in schema["fields"]}

    def collect(self, schema, names):
        if isinstance(schema, list):
            for branch in schema:
                self.collect(branch, names)
        elif isinstance(schema, dict):
            if schema["type"] in ("record", "enum", "fixed"):
                names[self.full_name(schema)] = schema
                names[schema["name"]] = schema
            for field in schema.get("fields", []):
                self.collect(field["type"], names)
            for part in ("items", "values"):
                if part in schema:
                    self.collect(schema[part], names)
        return names

    # Evolution

    def default(self):
        return self.random.choice(
            [
                ("int", 7),
                ("long", -(1 << 40)),
                ("string", "näher\0"),
                ("boolean", True),
                ("double", 2.5),
                ("float", -0.5),
                (["null", "string"], None),
                (["string", "null"], "x"),
                ({"type": "array", "items": "int"}, [1, 2]),
                ({"type": "array", "items": "string"}, []),
                ({"type": "map", "values": "string"}, {"a": "b"}),
            ]
        )

    def evolve(self, schema):
        """A reader's schema that can read what `schema` wrote."""
        r = self.random
        if isinstance(schema, list):
            branches = [self.evolve(branch) if branch not in PRIMITIVES else branch for branch in schema]
            if r.random() < 0.3:
                r.shuffle(branches)
            return branches
        if isinstance(schema, str):
            if r.random() < 0.3:
                promoted = {"int": ["long", "double"], "long": ["double"], "float": ["double"], "string": ["bytes"]}
                if schema in promoted:
                    return r.choice(promoted[schema])
            if schema in PRIMITIVES and schema != "null" and r.random() < 0.15:
                return r.choice([["null", schema], [schema, "null"]])
            return schema
        result = dict(schema)
        kind = schema["type"]
        if kind == "array":
            result["items"] = self.evolve(schema["items"])
        elif kind == "map":
            result["values"] = self.evolve(schema["values"])
        elif kind == "enum":
            result["symbols"] = schema["symbols"] + [self.name("S")]
            r.shuffle(result["symbols"])
        elif kind == "record":
            result["fields"] = self.evolve_fields(schema["fields"])
        return result

    def evolve_fields(self, fields):
        r, result = self.random, []
        for field in fields:
            # A dropped or moved definition might be referred to later: only fields without named types go.
            is_plain = not any(kind in json.dumps(field["type"]) for kind in ("record", "enum", "fixed", "test."))
            if is_plain and r.random() < 0.15:
                continue
            field = dict(field, type=self.evolve(field["type"]))
            if r.random() < 0.15:
                field["aliases"] = [self.name("unused"), field["name"]]
                field["name"] = self.name("renamed")
            result.append(field)
        while r.random() < 0.4:
            kind, value = self.default()
            result.insert(r.randint(0, len(result)), {"name": self.name("added"), "type": kind, "default": value})
        for index, field in enumerate(result):
            if isinstance(field["type"], str) and field["type"] in PRIMITIVES and r.random() < 0.3:
                result.insert(r.randint(0, len(result) - 1), result.pop(index))
        return result

    def break_schema(self, schema):
        """A reader's schema that cannot read what the record `schema` wrote."""
        fields = [dict(field) for field in schema["fields"]]
        typed = [field for field in fields if isinstance(field["type"], str) and field["type"] in BREAKING]
        if typed and self.random.random() < 0.7:
            field = self.random.choice(typed)
            field["type"] = self.random.choice(BREAKING[field["type"]])
        else:
            added = {"name": self.name("missing"), "type": self.default()[0]}
            fields.insert(self.random.randint(0, len(fields)), added)
        return dict(schema, fields=fields)


def encode(schema, value):
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), value)
    return out.getvalue()


def decode(writer, data, reader=None):
    return fastavro.schemaless_reader(
        io.BytesIO(data), fastavro.parse_schema(writer), fastavro.parse_schema(reader) if reader is not None else None
    )


def plain(generator):
    depth = generator.random.choice([1, 1, 2, 2, 3])
    make = generator.record if generator.random.random() < 0.7 else generator.schema
    schema = make(depth, "test")
    value = generator.value(schema, generator.collect(schema, {}))
    data = encode(schema, value)
    canonical = to_parsing_canonical_form(schema)
    crc = fingerprint(canonical, "CRC-64-AVRO")
    return json.dumps(schema), canonical, crc, data.hex(), render(decode(schema, data))


def evolution(generator):
    generator.unions_may_be_ambiguous = False
    writer = generator.record(generator.random.choice([1, 2, 2, 3]), "test")
    data = encode(writer, generator.value(writer, generator.collect(writer, {})))
    reader = generator.evolve(writer)
    return json.dumps(writer), json.dumps(reader), data.hex(), render(decode(writer, data, reader))


def conflict(generator):
    generator.unions_may_be_ambiguous = False
    writer = generator.record(generator.random.choice([1, 2, 2, 3]), "test")
    data = encode(writer, generator.value(writer, generator.collect(writer, {})))
    reader = generator.break_schema(writer)
    try:
        decode(writer, data, reader)
    except fastavro.read.SchemaResolutionError:
        return json.dumps(writer), json.dumps(reader), data.hex()
    raise AssertionError(f"fastavro reads {writer} as {reader}")


def sort_maps(value):
    if isinstance(value, dict):
        return {key: sort_maps(value[key]) for key in sorted(value, key=str.encode)}
    return [sort_maps(item) for item in value] if isinstance(value, list) else value


def record(generator, schema):
    value = generator.value(schema, generator.collect(schema, {}))
    return generator.full_name(schema), encode(schema, value).hex()


def evolved(generator, schema):
    """An older writer that lacks fields with defaults, has fields of its own, and another order."""
    generator.unions_may_be_ambiguous = False
    writer = dict(schema, fields=[])
    for field in schema["fields"]:
        if "default" in field and generator.random.random() < 0.4:
            continue
        field = {key: item for key, item in field.items() if key != "default"}
        if field["type"] == "long" and generator.random.random() < 0.5:
            field["type"] = "int"
        writer["fields"].append(field)
    for _ in range(generator.random.randint(0, 2)):
        writer["fields"].append({"name": generator.name("gone"), "type": generator.schema(1, "test")})
    generator.random.shuffle(writer["fields"])
    data = encode(writer, generator.value(writer, generator.collect(writer, {})))
    resolved = encode(schema, sort_maps(decode(writer, data, schema)))
    return generator.full_name(schema), json.dumps(writer), data.hex(), resolved.hex()


def without_logical_types(schema):
    """fastavro turns timestamps into dates, which do not reach as far as a long does."""
    if isinstance(schema, list):
        return [without_logical_types(branch) for branch in schema]
    if isinstance(schema, dict):
        return {key: without_logical_types(item) for key, item in schema.items() if key != "logicalType"}
    return schema


def decode_lines():
    for line in sys.stdin:
        schema, data = line.rstrip("\n").split("\t")
        data = io.BytesIO(bytes.fromhex(data))
        value = fastavro.schemaless_reader(data, fastavro.parse_schema(json.loads(schema)), None)
        rest = len(data.read())
        print(render(value) if rest == 0 else f"{rest} bytes are left")


def main():
    kind = sys.argv[1]
    if kind == "decode":
        return decode_lines()
    seed, cases, folder = int(sys.argv[2]), int(sys.argv[3]), pathlib.Path(sys.argv[4])
    own = [without_logical_types(json.loads(path.read_text())) for path in sorted(folder.rglob("*.avsc"))]
    make = {"plain": plain, "evolution": evolution, "conflict": conflict, "record": record, "evolved": evolved}[kind]
    for case in range(cases):
        generator = Generator(seed * 1_000_003 + case)
        schemas = [own[case % len(own)]] if kind in ("record", "evolved") else []
        print("\t".join(make(generator, *schemas)))


if __name__ == "__main__":
    main()
