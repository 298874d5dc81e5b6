import Foundation
import Hummingbird
import NIOCore

/// Paths and parameters of the REST interface.
enum RegistryRoutes {
    typealias Context = BasicRequestContext

    static func router(_ operations: RegistryOperations) -> Router<Context> {
        let router = Router(context: Context.self)
        router.add(middleware: RegistryErrors())
        router.add(middleware: RegistryMediaTypes())
        addSubjects(to: router, operations)
        addSchemas(to: router, operations)
        addCompatibility(to: router, operations)
        addConfig(to: router, operations)
        addMode(to: router, operations)
        router.get("/") { _, _ in try answer([String: String]()) }
        router.get("/contexts") { _, _ in try answer(["."]) }
        return router
    }

    private static func addSubjects(to router: Router<Context>, _ operations: RegistryOperations) {
        router.get("/subjects") { request, _ in
            let prefix = request.uri.queryParameters.get("subjectPrefix") ?? ""
            let isDeletedOnly = flag("deletedOnly", request)
            let live = try await operations.subjects(includingDeleted: false)
            guard isDeletedOnly || flag("deleted", request) else {
                return try answer(live.filter { $0.hasPrefix(prefix) })
            }
            let all = try await operations.subjects(includingDeleted: true)
            let shown = isDeletedOnly ? all.filter { !live.contains($0) } : all
            return try answer(shown.filter { $0.hasPrefix(prefix) })
        }
        router.post("/subjects/:subject") { request, context in
            let found = try await operations.lookUp(
                try await body(request), subject: try subject(context), includingDeleted: flag("deleted", request))
            return try answer(VersionAnswer(found))
        }
        router.delete("/subjects/:subject") { request, context in
            try answer(
                await operations.delete(subject: try subject(context), isPermanent: flag("permanent", request)))
        }
        router.post("/subjects/:subject/versions") { request, context in
            let id = try await operations.register(try await body(request), subject: try subject(context))
            return try answer(SchemaIDAnswer(id: id))
        }
        router.get("/subjects/:subject/versions") { request, context in
            let versions = try await operations.versions(
                of: try subject(context), includingDeleted: flag("deleted", request))
            return try answer(versions.map(\.version))
        }
        router.get("/subjects/:subject/versions/:version") { request, context in
            let found = try await operations.version(
                try version(context), of: try subject(context), includingDeleted: flag("deleted", request))
            return try answer(VersionAnswer(found))
        }
        router.get("/subjects/:subject/versions/:version/schema") { request, context in
            let found = try await operations.version(
                try version(context), of: try subject(context), includingDeleted: flag("deleted", request))
            return rawAnswer(found.text)
        }
        router.get("/subjects/:subject/versions/:version/referencedby") { _, context in
            _ = try await operations.version(
                try version(context), of: try subject(context), includingDeleted: true)
            return try answer([Int64]())
        }
        router.delete("/subjects/:subject/versions/:version") { request, context in
            try answer(
                await operations.delete(
                    try version(context), of: try subject(context), isPermanent: flag("permanent", request)))
        }
    }

    private static func addSchemas(to router: Router<Context>, _ operations: RegistryOperations) {
        router.get("/schemas/types") { _, _ in try answer(["AVRO"]) }
        router.get("/schemas/ids/:id") { request, context in
            let schema = try await operations.schema(id: try context.parameters.require("id"))
            let highest = flag("fetchMaxId", request) ? try await operations.highestSchemaID() : nil
            return try answer(SchemaAnswer(schema: schema, maxId: highest))
        }
        router.get("/schemas/ids/:id/schema") { _, context in
            rawAnswer(try await operations.schema(id: try context.parameters.require("id")))
        }
        router.get("/schemas/ids/:id/subjects") { request, context in
            let versions = try await operations.versions(
                withSchema: try context.parameters.require("id"), includingDeleted: flag("deleted", request))
            return try answer(Set(versions.map(\.subject)).sorted())
        }
        router.get("/schemas/ids/:id/versions") { request, context in
            let versions = try await operations.versions(
                withSchema: try context.parameters.require("id"), includingDeleted: flag("deleted", request))
            return try answer(versions.map { SubjectVersionAnswer(subject: $0.subject, version: $0.version) })
        }
    }

    private static func addCompatibility(to router: Router<Context>, _ operations: RegistryOperations) {
        @Sendable func check(
            _ request: Request, _ context: Context, _ choice: RegistryOperations.VersionChoice?
        ) async throws -> Response {
            let objections = try await operations.objections(
                to: try await body(request), subject: try subject(context), version: choice)
            return try answer(CompatibilityAnswer(isCompatible: objections.isEmpty, messages: objections))
        }
        router.post("/compatibility/subjects/:subject/versions") { request, context in
            try await check(request, context, nil)
        }
        router.post("/compatibility/subjects/:subject/versions/:version") { request, context in
            try await check(request, context, try version(context))
        }
    }

