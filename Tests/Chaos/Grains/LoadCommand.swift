import ArgumentParser
import Foundation
import Orchestra
import SeededRandom
import Synchronization

/// `load`: clients that add to counters and write, exchange and read registers, and record what they saw.
struct LoadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "load")

    @OptionGroup var silos: SiloOptions
    @Option(help: "The file that gets the history; it is appended to.") var history: String
    @Option(help: "How long.") var seconds: Double
    @Option(help: "Operations a second, all clients together.") var rate = 60.0
    @Option(help: "Clients. Each has one operation under way at a time.") var clients = 12
    @Option(help: "Grains of each type that are in use at a time. Each is shared by clients/grains clients.")
    var grains = 4
    @Option(help: "After so many operations a grain is left alone and a new one takes its place.")
    var operationsPerGrain = 600
    @Option(help: "How long an operation is tried again under its request id, in seconds.") var patience = 30.0
    @Option(help: "Chooses the operations.") var seed: UInt64 = 1

    func run() async throws {
        let history = try History(path: history)
        let pool = GrainPool(slots: grains, operationsPerGrain: operationsPerGrain, prefix: "\(seed)")
        try await silos.withCalls { calls in
            let recorder = OperationRecorder(calls: calls, history: history)
            let end = ContinuousClock.now + .seconds(seconds)
            await withDiscardingTaskGroup { group in
                for number in 0..<clients {
                    let client = LoadClient(
                        number: number, slot: number % grains, pool: pool, recorder: recorder,
                        interval: .seconds(Double(clients) / rate), patience: .seconds(patience))
                    group.addTask { await client.run(until: end, seed: seed &* 1_000_003 &+ UInt64(number)) }
                }
            }
        }
        history.close()
    }
}

/// The grains in use. Their histories are kept short, since checking one takes longer than proportionally.
final class GrainPool: Sendable {
    private struct Slot {
        var generation = 0
        var operations = 0
    }

    private let slots: Mutex<[Slot]>
    private let operationsPerGrain: Int
    private let prefix: String

    init(slots: Int, operationsPerGrain: Int, prefix: String) {
        self.slots = Mutex(Array(repeating: Slot(), count: slots))
        self.operationsPerGrain = operationsPerGrain
        self.prefix = prefix
    }

    func nextKey(slot: Int) -> String {
        slots.withLock { slots in
            slots[slot].operations += 1
            // Twice as many: half of them go to the counter, half to the register of the same key.
            if slots[slot].operations > 2 * operationsPerGrain {
                slots[slot] = Slot(generation: slots[slot].generation + 1)
            }
            return "\(prefix)-\(slot)-\(slots[slot].generation)"
        }
    }
}

/// One client: an operation, a pause, an operation.
private struct LoadClient: Sendable {
    let number: Int
    let slot: Int
    let pool: GrainPool
    let recorder: OperationRecorder
    let interval: Duration
    let patience: Duration

    func run(until end: ContinuousClock.Instant, seed: UInt64) async {
        var random = SeededGenerator(seed: seed)
        var next = ContinuousClock.now + interval * Double.random(in: 0..<1, using: &random)
        var written = 0
        var lastSeen: [String: Int] = [:]
        while next < end {
            // A client that waited for a slow operation does not catch up.
            next = max(next, .now)
            try? await Task.sleep(until: next, clock: .continuous)
            next += interval
            let key = pool.nextKey(slot: slot)
            written += 1
            let unique = number + 1 + 1000 * written
            let action = choose(lastSeen: lastSeen[key] ?? 0, unique: unique, using: &random)
            // A few give up at once, so that some outcomes stay unknown.
            let isPatient = Int.random(in: 0..<20, using: &random) > 0
            let value = await recorder.perform(
                Operation(key: key, action: action, patience: isPatient ? patience : .zero))
            if action.grainType == Register.type, let value { lastSeen = [key: value] }
        }
    }

    private func choose(
        lastSeen: Int, unique: Int, using random: inout SeededGenerator
    ) -> Operation.Action {
        switch Int.random(in: 0..<100, using: &random) {
        case ..<35: .add(Int.random(in: 1...1000, using: &random))
        case ..<50: .readCounter
        case ..<65: .write(unique)
        case ..<80: .compareAndSet(expected: lastSeen, new: unique)
        default: .readRegister
        }
    }
}
