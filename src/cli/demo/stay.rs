//! `--stay`: what is needed to try everything by hand, and the lines to do it with.

use super::stage::{LOG, READ, SERVERS_CA, Stage};
use super::story::ACCOUNT;
use anyhow::Context as _;
use std::path::Path;
use std::time::Duration;

/// Something to try.
pub(super) struct Offer {
    pub(super) what: String,
    /// For a shell, as it is.
    pub(super) command: String,
}

/// Writes keys, certificate and fresh tokens beside the config, and the command lines that use them.
pub(super) fn offers(stage: &Stage) -> anyhow::Result<Vec<Offer>> {
    let executable = std::env::current_exe().context("the path of this program")?;
    let token = stage.app_token(READ, LIFETIME);
    let write = |name: &str, text: &str| Ok::<_, anyhow::Error>(quoted(&stage.scratch.write(name, text)?));
    let hand = Hand {
        clinch: quoted(&executable),
        url: format!("{}{ACCOUNT}", stage.origin),
        curl: format!("curl -i{} --cacert {}", no_proxy(), quoted(&stage.scratch.path(SERVERS_CA))),
        token: write("app.token", &token.text)?,
        app_key: write("app.key", &stage.app.to_pem())?,
        thief_key: write("thief.key", &stage.thief.to_pem())?,
        machine_token: write("machine.token", &stage.machine_token(LIFETIME).text)?,
        certificate: write("machine.crt", &stage.machine.certificate_pem())?,
        certificate_key: write("machine.key", &stage.machine.key_pem())?,
    };
    let journal = quoted(&stage.journal());
    let revoke = format!(
        "{} revoke \\\n  --feed file:{journal} \\\n  --jti={} --issuer {}",
        hand.clinch, token.id, stage.issuer.url
    );
    let admin = format!("http://{}", stage.admin());
    let watch = format!(
        "curl -i{0} {admin}/ready\ncurl{0} {admin}/metrics\nless {1}\nless {2}",
        no_proxy(),
        quoted(&stage.scratch.path("clinch.yaml")),
        quoted(&stage.scratch.path(LOG)),
    );
    Ok([
        ("The right caller, with its key", hand.dpop(&hand.app_key)),
        ("The thief, with the token alone", hand.bearer()),
        ("The thief, with a key of their own", hand.dpop(&hand.thief_key)),
        ("The machine, with its certificate", hand.mtls()),
        ("The thief, without the certificate", hand.without_certificate()),
        ("Revoke the caller's token, then try the first line again", revoke),
        ("Readiness, metrics, the config file, and what clinch logged", watch),
    ]
    .map(|(what, command)| Offer { what: what.to_owned(), command })
    .into())
}

/// What the lines have in common; paths are quoted.
struct Hand {
    clinch: String,
    curl: String,
    url: String,
    token: String,
    app_key: String,
    thief_key: String,
    machine_token: String,
    certificate: String,
    certificate_key: String,
}

impl Hand {
    fn dpop(&self, key: &str) -> String {
        let Hand { clinch, curl, url, token, .. } = self;
        format!(
            "{curl} \\\n  -H \"Authorization: DPoP $(cat {token})\" \\\n  \
             -H \"DPoP: $({clinch} proof \\\n    --key {key} --token @{token} \\\n    GET {url})\" \\\n  {url}"
        )
    }

    fn bearer(&self) -> String {
        let Hand { curl, url, token, .. } = self;
        format!("{curl} \\\n  -H \"Authorization: Bearer $(cat {token})\" \\\n  {url}")
    }

    fn mtls(&self) -> String {
        let Hand { curl, url, machine_token, certificate, certificate_key, .. } = self;
        format!(
            "{curl} \\\n  --cert {certificate} \\\n  --key {certificate_key} \\\n  \
             -H \"Authorization: Bearer $(cat {machine_token})\" \\\n  {url}"
        )
    }

    fn without_certificate(&self) -> String {
        let Hand { curl, url, machine_token, .. } = self;
        format!("{curl} \\\n  -H \"Authorization: Bearer $(cat {machine_token})\" \\\n  {url}")
    }
}

/// Loopback is not reached through a proxy, whatever the environment says.
fn no_proxy() -> &'static str {
    let variables = ["https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY"];
    if variables.iter().any(|name| std::env::var_os(name).is_some()) { " --noproxy '*'" } else { "" }
}

/// The path as one word of a POSIX shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@".contains(c);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// As long as the config lets tokens live.
const LIFETIME: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_for_the_shell() {
        assert_eq!(quoted(Path::new("/tmp/a-b_c.1/x")), "/tmp/a-b_c.1/x");
        assert_eq!(quoted(Path::new("/tmp/it's here")), r"'/tmp/it'\''s here'");
    }
}
