//! `clinch proof`: prints a DPoP proof, for `curl -H "DPoP: $(clinch proof …)"`.
//!
//! Standard output has the proof and nothing else; what is for people goes to standard error.

use super::EX_USAGE;
use super::holder::{Holder, ProofFor, without_query};
use crate::pop::Timestamp;
use anyhow::{Context as _, bail, ensure};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

/// Arguments of `clinch proof`.
#[derive(clap::Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct Arguments {
    #[command(flatten)]
    key: Key,
    /// The request method, as it is sent: GET, not get
    method: String,
    /// The request URL; its query and fragment are left out of the proof
    url: String,
    /// The access token that goes with the proof: `@FILE`, `-` for standard input, or the token itself
    ///
    /// Other users of this machine can see what stands on a command line, and the shell remembers it: prefer
    /// `@FILE` or `-`.
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true)]
    token: Option<String>,
    /// The nonce of the server's last `DPoP-Nonce` header
    #[arg(long, allow_hyphen_values = true)]
    nonce: Option<String>,
    /// Print a JSON document with the proof, its key's thumbprint, method and URL
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Key {
    /// The private P-256 key: PKCS#8 in PEM, or a JWK
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Make a new key and write it to this file, readable by its owner only; an existing file is left alone
    #[arg(long, value_name = "FILE")]
    new_key: Option<PathBuf>,
}

const EXAMPLE: &str = "\
Example:
  curl -H \"Authorization: DPoP $(cat token)\" \\
       -H \"DPoP: $(clinch proof --key key.pem --token @token GET https://api.example.com/accounts/42)\" \\
       https://api.example.com/accounts/42";

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "clinch proof: {error:#}");
            ExitCode::from(EX_USAGE)
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    check_method(&arguments.method)?;
    check_url(&arguments.url)?;
    if let Some(nonce) = &arguments.nonce {
        let allowed = |b: u8| b.is_ascii_graphic() && b != b'"' && b != b'\\';
        ensure!(
            !nonce.is_empty() && nonce.bytes().all(allowed),
            "--nonce is not a nonce (RFC 9449 section 8.1)"
        );
    }
    let token = arguments.token.as_deref().map(read_token).transpose()?;
    let holder = arguments.key.open()?;
    let what = ProofFor {
        method: &arguments.method,
        url: &arguments.url,
        token: token.as_deref(),
        nonce: arguments.nonce.as_deref(),
    };
    let proof = holder.prove(what, Timestamp::from_system(SystemTime::now()));
    let line = if arguments.json {
        serde_json::json!({
            "proof": proof,
            "jkt": holder.thumbprint(),
            "htm": arguments.method,
            "htu": without_query(&arguments.url),
        })
        .to_string()
    } else {
        proof
    };
    writeln!(std::io::stdout(), "{line}").context("standard output")
}

impl Key {
    fn open(&self) -> anyhow::Result<Holder> {
        match (&self.key, &self.new_key) {
            (_, Some(path)) => {
                let holder = Holder::generate();
                write_secret(path, &holder.to_pem())
                    .with_context(|| format!("--new-key {}", path.display()))?;
                writeln!(std::io::stderr(), "new key {}: jkt {}", path.display(), holder.thumbprint())?;
                Ok(holder)
            }
            (Some(path), None) => {
                let text =
                    std::fs::read_to_string(path).with_context(|| format!("--key {}", path.display()))?;
                Holder::read(&text).map_err(|fault| anyhow::anyhow!("--key {} {fault}", path.display()))
            }
            (None, None) => bail!("--key or --new-key is needed"),
        }
    }
}

/// Writes a new file that only its owner can read; never touches an existing one.
pub(super) fn write_secret(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

fn check_method(method: &str) -> anyhow::Result<()> {
    let parsed: http::Method = method.parse().with_context(|| format!("METHOD `{method}`"))?;
    let upper = method.to_ascii_uppercase();
    let meant = STANDARD_METHODS.contains(&upper.as_str()) && parsed.as_str() != upper;
    ensure!(!meant, "METHOD `{method}`: methods are case-sensitive, `{upper}` is probably meant");
    Ok(())
}

fn check_url(url: &str) -> anyhow::Result<()> {
    let parsed: http::Uri = url.parse().with_context(|| format!("URL `{url}`"))?;
    ensure!(
        matches!(parsed.scheme_str(), Some("https" | "http")) && parsed.authority().is_some(),
        "URL `{url}`: a full URL is needed, such as https://api.example.com/accounts/42"
    );
    let user_info = parsed.authority().is_some_and(|authority| authority.as_str().contains('@'));
    ensure!(!user_info, "URL: a user name or password has no place in a proof");
    Ok(())
}

fn read_token(argument: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    match argument.strip_prefix('@') {
        Some(path) => {
            text = std::fs::read_to_string(path).with_context(|| format!("--token @{path}"))?;
        }
        None if argument == "-" => {
            std::io::stdin().read_to_string(&mut text).context("--token -")?;
        }
        None => text.push_str(argument),
    }
    let token = text.trim();
    ensure!(!token.is_empty(), "--token: there is no token");
    ensure!(token.bytes().all(|b| b.is_ascii_graphic()), "--token: more than one word, or not ASCII");
    Ok(token.to_owned())
}

const STANDARD_METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_case_sensitive_and_a_slip_is_caught() {
        assert!(check_method("GET").is_ok());
        assert!(check_method("QUERY").is_ok());
        assert!(check_method("get").unwrap_err().to_string().contains("`GET` is probably meant"));
        assert!(check_method("G ET").is_err());
    }

    #[test]
    fn only_full_urls_will_do() {
        assert!(check_url("https://api.example.com").is_ok());
        assert!(check_url("http://127.0.0.1:8080/a?b#c").is_ok());
        for bad in ["/accounts", "api.example.com/accounts", "ftp://a/b", "https://me:secret@a/b", "https://"]
        {
            let error = check_url(bad).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_token_is_one_word_without_its_newline() {
        assert_eq!(read_token("abc\n").unwrap(), "abc");
        assert!(read_token("").is_err());
        assert!(read_token("two words").is_err());
        assert!(read_token("@/does/not/exist").is_err());
    }
}
