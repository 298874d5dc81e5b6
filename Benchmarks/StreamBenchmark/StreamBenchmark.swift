public import Orchestra

/// The application of benchmark B: it counts the readings of each key and passes each on with its number, exactly once.
///
/// `Benchmarks/streams` runs it.
@main
struct StreamBenchmark: OrchestraApplication {
    static let grains: [any Grain.Type] = [Tally.self]
}

/// The count of one key: durable, so it is in the changelog with every commit, as the Avro record that it is.
extension Tally: Grain {
    public static let type: GrainType = "tally"

    public init() { self.init(count: 0) }

    public static let handlers = Handlers<Self> {
        On(.readings) { tally, reading, turn in
            tally.count += 1
            try turn.publish(
                CountedReading(count: tally.count, payload: reading.payload), to: .countedReadings, key: turn.key)
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
