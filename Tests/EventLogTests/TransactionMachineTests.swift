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

    @Test func beginningMayBeRepeated() {
        var machine = machine(.initializing, .ready)
        #expect(report(&machine, retriable) == nil)
        #expect(report(&machine, retriable, mayRepeat: false) == .abortable)
        #expect(machine.phase == .ready)
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
