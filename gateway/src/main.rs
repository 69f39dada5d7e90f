//! `sluice`: the command.

/// Small objects of many sizes on few threads: measured beside the system's allocator, it wins.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    // Before anything speaks TLS: no other provider is built in, and none is chosen by accident.
    // It fails only when one was installed already, and this is the first line of the program.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    sluice::cli::main()
}
