import ArgumentParser
import Foundation
import HTTPClient
import OrchestraCore

/// `orchestra run`: triggers a workflow through a gateway and waits for its result.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run a workflow on a text and print its result.",
        discussion: """
            Progress goes to standard error, the result to standard output. The trigger carries an idempotency key, so
            that it is repeated safely when a connection breaks.

              orchestra run --file README.md
              orchestra run "Kafka is a log. Grains are actors."
              git log | orchestra run -
              orchestra run --gateway http://gateway:8080 --workflow summarize --file notes.txt
            """)

    @Argument(help: ArgumentHelp("The text; - reads standard input.", valueName: "text"))
    var text: [String] = []

    @Option(help: ArgumentHelp("Take the text from this file (UTF-8).", valueName: "file"))
    var file: String?

    @Option(help: ArgumentHelp("Which workflow to run.", valueName: "name"))
    var workflow = "summarize"

    @Option(
        help: ArgumentHelp(
            "The gateway's URL; without it, the cluster on the data directory is asked.", valueName: "url"))
    var gateway: String?

    @Option(
        help: ArgumentHelp("The same key runs the workflow only once, however often it is given.", valueName: "key"))
    var idempotencyKey: String?

    @Flag(help: "Print the gateway's whole answer as JSON instead of the result's text.")
    var json = false

    @OptionGroup(title: "Configuration") var options: ConfigurationOptions

    mutating func validate() throws {
        guard file == nil || text.isEmpty else { throw ValidationError("give a text or --file, not both") }
        guard file != nil || !text.isEmpty else {
            throw ValidationError("give a text, --file FILE, or - to read standard input")
        }
    }

    func run() async throws {
        let configuration = try options.load()
        let input = try readInput()
        let directory = DataDirectory(path: configuration[ConfigurationKeys.dataDirectory])
        let http = HTTPClient()
        let client = GatewayClient(
            url: try gateway.map(Self.trimmed) ?? Self.gateway(on: directory), http: http)
        do {
            let answer = try await client.run(
                workflow: workflow, input: input, idempotencyKey: idempotencyKey ?? UUID().uuidString
            ) { Console.printError($0) }
            await http.close()
            try finish(answer)
        } catch {
            await http.close()
            throw error
        }
    }

    private func finish(_ answer: GatewayClient.Answer) throws {
        if json { Console.print(answer.json) }
        guard answer.status == "completed" else {
            Console.printError("error: the workflow \(answer.status): \(answer.error ?? "no reason was given")")
            throw CommandFailure()
        }
        if !json { Console.print(answer.output ?? "") }
    }

    private static func trimmed(_ url: String) -> String { url.hasSuffix("/") ? String(url.dropLast()) : url }

    private static func gateway(on directory: DataDirectory) throws(OrchestraError) -> String {
        let state = try ClusterState.running(on: directory)
        guard let gateway = state.gateways.first else {
            throw OrchestraError(.unavailable, "the cluster on \(directory.path) has no gateway")
        }
        return gateway
    }

    // MARK: Input

    private func readInput() throws(OrchestraError) -> String {
        let name: String
        let bytes: [UInt8]
        if let file {
            (name, bytes) = (file, try Self.read(file))
        } else if text == ["-"] {
            (name, bytes) = ("standard input", Self.readStandardInput())
        } else {
            (name, bytes) = ("the text", Array(text.joined(separator: " ").utf8))
        }
        guard bytes.count <= GatewayClient.maximumInputSize else {
            throw OrchestraError(
                .tooLarge,
                "\(name) is larger than \(GatewayClient.maximumInputSize) bytes, the most that a workflow takes",
                nextStep: "send a part of it")
        }
        if let offset = firstInvalidUTF8Offset(in: bytes) {
            throw OrchestraError(
                .invalidArgument, "\(name) is not UTF-8: the byte at offset \(offset) belongs to no character",
                nextStep: "convert it, for example with iconv -t UTF-8")
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func read(_ path: String) throws(OrchestraError) -> [UInt8] {
        do {
            let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
            defer { try? file.close() }
            // One byte more than is allowed tells a file that is too large, however large it is.
            return Array(try file.read(upToCount: GatewayClient.maximumInputSize + 1) ?? Data())
        } catch {
            throw OrchestraError(.invalidArgument, "cannot read \(path): \(error.localizedDescription)")
        }
    }

    private static func readStandardInput() -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        while bytes.count <= GatewayClient.maximumInputSize {
            let count = Glibc.read(STDIN_FILENO, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            bytes.append(contentsOf: buffer[..<count])
        }
        return bytes
    }
}
