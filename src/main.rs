//! The `proxmo` command.

/// A training step takes and drops hundreds of large tensors. The system's allocator gives such pages
/// back to the kernel each time and has them zeroed anew, which was found to cost a third of the time.
/// This one keeps them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    proxmo_mimalloc_pages::keep_pages();
    proxmo::cli::main()
}
