import CoreMetrics
import Membership
import Metrics

/// `orchestra_membership_*`.
struct MembershipMetrics {
    private let probes: Counter
    private let failedProbes: Counter
    private let accusations: Counter
    private let refutations: Counter
    private let verdicts: Counter
    private let pauses: Counter
    private let malformed: Counter
    private let sentBytes: Counter
    private let receivedBytes: Counter
    private let localHealth: Gauge
    private let suspicions: Gauge
    private let queuedNews: Gauge
    private let droppedMessages: Gauge
    private let members: [MemberStatus: Gauge]

    init(factory: any MetricsFactory) {
        func counter(_ name: String, _ dimensions: [(String, String)] = []) -> Counter {
            Counter(label: "orchestra_membership_\(name)_total", dimensions: dimensions, factory: factory)
        }
        func gauge(_ name: String, _ dimensions: [(String, String)] = []) -> Gauge {
            Gauge(label: "orchestra_membership_\(name)", dimensions: dimensions, factory: factory)
        }
        probes = counter("probes")
        failedProbes = counter("probes_failed")
        accusations = counter("accusations")
        refutations = counter("refutations")
        verdicts = counter("deaths_declared")
        pauses = counter("pauses")
        malformed = counter("malformed_messages")
        sentBytes = counter("bytes", [("direction", "sent")])
        receivedBytes = counter("bytes", [("direction", "received")])
        localHealth = gauge("local_health")
        suspicions = gauge("suspicions")
        queuedNews = gauge("queued_news")
        droppedMessages = gauge("dropped_messages")
        members = Dictionary(
            uniqueKeysWithValues: MemberStatus.allCases.map { ($0, gauge("members", [("status", "\($0)")])) })
    }

    func sent(_ message: Message, bytes: Int) {
        if case .ping = message.body { probes.increment() }
        sentBytes.increment(by: bytes)
    }

    func received(bytes: Int) { receivedBytes.increment(by: bytes) }

    func receivedMalformed() { malformed.increment() }

    func observed(_ observation: MembershipObservation) {
        switch observation {
        case .probeFailed: failedProbes.increment()
        case .accused: accusations.increment()
        case .refuted: refutations.increment()
        case .declaredDead: verdicts.increment()
        case .stalled: pauses.increment()
        case .deaf, .synchronised, .forgot: break
        }
    }

    func update(_ membership: Membership, counts: [MemberStatus: Int], dropped: Int) {
        localHealth.record(membership.health.score)
        suspicions.record(membership.suspicionCount)
        queuedNews.record(membership.queuedNews)
        droppedMessages.record(dropped)
        for (status, gauge) in members { gauge.record(counts[status, default: 0]) }
    }
}
