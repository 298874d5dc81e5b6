#if canImport(Darwin)
    import Darwin
#elseif canImport(Musl)
    import Musl
#else
    import Glibc
#endif

/// Tells the thread that made it from others.
///
/// `@unchecked Sendable`: a thread's identity never changes; on Darwin it is a pointer.
struct ThreadIdentity: @unchecked Sendable {
    private let thread = pthread_self()

    var isCurrent: Bool { pthread_equal(thread, pthread_self()) != 0 }
}
