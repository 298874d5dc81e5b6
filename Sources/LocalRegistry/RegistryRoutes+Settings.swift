import Hummingbird

// How schemas must fit to earlier ones, and what may be done with subjects.

extension RegistryRoutes {
    static func addConfig(to router: Router<Context>, _ operations: RegistryOperations) {
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
            try await operations.set(level, for: subject)
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
                throw RegistryError.subjectNotFound(subject)
            }
            return try answer(ConfigAnswer(compatibilityLevel: level))
        }
    }

    static func addMode(to router: Router<Context>, _ operations: RegistryOperations) {
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
            try await operations.set(mode, for: subject, isForced: flag("force", request))
            return try answer(ModeMessage(mode: mode.rawValue))
        }
        router.put("/mode") { request, _ in try await update(request, subject: RegistryStore.global) }
        router.put("/mode/:subject") { request, context in try await update(request, subject: try subject(context)) }
        router.delete("/mode") { _, _ in
            let mode = try await operations.removeValue(of: .mode, for: RegistryStore.global)
            return try answer(ModeMessage(mode: mode ?? RegistryMode.standard.rawValue))
        }
        router.delete("/mode/:subject") { _, context in
            let subject = try subject(context)
            guard let mode = try await operations.removeValue(of: .mode, for: subject) else {
                throw RegistryError.subjectNotFound(subject)
            }
            return try answer(ModeMessage(mode: mode))
        }
    }
}
