package import OrchestraCore

/// The grain types of a silo.
package struct GrainCatalog: Sendable {
    package let kinds: [GrainType: any GrainKind]
    /// Those whose grains are only in memory.
    package let volatileKinds: [GrainType: any VolatileKind]
    /// The types whose grains take the records of a topic.
    package let subscribers: [String: [any GrainKind]]
    /// The topics that partitions consume: all handled streams and the durable commands.
    package let inputTopics: [String]
    /// The topics of all streams, handled or published.
    package let streamTopics: Set<String>

    /// - Throws: ``OrchestraError`` with `badConfiguration` when two grains have the same type name, a handler exists
    ///   twice, or one topic is declared with two record types.
    package init(
        _ grains: [any Grain.Type], codec: any RecordCoding, limits: GrainLimits, workflows: WorkflowCatalog
    ) throws(OrchestraError) {
        var kinds: [GrainType: any GrainKind] = [:]
        var volatileKinds: [GrainType: any VolatileKind] = [:]
        var subscribers: [String: [any GrainKind]] = [:]
        var recordNames: [String: String] = [:]
        for grain in grains {
            guard !grain.type.name.hasPrefix("orchestra.") else {
                throw OrchestraError(
                    .badConfiguration, "a grain has the type \"\(grain.type)\"",
                    nextStep: "types whose names begin with \"orchestra.\" are reserved")
            }
            guard kinds[grain.type] == nil, volatileKinds[grain.type] == nil else {
                throw OrchestraError(.badConfiguration, "two grains have the type \"\(grain.type)\"")
            }
            if let grain = grain as? any VolatileGrain.Type {
                volatileKinds[grain.type] = try GrainCatalog.volatileKind(of: grain)
                continue
            }
            let kind = try GrainCatalog.kind(of: grain, codec: codec, limits: limits, workflows: workflows)
            kinds[kind.type] = kind
            for topic in kind.streams.keys { subscribers[topic, default: []].append(kind) }
            for stream in Array(kind.streams.values) + Array(kind.publishedStreams.values) {
                guard !stream.topic.hasPrefix("orchestra.") else {
                    throw OrchestraError(
                        .badConfiguration, "grain \(kind.type) declares the stream \"\(stream.topic)\"",
                        nextStep: "topics whose names begin with \"orchestra.\" are reserved")
                }
                if let other = recordNames.updateValue(stream.recordName, forKey: stream.topic),
                    other != stream.recordName
                {
                    throw OrchestraError(
                        .badConfiguration,
                        "stream \(stream.topic) is declared with the records \(other) and \(stream.recordName)",
                        nextStep: "a stream carries one record type")
                }
            }
        }
        self.kinds = kinds
        self.volatileKinds = volatileKinds
        self.subscribers = subscribers
        inputTopics = (Array(subscribers.keys) + [Topics.commands]).sorted()
        streamTopics = Set(recordNames.keys)
    }

    /// Registers the schemas of all streams and states.
    package func register(with codec: any RecordCoding) async throws {
        for kind in kinds.values.sorted(by: { $0.type.name < $1.type.name }) {
            for stream in Array(kind.streams.values) + Array(kind.publishedStreams.values) {
                try await stream.register(codec)
            }
            try await kind.registerState()
        }
    }

    private static func kind<G: Grain>(
        of grain: G.Type, codec: any RecordCoding, limits: GrainLimits, workflows: WorkflowCatalog
    ) throws(OrchestraError) -> any GrainKind {
        try TypedGrainKind(grain, codec: codec, limits: limits, workflows: workflows)
    }

    private static func volatileKind<G: VolatileGrain>(of grain: G.Type) throws(OrchestraError) -> any VolatileKind {
        try TypedVolatileKind(grain)
    }
}
