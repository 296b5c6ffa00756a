//! Instructions per request, counted by callgrind: noise does not touch them.
//!
//! What the proxies execute in user space, with the cryptographic library's own functions left out: those are the same
//! on both sides, but for the signature of a proof. What the kernel does is not in it.

use crate::load::{Load, Protocol};
use crate::pki::Files;
use crate::scene::{Credential, Proxy, Scene};
use std::process::Command;

/// Prints a line for each protocol, credential and proxy.
pub(crate) async fn report() {
    let scene = Scene::under(&callgrind()).await;
    println!("instructions per request in user space, cryptography left out ({REQUESTS} requests)");
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for credential in [Credential::Dpop, Credential::Certificate] {
            for (name, proxy) in [("plain proxy", &scene.plain), ("clinch", &scene.clinch)] {
                let load = Load::new(&scene, protocol, credential, REQUESTS);
                let label = format!("{} {} {name}", protocol.name(), credential.name());
                let file = measured(load, proxy, &label).await;
                println!("  {label:<30} {:8}   {file}", count(&file) / REQUESTS as u64);
            }
        }
    }
}

/// Runs the load and returns the name of the profile.
pub(crate) async fn measured(load: Load, proxy: &Proxy, label: &str) -> String {
    let process = proxy.process().to_string();
    let before = profiles(&process);
    let warm = load.warmed_up(proxy).await;
    control(&["--instr=on", &process]);
    warm.send().await;
    control(&["--instr=off", &process]);
    control(&[&format!("--dump={label}"), &process]);
    let after = profiles(&process);
    after.into_iter().find(|file| !before.contains(file)).expect("callgrind writes a profile")
}

fn profiles(process: &str) -> Vec<String> {
    let files = std::fs::read_dir(Files::directory()).unwrap();
    let names = files.map(|file| file.unwrap().path().to_str().unwrap().to_owned());
    names.filter(|name| name.contains(&format!("callgrind.{process}."))).collect()
}

fn control(arguments: &[&str]) {
    let output = Command::new("callgrind_control").args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// All instructions of a profile.
pub(crate) fn everything(file: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap();
    let totals = text.lines().filter_map(|line| line.strip_prefix("totals: "));
    totals.map(|total| total.trim().parse::<u64>().unwrap()).sum()
}

/// All instructions of a profile but those of the cryptographic library.
fn count(file: &str) -> u64 {
    let mut command = Command::new("callgrind_annotate");
    let output = command.args(["--auto=no", "--threshold=100", "--show-percs=no", file]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    // Each line: a number, the source file, a colon, and the function.
    let functions =
        text.lines().filter_map(|line| line.trim().split_once(' ')).filter_map(|(count, name)| {
            let is_ours = name.contains(':') && !CRYPTOGRAPHY.iter().any(|part| name.contains(part));
            count.replace(',', "").parse::<u64>().ok().filter(|_| is_ours)
        });
    functions.sum()
}

/// What the proxies run under.
pub(crate) fn callgrind() -> Vec<String> {
    let file = format!("--callgrind-out-file={}/callgrind.%p", Files::directory().display());
    ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no", &file].map(str::to_owned).to_vec()
}

pub(crate) const REQUESTS: usize = 2000;
/// In the names of the library's functions, and of those that check a point or seal a record.
const CRYPTOGRAPHY: &[&str] = &[
    "aws_lc_",
    "ecp_nistz256",
    "p256",
    "primeorder",
    "primefield",
    "elliptic_curve",
    "crypto_bigint",
    "beeu_mod",
    "bn_",
    "bignum_",
    "sha256",
    "aesni",
    "gcm",
    "aead_",
];
