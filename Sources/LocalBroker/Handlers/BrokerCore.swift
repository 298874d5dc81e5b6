import DequeModule
import Foundation
import GRDB
import Logging
import Metrics
import NIOCore
import OrchestraCore

// The broker's state and the way of a request through it. Everything here happens on one event loop, the one that also
// serves the connections: a request is decoded, decided and handed to the committer without a lock or a hop. Only
// SQLite has threads of its own, one that writes (GroupCommitter) and a few that read (cold fetches).
//
/// The broker without its socket.
final class BrokerCore {
    static let nodeID: Int32 = 0
    /// The most that one fetch gets while clients do not read their answers.
    static let largeAnswerBytes = 1 << 16

    let configuration: LocalBrokerConfiguration
    let eventLoop: any EventLoop
    let pool: DatabasePool
    let committer: GroupCommitter
    let logger: Logger
    let metrics = BrokerMetrics()
    let clusterID: String

    var catalog: TopicCatalog
    var transactions: TransactionCoordinator
    var groups: GroupCoordinator
    var tailBudget: TailBudget
    var connections: [ObjectIdentifier: ConnectionHandler] = [:]
    /// Bytes of answers that clients have not taken yet.
    var outboundBytes = 0
    /// What the answers that are being read from the database may take, at most.
    var preparingBytes = 0
    /// Bytes of requests that are not whole yet.
    var inboundBytes = 0
    var advertisedPort = 0

    /// JoinGroup and SyncGroup requests that wait for the group.
    var waitingGroupRequests: [RequestToken: RequestContext] = [:]
    private var nextToken: UInt64 = 0
    /// Fetches whose logs have grown in the commit that is being finished.
    private var progressedFetches: [DelayedFetch] = []
    private var expiryTask: Scheduled<Void>?
    private var expiryAt: Timestamp?
    private(set) var isOverloaded = false
    /// False once the broker stops: what arrives then stays unread.
    var takesRequests = true
    /// How much has come since maintenance last looked, and whether it was much the time before.
    var appendedBytesInRound = 0
    var wasBusy = false
    private let clock = BrokerClock()

    /// - Parameter onFailure: called when the database could not be written; the broker has to stop.
    init(
        configuration: LocalBrokerConfiguration, state: LoadedState, pool: DatabasePool, eventLoop: any EventLoop,
        logger: Logger, onFailure: @escaping (any Error) -> Void
    ) throws {
        self.configuration = configuration
        self.eventLoop = eventLoop
        self.pool = pool
        self.logger = logger
        clusterID = state.clusterID
        committer = GroupCommitter(
            pool: pool, checkpointer: try Checkpointer(pool: pool, eventLoop: eventLoop, logger: logger),
            eventLoop: eventLoop, onFailure: onFailure)
        catalog = try TopicCatalog(state)
        let now = clock.now
        transactions = TransactionCoordinator(
            transactions: state.transactions, nextProducerID: state.nextProducerID, now: now)
        groups = GroupCoordinator(
            groups: state.groups, offsets: state.offsets, pendingOffsets: state.pendingOffsets, now: now)
        tailBudget = TailBudget(maximumBytes: configuration.limits.maximumTailBytes)
        committer.onCommit = { [unowned self] in committed() }
    }

    static func wallClock() -> Timestamp {
        Timestamp(millisecondsSinceEpoch: Int64(Date().timeIntervalSince1970 * 1000))
    }

    /// The time that coordinators go by; see ``BrokerClock``.
    var now: Timestamp { clock.now }

    func makeToken() -> RequestToken {
        nextToken += 1
        return RequestToken(rawValue: nextToken)
    }

    // MARK: Requests

    /// Takes up one request.
    ///
    /// - Throws: ``WireError`` if the connection has to be closed: the bytes are no request, or one in a version that
    ///   has not been announced (Apache Kafka closes the connection, too).
    func handle(_ frame: ByteBuffer, slot: ResponseSlot, clientHost: String) throws(WireError) {
        guard let (apiKey, apiVersion, correlationID) = RequestHeader.peek(frame) else {
            throw WireError("a frame of \(frame.readableBytes) bytes has no request header")
        }
        guard let api = API.find(apiKey) else { throw WireError("API \(apiKey) is unknown") }
        guard api.versions.contains(apiVersion) else {
            guard api.key == .apiVersions else {
                throw WireError("\(api.key) is not spoken in version \(apiVersion), only in \(api.versions)")
            }
            let context = RequestContext(
                api: api, version: 0, correlationID: correlationID, clientID: "", clientHost: clientHost, slot: slot,
                logger: logger)
            context.respond(apiVersions(error: .unsupportedVersion))
            return
        }
        var wire = WireCodec(reading: frame, version: apiVersion, isFlexible: api.isFlexible(apiVersion))
        let header = try RequestHeader(&wire)
        metrics.requests[api.key]?.increment()
        let context = RequestContext(
            api: api, version: apiVersion, correlationID: correlationID, clientID: header.clientID ?? "",
            clientHost: clientHost, slot: slot, logger: logger, latency: metrics.latencies[api.key])
        try dispatch(context, &wire)
    }

