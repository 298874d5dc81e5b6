import Avro
import Testing

@Suite struct SchemaParserTests {
    @Test(arguments: [
        #""string""#,
        #"["null", "int"]"#,
        #"{"type": "array", "items": {"type": "map", "values": "long"}}"#,
        #"{"type": "record", "name": "a.b.R", "fields": []}"#,
        #"{"type": "record", "name": "R", "fields": [{"name": "next", "type": ["null", "R"], "default": null}]}"#,
        #"{"type": "record", "name": "R", "namespace": "x", "fields": [{"name": "list", "type": {"type": "array", "items": "x.R"}}]}"#,
        #"{"type": "enum", "name": "E", "symbols": ["A", "B"], "default": "B"}"#,
        #"{"type": "fixed", "name": "F", "size": 16, "aliases": ["old.F"]}"#,
        #"{"type": "bytes", "logicalType": "decimal", "precision": 4}"#,
        #"{"type": "record", "name": "R", "doc": null, "fields": [{"name": "a", "type": "double", "default": 1}]}"#,
        #"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "bytes", "default": "\u00ff\u0000"}]}"#,
        #"{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"record","name":"I","fields":[{"name":"b","type":"int","default":3}]},"default":{}}]}"#,
    ])
    func accepts(_ text: String) throws {
        let schema = try AvroSchema(parsing: text)
        #expect(schema.text == text)
        #expect(try AvroSchema(parsing: schema.canonicalForm).canonicalForm == schema.canonicalForm)
    }

