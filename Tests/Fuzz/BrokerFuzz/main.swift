// Fuzzer of the local broker: seeded cases against the request decoder, the record batches and a running broker.
//
//     broker-fuzz [--seed S] [--count N] [--from INDEX]
//
// Of N cases (default 1,000,000) 75 in 100 are request frames, 24 record batches, and the last is sent to a running
// broker over a socket, next to a witness whose record must stay what it was. Case i depends on the seed and on i alone:
// when a case traps, its index is printed, and `--seed S --from INDEX --count 1` repeats it.
//
// It reaches for internal declarations, which only a debug build gives out; `swift build --sanitize=address --product
// broker-fuzz` adds the sanitizer.

#if DEBUG
    import Foundation
    import FuzzSupport
    import SeededRandom

    let arguments = FuzzArguments(CommandLine.arguments)
    CrashReport.install()
    let began = Date()
    do {
        let requests = RequestFuzzer()
        let batches = BatchFuzzer()
        let live = try await LiveFuzzer()
        var survived = FuzzTally()
        for index in arguments.indexes {
            CrashReport.current = index
            var random = SeededGenerator(seed: arguments.seed(of: index))
            switch index % 100 {
            case 0..<75: survived.requests += try requests.run(&random) ? 1 : 0
            case 75..<99: survived.batches += try batches.run(&random) ? 1 : 0
            default: try await live.run(&random)
            }
        }
        try await live.finish()
        try MemoryBound.check(megabytes: 1024)
        let seconds = Date().timeIntervalSince(began)
        print(
            "broker-fuzz: \(arguments.count) cases of seed \(arguments.seed) in \(Int(seconds)) s; taken as valid: "
                + "\(survived.requests) requests, \(survived.batches) batches; peak \(MemoryBound.peakMegabytes) MB")
    } catch {
        print("broker-fuzz: case \(CrashReport.current) of seed \(arguments.seed): \(error)")
        exit(1)
    }
#else
    print("broker-fuzz: build it without -c release; it needs internal declarations")
#endif
