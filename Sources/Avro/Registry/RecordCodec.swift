package import OrchestraCore
import Synchronization

/// Encodes and decodes records in Confluent's wire format: a zero byte, the writer's schema id in 4 bytes, Avro.
///
/// Data of a record's own schema is read by the generated code; data of any other writer's schema goes through
/// avro-c and ``SchemaResolver``.
package final class RecordCodec: Sendable {
    /// How data of one writer's schema becomes a record of one type.
    private enum Route: Sendable {
        case direct
        case resolving(GenericDecoder, SchemaResolver)
        /// The schemas do not fit, and never will.
        case impossible(AvroError)
    }

    private struct RouteKey: Hashable {
        var type: ObjectIdentifier
        var schemaID: Int32
    }

    private struct State {
        var schemaIDs: [ObjectIdentifier: Int32] = [:]
        var schemas: [ObjectIdentifier: AvroSchema] = [:]
        var routes: [RouteKey: Route] = [:]
    }

    /// The zero byte and the schema id.
    private static let headerSize = 5

    private let registry: SchemaRegistryClient
    private let state = Mutex(State())

    package init(registry: SchemaRegistryClient) { self.registry = registry }

    /// Registers a record's schema; at start, before the type is encoded.
    ///
    /// - Parameter subject: `<topic>-value`, or `<topic>-<record name>` for topics with several record types.
    /// - Throws: ``OrchestraError``: `conflict` with the registry's own words for an incompatible change, else what
    ///   ``SchemaRegistryClient/register(subject:schema:)`` throws.
    package func register<Record: AvroRecord>(_: Record.Type, subject: String) async throws(OrchestraError) {
        let schema: AvroSchema
        do throws(AvroError) {
            schema = try ownSchema(Record.self)
        } catch {
            throw OrchestraError(.internalError, "\(Record.avroName): \(error.message)", cause: error)
        }
        let id = try await registry.register(subject: subject, schema: schema)
        state.withLock { state in
            state.schemaIDs[ObjectIdentifier(Record.self)] = id
            state.routes[RouteKey(type: ObjectIdentifier(Record.self), schemaID: id)] = .direct
        }
    }

    /// - Returns: the id that records of this type are written with.
    /// - Throws: ``AvroError`` with `notRegistered` when the type was not registered before.
    package func schemaID<Record: AvroRecord>(of type: Record.Type) throws(AvroError) -> Int32 {
        guard let id = state.withLock({ $0.schemaIDs[ObjectIdentifier(type)] }) else {
            throw AvroError(.notRegistered, "\(Record.avroName) was not registered before it was encoded")
        }
        return id
    }

    /// - Returns: the record with its schema id in front.
    /// - Throws: ``AvroError``: `notRegistered`, or `malformed` for a fixed value of the wrong size.
    package func encode<Record: AvroRecord>(_ record: Record) throws(AvroError) -> [UInt8] {
        let id = try schemaID(of: Record.self)
        var writer = AvroWriter(capacity: 256)
        writer.writeFrame(schemaID: id)
        record.write(to: &writer)
        return try writer.finish()
    }

    /// - Returns: the record alone, for places that keep the schema id elsewhere; see ``schemaID(of:)``.
    /// - Throws: ``AvroError`` with `malformed` for a fixed value of the wrong size.
    package func encodeUnframed<Record: AvroRecord>(_ record: Record) throws(AvroError) -> [UInt8] {
        var writer = AvroWriter(capacity: 256)
        record.write(to: &writer)
        return try writer.finish()
    }

    /// Decodes a record, asking the registry for the writer's schema when it is not known yet.
    ///
    /// - Parameter bytes: one record in Confluent's wire format, nothing after it.
    /// - Throws: ``AvroError``: `registryUnavailable` (the only one worth trying again), `unknownSchemaID`,
    ///   `wrongRecord`, `incompatibleSchema`, or what is wrong with the bytes.
    package func decode<Record: AvroRecord>(
        _ type: Record.Type, from bytes: [UInt8]
    ) async throws(AvroError) -> Record {
        let id = try RecordCodec.schemaID(in: bytes)
        let route = try await route(type, id)
        return try run(route, type, bytes, from: RecordCodec.headerSize, id)
    }

    /// Decodes a record if its writer's schema is known already, without waiting for anything.
    ///
    /// - Returns: `nil` when the registry must be asked first: use ``decode(_:from:)``.
    package func decodeIfKnown<Record: AvroRecord>(
        _ type: Record.Type, from bytes: [UInt8]
    ) throws(AvroError) -> Record? {
        let id = try RecordCodec.schemaID(in: bytes)
        guard let route = try knownRoute(type, id) else { return nil }
        return try run(route, type, bytes, from: RecordCodec.headerSize, id)
    }

    /// Decodes a record without a frame, as ``encodeUnframed(_:)`` made it.
    ///
    /// - Parameter schemaID: the id it was written with.
    package func decode<Record: AvroRecord>(
        _ type: Record.Type, unframed bytes: [UInt8], schemaID: Int32
    ) async throws(AvroError) -> Record {
        try run(try await route(type, schemaID), type, bytes, from: 0, schemaID)
    }

    /// The full name of the record that was written, if its schema is known or can be read from the registry.
    ///
    /// - Throws: ``AvroError``, as ``decode(_:from:)``.
    package func recordName(in bytes: [UInt8]) async throws(AvroError) -> String? {
        try await writerSchema(try RecordCodec.schemaID(in: bytes)).name
    }

    /// - Returns: the writer's schema id in the frame.
    /// - Throws: ``AvroError`` with `notFramed` when there is no frame.
    package static func schemaID(in bytes: [UInt8]) throws(AvroError) -> Int32 {
        guard bytes.count >= headerSize, bytes[0] == 0 else {
            throw AvroError(
                .notFramed,
                bytes.isEmpty
                    ? "the value is empty, not a zero byte, a schema id and Avro data"
                    : bytes[0] != 0
                        ? "the value begins with byte \(bytes[0]), not with a zero byte and a schema id"
                        : "the value of \(bytes.count) bytes is too short for a schema id")
        }
        return Int32(truncatingIfNeeded: bytes[1..<5].reduce(0) { $0 << 8 | Int64($1) })
    }

    // MARK: Routes

    private func run<Record: AvroRecord>(
        _ route: Route, _: Record.Type, _ bytes: [UInt8], from start: Int, _ id: Int32
    ) throws(AvroError) -> Record {
        do throws(AvroError) {
            switch route {
            case .direct:
                var reader = AvroReader(bytes, from: start)
                let record = try Record(from: &reader)
                try reader.finish()
                return record
            case .resolving(let decoder, let resolver):
                return try Record(resolving: try resolver.resolve(try decoder.decode(bytes, from: start)))
            case .impossible(let error): throw error
            }
        } catch {
            throw error.at("\(Record.avroName), written with schema id \(id)")
        }
    }

    private func knownRoute<Record: AvroRecord>(_ type: Record.Type, _ id: Int32) throws(AvroError) -> Route? {
        let key = RouteKey(type: ObjectIdentifier(type), schemaID: id)
        if let route = state.withLock({ $0.routes[key] }) { return route }
        guard let writer = registry.cachedSchema(id: id) else { return nil }
        return try makeRoute(key, type, writer)
    }

    private func route<Record: AvroRecord>(_ type: Record.Type, _ id: Int32) async throws(AvroError) -> Route {
        if let route = try knownRoute(type, id) { return route }
        let writer = try await writerSchema(id)
        return try makeRoute(RouteKey(type: ObjectIdentifier(type), schemaID: id), type, writer)
    }

    private func writerSchema(_ id: Int32) async throws(AvroError) -> AvroSchema {
        do throws(OrchestraError) {
            return try await registry.schema(id: id)
        } catch {
            switch error.code {
            case .notFound: throw AvroError(.unknownSchemaID, error.message)
            case .invalidArgument: throw AvroError(.invalidSchema, error.message)
            default: throw AvroError(.registryUnavailable, error.message)
            }
        }
    }

    private func makeRoute<Record: AvroRecord>(
        _ key: RouteKey, _ type: Record.Type, _ writer: AvroSchema
    ) throws(AvroError) -> Route {
        let reader = try ownSchema(type)
        let route: Route
        if let wanted = reader.rootDefinition, let found = writer.rootDefinition, !wanted.accepts(nameOf: found) {
            route = .impossible(AvroError(.wrongRecord, "the data is a \(found.name)"))
        } else if writer.rootDefinition == nil {
            route = .impossible(AvroError(.wrongRecord, "the data is a \(writer.describe(writer.root)), not a record"))
        } else if reader.canonicalForm == writer.canonicalForm {
            route = .direct
        } else {
            do throws(AvroError) {
                route = .resolving(try GenericDecoder(writer), SchemaResolver(reader: reader, writer: writer))
            } catch {
                route = .impossible(error)
            }
        }
        state.withLock { $0.routes[key] = route }
        return route
    }

    private func ownSchema<Record: AvroRecord>(_ type: Record.Type) throws(AvroError) -> AvroSchema {
        let key = ObjectIdentifier(type)
        if let schema = state.withLock({ $0.schemas[key] }) { return schema }
        let schema = try AvroSchema(parsing: Record.avroSchema)
        state.withLock { $0.schemas[key] = schema }
        return schema
    }
}

extension AvroWriter {
    fileprivate mutating func writeFrame(schemaID: Int32) {
        writeRaw(0)
        for shift in [24, 16, 8, 0] as [Int32] { writeRaw(UInt8(truncatingIfNeeded: schemaID >> shift)) }
    }
}
