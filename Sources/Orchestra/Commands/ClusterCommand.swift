import ArgumentParser
import Foundation
import HTTPClient
import MembershipNetwork
import OrchestraCore
import Transport

/// `orchestra cluster`: what the nodes know of each other, and what an operator wants of them.
struct ClusterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster", abstract: "Look at the nodes and partitions of a running cluster, and drain a silo.",
        discussion: """
              orchestra cluster members --watch
              orchestra cluster placement
              orchestra cluster drain silo-2
            """, subcommands: [ClusterMembersCommand.self, ClusterPlacementCommand.self, ClusterDrainCommand.self])
}

/// `orchestra cluster members`: the list of nodes as one of them knows it.
struct ClusterMembersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "members",
        abstract: "Print the nodes of a cluster, as one of them knows them.",
        discussion: """
            Any gateway answers, and the admin address that every other node names when it is ready.

              orchestra cluster members
              orchestra cluster members --watch --node http://gateway:8080
            """)

    @OptionGroup var view: ClusterViewOptions

    func run() async throws {
        try await view.show("members") { json in text(of: try ClusterMembers(json: json)) }
    }

    private func text(of members: ClusterMembers) -> String {
        view.json ? String(decoding: members.json, as: UTF8.self) : MemberTableText(members).description
    }
}

/// `orchestra cluster placement`: where the partitions are.
struct ClusterPlacementCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "placement",
        abstract: "Print which silo owns each partition, and which ones stand by.",
        discussion: """
            Any gateway answers, and the admin address of every silo.

              orchestra cluster placement
              orchestra cluster placement --watch --node http://gateway:8080
            """)

    @OptionGroup var view: ClusterViewOptions

    func run() async throws {
        try await view.show("placement") { json in
            let placement = try ClusterPlacement(json: json)
            return view.json
                ? String(decoding: placement.json, as: UTF8.self) : PlacementTableText(placement).description
        }
    }
}
