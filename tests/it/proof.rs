//! `clinch proof` as a shell uses it: what is printed where, what a file gets, what is refused.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const URL: &str = "https://api.example.com/accounts/42";

/// A directory of this test's own, removed when dropped.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Directory {
        let path = std::env::temp_dir().join(format!("clinch-proof-{}-{name}", std::process::id()));
        std::fs::create_dir(&path).expect("a new directory");
        Directory(path)
    }

    fn key(&self) -> String {
        self.0.join("key.pem").display().to_string()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn proof(arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clinch"));
    command.arg("proof").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    // It may end without reading.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    child.wait_with_output().expect("it ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn a_new_key_is_private_named_and_never_written_over() {
    let directory = Directory::new("new");
    let first = proof(&["--new-key", &directory.key(), "GET", URL], "");
    assert_eq!(first.status.code(), Some(0));
    let line = text(&first.stdout);
    assert_eq!((line.lines().count(), line.trim_end().split('.').count()), (1, 3));
    assert!(text(&first.stderr).contains("jkt "), "{}", text(&first.stderr));
    let key = Path::new(&directory.key()).to_owned();
    assert_eq!(std::fs::metadata(&key).expect("the key").permissions().mode() & 0o777, 0o600);

    let before = std::fs::read(&key).expect("the key");
    let second = proof(&["--new-key", &directory.key(), "GET", URL], "");
    assert_eq!((second.status.code(), text(&second.stdout)), (Some(64), String::new()));
    assert_eq!(std::fs::read(&key).expect("the key"), before);
}

#[test]
fn a_token_comes_from_standard_input_or_a_file_alike() {
    let directory = Directory::new("token");
    proof(&["--new-key", &directory.key(), "GET", URL], "");
    let file = directory.0.join("token");
    std::fs::write(&file, "a.token\n").expect("a file");
    let claims = |token: &str, input| {
        let output = proof(&["--key", &directory.key(), "--token", token, "--json", "GET", URL], input);
        assert_eq!(text(&output.stderr), "");
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let proof = document["proof"].as_str().expect("a proof").to_owned();
        let claims = clinch::pop::jose::base64url_decode(proof.split('.').nth(1).expect("claims"));
        serde_json::from_slice::<serde_json::Value>(&claims.expect("base64url")).expect("JSON")
    };
    let hash = "rppX1zK6Y9CD4aMJMssbvrPSvY8XTG54RBMCQtd4elY";
    for (token, input) in [("-", "a.token\n"), (&format!("@{}", file.display()), ""), ("a.token", "")] {
        let claims = claims(token, input);
        assert_eq!((&claims["ath"], &claims["htu"]), (&hash.into(), &URL.into()));
    }
}

#[test]
fn wrong_usage_is_one_clear_line_and_64() {
    let directory = Directory::new("wrong");
    let key = directory.key();
    proof(&["--new-key", &key, "GET", URL], "");
    for (arguments, said) in [
        (["--key", "/does/not/exist", "GET", URL], "/does/not/exist"),
        (["--key", "/dev/null", "GET", URL], "neither a PEM file nor a JWK"),
        (["--key", &key, "get", URL], "`GET` is probably meant"),
        (["--key", &key, "GET", "/accounts/42"], "a full URL is needed"),
    ] {
        let output = proof(&arguments, "");
        let error = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(64), String::new()));
        assert!(error.contains(said) && error.lines().count() == 1, "{error}");
    }
    assert_eq!(proof(&["GET", URL], "").status.code(), Some(64));
}
