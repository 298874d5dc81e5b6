import Membership
import Metrics

/// `orchestra_membership_*`.
struct MembershipMetrics {
    private let probes = Counter(label: "orchestra_membership_probes_total")
    private let failedProbes = Counter(label: "orchestra_membership_probes_failed_total")
    private let accusations = Counter(label: "orchestra_membership_accusations_total")
    private let refutations = Counter(label: "orchestra_membership_refutations_total")
    private let verdicts = Counter(label: "orchestra_membership_deaths_declared_total")
    private let pauses = Counter(label: "orchestra_membership_pauses_total")
    private let malformed = Counter(label: "orchestra_membership_malformed_messages_total")
    private let sentBytes = Counter(label: "orchestra_membership_bytes_total", dimensions: [("direction", "sent")])
    private let receivedBytes = Counter(
        label: "orchestra_membership_bytes_total", dimensions: [("direction", "received")])
    private let localHealth = Gauge(label: "orchestra_membership_local_health")
    private let suspicions = Gauge(label: "orchestra_membership_suspicions")
    private let queuedNews = Gauge(label: "orchestra_membership_queued_news")
    private let droppedMessages = Gauge(label: "orchestra_membership_dropped_messages")
    private let members: [MemberStatus: Gauge]

    init() {
        members = Dictionary(
            uniqueKeysWithValues: MemberStatus.allCases.map { status in
                (status, Gauge(label: "orchestra_membership_members", dimensions: [("status", "\(status)")]))
            })
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
