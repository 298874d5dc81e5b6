import Avro
import Foundation
import Testing

/// Random schemas and values against fastavro, in both directions.
///
/// `ORCHESTRA_ORACLE_CASES` and `ORCHESTRA_ORACLE_SEED` change how many of each kind and which.
@Suite struct OracleTests {
    private static let environment = ProcessInfo.processInfo.environment
    private static let seed = environment["ORCHESTRA_ORACLE_SEED"].flatMap { Int($0) } ?? 20_261
    private static let count = environment["ORCHESTRA_ORACLE_CASES"].flatMap { Int($0) } ?? 10_000

    /// Compares each of fastavro's cases; errors and differences carry the seed and the case.
    private func forEachCase(
        _ kind: Oracle.Kind, count: Int = count, _ compare: ([String], Comment) throws -> Void
    ) throws {
        for (index, parts) in try Oracle.cases(kind, seed: Self.seed, count: count).enumerated() {
            let context: Comment = "\(kind), seed \(Self.seed), case \(index): \(parts.joined(separator: "\n"))"
            do {
                try compare(parts, context)
            } catch {
                Issue.record(error, context)
            }
        }
    }

    /// fastavro encodes, Orchestra decodes; and encodes again to the same bytes.
    @Test func readsWhatFastavroWrites() throws {
        try forEachCase(.plain) { parts, context in
            let schema = try AvroSchema(parsing: parts[0])
            #expect(schema.canonicalForm == parts[1], context)
            let fingerprint = withUnsafeBytes(of: schema.fingerprint.littleEndian) { Array($0) }.hexadecimal
            #expect(fingerprint == parts[2], context)
            let value = try schema.decode([UInt8](hexadecimal: parts[3]))
            #expect(value.rendered == parts[4], context)
            #expect(try schema.encode(value).hexadecimal == parts[3], context)
            #expect(schema.incompatibilities(readingDataOf: schema) == [], context)
        }
    }

    /// Orchestra encodes values and schemas of its own making, fastavro decodes.
    @Test func fastavroReadsWhatIsWritten() throws {
        var samples: [(schema: String, data: [UInt8])] = []
        var expected: [String] = []
        for index in 0..<Self.count {
            var sampler = SchemaSampler(seed: UInt64(Self.seed) &* 1_000_003 &+ UInt64(index))
            let text = sampler.schema()
            let schema = try AvroSchema(parsing: text)
            let value = sampler.value(of: schema)
            samples.append((text, try schema.encode(value)))
            expected.append(value.rendered)
        }
        for (index, found) in try Oracle.decode(samples).enumerated() {
            let sample = samples[index]
            let context: Comment =
                "seed \(Self.seed), case \(index): \(sample.schema)\n\(sample.data.hexadecimal)"
            #expect(found == expected[index], context)
        }
    }

    /// Readers with other schemas: defaults, aliases, promotions, unions, dropped and reordered fields.
    @Test func resolvesLikeFastavro() throws {
        try forEachCase(.evolution, count: Self.count / 2) { parts, context in
            let writer = try AvroSchema(parsing: parts[0])
            let reader = try AvroSchema(parsing: parts[1])
            #expect(reader.incompatibilities(readingDataOf: writer) == [], context)
            let data = try [UInt8](hexadecimal: parts[2])
            let value = try SchemaResolver(reader: reader, writer: writer).resolve(writer.decode(data))
            #expect(value.rendered == parts[3], context)
            // What came out is a value of the reader's schema.
            #expect(try reader.decode(reader.encode(value)).rendered == value.rendered, context)
        }
    }

    /// Readers that cannot read the data are known beforehand, and fail.
    @Test func refusesWhatFastavroRefuses() throws {
        try forEachCase(.conflict, count: Self.count / 5) { parts, context in
            let writer = try AvroSchema(parsing: parts[0])
            let reader = try AvroSchema(parsing: parts[1])
            #expect(reader.incompatibilities(readingDataOf: writer) != [], context)
            let value = try writer.decode([UInt8](hexadecimal: parts[2]))
            #expect(throws: AvroError.self, context) {
                try SchemaResolver(reader: reader, writer: writer).resolve(value)
            }
        }
    }

    /// The generated code reads and writes the project's own records.
    @Test func generatedCode() throws {
        try forEachCase(.record, count: Self.count / 5) { parts, context in
            let record = try #require(ownRecord(parts[0]), context)
            let data = try [UInt8](hexadecimal: parts[1])
            #expect(try record.roundTrip(data).hexadecimal == parts[1], context)
            let own = try AvroSchema(parsing: record.avroSchema)
            #expect(try record.resolve(data, writer: own).hexadecimal == parts[1], context)
        }
    }

    /// The generated code reads the project's own records as older writers wrote them.
    @Test func generatedCodeWithOtherWriters() throws {
        try forEachCase(.evolved, count: Self.count / 5) { parts, context in
            let record = try #require(ownRecord(parts[0]), context)
            let writer = try AvroSchema(parsing: parts[1])
            let data = try [UInt8](hexadecimal: parts[2])
            #expect(try record.resolve(data, writer: writer).hexadecimal == parts[3], context)
        }
    }

    private func ownRecord(_ name: String) -> (any AvroRecord.Type)? { ownRecords.first { $0.avroName == name } }
}
