import ArgumentParser
import Orchestra

/// The application of the chaos tests: all commands of `orchestra`, and those that put load on its grains.
@main
enum ChaosProgram {
    static func main() async {
        let arguments = Array(CommandLine.arguments.dropFirst())
        let rest = Array(arguments.dropFirst())
        switch arguments.first {
        case "load": await LoadCommand.main(rest)
        case "readback": await ReadbackCommand.main(rest)
        case "fill": await FillCommand.main(rest)
        case "probe": await ProbeCommand.main(rest)
        default: await ChaosApplication.main()
        }
    }
}

struct ChaosApplication: OrchestraApplication {
    static let grains: [any Grain.Type] = [Counter.self, Register.self, Blob.self]
}
