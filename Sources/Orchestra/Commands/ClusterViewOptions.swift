import ArgumentParser
import Foundation
import HTTPClient
import OrchestraCore

/// Shows what a node tells of its cluster, once or as it changes.
struct ClusterViewOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Which node to ask; without it, a gateway of the cluster on the data directory.", valueName: "host:port"))
    var node: String?

    @Flag(help: "Go on until interrupted: print it again whenever it has changed.")
    var watch = false

    @Flag(help: "Print the node's answer as JSON.")
    var json = false

    @OptionGroup(title: "Configuration") var options: ConfigurationOptions

    /// - Parameters:
    ///   - page: the last part of the path below `/v1/cluster/`.
    ///   - text: makes of the node's answer what is printed.
    func show(_ page: String, text: ([UInt8]) throws -> String) async throws {
        let url = try "\(nodeURL())/v1/cluster/\(page)"
        let http = HTTPClient()
        do {
            try await watch ? follow(url, http, text) : Console.print(ask(url, http, text))
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

    private func follow(_ url: String, _ http: HTTPClient, _ text: ([UInt8]) throws -> String) async throws {
        var last = ""
        let isTerminal = isatty(STDOUT_FILENO) == 1
        while true {
            let now: String
            do {
                now = try await ask(url, http, text)
            } catch let error as OrchestraError {
                // The node may be restarting; who watches wants to see it come back.
                now = error.message
            }
            if now != last { Console.print((isTerminal ? "\u{1B}[H\u{1B}[2J" : "") + now) }
            last = now
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    private func ask(_ url: String, _ http: HTTPClient, _ text: ([UInt8]) throws -> String) async throws -> String {
        let response: HTTPResponse
        do {
            response = try await http.send(
                HTTPRequest(
                    method: "GET", url: url, headers: [], body: [], connectTimeout: .seconds(5), timeout: .seconds(10)))
        } catch {
            throw OrchestraError(
                .unavailable, "no node answers at \(url): \(error.message)",
                nextStep: "name a gateway, or the admin address of another node, with --node")
        }
        guard response.status == 200, let text = try? text(response.body) else {
            throw OrchestraError(
                .unavailable, "\(url) answered HTTP \(response.status), and not what was asked for",
                nextStep: "name a gateway, or the admin address of another node, with --node")
        }
        return text
    }
}
