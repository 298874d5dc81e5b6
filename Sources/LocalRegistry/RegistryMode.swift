/// What may be done with a subject.
enum RegistryMode: String, Sendable, CaseIterable {
    case readWrite = "READWRITE"
    case readOnly = "READONLY"
    /// Read-only; as the global mode, whatever mode a subject has for itself.
    case readOnlyOverride = "READONLY_OVERRIDE"
    /// Schemas come with their ids, and versions if they like, from another registry, and are not compared with earlier
    /// ones.
    case `import` = "IMPORT"

    static let standard = RegistryMode.readWrite

    var isReadOnly: Bool {
        switch self {
        case .readOnly, .readOnlyOverride: true
        case .readWrite, .import: false
        }
    }

    /// - Throws: ``RegistryError`` 42205 when a subject in this mode cannot be changed.
    func expectWritable(_ subject: String) throws(RegistryError) {
        guard !isReadOnly else { throw .notPermitted("Subject '\(subject)' is in read-only mode") }
    }

    /// - Parameter namesID: whether the request says which id the schema shall get.
    /// - Throws: ``RegistryError`` 42205 when such a request is not taken in this mode.
    func expectRegistration(of subject: String, namesID: Bool) throws(RegistryError) {
        try expectWritable(subject)
        switch self {
        case .import where !namesID:
            throw .notPermitted("Subject '\(subject)' is not in read-write mode: an import names the schema's id")
        case .readWrite where namesID:
            throw .notPermitted("Subject '\(subject)' is not in import mode, so the registry chooses the schema's id")
        default: break
        }
    }
}
