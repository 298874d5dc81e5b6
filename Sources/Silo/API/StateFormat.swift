public import Avro
import FoundationEssentials
import OrchestraCore
package import Records

/// How a grain's state is written to and read from the changelog.
public struct StateFormat<G: Grain>: Sendable {
    package var codec: StateCodec
    /// Registers the state's schema, if it has one. Runs once at start.
    package var register: @Sendable (any RecordCoding, _ subjectPrefix: String) async throws -> Void
    package var encode: @Sendable (G, any RecordCoding) throws -> EncodedState
    /// `nil`: the writer's schema is not known yet, use `decodeSuspending`.
    package var decode: @Sendable (EncodedState, any RecordCoding) throws -> G?
    package var decodeSuspending: @Sendable (EncodedState, any RecordCoding) async throws -> G

    /// Avro with the writer's schema id: evolves by the registry's rules.
    ///
    /// - Parameters:
    ///   - record: the generated record that holds the state.
    ///   - load: makes the grain from its record.
    ///   - save: makes the record from the grain.
    public static func avro<Record: AvroRecord>(
        _ record: Record.Type, load: @escaping @Sendable (Record) -> G, save: @escaping @Sendable (G) -> Record
    ) -> StateFormat {
        StateFormat(
            codec: .avro,
            register: { codec, prefix in
                try await codec.register(Record.self, subject: "\(prefix)-\(Record.avroName)")
            },
            encode: { grain, codec in EncodedState(framed: try codec.encode(save(grain))) },
            decode: { state, codec in try codec.decodeIfKnown(Record.self, from: state.framed).map(load) },
            decodeSuspending: { state, codec in load(try await codec.decode(Record.self, from: state.framed)) })
    }
}

extension StateFormat {
    /// The grain has no state in the changelog.
    static var none: StateFormat {
        @Sendable func nothing<Value>() throws(OrchestraError) -> Value {
            throw OrchestraError(.internalError, "\(G.type) is volatile and has no state to write or read")
        }
        return StateFormat(
            codec: .json, register: { _, _ in }, encode: { _, _ in try nothing() }, decode: { _, _ in try nothing() },
            decodeSuspending: { _, _ in try nothing() })
    }
}

extension StateFormat where G: AvroRecord {
    /// The grain is itself a generated Avro record.
    public static var avro: StateFormat { .avro(G.self, load: { $0 }, save: { $0 }) }
}

extension StateFormat where G: Codable {
    /// JSON with sorted keys. Add properties as optionals, or decode them with defaults, to stay readable.
    public static var json: StateFormat {
        let (encoder, decoder) = (JSONEncoder.compact, JSONDecoder())
        return StateFormat(
            codec: .json, register: { _, _ in },
            encode: { grain, _ in
                EncodedState(codec: .json, schemaID: nil, bytes: Array(try encoder.encode(grain)))
            },
            decode: { state, _ in try decoder.decode(G.self, from: Data(state.bytes)) },
            decodeSuspending: { state, _ in try decoder.decode(G.self, from: Data(state.bytes)) })
    }
}

extension Grain where Self: Codable {
    public static var stateFormat: StateFormat<Self> { .json }
}

extension Grain where Self: AvroRecord {
    public static var stateFormat: StateFormat<Self> { .avro }
}

/// A grain's state as bytes, before compression.
package struct EncodedState: Sendable, Hashable {
    package var codec: StateCodec
    /// The registry's id of the writer's schema, for Avro.
    package var schemaID: Int32?
    package var bytes: [UInt8]

    package init(codec: StateCodec, schemaID: Int32?, bytes: [UInt8]) {
        self.codec = codec
        self.schemaID = schemaID
        self.bytes = bytes
    }

    /// Takes Confluent's frame (0x00, big-endian id, Avro) apart.
    init(framed: [UInt8]) {
        precondition(
            framed.count >= 5 && framed[0] == 0, "the record codec wrote \(framed.count) bytes without a frame")
        let id = framed[1...4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        self.init(codec: .avro, schemaID: Int32(bitPattern: id), bytes: Array(framed[5...]))
    }

    /// The bytes in Confluent's frame.
    var framed: [UInt8] {
        let id = UInt32(bitPattern: schemaID ?? 0)
        var result: [UInt8] = [0, UInt8(id >> 24), UInt8(id >> 16 & 0xff), UInt8(id >> 8 & 0xff), UInt8(id & 0xff)]
        result.reserveCapacity(bytes.count + 5)
        result.append(contentsOf: bytes)
        return result
    }
}
