import Avro
import Foundation
import Testing

/// Random schemas and values against fastavro, in both directions.
///
/// `ORCHESTRA_ORACLE_CASES` and `ORCHESTRA_ORACLE_SEED` change how many and which.
@Suite struct OracleTests {
    private static let environment = ProcessInfo.processInfo.environment
    private static let seed = environment["ORCHESTRA_ORACLE_SEED"].flatMap { Int($0) } ?? 20_261
    private static let count = environment["ORCHESTRA_ORACLE_CASES"].flatMap { Int($0) } ?? 500

    @Test func fastavroAgrees() throws {
        var kinds: [String: Int] = [:]
        for line in try Oracle.cases(seed: Self.seed, count: Self.count) {
            let kind = try line.string("kind")
            kinds[kind, default: 0] += 1
            let context: Comment = "seed \(Self.seed): \(line.text())"
            do {
                switch kind {
                case "plain": try comparePlain(line, context)
                case "evolution": try compareEvolution(line, context)
                case "record": try compareRecord(line, context)
                default: try compareEvolved(line, context)
                }
            } catch {
                Issue.record(error, context)
            }
        }
        #expect(Set(kinds.keys) == ["plain", "evolution", "record", "evolved"])
    }

    private func comparePlain(_ line: JSONValue, _ context: Comment) throws {
        let schema = try AvroSchema(parsing: line.string("schema"))
        #expect(schema.canonicalForm == (try line.string("canonical")), context)
        let fingerprint = withUnsafeBytes(of: schema.fingerprint.littleEndian) { Array($0) }.hexadecimal
        #expect(fingerprint == (try line.string("fingerprint")), context)
        let value = try schema.decode(line.bytes("data"))
        #expect(value.rendered == (try line.string("value")), context)
        #expect(try schema.encode(value).hexadecimal == line.string("data"), context)
        #expect(schema.incompatibilities(readingDataOf: schema) == [], context)
    }

    private func compareEvolution(_ line: JSONValue, _ context: Comment) throws {
        let writer = try AvroSchema(parsing: line.string("writer"))
        let reader = try AvroSchema(parsing: line.string("reader"))
        #expect(reader.incompatibilities(readingDataOf: writer) == [], context)
        let value = try SchemaResolver(reader: reader, writer: writer).resolve(writer.decode(line.bytes("data")))
        #expect(value.rendered == (try line.string("value")), context)
        // What came out is a value of the reader's schema.
        #expect(try reader.decode(reader.encode(value)).rendered == value.rendered, context)
    }

    private func compareRecord(_ line: JSONValue, _ context: Comment) throws {
        let record = try #require(try ownRecord(line), context)
        #expect(try record.roundTrip(line.bytes("data")).hexadecimal == line.string("data"), context)
        let own = try AvroSchema(parsing: record.avroSchema)
        #expect(try record.resolve(line.bytes("data"), writer: own).hexadecimal == line.string("data"), context)
    }

    private func compareEvolved(_ line: JSONValue, _ context: Comment) throws {
        let record = try #require(try ownRecord(line), context)
        let writer = try AvroSchema(parsing: line.string("writer"))
        #expect(try record.resolve(line.bytes("data"), writer: writer).hexadecimal == line.string("resolved"), context)
    }

    private func ownRecord(_ line: JSONValue) throws -> (any AvroRecord.Type)? {
        let name = try line.string("name")
        return ownRecords.first { $0.avroName == name }
    }
}
