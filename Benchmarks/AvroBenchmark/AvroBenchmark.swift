import Avro
import CAvro
import Foundation
import OrchestraCore
import Records

/// Encodes and decodes a start event with the generated code and, as the floor, with avro-c's generic values.
///
/// avro-c keeps one value and overwrites it, and its strings stay C strings inside it; the generated code makes a new
/// Swift struct with its own strings each time. Both check what they read only as they do in production.
@main
enum AvroBenchmark {
    static let rounds = 5
    static let repetitions = 200_000

    static func main() throws {
        let event = WorkflowStartEvent(
            workflowId: "0192f0c1-7a55-7cc0-9a39-1f6c2ff0d3aa", workflow: "summarize",
            input: "Some text that is to be summarised, of a usual length for a test.",
            inputDigest: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            acceptedAt: Timestamp(millisecondsSinceEpoch: 1_700_000_000_000), gateway: "gateway-1",
            traceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        var writer = AvroWriter()
        event.write(to: &writer)
        let bytes = writer.bytes
        let floor = AvroCValue(schema: WorkflowStartEvent.avroSchema, event)
        precondition(floor.encode() == bytes, "avro-c writes other bytes")
        print("one record: \(bytes.count) bytes; millions a second, best of \(rounds) rounds")
        report(
            "encode", generated: best { encode(event) },
            floor: best { for _ in 0..<repetitions { floor.encodeInPlace() } })
        report(
            "decode", generated: try best { try decode(bytes) },
            floor: best { for _ in 0..<repetitions { floor.decode(bytes) } })
        let resolver = SchemaResolver(
            reader: try AvroSchema(parsing: WorkflowStartEvent.avroSchema),
            writer: try AvroSchema(parsing: WorkflowStartEvent.avroSchema))
        let decoder = try GenericDecoder(resolver.writer)
        let other = try best {
            for _ in 0..<repetitions / 10 {
                _ = try WorkflowStartEvent(resolving: resolver.resolve(decoder.decode(bytes)))
            }
        }
        print("decode, written with another schema: \(rounded(other / 10))")
    }

    private static func encode(_ event: WorkflowStartEvent) {
        for _ in 0..<repetitions {
            var writer = AvroWriter(capacity: 256)
            event.write(to: &writer)
            precondition(writer.bytes.count > 100)
        }
    }

    private static func decode(_ bytes: [UInt8]) throws {
        for _ in 0..<repetitions {
            var reader = AvroReader(bytes)
            let event = try WorkflowStartEvent(from: &reader)
            try reader.finish()
            precondition(event.gateway.utf8.count == 9)
        }
    }

    /// Millions of repetitions a second of processor time in the best round.
    private static func best(_ body: () throws -> Void) rethrows -> Double {
        var best = 0.0
        for _ in 0..<rounds {
            let start = clock()
            try body()
            best = max(best, Double(repetitions) * Double(CLOCKS_PER_SEC) / Double(clock() - start) / 1e6)
        }
        return best
    }

    private static func report(_ name: String, generated: Double, floor: Double) {
        print("\(name): generated \(rounded(generated)), avro-c \(rounded(floor)), ratio \(rounded(generated / floor))")
    }

    private static func rounded(_ value: Double) -> Double { (value * 100).rounded() / 100 }
}

/// A start event in avro-c.
final class AvroCValue {
    private var value = avro_value_t()
    private var buffer = [CChar](repeating: 0, count: 4096)

    init(schema: String, _ event: WorkflowStartEvent) {
        var handle: avro_schema_t?
        precondition(avro_schema_from_json_length(schema, schema.utf8.count, &handle) == 0)
        precondition(avro_generic_value_new(avro_generic_class_from_schema(handle), &value) == 0)
        set(0, event.workflowId)
        set(1, event.workflow)
        set(2, event.input)
        set(3, event.inputDigest)
        var field = avro_value_t()
        cavro_get_by_index(&value, 4, &field, nil)
        cavro_set_long(&field, event.acceptedAt.millisecondsSinceEpoch)
        set(5, event.gateway)
        cavro_get_by_index(&value, 6, &field, nil)
        var branch = avro_value_t()
        cavro_set_branch(&field, 1, &branch)
        cavro_set_string(&branch, event.traceParent, (event.traceParent?.utf8.count ?? 0) + 1)
    }

    private func set(_ index: Int, _ text: String) {
        var field = avro_value_t()
        cavro_get_by_index(&value, index, &field, nil)
        cavro_set_string(&field, text, text.utf8.count + 1)
    }

    func encode() -> [UInt8] {
        let count = encodeInPlace()
        return buffer[..<count].map { UInt8(bitPattern: $0) }
    }

    @discardableResult
    func encodeInPlace() -> Int {
        buffer.withUnsafeMutableBufferPointer { target in
            let writer = avro_writer_memory(target.baseAddress, Int64(target.count))
            defer { avro_writer_free(writer) }
            precondition(avro_value_write(writer, &value) == 0)
            return Int(avro_writer_tell(writer))
        }
    }

    /// Reads the value and looks at each field.
    func decode(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { source in
            let reader = avro_reader_memory(
                source.baseAddress?.assumingMemoryBound(to: CChar.self), Int64(source.count))
            defer { avro_reader_free(reader) }
            precondition(avro_value_read(reader, &value) == 0)
        }
        var total = 0
        for index in [0, 1, 2, 3, 5] {
            var field = avro_value_t()
            var text: UnsafePointer<CChar>?
            var size = 0
            cavro_get_by_index(&value, index, &field, nil)
            cavro_get_string(&field, &text, &size)
            total += size
        }
        precondition(total > 100)
    }
}
