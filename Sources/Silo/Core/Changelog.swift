import Avro
import Compression
package import OrchestraCore
package import Records

/// What a record of the changelog is about.
///
/// Grains are keyed `type/key`. Keys that begin with NUL are the partition's own: no grain has one.
package enum ChangelogKey: Sendable, Hashable {
    /// That a silo took the partition over.
    case claim(silo: String)
    /// How far it has come.
    case progress
    case grain(GrainID)
    /// Requests of a grain that were sealed by the commit of this sequence.
    case requests(GrainID, sequence: Int64)
    /// A reserved key or grain id that this version does not know; it is left alone.
    case unknown([UInt8])

    package init(_ bytes: [UInt8]) {
        if bytes.starts(with: ChangelogKey.claimPrefix),
            let silo = String(validating: bytes.dropFirst(ChangelogKey.claimPrefix.count), as: UTF8.self)
        {
            self = .claim(silo: silo)
        } else if bytes == ChangelogKey.progress.bytes {
            self = .progress
        } else if bytes.starts(with: ChangelogKey.requestsPrefix),
            let requests = ChangelogKey(requests: bytes.dropFirst(ChangelogKey.requestsPrefix.count))
        {
            self = requests
        } else if bytes.first != 0, let text = String(validating: bytes, as: UTF8.self),
            let grain = try? GrainID(parsing: text)
        {
            self = .grain(grain)
        } else {
            self = .unknown(bytes)
        }
    }

    private init?(requests bytes: ArraySlice<UInt8>) {
        guard let text = String(validating: bytes, as: UTF8.self), let slash = text.firstIndex(of: "/"),
            let sequence = Int64(text[..<slash]), let grain = try? GrainID(parsing: String(text[slash...].dropFirst()))
        else { return nil }
        self = .requests(grain, sequence: sequence)
    }

    private static let claimPrefix = Array("\0claim/".utf8)
    private static let requestsPrefix = Array("\0requests/".utf8)

    package var bytes: [UInt8] {
        switch self {
        case .claim(let silo): ChangelogKey.claimPrefix + Array(silo.utf8)
        case .progress: Array("\0progress".utf8)
        case .grain(let grain): Array(grain.description.utf8)
        case .requests(let grain, let sequence): ChangelogKey.requestsPrefix + Array("\(sequence)/\(grain)".utf8)
        case .unknown(let bytes): bytes
        }
    }
}

extension EncodedState {
    /// Takes the state out of its envelope; `nil` for a grave.
    ///
    /// - Throws: ``OrchestraError`` with `quarantined` when it is damaged.
    package init?(_ record: GrainStateRecord) throws(OrchestraError) {
        guard let state = record.state else { return nil }
        let bytes: [UInt8]
        switch record.compression {
        case .none: bytes = state
        case .lz4:
            do {
                bytes = try LZ4.decompress(state, size: Int(record.uncompressedSize))
            } catch {
                throw OrchestraError(.quarantined, "a state of \(state.count) bytes is damaged", cause: error)
            }
        }
        self.init(codec: record.codec, schemaID: record.schemaId, bytes: bytes)
    }
}

extension GrainStateRecord {
    /// Puts a state into its envelope, compressed from `threshold` bytes on where that makes it smaller.
    package mutating func put(_ encoded: EncodedState, compressingFrom threshold: Int) {
        codec = encoded.codec
        schemaId = encoded.schemaID
        uncompressedSize = Int32(encoded.bytes.count)
        compression = .none
        state = encoded.bytes
        guard encoded.bytes.count >= threshold else { return }
        let compressed = LZ4.compress(encoded.bytes)
        guard compressed.count < encoded.bytes.count else { return }
        compression = .lz4
        state = compressed
    }

    /// Whether two envelopes hold the same grain, whoever committed them and when.
    package func hasSameContent(as other: GrainStateRecord) -> Bool {
        state == other.state && codec == other.codec && schemaId == other.schemaId && compression == other.compression
            && uncompressedSize == other.uncompressedSize && timers == other.timers && requests == other.requests
            && graveUntil == other.graveUntil
    }

    /// About the memory that the envelope takes.
    package var footprint: Int {
        (state?.count ?? 0) + 128 + timers.reduce(0) { $0 + $1.name.utf8.count + 32 }
            + requests.reduce(0) { $0 + $1.footprint }
    }
}
