//! `clinch audit key`: an Ed25519 key for `audit.sign_key_file`, and its public half for those who verify.
//!
//! Standard output has the public key in PEM (SPKI, RFC 8410) and nothing else.

use super::super::{EX_USAGE, proof::write_secret};
use super::complain;
use crate::state::audit::verify::{Key, spki};
use anyhow::{Context as _, anyhow};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `clinch audit key`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    #[command(flatten)]
    key: Which,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// A key that is there already, PEM
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Make a new key and write it to this file, readable by its owner only; an existing file is left alone
    #[arg(long, value_name = "FILE")]
    new_key: Option<PathBuf>,
}

const EXAMPLE: &str = "\
Example:
  clinch audit key --new-key audit.key > audit.pub
  clinch audit verify --key audit.pub audit*.jsonl";

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    match run(&arguments.key) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain("key", &format!("{error:#}"), EX_USAGE),
    }
}

fn run(which: &Which) -> anyhow::Result<()> {
    let key = match (&which.new_key, &which.key) {
        (Some(path), _) => {
            let pair =
                Ed25519KeyPair::generate().map_err(|_| anyhow!("the system gives no random numbers"))?;
            // Version 1 of PKCS #8: that is what openssl makes, and what everything reads.
            let der = pair.to_pkcs8v1().map_err(|_| anyhow!("the key can't be written as PKCS#8"))?;
            write_secret(path, &pem("PRIVATE KEY", der.as_ref()))
                .with_context(|| format!("--new-key {}", path.display()))?;
            let key = Key::read(pem("PRIVATE KEY", der.as_ref()).as_bytes());
            let key = key.map_err(|fault| anyhow!("--new-key {} {fault}", path.display()))?;
            debug_assert_eq!(key.raw().as_slice(), pair.public_key().as_ref());
            writeln!(std::io::stderr(), "new key {}: {}", path.display(), key.name())?;
            key
        }
        (None, Some(path)) => super::files::key(path)?,
        (None, None) => return Err(anyhow!("--key or --new-key is needed")),
    };
    write!(std::io::stdout(), "{}", pem("PUBLIC KEY", &spki(key.raw()))).context("standard output")
}

/// RFC 7468: one line of 64 characters at a time.
fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line));
    let lines = lines.collect::<Vec<_>>().join("\n");
    format!("-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n")
}
