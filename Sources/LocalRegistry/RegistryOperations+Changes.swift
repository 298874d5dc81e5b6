import GRDB

// Registering, deleting and settings: what changes the registry.

extension RegistryOperations {
    /// Registers a schema under a subject, once: the same schema again gives the same id and no new version.
    ///
    /// - Parameter normalizes: whether to keep the text without spaces and with sorted keys.
    func register(_ request: SchemaRequest, subject: String, normalizes: Bool) async throws -> Int64 {
        let candidate = try await candidate(request, normalizes: normalizes)
        return try await database.write { database in
            let store = RegistryStore(database: database)
            let versions = try store.versions(of: subject)
            let live = versions.filter { !$0.isDeleted }
            if let known = SchemaRules.find(candidate, in: live),
                request.wantedID.map({ $0 == known.schema.id }) ?? true,
                request.wantedVersion.map({ $0 == known.version }) ?? true
            {
                return known.schema.id
            }
            let mode = try store.mode(for: subject)
            try mode.expectRegistration(of: subject, namesID: request.wantedID != nil)
            _ = try store.resolve(candidate.references, includingDeleted: false)
            if mode != .import {
                let objections = try store.level(for: subject)
                    .objections(to: candidate.schema, after: store.parse(live))
                guard objections.isEmpty else { throw RegistryError.incompatible(subject, objections) }
            }
            let id = try store.settleID(of: candidate, wanted: request.wantedID)
            let version = try store.settleVersion(
                of: subject, wanted: request.wantedVersion, schemaID: id, mode: mode, after: versions)
            try store.insertVersion(version, of: subject, schemaID: id)
            try store.removeOutdated(versions.filter { $0.isDeleted && $0.schema.id == id && $0.version != version })
            return id
        }
    }

    // MARK: Deleting

    /// - Parameter isPermanent: removes what was soft-deleted before; else the versions are only hidden, and data that
    ///   was written with them can still be read.
    /// - Returns: the versions that were deleted.
    func delete(subject: String, isPermanent: Bool) async throws -> [Int32] {
        try await database.write { database in
            let store = RegistryStore(database: database)
            try store.mode(for: subject).expectWritable(subject)
            let versions = try store.versions(of: subject)
            guard !versions.isEmpty else { throw RegistryError.subjectNotFound(subject) }
            let live = versions.filter { !$0.isDeleted }
            if isPermanent {
                guard live.isEmpty else { throw RegistryError.subjectNotSoftDeleted(subject) }
                try store.expectUnreferenced(versions, isPermanent: true)
                for version in versions { try store.remove(version) }
            } else {
                guard !live.isEmpty else { throw RegistryError.subjectSoftDeleted(subject) }
                try store.expectUnreferenced(live, isPermanent: false)
                for version in live { try store.softDelete(version) }
                try store.removeSettings(of: subject)
            }
            return (isPermanent ? versions : live).map(\.version)
        }
    }

    /// - Returns: the number of the version that was deleted.
    func delete(_ choice: VersionChoice, of subject: String, isPermanent: Bool) async throws -> Int32 {
        try await database.write { database in
            let store = RegistryStore(database: database)
            try store.mode(for: subject).expectWritable(subject)
            let versions = try store.versions(of: subject)
            guard !versions.isEmpty else { throw RegistryError.subjectNotFound(subject) }
            let live = versions.filter { !$0.isDeleted }
            let candidates = choice == .latest && !live.isEmpty ? live : versions
            let version = try SchemaRules.choose(choice, from: candidates)
            if isPermanent {
                guard version.isDeleted else {
                    throw RegistryError.versionNotSoftDeleted(subject, version.version)
                }
                try store.expectUnreferenced([version], isPermanent: true)
                try store.remove(version)
            } else {
                guard !version.isDeleted else { throw RegistryError.versionSoftDeleted(subject, version.version) }
                try store.expectUnreferenced([version], isPermanent: false)
                try store.softDelete(version)
                if live.count == 1 { try store.removeSettings(of: subject) }
            }
            return version.version
        }
    }

