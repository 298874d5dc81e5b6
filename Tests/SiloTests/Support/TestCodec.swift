import Avro
import EventLog
import OrchestraCore
import Silo
import Synchronization

/// A record codec with a registry in memory: it can be out of reach, and schemas can be unknown until fetched.
final class TestCodec: RecordCoding {
    private struct State {
        var ids: [String: Int32] = [:]
        var subjects: [String: String] = [:]
        var fetched: Set<Int32> = []
        var isReachable = true
        var fetches = 0
    }

    private let state = Mutex(State())
    /// Whether a schema must be fetched before the first decoding.
    private let needsFetching: Bool

    init(needsFetching: Bool = false) {
        self.needsFetching = needsFetching
    }

    var isReachable: Bool {
        get { state.withLock { $0.isReachable } }
        set { state.withLock { $0.isReachable = newValue } }
    }
    var subjects: [String: String] { state.withLock { $0.subjects } }
    var fetches: Int { state.withLock { $0.fetches } }

    func register<R: AvroRecord>(_ record: R.Type, subject: String) async throws {
        state.withLock { state in
            state.subjects[subject] = R.avroName
            _ = id(of: R.self, &state)
        }
    }

    func encode<R: AvroRecord>(_ record: R) throws(AvroError) -> [UInt8] {
        let id = knownID(of: R.self)
        var writer = AvroWriter()
        record.write(to: &writer)
        return [0, 0, 0, 0, UInt8(id)] + writer.bytes
    }

    func decodeIfKnown<R: AvroRecord>(_ record: R.Type, from bytes: [UInt8]) throws(AvroError) -> R? {
        guard bytes.count >= 5, bytes[0] == 0 else { throw AvroError(.notFramed, "\(bytes.count) bytes") }
        let written = Int32(bytes[4])
        let expected = knownID(of: R.self)
        let isKnown = !needsFetching || hasFetched(written)
        guard written < 200 else { throw AvroError(.unknownSchemaID, "schema \(written)") }
        guard isKnown else { return nil }
        guard written == expected else { throw AvroError(.wrongRecord, "schema \(written), not \(expected)") }
        var reader = AvroReader(bytes, from: 5)
        let value = try R(from: &reader)
        try reader.finish()
        return value
    }

    func decode<R: AvroRecord>(_ record: R.Type, from bytes: [UInt8]) async throws(AvroError) -> R {
        let isReachable = fetch(bytes)
        guard isReachable else { throw AvroError(.registryUnavailable, "the registry is switched off") }
        guard let value = try decodeIfKnown(R.self, from: bytes) else {
            throw AvroError(.unknownSchemaID, "cannot happen")
        }
        return value
    }

    private func knownID<R: AvroRecord>(of record: R.Type) -> Int32 { state.withLock { id(of: record, &$0) } }

    private func hasFetched(_ id: Int32) -> Bool { state.withLock { $0.fetched.contains(id) } }

    private func fetch(_ bytes: [UInt8]) -> Bool {
        state.withLock { state in
            state.fetches += 1
            if state.isReachable, bytes.count >= 5 { state.fetched.insert(Int32(bytes[4])) }
            return state.isReachable
        }
    }

    private func id<R: AvroRecord>(of record: R.Type, _ state: inout State) -> Int32 {
        let name = R.avroName.isEmpty ? "\(R.self)" : R.avroName
        if let id = state.ids[name] { return id }
        let id = Int32(state.ids.count + 1)
        state.ids[name] = id
        return id
    }

    /// Reads what the runtime has written.
    func read<R: AvroRecord>(_ record: R.Type, _ bytes: [UInt8]?) throws -> R {
        guard let bytes, let value = try decodeIfKnown(R.self, from: bytes) else {
            throw AvroError(.unknownSchemaID, "there is no \(R.self)")
        }
        return value
    }

    func read<R: AvroRecord>(_ record: R.Type, _ written: ProducerRecord?) throws -> R {
        try read(R.self, written?.value)
    }
}
