import OrchestraCore
import Synchronization
import Testing

@testable import Avro

/// Drives ``SingleFlight`` through a cancelled leader.
final class SingleFlightProbe: Sendable {
    private let flight = SingleFlight<Int, String>()
    private let leaders = Mutex(0)

    func check() async throws {
        let outcome = await withTaskGroup(of: Result<String, OrchestraError>.self) { group in
            let first = Task { await self.attempt(waiting: true) }
            try? await eventually("the first leads") { self.leaders.withLock { $0 } == 1 }
            for _ in 0..<5 { group.addTask { await self.attempt(waiting: false) } }
            first.cancel()
            let cancelled = await first.value
            #expect(throws: OrchestraError.self) { try cancelled.get() }
            var outcomes: [Result<String, OrchestraError>] = []
            for await result in group { outcomes.append(result) }
            return outcomes
        }
        #expect(outcome.count == 5)
        for result in outcome { #expect(try result.get() == "done") }
        #expect(leaders.withLock { $0 } >= 2)
    }

    private func attempt(waiting: Bool) async -> Result<String, OrchestraError> {
        do throws(OrchestraError) {
            return .success(
                try await flight.run(1) { () async throws(OrchestraError) -> String in
                    self.leaders.withLock { $0 += 1 }
                    guard waiting else { return "done" }
                    while !Task.isCancelled { await Task.yield() }
                    throw OrchestraError(.unavailable, "cancelled")
                })
        } catch {
            return .failure(error)
        }
    }
}
