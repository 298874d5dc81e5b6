import Orchestra

/// The application of benchmark B: it counts the readings of each key and passes each on with its number, exactly once.
///
/// `Benchmarks/streams` runs it.
@main
struct StreamBenchmark: OrchestraApplication {
    static let grains: [any Grain.Type] = [Tally.self]
}

/// The count of one key: durable, so it is in the changelog with every commit.
struct Tally: Grain, Codable {
    static let type: GrainType = "tally"
    var count = 0

    static let handlers = Handlers<Self> {
        On(.readings) { tally, reading, turn in
            tally.count += 1
            try turn.publish(
                CountedReading(count: Int64(tally.count), payload: reading.payload), to: .countedReadings, key: turn.key
            )
        }
        Publishes(.countedReadings)
    }
}

extension StreamName where Event == Reading {
    static var readings: StreamName<Reading> { StreamName(topic: "readings") }
}

extension StreamName where Event == CountedReading {
    static var countedReadings: StreamName<CountedReading> { StreamName(topic: "counted-readings") }
}
