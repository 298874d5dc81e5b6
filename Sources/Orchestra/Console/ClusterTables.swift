import Foundation
import MembershipNetwork

/// The list of members as people read it.
struct MemberTableText: CustomStringConvertible {
    let description: String

    init(_ list: ClusterMembers) {
        let header = ["ID", "ROLE", "ADDRESS", "STATUS", "INCARNATION", "SINCE", "VERSION", "LOAD", "WEIGHT"]
        let rows = list.members.map { member in
            [
                member.id, member.role ?? "-", member.address ?? "-", member.status, "\(member.incarnation)",
                member.since.formatted(.iso8601), member.version ?? "-",
                member.load.map { "\(Int($0) * 100 / 255) %" } ?? "-", member.weight.map { "\($0)" } ?? "-",
            ]
        }
        var lines = TextTable(header: header, rows: rows).lines
        let live = list.members.count { $0.status == "alive" || $0.status == "suspect" }
        lines.append(
            "\(live) live of \(list.members.count) known to \(list.node) of cluster \(list.cluster)"
                + (list.joined ? "" : "; it has not joined yet"))
        description = lines.joined(separator: "\n")
    }
}

/// The placement as people read it.
struct PlacementTableText: CustomStringConvertible {
    let description: String

    init(_ placement: ClusterPlacement) {
        let header = ["PARTITION", "OWNER", "STATE", "EPOCH", "COMMITS", "GRAINS", "BYTES", "STANDBY"]
        let rows = placement.partitions.map { partition -> [String] in
            let numbers = [
                partition.epoch, partition.commits, partition.grains.map(Int64.init),
                partition.stateBytes.map(Int64.init),
            ]
            let unread = partition.unread.map { " (\($0) unread)" } ?? ""
            let place = ["\(partition.partition)", partition.owner ?? "-", (partition.state ?? "-") + unread]
            let standbys = partition.standbys.map(Self.text).joined(separator: ", ")
            return place + numbers.map { number in number.map { "\($0)" } ?? "-" } + [standbys]
        }
        var lines = TextTable(header: header, rows: rows).lines
        let owners = Dictionary(grouping: placement.partitions.compactMap(\.owner), by: \.self).mapValues(\.count)
        let shares = owners.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
        lines.append("\(placement.partitionCount) partitions; \(shares.joined(separator: ", "))")
        if !placement.silent.isEmpty {
            lines.append("no answer from \(placement.silent.joined(separator: ", "))")
        }
        description = lines.joined(separator: "\n")
    }

    private static func text(of standby: ClusterPlacement.Standby) -> String {
        let lag =
            (standby.lag.map { $0 == 0 ? "" : ", \($0) behind" } ?? "")
            + (standby.unread.map { ", \($0) unread" } ?? "")
        return standby.state == "following" && lag.isEmpty
            ? standby.silo : "\(standby.silo) (\(standby.state)\(lag))"
    }
}

/// Columns of text, each as wide as it has to be.
private struct TextTable {
    let lines: [String]

    init(header: [String], rows: [[String]]) {
        let widths = header.indices.map { column in
            ([header] + rows).map { $0[column].count }.max() ?? 0
        }
        lines = ([header] + rows).map { row in
            let cells = zip(row, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }
            return cells.joined(separator: "  ").trimmingTrailingSpaces
        }
    }
}

extension String {
    fileprivate var trimmingTrailingSpaces: String {
        var text = Substring(self)
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
