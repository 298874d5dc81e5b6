// Fuzzer of everything that reads what another node, or a stranger, sends: the splitter of frames, the bodies of all
// frames, the handshake, the codec of the membership protocol and a member that takes what it lets through.
//
//     peer-fuzz [--seed S] [--count N] [--from INDEX]
//
// Each of the N cases (default 1,000,000) is a stream of frames and a message, every fourth also a handshake, and
// every eighth gives three messages to a member; one of four is random bytes, the others are mutations of what peers
// send. Case i depends on the seed and on i alone: when a case traps, its index is printed, and `--seed S --from
// INDEX --count 1` repeats it. The process may grow by 64 MB of address space, so that a buffer of a size that some
// bytes claim is a trap, too, whether it is used or not.

import Foundation
import FuzzSupport
import Membership
import SeededRandom

let arguments = FuzzArguments(CommandLine.arguments)
CrashReport.install()
let began = Date()
do {
    var frames = FrameFuzzer()
    var messages = MessageFuzzer()
    var handshakes = try HandshakeFuzzer()
    let isLimited = MemoryBound.limitGrowth(megabytes: 64)
    for index in arguments.indexes {
        CrashReport.current = index
        var random = SeededGenerator(seed: arguments.seed(of: index))
        try frames.run(&random)
        try messages.run(&random)
        if index % 4 == 0 { try handshakes.run(&random) }
    }
    try Coverage.check(frames, messages, handshakes, cases: Int(arguments.count))
    print(
        "peer-fuzz: \(arguments.count) cases of seed \(arguments.seed) in \(Int(Date().timeIntervalSince(began))) s; "
            + "taken: \(frames.frames) frames, \(frames.bodies) bodies, \(messages.accepted) messages with "
            + "\(messages.answers) answers, \(handshakes.introductions) introductions; refused: \(frames.refusals) "
            + "streams; \(isLimited ? "" : "growth not limited, ")peak \(MemoryBound.peakMegabytes) MB")
} catch {
    print("peer-fuzz: case \(CrashReport.current) of seed \(arguments.seed): \(error)")
    exit(1)
}

/// If hardly anything were taken, or refused, the cases would test no more than the first check.
enum Coverage {
    static func check(
        _ frames: FrameFuzzer, _ messages: MessageFuzzer, _ handshakes: HandshakeFuzzer, cases: Int
    ) throws {
        guard cases >= 1000 else { return }
        for (what, count, share) in [
            ("frames", frames.frames, 2), ("bodies", frames.bodies, 5), ("refused streams", frames.refusals, 5),
            ("messages", messages.accepted, 5), ("answers", messages.answers, 20),
            ("introductions", handshakes.introductions, 20),
        ] where count < cases / share {
            throw FuzzFailure("only \(count) \(what) in \(cases) cases")
        }
    }
}
