import Foundation
import NIOCore
import NIOPosix
import Orchestra
import Transport

/// Benchmark A with its floors, in one run: 10,000 keys, a string of 100 bytes there and back, two processes, one TCP
/// connection over loopback, 1, 64 and 1,024 calls outstanding.
///
///     TransportBenchmark [SECONDS [SILO-PORT SILO-PID]]       of each round, 3 by default
///
/// Benchmarks/calls runs it with a silo of this program, where the floor's actor is a volatile grain.
///
/// The floors: SwiftNIO that echoes frames on the event loop ("nio-echo"), and the least that virtual actors over
/// SwiftNIO must do ("nio-actor"): a Swift actor for each key, a task for each call at the server, a continuation for
/// each call at the client. Ours: `CallClient` and `CallServer` with a Swift actor for each key behind them, so that
/// only the transport differs from the second floor ("transport"); and a volatile grain for each key, called by its
/// typed reference ("grain").
///
/// The server of each is this program again, with `serve NAME`; it prints its port and ends with its standard input.
@main
enum TransportBenchmark {
    static let keyCount = 10_000
    static let payloadLength = 100
    static let keys = (0..<keyCount).map { "actor-\($0 * 7919 % keyCount)" }
    static let payload = [UInt8](repeating: UInt8(ascii: "x"), count: payloadLength)

    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst()
        if arguments.first == "serve", let name = arguments.dropFirst().first {
            return try await Contestant.named(name).serve()
        }
        if let command = arguments.first, ["broker", "silo", "schemas"].contains(command) {
            return await EchoApplication.main()
        }
        let seconds = arguments.first.flatMap { Double($0) } ?? 3
        print("outstanding who            calls/s   p50 µs   p99 µs  CPU µs per call, both sides")
        for name in ["nio-echo", "nio-actor", "transport"] {
            let server = try ServerProcess(name)
            defer { server.stop() }
            let caller = try await Contestant.named(name).connect(port: server.port)
            try await measureRounds(of: name, caller, server: server.processID, seconds: seconds)
            try await caller.close()
        }
        let silo = Array(arguments.dropFirst())
        guard silo.count == 2, let port = Int(silo[0]), let server = Int32(silo[1]) else { return }
        let grains = try await GrainCaller(port: port)
        try await measureRounds(of: "grain", grains, server: server, seconds: seconds)
        let activations = try await grains.activations(count: 100_000, outstanding: 64)
        print(String(format: "         64 grain, its first call %9.0f", activations))
        try await grains.close()
    }

    private static func measureRounds(
        of name: String, _ caller: any Caller, server: Int32, seconds: Double
    ) async throws {
        _ = try await caller.run(outstanding: 64, seconds: 1)
        for outstanding in [1, 64, 1024] {
            let cpu = CPUTime.now(and: server)
            let latencies = try await caller.run(outstanding: outstanding, seconds: seconds)
            let spent = CPUTime.now(and: server) - cpu
            report(name, outstanding, latencies, seconds: seconds, cpuSeconds: spent)
        }
    }

    private static func report(
        _ name: String, _ outstanding: Int, _ latencies: [Float], seconds: Double, cpuSeconds: Double
    ) {
        let sorted = latencies.sorted()
        let rate = Double(sorted.count) / seconds
        let figures = String(
            format: " %9.0f %8.0f %8.0f %8.1f", rate, sorted[sorted.count / 2], sorted[sorted.count * 99 / 100],
            cpuSeconds / Double(sorted.count) * 1e6)
        let title = name.padding(toLength: max(name.count, 12), withPad: " ", startingAt: 0)
        print(String(format: "%11d ", outstanding) + title + figures)
    }
}

/// One way to make and answer calls.
struct Contestant {
    var serve: () async throws -> Void
    var connect: (_ port: Int) async throws -> any Caller

    func connect(port: Int) async throws -> any Caller { try await connect(port) }

    static func named(_ name: String) -> Contestant {
        switch name {
        case "nio-echo": Contestant(serve: { try await Echo.serve() }, connect: { try await Echo.connect(port: $0) })
        case "nio-actor":
            Contestant(serve: { try await ActorFloor.serve() }, connect: { try await ActorFloor.connect(port: $0) })
        default: Contestant(serve: { try await Ours.serve() }, connect: { try await Ours.connect(port: $0) })
        }
    }
}

/// Makes calls and measures them.
protocol Caller {
    /// - Returns: the latency of each call, in microseconds.
    func run(outstanding: Int, seconds: Double) async throws -> [Float]
    func close() async throws
}

/// Runs `call` in so many tasks until the time is over.
func measure(
    outstanding: Int, seconds: Double, _ call: @escaping @Sendable (_ key: String) async throws -> Void
) async throws -> [Float] {
    let end = ContinuousClock.now + .seconds(seconds)
    return try await withThrowingTaskGroup(of: [Float].self) { group in
        for worker in 0..<outstanding {
            group.addTask {
                var latencies: [Float] = []
                var index = worker
                while true {
                    let start = ContinuousClock.now
                    guard start < end else { return latencies }
                    try await call(TransportBenchmark.keys[index % TransportBenchmark.keyCount])
                    latencies.append(microseconds(since: start))
                    index += outstanding
                }
            }
        }
        return try await group.reduce(into: []) { $0 += $1 }
    }
}

func microseconds(since start: ContinuousClock.Instant) -> Float {
    let (seconds, attoseconds) = (ContinuousClock.now - start).components
    return Float(Double(seconds) * 1e6 + Double(attoseconds) / 1e12)
}

/// This program again, as a server.
final class ServerProcess {
    private let process = Process()
    private let input = Pipe()
    let port: Int

    init(_ name: String) throws {
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0])
        process.arguments = ["serve", name]
        process.standardOutput = output
        process.standardInput = input
        try process.run()
        let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
        port = Int(line.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
        precondition(port > 0, "the server said \(line) instead of its port")
    }

    var processID: Int32 { process.processIdentifier }

    func stop() {
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
    }

    /// Tells the parent the port, and returns when it is gone.
    static func announce(port: Int) async {
        print(port)
        fflush(nil)
        await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                _ = FileHandle.standardInput.readDataToEndOfFile()
                continuation.resume()
            }
        }
    }
}

/// The processor time of this process and another one, in seconds.
enum CPUTime {
    static func now(and processID: Int32) -> Double { of(getpid()) + of(processID) }

    private static func of(_ processID: Int32) -> Double {
        guard let text = try? String(contentsOfFile: "/proc/\(processID)/stat", encoding: .utf8),
            let rest = text.range(of: ") ").map({ text[$0.upperBound...] })
        else { return 0 }
        let fields = rest.split(separator: " ")
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return 0 }
        return (user + system) / Double(sysconf(Int32(_SC_CLK_TCK)))
    }
}
