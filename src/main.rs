//! The clinch binary; everything is in the library.

fn main() -> std::process::ExitCode {
    clinch::cli::main()
}
