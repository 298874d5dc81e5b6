import ArgumentParser
import Foundation
import Orchestra
import OrchestraCore
import SeededRandom
import Synchronization

/// `fill`: makes grains that take up room.
struct FillCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "fill")

    @OptionGroup var silos: SiloOptions
    @Option(help: "How many grains.") var grains = 10_000
    @Option(help: "The size of each one's state, in bytes of text that does not compress.") var size = 10_000
    @Option(help: "Calls under way at a time.") var clients = 32

    func run() async throws {
        let numbers = Numbers(count: grains)
        try await silos.withCalls { calls in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for client in 0..<clients {
                    group.addTask { try await fill(numbers, client: client, calls) }
                }
                try await group.waitForAll()
            }
        }
        print("\(grains) grains with \(size) bytes each")
    }

    private func fill(_ numbers: Numbers, client: Int, _ calls: SiloCalls) async throws {
        var random = SeededGenerator(seed: UInt64(client))
        while let number = numbers.next() {
            try await put(Self.text(size, using: &random), into: "blob-\(number)", calls)
        }
    }

    private func put(_ content: String, into key: String, _ calls: SiloCalls) async throws {
        let requestID = UUID().uuidString
        let end = ContinuousClock.now + .seconds(60)
        while true {
            do {
                _ = try await calls.send(
                    Blob.Put(content: content), to: Blob.type, key: key, requestID: requestID)
                return
            } catch {
                guard ContinuousClock.now < end else { throw error }
                try await Task.sleep(for: .milliseconds(200))
            }
        }
    }

    private static func text(_ size: Int, using random: inout SeededGenerator) -> String {
        var bytes = Data()
        while bytes.count < size * 3 / 4 {
            withUnsafeBytes(of: random.next()) { bytes += $0 }
        }
        return String(bytes.base64EncodedString().prefix(size))
    }
}

/// The numbers from 0, each given out once.
private final class Numbers: Sendable {
    private let count: Int
    private let given = Mutex(0)

    init(count: Int) { self.count = count }

    func next() -> Int? {
        given.withLock { given in
            guard given < count else { return nil }
            defer { given += 1 }
            return given
        }
    }
}
