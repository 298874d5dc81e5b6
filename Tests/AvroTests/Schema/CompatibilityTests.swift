import Avro
import Testing

/// The evolution table: which change lets new readers read old data (backward), and old readers new data (forward).
@Suite struct CompatibilityTests {
    struct Change: Sendable, CustomStringConvertible {
        var description: String
        var old: String
        var new: String
        var backward: AvroIncompatibility.Kind?
        var forward: AvroIncompatibility.Kind?
    }

    private static func record(_ fields: String, name: String = "R", more: String = "") -> String {
        #"{"type": "record", "name": "\#(name)"\#(more), "fields": [\#(fields)]}"#
    }

    private static let a = #"{"name": "a", "type": "int"}"#

    static let changes: [Change] = [
        Change(
            description: "field without default added", old: record(a),
            new: record(a + #", {"name": "b", "type": "int"}"#), backward: .readerFieldMissingDefaultValue),
        Change(
            description: "field with default added", old: record(a),
            new: record(a + #", {"name": "b", "type": "int", "default": 1}"#)),
        Change(
            description: "field without default removed", old: record(a + #", {"name": "b", "type": "int"}"#),
            new: record(a), forward: .readerFieldMissingDefaultValue),
        Change(
            description: "int becomes long", old: record(a), new: record(#"{"name": "a", "type": "long"}"#),
            forward: .typeMismatch),
        Change(
            description: "int becomes [null, int]", old: record(a),
            new: record(#"{"name": "a", "type": ["null", "int"]}"#),
            forward: .typeMismatch),
        Change(
            description: "field renamed with alias", old: record(a),
            new: record(#"{"name": "b", "type": "int", "aliases": ["a"]}"#), forward: .readerFieldMissingDefaultValue),
        Change(
            description: "enum symbol added", old: #"{"type": "enum", "name": "E", "symbols": ["A"]}"#,
            new: #"{"type": "enum", "name": "E", "symbols": ["A", "B"]}"#, forward: .missingEnumSymbols),
        Change(
            description: "enum symbol added, readers have a default",
            old: #"{"type": "enum", "name": "E", "symbols": ["A"], "default": "A"}"#,
            new: #"{"type": "enum", "name": "E", "symbols": ["A", "B"], "default": "A"}"#),
        Change(
            description: "record renamed", old: record(a), new: record(a, name: "S"), backward: .nameMismatch,
            forward: .nameMismatch),
        Change(
            description: "record renamed with alias", old: record(a),
            new: record(a, name: "S", more: #", "aliases": ["R"]"#), forward: .nameMismatch),
        Change(
            description: "fixed size changed", old: #"{"type": "fixed", "name": "F", "size": 2}"#,
            new: #"{"type": "fixed", "name": "F", "size": 3}"#, backward: .fixedSizeMismatch,
            forward: .fixedSizeMismatch),
        Change(description: "string becomes bytes", old: #""string""#, new: #""bytes""#),
        Change(
            description: "union branch added", old: #"["null", "int"]"#, new: #"["null", "int", "string"]"#,
            forward: .missingUnionBranch),
        Change(
            description: "array items changed", old: #"{"type": "array", "items": "string"}"#,
            new: #"{"type": "array", "items": "int"}"#, backward: .typeMismatch, forward: .typeMismatch),
        Change(
            description: "recursive record, field added",
            old: record(#"{"name": "next", "type": ["null", "R"]}"#),
            new: record(#"{"name": "next", "type": ["null", "R"]}, {"name": "b", "type": "int"}"#),
            backward: .readerFieldMissingDefaultValue),
    ]

    @Test(arguments: changes)
    func table(_ change: Change) throws {
        let old = try AvroSchema(parsing: change.old)
        let new = try AvroSchema(parsing: change.new)
        #expect(new.incompatibilities(readingDataOf: old).first?.kind == change.backward, "backward")
        #expect(old.incompatibilities(readingDataOf: new).first?.kind == change.forward, "forward")
    }

    @Test func messagesSoundLikeARegistry() throws {
        let old = try AvroSchema(parsing: Self.record(Self.a))
        let new = try AvroSchema(parsing: Self.record(Self.a + #", {"name": "b", "type": "int"}"#))
        let found = try #require(new.incompatibilities(readingDataOf: old).first)
        #expect(
            found.message(reader: "new", writer: "old")
                == "{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE', description:'The field 'b' at path '/fields/1' in the "
                + "new schema has no default value and is missing in the old schema', additionalInfo:'b'}")
    }

    @Test func aliasOfARecordIsAFullName() throws {
        let old = try AvroSchema(parsing: Self.record(Self.a, name: "old.place.R"))
        let moved = try AvroSchema(
            parsing: Self.record(Self.a, name: "new.place.S", more: #", "aliases": ["old.place.R"]"#))
        #expect(moved.incompatibilities(readingDataOf: old).isEmpty)
        let wrong = try AvroSchema(parsing: Self.record(Self.a, name: "new.place.S", more: #", "aliases": ["R"]"#))
        #expect(wrong.incompatibilities(readingDataOf: old).map(\.kind) == [.nameMismatch])
    }
}
