//! The `proxmo` command.

fn main() -> std::process::ExitCode {
    proxmo::cli::main()
}
