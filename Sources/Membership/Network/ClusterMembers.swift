package import Foundation
import Membership

/// The members as one node knows them: what `GET /v1/cluster/members` answers.
package struct ClusterMembers: Codable, Sendable, Equatable {
    /// One member. Members that have ended are listed until they are forgotten.
    package struct Member: Codable, Sendable, Equatable {
        package var id: String
        /// `silo`, `agent` or `gateway`; absent if only the member's end is known.
        package var role: String?
        package var address: String?
        /// `alive`, `suspect`, `dead` or `left`.
        package var status: String
        package var incarnation: UInt32
        package var generation: UInt64
        /// Since when the answering node believes the status.
        package var since: Date
        /// Of the program that it runs.
        package var version: String?
        /// The processor time that its process took in the last seconds before it was told, as a share of the cores
        /// that it may use: 0 (none) to 255 (all). Told again when it has changed by a tenth.
        package var load: UInt8?
        /// The share of partitions that a silo should get, relative to others.
        package var weight: UInt16?
    }

    /// Of the live silos: a node's own count of its views.
    package struct View: Codable, Sendable, Equatable {
        package var version: UInt64
        /// Equal on nodes that know the same live silos.
        package var digest: String
    }

    package var cluster: String
    /// Who answers.
    package var node: String
    /// Whether it has found the cluster.
    package var joined: Bool
    package var view: View
    /// Ordered by id.
    package var members: [Member]

    package var json: [UInt8] {
        let encoder = JSONEncoder()
        encoder.dateEncodingStrategy = .iso8601
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Strings, integers and dates: nothing in it can fail to be encoded.
        return (try? encoder.encode(self)).map { Array($0) } ?? Array("{}".utf8)
    }

    package init(json: [UInt8]) throws {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .iso8601
        self = try decoder.decode(ClusterMembers.self, from: Data(json))
    }

    init(cluster: String, membership: Membership, now: Moment, wallClock: Date) {
        self.cluster = cluster
        node = membership.id.name
        joined = membership.isJoined
        let view = membership.view
        self.view = View(version: view.version, digest: String(view.digest, radix: 16))
        members = membership.table.sorted.map { entry in
            let age = Double((now - entry.since).microseconds) / 1_000_000
            return Member(entry.record, since: wallClock.addingTimeInterval(-age))
        }
    }
}

extension ClusterMembers.Member {
    /// The label that carries the program's version.
    static let versionLabel = "version"

    fileprivate init(_ record: MemberRecord, since: Date) {
        id = record.id.name
        status = "\(record.status)"
        incarnation = record.incarnation
        generation = record.generation
        self.since = since
        guard let description = record.description else { return }
        role = "\(description.role)"
        address = "\(description.address)"
        version = description.labels.first { $0.name == Self.versionLabel }?.value
        load = description.load
        weight = description.weight
    }
}
