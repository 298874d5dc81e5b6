import Avro
import Foundation
import SeededRandom
import Testing

/// Damaged data of random schemas, and what little data can claim: it throws or gives a value, without much memory.
///
/// `ORCHESTRA_FUZZ_CASES` and `ORCHESTRA_FUZZ_SEED` change how many and which.
@Suite(.serialized) struct HostileSchemasTests {
    private static let environment = ProcessInfo.processInfo.environment
    private static let seed = environment["ORCHESTRA_FUZZ_SEED"].flatMap { UInt64($0) } ?? 7
    private static let count = environment["ORCHESTRA_FUZZ_CASES"].flatMap { Int($0) } ?? 100_000

    @Test func damagedData() throws {
        var random = SeededGenerator(seed: Self.seed &+ 2)
        var (accepted, refused) = (0, 0)
        for index in 0..<max(1, Self.count / 100) {
            var sampler = SchemaSampler(seed: Self.seed &+ UInt64(index))
            let text = sampler.schema()
            let schema = try AvroSchema(parsing: text)
            let decoder = try GenericDecoder(schema)
            let valid = try schema.encode(sampler.value(of: schema))
            for _ in 0..<10 {
                let bytes = Mutation.apply(to: valid, &random)
                do {
                    let value = try decoder.decode(bytes)
                    accepted += 1
                    let again = try decoder.decode(schema.encode(value))
                    #expect(
                        again.rendered == value.rendered,
                        "seed \(Self.seed), case \(index): \(text)\n\(bytes.hexadecimal)")
                } catch {
                    refused += 1
                    #expect(!error.message.isEmpty)
                }
            }
        }
        #expect(accepted > 0 && refused > accepted / 10, "\(accepted) accepted, \(refused) refused")
    }

    /// A few bytes that claim to be the longest of everything.
    static let schemas = [
        #""string""#, #""bytes""#, #"{"type":"array","items":"string"}"#, #"{"type":"array","items":"null"}"#,
        #"{"type":"map","values":"null"}"#, #"{"type":"fixed","name":"F","size":2147483647}"#,
        #"{"type":"array","items":{"type":"fixed","name":"F","size":2147483647}}"#,
        #"{"type":"array","items":{"type":"record","name":"E","fields":[]}}"#,
        #"{"type":"array","items":{"type":"array","items":"null"}}"#,
        #"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":"bytes"}]}"#,
    ]

    @Test(arguments: schemas)
    func hugeClaims(text: String) throws {
        let schema = try AvroSchema(parsing: text)
        let decoder = try GenericDecoder(schema)
        let claims: [Int64] = [.max, .min, -1, 1 << 62, 1 << 40, Int64(Int32.max), 1 << 24, -(1 << 40)]
        let growth = try PeakMemory.growth {
            for claim in claims {
                for prefix in [[], [0x00], [0x02], [0x01]] as [[UInt8]] {
                    var writer = AvroWriter()
                    writer.writeLong(claim)
                    writer.writeLong(claim)
                    for bytes in [prefix + writer.bytes, prefix + writer.bytes + [0x00], writer.bytes + prefix] {
                        #expect(throws: AvroError.self, "\(bytes.hexadecimal)") { try decoder.decode(bytes) }
                    }
                }
            }
        }
        if let growth { #expect(growth < 64 << 20, "\(growth) bytes") }
    }

    /// A branch that is not taken costs nothing, however large its type is.
    @Test func branchesThatAreNotTaken() throws {
        let schema = try AvroSchema(parsing: #"["null",{"type":"fixed","name":"F","size":2147483647}]"#)
        let growth = try PeakMemory.growth {
            let value = try schema.decode([0])
            #expect(value == .union(branch: 0, .null))
            #expect(throws: AvroError.self) { try schema.decode([2, 1, 2, 3]) }
        }
        if let growth { #expect(growth < 64 << 20, "\(growth) bytes") }
    }
}
