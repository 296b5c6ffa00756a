//! `cargo bench --bench audit_verify [-- N]`: writes N (ten million) records of the usual size into `target/tmp`, in
//! files as clinch rotates them, verifies them, and says how long that took and in how much memory.
//!
//! The files are read once before the clock starts, so that what is measured is not the disk, as far as the memory of the
//! machine goes: what did not fit there is told.

// A program for whoever measures: it prints, and gives up with the reason.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use clinch::state::audit::chain::NOTHING;
use clinch::state::audit::verify::{Demands, Key, verify};
use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn main() {
    let wanted = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(10_000_000);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("audit-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let key = Ed25519KeyPair::generate().unwrap();
    let written = Instant::now();
    let (files, bytes) = write(&folder, wanted, &key);
    let megabytes = bytes as f64 / 1e6;
    println!(
        "{wanted} records, {megabytes:.0} MB in {} files, written in {:.1} s",
        files.len(),
        secs(written.elapsed())
    );
    let public = Key::new(key.public_key().as_ref().try_into().unwrap());
    for (keys, what) in [
        (vec![public.clone()], "verified, first run"),
        (vec![public], "again"),
        (Vec::new(), "without a key"),
    ] {
        let (before, started, processor) = (peak(), Instant::now(), cpu());
        let demands = demands(keys);
        let outcome =
            verify(&files, |name| Ok(BufReader::with_capacity(256 * 1024, File::open(name)?)), &demands);
        let (took, used) = (secs(started.elapsed()), cpu() - processor);
        let outcome = outcome.unwrap_or_else(|unread| panic!("{}: {}", unread.file, unread.error));
        assert!(outcome.fine && outcome.logs.len() == 1, "{:?}", outcome.logs.first().map(|log| &log.fault));
        assert_eq!(outcome.logs[0].records, wanted);
        println!(
            "{what}: {took:.2} s ({used:.2} s of CPU), {:.0} records/s, {:.0} MB/s, peak RSS {:.1} MB (before {:.1})",
            wanted as f64 / took,
            megabytes / took,
            peak(),
            before
        );
    }
    std::fs::remove_dir_all(folder).unwrap();
}

/// A checkpoint every ten thousand records, a file every 256 MiB.
fn write(folder: &Path, wanted: u64, key: &Ed25519KeyPair) -> (Vec<String>, u64) {
    let sign = |text: &[u8]| <[u8; 64]>::try_from(key.sign(text).as_ref()).unwrap();
    let (mut end, mut files, mut bytes) = (NOTHING, Vec::new(), 0_u64);
    let (mut line, mut out, mut length): (Vec<u8>, Option<BufWriter<File>>, u64) = (Vec::new(), None, 0);
    while end.sequence < wanted {
        let number = end.sequence + 1;
        if out.is_none() || length > 256 << 20 {
            let path: PathBuf = folder.join(format!("audit.{number:012}.jsonl"));
            files.push(path.display().to_string());
            out = Some(BufWriter::with_capacity(1 << 20, File::create(path).unwrap()));
            length = 0;
        }
        line.clear();
        end.begin(&mut line);
        let (minute, second, micros) =
            (number / 60_000_000 % 60, number / 1_000_000 % 60, number % 1_000_000);
        let time = format!("2026-11-21T09:{minute:02}:{second:02}.{micros:06}Z");
        let checkpoint = number % 10_000 == 0 || number == wanted;
        if checkpoint {
            write!(
                line,
                r#","time":"{time}","kind":"checkpoint","replica":"accounts-7c9d5b6f4-x2x7k","records":9999"#
            )
            .unwrap();
        } else {
            write!(line, r#","time":"{time}","kind":"decision","replica":"accounts-7c9d5b6f4-x2x7k""#)
                .unwrap();
            decision(&mut line, number);
        }
        end.seal(&mut line, 0, if checkpoint { Some(&sign) } else { None });
        out.as_mut().unwrap().write_all(&line).unwrap();
        length += line.len() as u64;
        bytes += line.len() as u64;
    }
    out.unwrap().flush().unwrap();
    (files, bytes)
}

fn decision(line: &mut Vec<u8>, number: u64) {
    write!(
        line,
        r#","request":"{:016x}","peer":"10.42.{}.{}:{}","method":"GET","target":"https://api.example.com/accounts/{number}","route":"/accounts/{{*rest}}","scheme":"DPoP","proof":"dpop","key":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I","issuer":"https://as.example.com","subject":"user-{}","client":"banking-app","token_id":"9c7e6c1e-8a7e-4a7b-9d57-{:012x}","verdict":"granted","trace":"4bf92f3577b34da6{:016x}","generation":3,"position":{}"#,
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        number % 250,
        number % 253,
        1024 + number % 60_000,
        number % 50_000,
        number,
        number.wrapping_mul(0xbf58_476d_1ce4_e5b9),
        number / 1000,
    )
    .unwrap();
}

fn demands(keys: Vec<Key>) -> Demands {
    let max_unsigned = Some(Duration::from_secs(7200));
    Demands { keys, anchors: Vec::new(), from: Vec::new(), partial: false, closed: false, max_unsigned }
}

fn secs(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// The most memory that this process had, in MB.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1000.0
}

/// Processor time of this process, in seconds.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}
