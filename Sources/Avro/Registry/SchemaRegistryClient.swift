package import HTTPClient
package import OrchestraCore
import Synchronization

/// A client of the Confluent Schema Registry's REST API.
///
/// What a registry answers about ids never changes, so it is asked once and remembered for ever; only the answer
/// "unknown id" is forgotten after a moment. Network failures and the statuses 408, 429 and 5xx are tried again with
/// growing, jittered pauses.
package final class SchemaRegistryClient: Sendable {
    package struct Configuration: Sendable {
        /// The registry's address: `http://host:port`, a path if it has one.
        package var url: String
        package var username: String?
        package var password: String?
        package var connectTimeout: Duration
        /// How long one attempt may take.
        package var requestTimeout: Duration
        package var maximumAttempts: Int
        /// The longest first pause between attempts; it doubles with each.
        package var firstPause: Duration
        /// How long an unknown id stays unknown without asking again.
        package var unknownIDLifetime: Duration

        /// - Parameters:
        ///   - connectTimeout: 2 s unless given.
        ///   - requestTimeout: 5 s unless given.
        ///   - maximumAttempts: 5 unless given.
        ///   - firstPause: 100 ms unless given.
        ///   - unknownIDLifetime: 2 s unless given.
        package init(
            url: String, username: String? = nil, password: String? = nil, connectTimeout: Duration = .seconds(2),
            requestTimeout: Duration = .seconds(5), maximumAttempts: Int = 5,
            firstPause: Duration = .milliseconds(100), unknownIDLifetime: Duration = .seconds(2)
        ) {
            self.url = url
            self.username = username
            self.password = password
            self.connectTimeout = connectTimeout
            self.requestTimeout = requestTimeout
            self.maximumAttempts = maximumAttempts
            self.firstPause = firstPause
            self.unknownIDLifetime = unknownIDLifetime
        }
    }

    /// A schema as a subject holds it.
    package struct SubjectVersion: Sendable, Hashable {
        package var subject: String
        package var version: Int
        package var id: Int32
        package var schema: AvroSchema

        package init(subject: String, version: Int, id: Int32, schema: AvroSchema) {
            self.subject = subject
            self.version = version
            self.id = id
            self.schema = schema
        }
    }

    /// What the registry says about a schema that is not registered yet.
    package struct Compatibility: Sendable, Hashable {
        package var isCompatible: Bool
        /// The registry's own words.
        package var messages: [String]

        package init(isCompatible: Bool, messages: [String]) {
            self.isCompatible = isCompatible
            self.messages = messages
        }
    }

    private struct Registration: Hashable {
        var subject: String
        var schema: AvroSchema
    }

    private struct Cache {
        var ids: [Registration: Int32] = [:]
        var schemas: [Int32: AvroSchema] = [:]
        /// When each id that the registry does not know may be asked for again.
        var unknownIDs: [Int32: ContinuousClock.Instant] = [:]
    }

    /// How many unknown ids are remembered; bytes that are no records may name any number of them.
    private static let maximumUnknownIDs = 1024

    private let configuration: Configuration
    let transport: RegistryTransport
    private let cache = Mutex(Cache())
    private let registrations = SingleFlight<Registration, Int32>()
    private let lookups = SingleFlight<Int32, AvroSchema>()

    package init(_ configuration: Configuration, http: HTTPClient) {
        self.configuration = configuration
        transport = RegistryTransport(configuration, http: http)
    }

    package convenience init(url: String, username: String? = nil, password: String? = nil, http: HTTPClient) {
        self.init(Configuration(url: url, username: username, password: password), http: http)
    }

    /// Registers a schema, or finds it registered.
    ///
    /// - Returns: the schema's id.
    /// - Throws: ``OrchestraError``: `conflict` with the registry's own words when an earlier version of the subject
    ///   forbids it, `invalidArgument` when the registry refuses the schema, `unavailable` when it cannot be reached.
    package func register(subject: String, schema: AvroSchema) async throws(OrchestraError) -> Int32 {
        let key = Registration(subject: subject, schema: schema)
        return try await registrations.run(key) { () async throws(OrchestraError) -> Int32 in
            if let known = cache.withLock({ $0.ids[key] }) { return known }
            let path = "/subjects/\(RegistryTransport.encoded(subject))/versions"
            let what = "register \(schema.name ?? "a schema") as \(subject)"
            let reply = try await transport.call("POST", path, body: RegistryTransport.body(schema), what: what)
            let id = try RegistryTransport.id(reply, what: what)
            cache.withLock { cache in
                cache.ids[key] = id
                if cache.schemas[id] == nil { cache.schemas[id] = schema }
            }
            return id
        }
    }

    /// - Returns: the schema with this id.
    /// - Throws: ``OrchestraError``: `notFound` when the registry does not know the id, `invalidArgument` when its
    ///   schema is none that Orchestra reads, `unavailable` when the registry cannot be reached.
    package func schema(id: Int32) async throws(OrchestraError) -> AvroSchema {
        if let known = cachedSchema(id: id) { return known }
        return try await lookups.run(id) { () async throws(OrchestraError) -> AvroSchema in
            if let known = cachedSchema(id: id) { return known }
            let what = "read the schema with id \(id)"
            if let retryAt = cache.withLock({ $0.unknownIDs[id] }), ContinuousClock.now < retryAt {
                throw SchemaRegistryClient.unknown(id)
            }
            do throws(OrchestraError) {
                let reply = try await transport.call("GET", "/schemas/ids/\(id)", what: what)
                let schema = try await schema(of: reply, what: what)
                cache.withLock { $0.schemas[id] = schema }
                return schema
            } catch {
                guard error.code == .notFound else { throw error }
                rememberUnknown(id)
                throw SchemaRegistryClient.unknown(id)
            }
        }
    }

    /// The schema with this id if the registry has been asked for it before.
    package func cachedSchema(id: Int32) -> AvroSchema? { cache.withLock { $0.schemas[id] } }

    /// - Returns: the newest version of a subject.
    /// - Throws: ``OrchestraError``: `notFound` for an unknown subject; else as ``schema(id:)``.
    package func latest(subject: String) async throws(OrchestraError) -> SubjectVersion {
        let what = "read the latest schema of \(subject)"
        let path = "/subjects/\(RegistryTransport.encoded(subject))/versions/latest"
        let reply = try await transport.call("GET", path, what: what)
        return try RegistryTransport.version(reply, schema: try await schema(of: reply, what: what), what: what)
    }

    /// Looks a schema up without registering it.
    ///
    /// - Returns: its version in the subject; `nil` when the subject does not have it.
    package func find(subject: String, schema: AvroSchema) async throws(OrchestraError) -> SubjectVersion? {
        let what = "look up \(schema.name ?? "a schema") in \(subject)"
        let path = "/subjects/\(RegistryTransport.encoded(subject))"
        do throws(OrchestraError) {
            let reply = try await transport.call("POST", path, body: RegistryTransport.body(schema), what: what)
            let found = try await self.schema(of: reply, what: what)
            return try RegistryTransport.version(reply, schema: found, what: what)
        } catch {
            guard error.code == .notFound else { throw error }
            return nil
        }
    }

    /// Asks whether a schema could become the next version of a subject, without registering it.
    package func checkCompatibility(
        subject: String, schema: AvroSchema
    ) async throws(OrchestraError) -> Compatibility {
        let what = "check \(schema.name ?? "a schema") against \(subject)"
        let path = "/compatibility/subjects/\(RegistryTransport.encoded(subject))/versions/latest?verbose=true"
        do throws(OrchestraError) {
            let reply = try await transport.call("POST", path, body: RegistryTransport.body(schema), what: what)
            return try RegistryTransport.compatibility(reply, what: what)
        } catch {
            // A subject without versions accepts every schema.
            guard error.code == .notFound else { throw error }
            return Compatibility(isCompatible: true, messages: [])
        }
    }

    private func rememberUnknown(_ id: Int32) {
        let now = ContinuousClock.now
        cache.withLock { cache in
            if cache.unknownIDs.count >= SchemaRegistryClient.maximumUnknownIDs {
                cache.unknownIDs = cache.unknownIDs.filter { $0.value > now }
            }
            if cache.unknownIDs.count >= SchemaRegistryClient.maximumUnknownIDs { cache.unknownIDs = [:] }
            cache.unknownIDs[id] = now.advanced(by: configuration.unknownIDLifetime)
        }
    }

    private static func unknown(_ id: Int32) -> OrchestraError {
        OrchestraError(.notFound, "the schema registry does not know the schema id \(id)")
    }
}
