import OrchestraCore

extension SchemaRegistryClient {
    /// A version of a subject whose types another schema uses.
    struct Reference: Sendable, Hashable {
        var subject: String
        var version: Int32
    }

    /// How many schemas one schema may refer to, directly or not.
    private static let maximumReferences = 256

    /// The schema in an answer of the registry, with the types of those that it refers to.
    ///
    /// - Parameter what: what is being tried, for messages.
    func schema(of reply: JSONValue, what: String) async throws(OrchestraError) -> AvroSchema {
        var seen: Set<Reference> = []
        var texts: [String] = []
        try await collect(RegistryTransport.references(reply, what: what), &seen, &texts, what: what)
        return try RegistryTransport.schema(reply, referenced: texts, what: what)
    }

    /// Adds the texts of what is referred to, each after those that it refers to itself.
    private func collect(
        _ references: [Reference], _ seen: inout Set<Reference>, _ texts: inout [String], what: String
    ) async throws(OrchestraError) {
        for reference in references {
            guard seen.insert(reference).inserted else { continue }
            guard seen.count <= SchemaRegistryClient.maximumReferences else {
                throw OrchestraError(
                    .invalidArgument,
                    "could not \(what): it refers to more than \(SchemaRegistryClient.maximumReferences) other schemas")
            }
            // A version that was deleted since is still what the data was written with.
            let subject = RegistryTransport.encoded(reference.subject)
            let path = "/subjects/\(subject)/versions/\(reference.version)?deleted=true"
            let step = "\(what) with \(reference.subject) version \(reference.version), which it refers to"
            let reply = try await transport.call("GET", path, what: step)
            try await collect(RegistryTransport.references(reply, what: step), &seen, &texts, what: what)
            texts.append(try RegistryTransport.schemaText(reply, what: step))
        }
    }
}
