import Hummingbird

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

    static func addSubjects(to router: Router<Context>, _ operations: RegistryOperations) {
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
            let id = try await operations.register(
                try await body(request), subject: try subject(context), normalizes: flag("normalize", request))
            return try answer(SchemaIDAnswer(id: id))
        }
        router.get("/subjects/:subject/versions") { request, context in
            let isDeletedOnly = flag("deletedOnly", request)
            let versions = try await operations.versions(
                of: try subject(context), includingDeleted: isDeletedOnly || flag("deleted", request))
            return try answer(versions.filter { $0.isDeleted || !isDeletedOnly }.map(\.version))
        }
        router.get("/subjects/:subject/versions/:version") { request, context in
            let found = try await operations.version(
                try version(context), of: try subject(context), includingDeleted: flag("deleted", request))
            return try answer(VersionAnswer(found))
        }
        router.get("/subjects/:subject/versions/:version/schema") { request, context in
            let found = try await operations.version(
                try version(context), of: try subject(context), includingDeleted: flag("deleted", request))
            return rawAnswer(found.schema.text)
        }
        router.get("/subjects/:subject/versions/:version/referencedby") { request, context in
            try answer(
                await operations.referrers(
                    to: try version(context), of: try subject(context), includingDeleted: flag("deleted", request)))
        }
        router.delete("/subjects/:subject/versions/:version") { request, context in
            try answer(
                await operations.delete(
                    try version(context), of: try subject(context), isPermanent: flag("permanent", request)))
        }
    }

    static func addSchemas(to router: Router<Context>, _ operations: RegistryOperations) {
        router.get("/schemas") { request, _ in
            let parameters = request.uri.queryParameters
            let versions = try await operations.versions(
                subjectPrefix: parameters.get("subjectPrefix") ?? "", includingDeleted: flag("deleted", request),
                isLatestOnly: flag("latestOnly", request))
            let page = versions.dropFirst(max(0, parameters.get("offset", as: Int.self) ?? 0))
            let limit = parameters.get("limit", as: Int.self) ?? -1
            return try answer(page.prefix(limit < 0 ? page.count : limit).map(VersionAnswer.init))
        }
        router.get("/schemas/types") { _, _ in try answer(["AVRO"]) }
        router.get("/schemas/ids/:id") { request, context in
            let schema = try await operations.schema(id: try context.parameters.require("id"))
            let highest = flag("fetchMaxId", request) ? try await operations.highestSchemaID() : nil
            return try answer(SchemaAnswer(schema, maxId: highest))
        }
        router.get("/schemas/ids/:id/schema") { _, context in
            rawAnswer(try await operations.schema(id: try context.parameters.require("id")).text)
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

    static func addCompatibility(to router: Router<Context>, _ operations: RegistryOperations) {
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
}
