import Foundation
import OrchestraCore
import Silo

/// Where the partitions are, as the silos tell it: what `GET /v1/cluster/placement` answers.
struct ClusterPlacement: Codable, Sendable, Equatable {
    /// One partition.
    struct Partition: Codable, Sendable, Equatable {
        var partition: Int32
        /// Who holds it, or is about to; absent while nobody does.
        var owner: String?
        /// Of the owner: `serving`, or what it does before or after.
        var state: String?
        /// Grows with each change of owner.
        var epoch: Int64?
        var grains: Int?
        var stateBytes: Int?
        /// How many times something was committed.
        var commits: Int64?
        /// While it restores: how many offsets of the changelog it has still to read; compaction may have emptied some.
        var unread: Int64?
        var standbys: [Standby] = []
    }

    /// A silo that follows a partition's changelog.
    struct Standby: Codable, Sendable, Equatable {
        var silo: String
        var state: String
        /// How many commits of the owner it has not read yet.
        var lag: Int64?
        /// While it restores, as of the owner.
        var unread: Int64?
    }

    var partitionCount: Int32
    var partitions: [Partition]
    /// Silos of the view that did not answer.
    var silent: [String]

    init(partitionCount: Int32, reports: [PartitionReport], silent: [String]) {
        self.partitionCount = partitionCount
        self.silent = silent.sorted()
        let grouped = Dictionary(grouping: reports, by: \.partition)
        partitions = (0..<partitionCount).map { Partition($0, grouped[$0] ?? []) }
    }

    var json: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Strings and integers: nothing in it can fail to be encoded.
        return (try? encoder.encode(self)).map { Array($0) } ?? Array("{}".utf8)
    }

    init(json: [UInt8]) throws { self = try JSONDecoder().decode(ClusterPlacement.self, from: Data(json)) }
}

extension ClusterPlacement.Partition {
    fileprivate init(_ partition: Int32, _ reports: [PartitionReport]) {
        self.init(partition: partition)
        // During a hand-over two may hold it for a moment; who serves counts.
        let holder =
            reports.first { $0.state == "serving" } ?? reports.max { $0.epoch ?? -1 < $1.epoch ?? -1 }.flatMap {
                $0.epoch == nil ? nil : $0
            } ?? reports.first { $0.isNominated }
        if let holder {
            owner = holder.silo
            state = holder.state
            epoch = holder.epoch
            grains = holder.grains
            stateBytes = holder.stateBytes
            commits = holder.sequence
            unread = holder.unread
        }
        standbys = reports.filter { $0.silo != holder?.silo }.sorted { $0.silo < $1.silo }.map { report in
            ClusterPlacement.Standby(
                silo: report.silo, state: report.state, lag: holder.map { max($0.sequence - report.sequence, 0) },
                unread: report.unread)
        }
    }
}
