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
            description: "field with default removed",
            old: record(a + #", {"name": "b", "type": "int", "default": 1}"#), new: record(a)),
        Change(
            description: "default dropped", old: record(#"{"name": "a", "type": "int", "default": 1}"#), new: record(a)),
        Change(
            description: "fields reordered", old: record(a + #", {"name": "b", "type": "string"}"#),
            new: record(#"{"name": "b", "type": "string"}, "# + a)),
        Change(
            description: "field renamed without alias", old: record(a), new: record(#"{"name": "b", "type": "int"}"#),
            backward: .readerFieldMissingDefaultValue, forward: .readerFieldMissingDefaultValue),
        Change(
            description: "int becomes float", old: #""int""#, new: #""float""#, forward: .typeMismatch),
        Change(
            description: "long becomes double", old: #""long""#, new: #""double""#, forward: .typeMismatch),
        Change(
            description: "float becomes double", old: #""float""#, new: #""double""#, forward: .typeMismatch),
        Change(
            description: "string becomes int", old: #""string""#, new: #""int""#, backward: .typeMismatch,
            forward: .typeMismatch),
        Change(
            description: "enum symbols reordered", old: #"{"type": "enum", "name": "E", "symbols": ["A", "B"]}"#,
            new: #"{"type": "enum", "name": "E", "symbols": ["B", "A"]}"#),
        Change(
            description: "union reordered", old: #"["null", "int", "string"]"#, new: #"["string", "null", "int"]"#),
        Change(
            description: "union of int becomes long", old: #"["null", "int"]"#, new: #"["null", "long"]"#,
            forward: .missingUnionBranch),
        Change(
            description: "map values promoted", old: #"{"type": "map", "values": "int"}"#,
            new: #"{"type": "map", "values": "long"}"#, forward: .typeMismatch),
        Change(
            description: "field of a record inside an array added",
            old: #"{"type": "array", "items": \#(record(a))}"#,
            new: #"{"type": "array", "items": \#(record(a + #", {"name": "b", "type": "int"}"#))}"#,
            backward: .readerFieldMissingDefaultValue),
        Change(
            description: "namespace changed", old: record(a, name: "one.R"), new: record(a, name: "two.R")),
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

    /// What the table says of schemas happens to data: all of it can be read, or some of it cannot.
    @Test(arguments: changes)
    func dataFollowsTheTable(_ change: Change) throws {
        let (old, new) = (try AvroSchema(parsing: change.old), try AvroSchema(parsing: change.new))
        for (writer, reader, isRefused) in [(old, new, change.backward != nil), (new, old, change.forward != nil)] {
            let resolver = SchemaResolver(reader: reader, writer: writer)
            var failures = 0
            for seed in 0..<50 {
                var sampler = SchemaSampler(seed: UInt64(seed))
                let value = try writer.decode(writer.encode(sampler.value(of: writer)))
                do throws(AvroError) {
                    let read = try resolver.resolve(value)
                    let again = try reader.decode(reader.encode(read))
                    #expect(again.rendered == read.rendered, "seed \(seed)")
                } catch {
                    // Whether bytes are text is not for schemas to say.
                    if error.code != .invalidUTF8 { failures += 1 }
                }
            }
            #expect((failures > 0) == isRefused, "\(failures) of 50 values refused, reading as \(reader.text)")
        }
    }

    /// A chain of records that each use the one before twice: one difference at its end must not be told 2^60 times.
    @Test func differencesAreNotMultiplied() throws {
        func chain(_ type: String) throws -> AvroSchema {
            var text = Self.record(#"{"name": "a", "type": "\#(type)"}"#, name: "R0")
            for link in 1...30 {
                let use = #"{"type": "array", "items": "R\#(link - 1)"}"#
                let first = #"{"type": "array", "items": \#(text)}"#
                text = Self.record(
                    #"{"name": "a", "type": \#(first)}, {"name": "b", "type": \#(use)}"#, name: "R\(link)")
            }
            return try AvroSchema(parsing: text)
        }
        let found = try chain("int").incompatibilities(readingDataOf: chain("string"))
        #expect((1...100).contains(found.count), "\(found.count)")
        #expect(found.allSatisfy { $0.kind == .typeMismatch })
    }

    /// The comparison enters a long chain of definitions at its far end, as the fields before are not compared.
    @Test func longChainsEnd() throws {
        func chain(_ prefix: String, _ attributes: String) throws -> AvroSchema {
            let count = 1500
            let fields = (0..<count).map { link in
                let use = link == 0 ? #""int""# : #"["null", {"type": "array", "items": "R\#(link - 1)"}]"#
                let record = Self.record(#"{"name": "a", "type": \#(use)}"#, name: "R\(link)")
                let name = link == count - 1 ? "last" : "\(prefix)\(link)"
                return #"{"name": "\#(name)", "type": {"type": "array", "items": \#(record)}\#(attributes)}"#
            }
            return try AvroSchema(parsing: Self.record(fields.joined(separator: ","), name: "Chain"))
        }
        let found = try chain("r", #", "default": []"#).incompatibilities(readingDataOf: chain("w", ""))
        #expect(!found.isEmpty)
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
