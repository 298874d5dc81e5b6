package import OrchestraCore

/// Carries calls to a silo by its name.
package protocol SiloNetwork: Sendable {
    /// - Throws: ``OrchestraError``: what the silo answered; `unavailable` when it is not known or not reached and
    ///   nothing was sent; `outcomeUnknown` for a command that was sent and not answered.
    func send(_ request: GrainCallRequest, to silo: String) async throws(OrchestraError) -> GrainCallReply
}

/// What silos say to each other. It travels as a call to a grain type that no application can have.
package enum SiloMessage: Sendable, Equatable {
    /// A nominee asks the owner for a partition.
    case release(ReleaseRequest)
    /// Asks what the silo knows of its partitions.
    case describePartitions
    /// This silo shall give all its partitions away, and take no more. It goes on running.
    case drain(silo: String)

    package static let grainType: GrainType = "orchestra.silo"
    private static let releaseMethod = "Release"
    private static let describeMethod = "DescribePartitions"
    private static let drainMethod = "Drain"

    /// - Throws: ``OrchestraError`` with `unimplemented` or `invalidArgument` for what no silo says.
    package init(_ request: GrainCallRequest) throws(OrchestraError) {
        switch request.method {
        case SiloMessage.releaseMethod:
            self = .release(try MessageCoding.decode(ReleaseRequest.self, from: request.payload))
        case SiloMessage.describeMethod: self = .describePartitions
        case SiloMessage.drainMethod:
            self = .drain(silo: try MessageCoding.decode(String.self, from: request.payload))
        default:
            throw OrchestraError(.unimplemented, "silos do not know the message \"\(request.method)\"")
        }
    }

    package func request(timeLeft: Duration) throws(OrchestraError) -> GrainCallRequest {
        let (method, payload) =
            switch self {
            case .release(let request): (SiloMessage.releaseMethod, try MessageCoding.encode(request))
            case .describePartitions: (SiloMessage.describeMethod, [])
            case .drain(let silo): (SiloMessage.drainMethod, try MessageCoding.encode(silo))
            }
        return GrainCallRequest(
            requestID: "silo", grain: try GrainID(type: SiloMessage.grainType, key: "any"), kind: .query,
            method: method, payload: payload, timeLeft: timeLeft)
    }
}

/// "I am to own this partition: finish what you have in hand, and give it to me."
package struct ReleaseRequest: Sendable, Equatable, Codable {
    package var partition: Int32
    package var nominee: String
    /// Of the process that made the claim in question: another one of its name answers only for what it can prove.
    package var generation: Int64?

    package init(partition: Int32, nominee: String, generation: Int64? = nil) {
        self.partition = partition
        self.nominee = nominee
        self.generation = generation
    }
}

/// Whether the asked silo commits nothing more to the partition.
package struct ReleaseReply: Sendable, Equatable, Codable {
    package var isReleased: Bool

    package init(isReleased: Bool) {
        self.isReleased = isReleased
    }

    package init(_ reply: GrainCallReply) throws(OrchestraError) {
        self = try MessageCoding.decode(ReleaseReply.self, from: reply.payload)
    }

    package func reply() throws(OrchestraError) -> GrainCallReply {
        GrainCallReply(version: 0, payload: try MessageCoding.encode(self))
    }
}

/// What a silo tells of one of its partitions, for people.
package struct PartitionReport: Sendable, Equatable, Codable {
    package var partition: Int32
    package var silo: String
    /// A ``PartitionLifecycle/State``.
    package var state: String
    /// Whether the silo's view names it as the owner.
    package var isNominated: Bool
    /// Where it owns: the offset of its claim in the changelog. It grows with each change of owner.
    package var epoch: Int64?
    /// How many grains it has in memory.
    package var grains: Int
    /// What they take, in bytes.
    package var stateBytes: Int
    /// The sequence of the last commit that the silo knows.
    package var sequence: Int64
    /// While it reads the changelog to its end: how many offsets there still are; compaction may have emptied some.
    package var unread: Int64?
}
