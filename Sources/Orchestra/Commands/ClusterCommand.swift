import ArgumentParser
import Foundation
import HTTPClient
import MembershipNetwork
import OrchestraCore
import Transport

/// `orchestra cluster`: what the nodes know of each other.
struct ClusterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster", abstract: "Ask a running cluster about its nodes.",
        discussion: """
              orchestra cluster members --watch
            """, subcommands: [ClusterMembersCommand.self])
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

    @Option(
        help: ArgumentHelp(
            "Which node to ask; without it, a gateway of the cluster on the data directory.", valueName: "host:port"))
    var node: String?

    @Flag(help: "Go on until interrupted: print the list again whenever it has changed.")
    var watch = false

    @Flag(help: "Print the node's answer as JSON.")
    var json = false

    @OptionGroup(title: "Configuration") var options: ConfigurationOptions

    func run() async throws {
        let url = try nodeURL()
        let http = HTTPClient()
        do {
            try await watch ? follow(url, http) : Console.print(text(of: try await ask(url, http)))
        } catch {
            await http.close()
            throw error
        }
        await http.close()
    }

    private func nodeURL() throws -> String {
        if let node {
            let url = node.contains("://") ? node : "http://\(node)"
            return url.hasSuffix("/") ? String(url.dropLast()) : url
        }
        let configuration = try options.load()
        let state = try ClusterState.running(on: DataDirectory(path: configuration[ConfigurationKeys.dataDirectory]))
        guard let gateway = state.gateways.first else {
            throw OrchestraError(.unavailable, "the cluster has no gateway", nextStep: "name a node with --node")
        }
        return gateway
    }

    private func follow(_ url: String, _ http: HTTPClient) async throws {
        var last = ""
        let isTerminal = isatty(STDOUT_FILENO) == 1
        while true {
            let text: String
            do {
                text = self.text(of: try await ask(url, http))
            } catch let error as OrchestraError {
                // The node may be restarting; who watches wants to see it come back.
                text = error.message
            }
            if text != last { Console.print((isTerminal ? "\u{1B}[H\u{1B}[2J" : "") + text) }
            last = text
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    private func ask(_ url: String, _ http: HTTPClient) async throws -> ClusterMembers {
        let response: HTTPResponse
        do {
            response = try await http.send(
                HTTPRequest(
                    method: "GET", url: "\(url)/v1/cluster/members", headers: [], body: [],
                    connectTimeout: .seconds(5), timeout: .seconds(10)))
        } catch {
            throw OrchestraError(
                .unavailable, "no node answers at \(url): \(error.message)",
                nextStep: "name a gateway, or the admin address of another node, with --node")
        }
        guard response.status == 200, let members = try? ClusterMembers(json: response.body) else {
            throw OrchestraError(
                .unavailable, "\(url) answered HTTP \(response.status) and no list of members",
                nextStep: "name a gateway, or the admin address of another node, with --node")
        }
        return members
    }

    private func text(of members: ClusterMembers) -> String {
        json ? String(decoding: members.json, as: UTF8.self) : MemberTableText(members).description
    }
}

/// The table that people read.
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
        let widths = header.indices.map { column in
            ([header] + rows).map { $0[column].count }.max() ?? 0
        }
        var lines = ([header] + rows).map { row in
            let cells = zip(row, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }
            return cells.joined(separator: "  ").trimmingTrailingSpaces
        }
        let live = list.members.count { $0.status == "alive" || $0.status == "suspect" }
        lines.append(
            "\(live) live of \(list.members.count) known to \(list.node) of cluster \(list.cluster)"
                + (list.joined ? "" : "; it has not joined yet"))
        description = lines.joined(separator: "\n")
    }
}

extension String {
    fileprivate var trimmingTrailingSpaces: String {
        var text = Substring(self)
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
