import Foundation
import HTTPClient
import Synchronization

/// Posts workflows at a steady rate and keeps account of what was accepted.
///
/// A trigger counts as accepted when its answer is 202; any other answer, and none, counts as refused: the client
/// would try again.
final class Load: Sendable {
    struct Account: Sendable {
        var accepted: [String] = []
        var refusals: [String: Int] = [:]
    }

    private let account = Mutex(Account())

    var soFar: Account { account.withLock { $0 } }

    /// Posts until cancelled, one trigger each `interval`, whatever became of those before it.
    func run(on cluster: Cluster, every interval: Duration) async {
        await withDiscardingTaskGroup { group in
            var number = 0
            var next = ContinuousClock.now
            while !Task.isCancelled {
                let text = "Trigger number \(number). It was posted while processes die. All of it must complete."
                number += 1
                group.addTask { await self.post(text, to: cluster) }
                next += interval
                try? await Task.sleep(until: next)
            }
        }
    }

    /// Posts `count` triggers as fast as `callers` can; those that are refused are not posted again.
    func burst(of count: Int, callers: Int, on cluster: Cluster) async {
        let remaining = Countdown(from: count)
        await withDiscardingTaskGroup { group in
            for _ in 0..<callers {
                group.addTask {
                    while let number = remaining.next() {
                        await self.post("Burst number \(number). A short text. It has three sentences.", to: cluster)
                    }
                }
            }
        }
    }

    private func post(_ text: String, to cluster: Cluster) async {
        do {
            let response = try await cluster.trigger(text)
            if response.head.status == 202 {
                let identifier = try response.decoded(WorkflowAnswer.self).workflowId
                account.withLock { $0.accepted.append(identifier) }
            } else {
                let hasRetryAfter = response.head.header("retry-after") != nil
                refuse("HTTP \(response.head.status)\(hasRetryAfter ? " with Retry-After" : "")")
            }
        } catch let error as HTTPError {
            refuse("\(error.kind)")
        } catch {
            refuse("\(error)")
        }
    }

    private func refuse(_ reason: String) {
        account.withLock { $0.refusals[reason, default: 0] += 1 }
    }
}

/// Hands out the numbers below a count, each once, to whoever asks.
private final class Countdown: Sendable {
    private let left: Mutex<Int>

    init(from count: Int) { left = Mutex(count) }

    func next() -> Int? {
        left.withLock { left in
            guard left > 0 else { return nil }
            left -= 1
            return left
        }
    }
}
