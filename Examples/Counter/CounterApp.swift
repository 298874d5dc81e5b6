import Orchestra

/// The application: what it is made of. It gets the whole command line.
///
///     swift run counter up
///     swift run counter call counter/visits Add '{"amount": 3}'
///     swift run counter run --workflow headline "Kafka is a log. Grains are actors. Agents do the work."
@main
struct CounterApp: OrchestraApplication {
    static let grains: [any Grain.Type] = [Counter.self]
    static let workflows = [headline]
    static let agents = [headlineWriter]
}
