/// The version of Orchestra, as `--version` prints it.
public let orchestraVersion = "0.1.0"
