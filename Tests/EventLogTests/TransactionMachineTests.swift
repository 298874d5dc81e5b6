import CRdKafka
import Testing

@testable import EventLog

struct TransactionMachineTests {
    private let fenced = CallFailure(code: RD_KAFKA_RESP_ERR__FENCED, message: "fenced", isFatal: true)
    private let abortable = CallFailure(
        code: RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, message: "abort", requiresAbort: true)
    private let retriable = CallFailure(code: RD_KAFKA_RESP_ERR__TIMED_OUT, message: "again", isRetriable: true)
    private let odd = CallFailure(code: RD_KAFKA_RESP_ERR__STATE, message: "odd")

    private func machine(_ phases: TransactionMachine.Phase...) -> TransactionMachine {
        var machine = TransactionMachine(transactionalID: "id")
        for phase in phases { machine.enter(phase) }
        return machine
    }

    /// Tells a machine of a failure; the kind of error it reports, `nil` if the call is repeated.
    private func report(
        _ machine: inout TransactionMachine, _ failure: CallFailure, mayRepeat: Bool = true, allDelivered: Bool = true
    ) -> EventLogError.Kind? {
        let error = EventLogError(code: failure.code, context: "test")
        switch machine.failed(failure, error: error, mayRepeat: mayRepeat, allDelivered: allDelivered) {
        case .again: return nil
        case .abort(let error): return error.kind
        case .stop(let error): return error.kind
        }
    }

    @Test func initializingIsResumable() {
        var machine = machine(.initializing)
        #expect(report(&machine, retriable) == nil)
        #expect(machine.phase == .initializing)
        #expect(report(&machine, retriable, mayRepeat: false) == .timedOut)
        #expect(machine.phase == .created)
    }

    @Test func aTransactionIsAbortedAndMayRunAgain() {
        var machine = machine(.initializing, .ready, .inTransaction)
        #expect(report(&machine, abortable) == .abortable)
        #expect(machine.phase == .aborting)
        machine.enter(.ready)
        #expect(machine.refusal() == nil)
    }

    @Test func timeRunningOutBeforeTheCommitAborts() {
        var machine = machine(.initializing, .ready, .inTransaction)
        #expect(report(&machine, retriable) == nil)
        #expect(report(&machine, retriable, mayRepeat: false) == .abortable)
        #expect(machine.phase == .aborting)
    }

    @Test func fencedBeforeTheCommitIsCertain() {
        var machine = machine(.initializing, .ready, .inTransaction)
        #expect(report(&machine, fenced) == .fenced)
        #expect(machine.phase == .fenced)
        #expect(machine.refusal()?.kind == .fenced)
    }

    @Test func fencedInTheCommitIsInDoubtOnceAllIsDelivered() {
        var machine = machine(.initializing, .ready, .inTransaction, .committing)
        #expect(report(&machine, fenced) == .outcomeUnknown)
        #expect(machine.phase == .fenced)
        machine = self.machine(.initializing, .ready, .inTransaction, .committing)
        #expect(report(&machine, fenced, allDelivered: false) == .fenced)
    }

    @Test func aCommitThatTimesOutIsInDoubt() {
        var machine = machine(.initializing, .ready, .inTransaction, .committing)
        #expect(report(&machine, retriable) == nil)
        #expect(report(&machine, retriable, mayRepeat: false) == .outcomeUnknown)
        #expect(machine.phase == .fatal)
        #expect(machine.refusal()?.kind == .fatal)
    }

    @Test func anythingElseIsFatal() {
        var machine = machine(.initializing, .ready, .inTransaction)
        #expect(report(&machine, odd) == .fatal)
        #expect(machine.phase == .fatal)
        machine.enter(.closed)
        #expect(machine.refusal()?.kind == .closed)
    }

    @Test func whatMustChangeIsToldApartFromWhatMayRunAgain() {
        var machine = machine(.initializing, .ready, .inTransaction)
        let large = CallFailure(code: RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, message: "large", requiresAbort: true)
        #expect(report(&machine, large) == .tooLarge)
        #expect(machine.phase == .aborting)
    }
}

struct LogThrottleTests {
    @Test func repetitionsAreCountedAndToldOnce() {
        var throttle = LogThrottle(window: .seconds(30))
        let start = ContinuousClock.now
        #expect(throttle.judge("Connect to 127.0.0.1:9092 failed (after 1ms)", now: start) == .write)
        for second in 1...20 {
            let now = start + .seconds(second)
            #expect(throttle.judge("Connect to 127.0.0.1:9092 failed (after \(second)ms)", now: now) == .drop)
        }
        #expect(throttle.judge("something else", now: start + .seconds(21)) == .write)
        #expect(
            throttle.judge("Connect to 127.0.0.1:9092 failed (after 0ms)", now: start + .seconds(31))
                == .writeAfter(leftOut: 20))
    }

    @Test func itRemembersABoundedNumberOfKinds() {
        var throttle = LogThrottle()
        let start = ContinuousClock.now
        for index in 0..<1000 {
            let kind = String(repeating: "x", count: index)
            #expect(throttle.judge(kind, now: start + .milliseconds(index)) == (index <= 200 ? .write : .drop))
        }
    }
}

struct ConfigurationTests {
    private func failure(_ properties: [String: String], servers: String = "127.0.0.1:1") -> EventLogError? {
        let configuration = KafkaConfiguration(bootstrapServers: servers, clientID: "c", properties: properties)
        return #expect(throws: EventLogError.self) { _ = try Producer(configuration, logger: quiet) }
    }

    @Test func unknownPropertiesAreNamed() {
        let error = failure(["linger.sm": "5"])
        #expect(error?.kind == .badConfiguration)
        #expect(error?.message.contains("linger.sm") == true)
    }

    @Test func badValuesAreShownWithLibrdkafkasWords() {
        let error = failure(["security.protocol": "secure"])
        #expect(error?.kind == .badConfiguration)
        #expect(error?.message.contains("security.protocol") == true)
        #expect(error?.message.contains("\"secure\"") == true)
    }

    @Test func reservedPropertiesAreRefusedWithTheReason() {
        let error = failure(["acks": "1"])
        #expect(error?.message.contains("acks") == true)
        #expect(error?.message.contains("all replicas") == true)
    }

    @Test func secretsAreNotShown() {
        let error = failure(["ssl.key.password": "hunter2", "sasl.kerberos.min.time.before.relogin": "x"])
        #expect(error?.description.contains("hunter2") == false)
    }

    @Test func emptyAddressesAreRefused() {
        #expect(failure([:], servers: " ")?.kind == .badConfiguration)
    }
}
