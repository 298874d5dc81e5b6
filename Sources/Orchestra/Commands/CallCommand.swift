import ArgumentParser
import Foundation
import Logging
import OrchestraCore
import Silo
import Transport

/// `orchestra call`: one command or query to one grain.
struct CallCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "call",
        abstract: "Send a command or a query to a grain and print its reply.",
        discussion: """
            The reply is JSON on standard output. Whether METHOD is a command or a query is known for the grains of this
            program; for others say --query or --command.

              orchestra call workflow/WORKFLOW_ID GetStatus
              counter call counter/visits Add '{"amount": 3}'
            """)

    @Argument(help: ArgumentHelp("The grain, type/key.", valueName: "type/key"))
    var grain: String

    @Argument(help: ArgumentHelp("The name of the command or query.", valueName: "method"))
    var method: String

    @Argument(help: ArgumentHelp("Its content as JSON.", valueName: "json"))
    var payload = "{}"

    @Flag(help: "It is a command: it may change the grain.")
    var command = false

    @Flag(help: "It is a query: it only reads.")
    var query = false

    @Option(
        help: ArgumentHelp(
            "The silo to ask; without it, the cluster on the data directory is asked.", valueName: "host:port"))
    var silo: String?

    @Option(help: ArgumentHelp("How long to wait for the reply.", valueName: "seconds"))
    var timeout = 30

    @Option(help: ArgumentHelp("Repeating a command with the same id has one effect.", valueName: "id"))
    var requestID: String?

    @OptionGroup(title: "Configuration") var options: ConfigurationOptions

    mutating func validate() throws {
        guard !(command && query) else { throw ValidationError("--command or --query, not both") }
        guard (1...3600).contains(timeout) else { throw ValidationError("--timeout \(timeout): use 1 to 3600 seconds") }
        guard (try? JSONSerialization.jsonObject(with: Data(payload.utf8), options: .fragmentsAllowed)) != nil else {
            throw ValidationError("the content is no JSON: \(payload)")
        }
        if let silo, HostAndPort(silo) == nil { throw ValidationError("--silo \(silo): write it host:port") }
    }

    func run() async throws {
        let configuration = try options.load()
        let identity = try GrainID(parsing: grain)
        let request = GrainCallRequest(
            requestID: requestID ?? UUID().uuidString, grain: identity, kind: try kind(of: identity.type),
            method: method, payload: Array(payload.utf8), timeLeft: .seconds(timeout))
        let reply = try await SiloCaller(configuration, silo: silo).send(request)
        Console.print(String(decoding: reply.payload, as: UTF8.self))
    }
}
