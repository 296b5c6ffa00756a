//! One of the system's programs, run to its end with a text as its input.

use std::io::{ErrorKind, Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What it prints. It is found by `PATH`.
///
/// # Errors
/// In words, with its own: it is not there, it does not end in time, it failed.
pub(super) fn run(program: &str, arguments: &[&str], input: &str) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| {
        let absent = error.kind() == ErrorKind::NotFound;
        if absent {
            format!("{program} is not in PATH")
        } else {
            format!("{program} does not start: {error}")
        }
    })?;
    let (input, mut stdin) = (input.to_owned(), child.stdin.take());
    // Who does not read its input fails for its own reason, which is told below.
    let write = thread::spawn(move || stdin.as_mut().map(|stdin| stdin.write_all(input.as_bytes())));
    let said = read(child.stdout.take());
    let complained = read(child.stderr.take());
    let status = end(&mut child).ok_or_else(|| format!("{program} does not end"))?;
    let _ = write.join();
    let (said, complained) = (said.join().unwrap_or_default(), complained.join().unwrap_or_default());
    if status {
        return Ok(said);
    }
    let complained = complained.trim();
    let hint = if complained.contains("not permitted") || complained.contains("ermission denied") {
        "\nit takes the capability NET_ADMIN (securityContext.capabilities.add), and iptables takes NET_RAW, too"
    } else {
        ""
    };
    Err(format!("{program} failed: {complained}{hint}"))
}

/// Whether it went well; nothing if it had to be killed.
fn end(child: &mut Child) -> Option<bool> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.success()),
            Ok(None) => thread::sleep(PERIOD),
            Err(_) => break,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

fn read(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stream.map(|stream| stream.take(LARGEST).read_to_end(&mut text));
        String::from_utf8_lossy(&text).into_owned()
    })
}

/// It may have to load a module of the kernel's.
const PATIENCE: Duration = Duration::from_secs(30);
const PERIOD: Duration = Duration::from_millis(5);
const LARGEST: u64 = 1 << 20;
