import Avro
import OrchestraCore
import Records
import Testing

/// What fastavro judges otherwise than the specification, or not at all.
@Suite struct SchemaResolverTests {
    private func resolve(_ value: AvroValue, _ writer: String, _ reader: String) throws -> AvroValue {
        let resolver = SchemaResolver(reader: try AvroSchema(parsing: reader), writer: try AvroSchema(parsing: writer))
        return try resolver.resolve(value)
    }

    /// The branch of the value's own type wins over one that it could be promoted to.
    @Test func unionPrefersTheSameType() throws {
        let value = AvroValue.bytes([0xff])
        #expect(try resolve(value, #""bytes""#, #"["string", "bytes"]"#) == .union(branch: 1, value))
        #expect(try resolve(.int(3), #""int""#, #"["double", "long"]"#) == .union(branch: 0, .double(3)))
    }

    @Test func unknownSymbolBecomesTheDefault() throws {
        let writer = #"{"type": "enum", "name": "E", "symbols": ["A", "B"]}"#
        let reader = #"{"type": "enum", "name": "E", "symbols": ["A"], "default": "A"}"#
        #expect(try resolve(.enumeration("B"), writer, reader) == .enumeration("A"))
        let strict = #"{"type": "enum", "name": "E", "symbols": ["A"]}"#
        let error = #expect(throws: AvroError.self) { try resolve(.enumeration("B"), writer, strict) }
        #expect(error?.code == .incompatibleSchema)
    }

    @Test func promotesToFloat() throws {
        #expect(try resolve(.int(16_777_217), #""int""#, #""float""#) == .float(16_777_216))
        #expect(try resolve(.long(1 << 40), #""long""#, #""float""#) == .float(1_099_511_627_776))
    }

    @Test func bytesThatAreNoTextAreNoString() {
        let error = #expect(throws: AvroError.self) { try resolve(.bytes([0xc3]), #""bytes""#, #""string""#) }
        #expect(error?.code == .invalidUTF8)
    }

    /// A union may be read as one of its types as long as the value is of that type.
    @Test func narrowedUnion() throws {
        let writer = #"["null", "int"]"#
        #expect(try resolve(.union(branch: 1, .int(1)), writer, #""int""#) == .int(1))
        #expect(throws: AvroError.self) { try resolve(.union(branch: 0, .null), writer, #""int""#) }
    }

    @Test func otherRecord() {
        let writer = #"{"type": "record", "name": "W", "fields": []}"#
        let reader = #"{"type": "record", "name": "R", "fields": []}"#
        let error = #expect(throws: AvroError.self) { try resolve(.record([]), writer, reader) }
        #expect(error?.code == .wrongRecord)
    }

    @Test func errorsNameTheField() {
        let writer = #"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "string"}]}"#
        let reader = #"{"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}]}"#
        let value = AvroValue.record([AvroValue.Field(name: "a", value: .string("x"))])
        let error = #expect(throws: AvroError.self) { try resolve(value, writer, reader) }
        #expect(error?.message == "field \"a\": string cannot be read as int")
    }

    /// Commands that were told before there were replies are still in the topic after an upgrade.
    @Test func readsToldCommandsOfTheFirstVersion() throws {
        let schema = #"""
            {"type": "record", "name": "GrainCommandRecord", "namespace": "orchestra.internal", "fields": [
                {"name": "requestId", "type": "string"}, {"name": "grainType", "type": "string"},
                {"name": "grainKey", "type": "string"}, {"name": "method", "type": "string"},
                {"name": "payload", "type": "bytes"}, {"name": "sentBy", "type": "string"},
                {"name": "sentAt", "type": {"type": "long", "logicalType": "timestamp-millis"}},
                {"name": "traceParent", "type": ["null", "string"], "default": null}
            ]}
            """#
        var writer = AvroWriter()
        for text in ["r", "counter", "k", "Add"] { writer.writeString(text) }
        writer.writeBytes([1])
        writer.writeString("a/b")
        writer.writeLong(5)
        writer.writeEnumeration(0)
        let old = try AvroSchema(parsing: schema)
        let resolver = SchemaResolver(reader: try AvroSchema(parsing: GrainCommandRecord.avroSchema), writer: old)
        let record = try GrainCommandRecord(resolving: resolver.resolve(old.decode(writer.finish())))
        #expect(
            record
                == GrainCommandRecord(
                    requestId: "r", grainType: "counter", grainKey: "k", method: "Add", payload: [1], sentBy: "a/b",
                    sentAt: Timestamp(millisecondsSinceEpoch: 5)))
        #expect((record.kind, record.replyTo) == (.command, nil))
    }
}