    private static func addConfig(to router: Router<Context>, _ operations: RegistryOperations) {
        router.get("/config") { _, _ in
            let level = try await operations.value(of: .compatibility, for: RegistryStore.global)
            return try answer(ConfigAnswer(compatibilityLevel: level ?? CompatibilityLevel.standard.rawValue))
        }
        router.get("/config/:subject") { request, context in
            let subject = try subject(context)
            var level = try await operations.value(of: .compatibility, for: subject)
            if level == nil, flag("defaultToGlobal", request) {
                level =
                    try await operations.value(of: .compatibility, for: RegistryStore.global)
                    ?? CompatibilityLevel.standard.rawValue
            }
            guard let level else { throw RegistryError.compatibilityNotSet(subject) }
            return try answer(ConfigAnswer(compatibilityLevel: level))
        }
        @Sendable func update(_ request: Request, subject: String) async throws -> Response {
            let wanted: ConfigUpdate = try await body(request)
            guard let level = CompatibilityLevel(rawValue: (wanted.compatibility ?? "").uppercased()) else {
                throw RegistryError.invalidLevel(wanted.compatibility ?? "")
            }
            try await operations.set(.compatibility, for: subject, to: level.rawValue)
            return try answer(ConfigUpdate(compatibility: level.rawValue))
        }
        router.put("/config") { request, _ in try await update(request, subject: RegistryStore.global) }
        router.put("/config/:subject") { request, context in
            try await update(request, subject: try subject(context))
        }
        router.delete("/config") { _, _ in
            let level = try await operations.removeValue(of: .compatibility, for: RegistryStore.global)
            return try answer(ConfigAnswer(compatibilityLevel: level ?? CompatibilityLevel.standard.rawValue))
        }
        router.delete("/config/:subject") { _, context in
            let subject = try subject(context)
            guard let level = try await operations.removeValue(of: .compatibility, for: subject) else {
                throw RegistryError.compatibilityNotSet(subject)
            }
            return try answer(ConfigAnswer(compatibilityLevel: level))
        }
    }

    private static func addMode(to router: Router<Context>, _ operations: RegistryOperations) {
        router.get("/mode") { _, _ in
            let mode = try await operations.value(of: .mode, for: RegistryStore.global)
            return try answer(ModeMessage(mode: mode ?? RegistryMode.standard.rawValue))
        }
        router.get("/mode/:subject") { request, context in
            let subject = try subject(context)
            var mode = try await operations.value(of: .mode, for: subject)
            if mode == nil, flag("defaultToGlobal", request) {
                mode =
                    try await operations.value(of: .mode, for: RegistryStore.global)
                    ?? RegistryMode.standard.rawValue
            }
            guard let mode else { throw RegistryError.modeNotSet(subject) }
            return try answer(ModeMessage(mode: mode))
        }
        @Sendable func update(_ request: Request, subject: String) async throws -> Response {
            let wanted: ModeMessage = try await body(request)
            guard let mode = RegistryMode(rawValue: (wanted.mode ?? "").uppercased()) else {
                throw RegistryError.invalidMode(wanted.mode ?? "")
            }
            try await operations.set(.mode, for: subject, to: mode.rawValue)
            return try answer(ModeMessage(mode: mode.rawValue))
        }
        router.put("/mode") { request, _ in try await update(request, subject: RegistryStore.global) }
        router.put("/mode/:subject") { request, context in try await update(request, subject: try subject(context)) }
        router.delete("/mode/:subject") { _, context in
            let subject = try subject(context)
            guard let mode = try await operations.removeValue(of: .mode, for: subject) else {
                throw RegistryError.modeNotSet(subject)
            }
            return try answer(ModeMessage(mode: mode))
        }
    }
}

// MARK: - Parameters, bodies, answers

extension RegistryRoutes {
    /// The subject of the path, decoded; any text without control characters is one.
    private static func subject(_ context: Context) throws -> String {
        let raw = try context.parameters.require("subject")
        guard let subject = raw.removingPercentEncoding else { throw RegistryError.invalidSubject(raw) }
        let isPlain = subject.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7f }
        guard !subject.isEmpty, isPlain, subject.utf8.count <= 1024 else {
            throw RegistryError.invalidSubject(subject)
        }
        return subject
    }

    private static func version(_ context: Context) throws -> RegistryOperations.VersionChoice {
        try RegistryOperations.VersionChoice(try context.parameters.require("version"))
    }

    private static func flag(_ name: String, _ request: Request) -> Bool {
        request.uri.queryParameters.get(name)?.lowercased() == "true"
    }

    private static func body<Message: Decodable>(_ request: Request) async throws -> Message {
        let buffer: ByteBuffer
        do {
            buffer = try await request.body.collect(upTo: LocalRegistry.maximumBodyBytes)
        } catch is NIOTooManyBytesError {
            throw RegistryError.bodyTooLarge
        }
        do {
            return try JSONDecoder().decode(Message.self, from: Data(buffer.readableBytesView))
        } catch {
            throw RegistryError(.badRequest, "the body is not the JSON that this call takes: \(reason(error))")
        }
    }

    /// What is wrong with a body, in words for people.
    private static func reason(_ error: any Error) -> String {
        let context: DecodingError.Context? =
            switch error as? DecodingError {
            case .typeMismatch(_, let context), .valueNotFound(_, let context), .keyNotFound(_, let context),
                .dataCorrupted(let context):
                context
            default: nil
            }
        guard let context else { return "it cannot be read" }
        let place = context.codingPath.map(\.stringValue).joined(separator: ".")
        return place.isEmpty ? context.debugDescription : "\(place): \(context.debugDescription)"
    }

    private static func answer(_ value: some Encodable) throws -> Response {
        RegistryMedia.response(.ok, try RegistryMedia.encode(value))
    }

    /// A schema as it is, not inside another JSON value.
    private static func rawAnswer(_ schema: String) -> Response {
        RegistryMedia.response(.ok, Array(schema.utf8))
    }
}