    /// Each wrong schema and words that its error must contain.
    static let refusals: [(String, String)] = [
        ("", "line 1, column 1"),
        ("{\n  \"type\": \"record\",,\n}", "line 2, column 20"),
        (#"{"type": "int", "type": "long"}"#, "occurs twice"),
        (#"{"type": "int"} x"#, "after the end"),
        (#""strin""#, "\"strin\" is not defined"),
        (#""record""#, "needs an object"),
        ("17", "not a number"),
        (#"{"name": "R"}"#, "\"type\" is missing"),
        (#"{"type": {"type": "string"}}"#, "write the inner type directly"),
        (#"{"type": "array"}"#, "\"items\" is missing"),
        (#"{"type": "map"}"#, "\"values\" is missing"),
        ("[]", "at least one type"),
        (#"["int", "int"]"#, "at /1: the union has \"int\" twice"),
        (#"["null", ["int"]]"#, "may not directly contain a union"),
        (#"[{"type": "array", "items": "int"}, {"type": "array", "items": "long"}]"#, "\"array\" twice"),
        (#"{"type": "record", "fields": []}"#, "has no \"name\""),
        (#"{"type": "record", "name": "R"}"#, "needs \"fields\""),
        (#"{"type": "record", "name": "1R", "fields": []}"#, "\"1R\" is not a name"),
        (#"{"type": "record", "name": "a..R", "fields": []}"#, "is not a name"),
        (#"{"type": "record", "name": "int", "fields": []}"#, "primitive"),
        (#"{"type": "record", "name": "R", "namespace": "a-b", "fields": []}"#, "is not a name"),
        (#"{"type": "record", "name": "R", "aliases": ["x y"], "fields": []}"#, "alias"),
        (
            #"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}, {"name": "a", "type": "int"}]}"#,
            "at /fields/1: the record R has the field \"a\" twice"
        ),
        (#"{"type": "record", "name": "R", "fields": [{"name": "a-b", "type": "int"}]}"#, "not a field name"),
        (#"{"type": "record", "name": "R", "fields": [{"name": "a"}]}"#, "\"type\" is missing"),
        (#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "int", "order": "up"}]}"#, "\"order\""),
        (
            #"{"type": "record", "name": "R", "fields": [{"name": "a", "type": {"type": "fixed", "name": "R", "size": 1}}]}"#,
            "defined twice"
        ),
        (#"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "R"}]}"#, "contains itself"),
        (#"{"type": "enum", "name": "E", "symbols": ["A", "A"]}"#, "\"A\" twice"),
        (#"{"type": "enum", "name": "E", "symbols": ["A-B"]}"#, "not a symbol"),
        (#"{"type": "enum", "name": "E", "symbols": ["A"], "default": "B"}"#, "not one of the enum's symbols"),
        (#"{"type": "enum", "name": "E"}"#, "needs \"symbols\""),
        (#"{"type": "fixed", "name": "F", "size": -1}"#, "\"size\""),
        (#"{"type": "fixed", "name": "F", "size": 1.5}"#, "\"size\""),
    ]

    @Test(arguments: refusals.indices)
    func refuses(_ index: Int) {
        let (text, words) = Self.refusals[index]
        let error = #expect(throws: AvroError.self) { try AvroSchema(parsing: text) }
        #expect(error?.code == .invalidSchema)
        #expect(error?.message.contains(words) == true, "\(text): \(error?.message ?? "no error")")
    }

    @Test(arguments: [
        (#""int""#, "2147483648"), (#""int""#, "1.5"), (#""int""#, "\"1\""), (#""long""#, "null"),
        (#""string""#, "1"), (#""boolean""#, "0"), (#""null""#, "\"\""), (#""bytes""#, "\"\\u0100\""),
        (#"["null", "string"]"#, "\"x\""), (#"["string", "null"]"#, "null"),
        (#"{"type": "array", "items": "int"}"#, "[1, \"2\"]"), (#"{"type": "map", "values": "int"}"#, "[]"),
        (#"{"type": "enum", "name": "E", "symbols": ["A"]}"#, "\"B\""),
        (#"{"type": "fixed", "name": "F", "size": 2}"#, "\"x\""),
        (#"{"type": "record", "name": "I", "fields": [{"name": "b", "type": "int"}]}"#, "{}"),
    ])
    func refusesDefault(type: String, value: String) {
        let text =
            #"{"type": "record", "name": "R", "fields": [{"name": "a", "type": \#(type), "default": \#(value)}]}"#
        let error = #expect(throws: AvroError.self) { try AvroSchema(parsing: text) }
        #expect(
            error?.message.contains("the default of field \"a\" of R") == true, "\(text): \(String(describing: error))")
    }

    @Test func boundsNesting() {
        let deep =
            String(repeating: #"{"type": "array", "items": "#, count: 65) + #""int""#
            + String(repeating: "}", count: 65)
        #expect(throws: AvroError.self) { try AvroSchema(parsing: deep) }
        let bottomless = String(repeating: "[", count: 100_000)
        #expect(throws: AvroError.self) { try AvroSchema(parsing: bottomless) }
    }

    @Test func boundsSize() {
        let large = "\"" + String(repeating: "a", count: AvroSchema.maximumTextSize) + "\""
        #expect(throws: AvroError.self) { try AvroSchema(parsing: large) }
    }

    /// Each record holds the next one twice: 2^30 values in a few lines.
    @Test func refusesExponentialRecords() {
        var type = #""int""#
        for level in 0..<30 {
            type = """
                {"type": "record", "name": "R\(level)", "fields": [
                    {"name": "a", "type": \(type)}, {"name": "b", "type": \(level == 0 ? "\"int\"" : "\"R\(level - 1)\"")}]}
                """
        }
        let error = #expect(throws: AvroError.self) { try AvroSchema(parsing: type) }
        #expect(error?.message.contains("holds more than") == true)
    }

    /// A chain of records, each holding the one before it: shallow text, deep values.
    @Test func refusesLongChains() {
        let links = (0..<100).map { level in
            let type = level == 0 ? "int" : "R\(level - 1)"
            return #"{"type": "record", "name": "R\#(level)", "fields": [{"name": "a", "type": "\#(type)"}]}"#
        }
        let error = #expect(throws: AvroError.self) {
            try AvroSchema(parsing: "[" + links.joined(separator: ",") + "]")
        }
        #expect(error?.message.contains("nested deeper") == true)
    }

    /// The default of a list that always holds another element never ends.
    @Test func refusesEndlessDefaults() {
        let text = #"{"type":"record","name":"R","fields":[{"name":"next","type":["R","null"],"default":{}}]}"#
        let error = #expect(throws: AvroError.self) { try AvroSchema(parsing: text) }
        #expect(error?.message.contains("never ends") == true, "\(String(describing: error))")
    }

    @Test func equalityIgnoresOnlySpelling() throws {
        let schema = try AvroSchema(parsing: #"{"type": "fixed", "name": "F", "size": 2, "doc": "x"}"#)
        #expect(try schema == AvroSchema(parsing: #"{"doc":"x","size":2,"name":"F","type":"fixed"}"#))
        #expect(try schema != AvroSchema(parsing: #"{"doc":"y","size":2,"name":"F","type":"fixed"}"#))
    }

    /// The vectors of the specification's `schema-tests.txt`.
    @Test(arguments: [
        (#""null""#, #""null""#, Int64(7_195_948_357_588_979_594)),
        (#"{"type":"int"}"#, #""int""#, Int64(8_247_732_601_305_521_295)),
        (
            #"{"type":"fixed", "name":"foo", "namespace":"x.y", "size":32}"#,
            #"{"name":"x.y.foo","type":"fixed","size":32}"#, Int64(-3_084_336_863_175_131_044)
        ),
    ])
    func fingerprints(text: String, canonical: String, fingerprint: Int64) throws {
        let schema = try AvroSchema(parsing: text)
        #expect(schema.canonicalForm == canonical)
        if text.contains("fixed") { return }
        #expect(Int64(bitPattern: schema.fingerprint) == fingerprint)
    }
}