    private func dispatch(_ context: RequestContext, _ wire: inout WireCodec) throws(WireError) {
        switch context.api.key {
        case .produce: produce(try decode(&wire), context)
        case .fetch: fetch(try decode(&wire), context)
        case .listOffsets: listOffsets(try decode(&wire), context)
        case .metadata: metadata(try decode(&wire), context)
        case .offsetCommit: offsetCommit(try decode(&wire), context)
        case .offsetFetch: offsetFetch(try decode(&wire), context)
        case .findCoordinator: findCoordinator(try decode(&wire), context)
        case .joinGroup: joinGroup(try decode(&wire), context)
        case .heartbeat: heartbeat(try decode(&wire), context)
        case .leaveGroup: leaveGroup(try decode(&wire), context)
        case .syncGroup: syncGroup(try decode(&wire), context)
        case .describeGroups: describeGroups(try decode(&wire), context)
        case .listGroups: listGroups(try decode(&wire), context)
        case .apiVersions: apiVersions(try decode(&wire), context)
        case .createTopics: createTopics(try decode(&wire), context)
        case .deleteTopics: deleteTopics(try decode(&wire), context)
        case .initProducerID: initProducerID(try decode(&wire), context)
        case .offsetForLeaderEpoch: offsetForLeaderEpoch(try decode(&wire), context)
        case .addPartitionsToTxn: addPartitionsToTxn(try decode(&wire), context)
        case .addOffsetsToTxn: addOffsetsToTxn(try decode(&wire), context)
        case .endTxn: endTxn(try decode(&wire), context)
        case .txnOffsetCommit: txnOffsetCommit(try decode(&wire), context)
        case .describeConfigs: describeConfigs(try decode(&wire), context)
        case .createPartitions: createPartitions(try decode(&wire), context)
        case .deleteGroups: deleteGroups(try decode(&wire), context)
        case .describeCluster: describeCluster(try decode(&wire), context)
        case .deleteRecords: deleteRecords(try decode(&wire), context)
        case .alterConfigs: alterConfigs(try decode(&wire), context)
        case .incrementalAlterConfigs: incrementalAlterConfigs(try decode(&wire), context)
        case .offsetDelete: offsetDelete(try decode(&wire), context)
        case .describeProducers: describeProducers(try decode(&wire), context)
        case .describeTransactions: describeTransactions(try decode(&wire), context)
        case .listTransactions: listTransactions(try decode(&wire), context)
        }
    }

    @inline(never)
    private func decode<Request: WireRequest>(_ wire: inout WireCodec) throws(WireError) -> Request {
        var request = Request()
        try wire.structure(&request)
        return request
    }

    // MARK: Directives

    /// Makes the transaction coordinator's decisions durable.
    ///
    /// - Parameter mayRide: they need not be durable by themselves: see ``GroupCommitter/ride(_:)``.
    func apply(_ directives: [TransactionDirective], mayRide: Bool = false) {
        for directive in directives {
            if case .finish(let completion) = directive {
                finish(completion)
            } else if mayRide {
                committer.ride(.transaction(directive))
            } else {
                committer.write(.transaction(directive))
            }
        }
        scheduleExpiry()
    }

    /// Makes the group coordinator's decisions durable, and sends the answers that it releases once they are.
    func apply(_ directives: [GroupDirective]) {
        for directive in directives {
            switch directive {
            case .answerJoin(let token, let answer):
                guard let context = waitingGroupRequests.removeValue(forKey: token) else { continue }
                committer.whenDurable { [unowned self] in sendJoin(answer, context) }
            case .answerSync(let token, let answer):
                guard let context = waitingGroupRequests.removeValue(forKey: token) else { continue }
                committer.whenDurable { [unowned self] in sendSync(answer, context) }
            default:
                committer.write(.group(directive))
            }
        }
        scheduleExpiry()
    }

