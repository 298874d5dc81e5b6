import Testing

@testable import Silo

/// Who is silent, by what a reader can know.
@Suite struct SiloLivenessTests {
    private let start = ContinuousClock.now

    private func at(_ seconds: Double) -> ContinuousClock.Instant { start + .seconds(seconds) }

    @Test func nobodyIsSilentForWhoKnowsNothing() {
        var liveness = SiloLiveness(start: start)
        #expect(!liveness.isSilent("a"))
        liveness.hear("a", at: at(1))
        #expect(!liveness.isSilent("a"), "no heartbeat of one's own has come back: nothing is known")
        liveness.hearOwn(sentAt: at(3.9))
        #expect(!liveness.isSilent("a"))
        liveness.hearOwn(sentAt: at(4))
        #expect(liveness.isSilent("a"))
    }

    @Test func aReaderThatLagsTakesItsLagForNoSilence() {
        var liveness = SiloLiveness(start: start)
        liveness.hear("a", at: at(1))
        liveness.hearOwn(sentAt: at(1.5))
        // A minute later, what is known still ends at 1.5 s.
        #expect(!liveness.isSilent("a"))
        #expect(liveness.isPresent("a", wasPresent: true))
        // A paused reader takes in what has queued up, in a burst: those are signs of life of now.
        liveness.hear("a", at: at(60))
        liveness.hearOwn(sentAt: at(60))
        #expect(!liveness.isSilent("a"))
    }

    @Test func whoWasNeverHeardIsSilentOnlyAfterAWhile() {
        var liveness = SiloLiveness(start: start)
        liveness.hearOwn(sentAt: at(2))
        #expect(!liveness.isSilent("ghost"))
        liveness.hearOwn(sentAt: at(3))
        #expect(liveness.isSilent("ghost"))
        #expect(!liveness.isPresent("ghost", wasPresent: false), "who has not said a word gets nothing")
    }

    @Test func aShortPauseMovesNothing() {
        var liveness = SiloLiveness(start: start)
        liveness.hear("a", at: at(1))
        liveness.hearOwn(sentAt: at(5))
        #expect(liveness.isSilent("a"), "its successor might fence it")
        #expect(liveness.isPresent("a", wasPresent: true), "but it keeps its place")
        #expect(!liveness.isPresent("a", wasPresent: false), "and would not get one")
        liveness.hearOwn(sentAt: at(6))
        #expect(!liveness.isPresent("a", wasPresent: true))
        liveness.hear("a", at: at(6.5))
        #expect(liveness.isPresent("a", wasPresent: false))
    }

    @Test func anEarlierProofDoesNotTakeKnowledgeBack() {
        var liveness = SiloLiveness(start: start)
        liveness.hearOwn(sentAt: at(9))
        liveness.hearOwn(sentAt: at(8))
        #expect(liveness.knownUntil == at(9))
    }
}