    // MARK: Settings

    func value(of setting: RegistryStore.Setting, for subject: String) async throws -> String? {
        try await database.read { try RegistryStore(database: $0).value(of: setting, for: subject) }
    }

    func set(_ level: CompatibilityLevel, for subject: String) async throws {
        try await database.write {
            try RegistryStore(database: $0).set(.compatibility, for: subject, to: level.rawValue)
        }
    }

    /// Imports begin with nothing: what is only soft-deleted is removed, so that its ids and versions are free.
    ///
    /// - Parameter isForced: whether to allow an import although there are schemas.
    /// - Throws: ``RegistryError`` 42205 for an import where there are schemas.
    func set(_ mode: RegistryMode, for subject: String, isForced: Bool) async throws {
        try await database.write { database in
            let store = RegistryStore(database: database)
            if mode == .import, try store.mode(for: subject) != .import, !isForced {
                let versions =
                    try subject == RegistryStore.global ? store.allVersions() : store.versions(of: subject)
                guard versions.allSatisfy(\.isDeleted) else {
                    throw RegistryError.notPermitted("Cannot import since found existing subjects")
                }
                try store.expectUnreferenced(versions, isPermanent: true)
                for version in versions { try store.remove(version) }
            }
            try store.set(.mode, for: subject, to: mode.rawValue)
        }
    }

    /// - Returns: the value that was there.
    func removeValue(of setting: RegistryStore.Setting, for subject: String) async throws -> String? {
        try await database.write { database in
            let store = RegistryStore(database: database)
            let value = try store.value(of: setting, for: subject)
            try store.removeValue(of: setting, for: subject)
            return value
        }
    }
}

extension RegistryStore {
    /// The id for a schema that is about to be registered: the wanted one, that of the same schema, or a new one.
    ///
    /// - Throws: ``RegistryError`` 42205 when the wanted id belongs to another schema.
    fileprivate func settleID(of candidate: CandidateSchema, wanted: Int64?) throws -> Int64 {
        guard let wanted else { return try schemaID(of: candidate) ?? insertSchema(candidate, id: nil) }
        if let holder = try schema(id: wanted) {
            let isSame =
                holder.identity == candidate.identity.text
                && Set(holder.references) == Set(candidate.references)
            guard isSame else {
                throw RegistryError.notPermitted("Overwrite new schema with id \(wanted) is not permitted.")
            }
            return wanted
        }
        return try insertSchema(candidate, id: wanted)
    }

    /// The version for a schema that is about to be registered: the next one, or in an import any that is free.
    ///
    /// - Parameter versions: all of the subject, soft-deleted ones included.
    fileprivate func settleVersion(
        of subject: String, wanted: Int32?, schemaID: Int64, mode: RegistryMode, after versions: [StoredVersion]
    ) throws -> Int32 {
        let last = versions.last?.version ?? 0
        let next = last == .max ? nil : last + 1
        guard let wanted, wanted != next else {
            guard let next else { throw RegistryError.invalidSchema("Subject '\(subject)' has no version number left") }
            return next
        }
        guard mode == .import else {
            throw RegistryError.invalidSchema("Version is not one more than previous version")
        }
        // Confluent's registry writes over the old version, whose schema is lost then.
        if let holder = versions.first(where: { $0.version == wanted }), holder.schema.id != schemaID {
            throw RegistryError.notPermitted(
                "Subject '\(subject)' has another schema as version \(wanted), with id \(holder.schema.id)")
        }
        return wanted
    }

    /// Removes soft-deleted versions of a schema that has just become a newer version of the same subject.
    fileprivate func removeOutdated(_ versions: [StoredVersion]) throws {
        for version in versions {
            let place = SchemaPlace(subject: version.subject, version: version.version)
            if try referrers(to: place).isEmpty { try remove(version) }
        }
    }

    /// A subject without versions starts anew.
    fileprivate func removeSettings(of subject: String) throws {
        try removeValue(of: .compatibility, for: subject)
        try removeValue(of: .mode, for: subject)
    }
}
