import Membership
import Testing

@Suite struct PrecedenceTests {
    static let all: [Precedence] = (0..<3).flatMap { generation in
        (0..<3).flatMap { incarnation in
            MemberStatus.allCases.map {
                Precedence(generation: UInt64(generation), incarnation: UInt32(incarnation), status: $0)
            }
        }
    }

    @Test func orderOfRecordsIsTotalUpToTheIncarnationOfTheEnded() {
        var mistakes: [String] = []
        for first in Self.all {
            for second in Self.all {
                let isEqual = !(first < second) && !(second < first)
                let areSameEnd =
                    first.generation == second.generation && first.status == second.status && !first.status.isLive
                if isEqual != (first == second || areSameEnd) { mistakes.append("\(first) and \(second)") }
                for third in Self.all where first < second && second < third && !(first < third) {
                    mistakes.append("\(first), \(second), \(third)")
                }
            }
        }
        #expect(mistakes.isEmpty)
    }

    @Test func deathIsFinalForAGenerationAndNotForTheNext() {
        let dead = Precedence(generation: 5, incarnation: 1, status: .dead)
        #expect(Precedence(generation: 5, incarnation: 9, status: .alive) < dead)
        #expect(dead < Precedence(generation: 6, incarnation: 0, status: .alive))
        #expect(dead < Precedence(generation: 5, incarnation: 0, status: .left))
    }

    @Test func aSuspicionYieldsOnlyToAHigherIncarnation() {
        let suspect = Precedence(generation: 5, incarnation: 1, status: .suspect)
        #expect(Precedence(generation: 5, incarnation: 1, status: .alive) < suspect)
        #expect(suspect < Precedence(generation: 5, incarnation: 2, status: .alive))
    }
}