    /// Ends a transaction: markers in its partitions and the groups' offsets, all in one SQLite transaction.
    private func finish(_ completion: TransactionCompletion) {
        let now = now
        let wallClock = Self.wallClock()
        for partition in completion.partitions {
            guard let log = catalog.log(partition.topic, partition.partition) else { continue }
            let marker = RecordBatch.marker(
                completion.outcome, producer: completion.producer, baseOffset: log.nextOffset,
                timestamp: wallClock.millisecondsSinceEpoch)
            append(marker, to: log) { log, placed in
                log.ledger.complete(
                    completion.producer, outcome: completion.outcome, markerOffset: placed.baseOffset, now: now)
            }
        }
        apply(
            groups.completeTransaction(
                producerID: completion.producer.producerID, groups: completion.groups, outcome: completion.outcome,
                now: now))
    }

    /// Gives a batch its place, lets the ledger note it, and hands both to the committer.
    func append(_ batch: RecordBatch, to log: PartitionLog, note: (PartitionLog, RecordBatch) -> Void) {
        let placed = log.assign(batch)
        appendedBytesInRound += placed.bytes.count
        note(log, placed)
        tailBudget.add(placed, of: log)
        committer.append(placed, to: log)
    }

    // MARK: Time

    /// Wakes the coordinators when they next have something to do.
    func scheduleExpiry() {
        let deadlines = [transactions.nextDeadline, groups.nextDeadline].compactMap { $0 }
        guard let next = deadlines.min() else { return }
        if let expiryAt, expiryAt <= next { return }
        expiryTask?.cancel()
        expiryAt = next
        // One millisecond late rather than early: deadlines are rounded down to milliseconds.
        let delay = max(0, next.duration(since: now).wholeMilliseconds) + 1
        expiryTask = eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(min(delay, 3_600_000))) { [weak self] in
            self?.expire()
        }
    }

    private func expire() {
        expiryAt = nil
        expiryTask = nil
        let now = now
        apply(transactions.expire(now: now))
        apply(groups.expire(now: now))
        scheduleExpiry()
    }

    /// Once in a while: closes idle connections.
    func closeIdleConnections() {
        let now = NIODeadline.now()
        let limit = TimeAmount.milliseconds(configuration.limits.idleTimeout.wholeMilliseconds)
        for connection in Array(connections.values) { connection.closeIfIdle(now: now, limit: limit) }
        metrics.connections.record(connections.count)
        metrics.openTransactions.record(transactions.transactions.values.count { $0.state == .ongoing })
    }

    /// Closes connections until what they all hold of unfinished requests is within the limit.
    func limitInbound() {
        while inboundBytes > configuration.limits.maximumInboundBytes,
            let greediest = connections.values.max(by: { $0.inboundBytes < $1.inboundBytes }),
            greediest.inboundBytes > 0
        {
            logger.warning(
                "too much unfinished input; the connection with most of it is closed",
                metadata: ["client": "\(greediest.clientHost)", "bytes": "\(greediest.inboundBytes)"])
            greediest.abandon()
        }
    }

    /// Closes connections until what their clients have not read is within twice the limit.
    func limitOutbound() {
        while outboundBytes > 2 * configuration.limits.maximumOutboundBytes,
            let slowest = connections.values.max(by: { $0.outboundBytes < $1.outboundBytes }),
            slowest.outboundBytes > 0
        {
            logger.warning(
                "too many unread answers; the connection with most of them is closed",
                metadata: ["client": "\(slowest.clientHost)", "bytes": "\(slowest.outboundBytes)"])
            slowest.abandon()
        }
    }

    func stop() {
        expiryTask?.cancel()
        expiryTask = nil
        for connection in Array(connections.values) { connection.close() }
    }

    // MARK: Commits

    func noteProgress(_ fetch: DelayedFetch) { progressedFetches.append(fetch) }

    private func committed() {
        let fetches = progressedFetches
        progressedFetches = []
        for fetch in fetches { fetch.retry() }
        checkLoad()
    }

    /// Stops or resumes reading from all clients, by how much waits for the disk.
    func checkLoad() {
        let limit = configuration.limits.maximumUncommittedBytes
        if !isOverloaded, committer.outstandingBytes > limit {
            isOverloaded = true
        } else if isOverloaded, committer.outstandingBytes <= limit / 2 {
            isOverloaded = false
            for connection in Array(connections.values) { connection.resume() }
        }
    }
}
