//! What a client may propose: versions, suites, names; and what is no TLS at all. Asked by openssl, which has no scruples.

use crate::support::stage::{Setting, Stage, VERIFIED};
use crate::support::temporary::Folder;
use crate::support::wire::exchange;
use crate::support::{PATIENCE, eventually};
use std::io::Write;
use std::process::{Command, Stdio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What `openssl s_client` says on both streams when it sends a request with these arguments.
async fn openssl(stage: &Stage, folder: &Folder, arguments: &[&str], host: &str) -> String {
    let request = format!("GET /open/1 HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let mut command = Command::new("openssl");
    command.args(["s_client", "-ign_eof", "-connect", &stage.clinch.address.to_string()]).args(arguments);
    // The machine's own policy must not refuse before clinch does.
    command.env("OPENSSL_CONF", folder.write("openssl.cnf", ""));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().expect("openssl is not installed: run `make test-tools`");
        // Who is refused in the handshake reads nothing.
        let _ = child.stdin.take().expect("piped").write_all(request.as_bytes());
        let output = child.wait_with_output().unwrap();
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).join("\n")
    });
    tokio::time::timeout(PATIENCE, run).await.expect("openssl does not end").expect("no panic")
}

/// TL-028, FAPI-09
#[tokio::test(flavor = "multi_thread")]
async fn weak_versions_suites_and_signatures_are_refused() {
    let stage = Stage::set(Setting { tls: VERIFIED, ..Setting::default() }).await;
    let folder = Folder::new();
    let any = "ALL:COMPLEMENTOFALL:@SECLEVEL=0";
    let rsa_key_exchange = "AES128-SHA:AES256-SHA:AES128-GCM-SHA256:@SECLEVEL=0";
    let cbc = "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0";
    let null = "NULL:aNULL:@SECLEVEL=0";
    for arguments in [&["-tls1_3"][..], &["-tls1_2"], &["-tls1_2", "-cipher", any]] {
        let said = openssl(&stage, &folder, arguments, "api.example.com").await;
        assert!(said.contains("HTTP/1.1 200"), "{arguments:?}: {said}");
    }
    for arguments in [
        &["-tls1", "-cipher", any][..],
        &["-tls1_1", "-cipher", any],
        &["-tls1_2", "-cipher", rsa_key_exchange],
        &["-tls1_2", "-cipher", cbc],
        &["-tls1_2", "-cipher", null],
        &["-tls1_2", "-cipher", any, "-sigalgs", "ECDSA+SHA1:RSA+SHA1"],
        &["-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_8_SHA256"],
        &["-tls1_3", "-groups", "P-521"],
    ] {
        let said = openssl(&stage, &folder, arguments, "api.example.com").await;
        assert!(said.contains("alert") && !said.contains("HTTP/1.1"), "{arguments:?}: {said}");
    }
    assert_eq!(stage.service.received().len(), 3);
}

/// TL-023, H2-10, MTLS-06: no name, and no way to write one, leads to a listener that asks for less.
#[tokio::test(flavor = "multi_thread")]
async fn every_server_name_has_the_same_strict_rules() {
    let tls = "client_certificate: required\n    client_ca: [ca.crt]";
    let stage = Stage::set(Setting { tls, ..Setting::default() }).await;
    let folder = Folder::new();
    let certificate = folder.write("client.crt", &stage.pki.client.certificate);
    let key = folder.write("client.key", &stage.pki.client.key);
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let names: [(&str, &[&str]); 6] = [
        ("the name", &["-servername", "api.example.com"]),
        ("none", &["-noservername"]),
        ("upper case", &["-servername", "API.EXAMPLE.COM"]),
        ("another", &["-servername", "internal.example.com"]),
        ("the other origin's", &["-servername", "other.example.com"]),
        ("a trailing dot", &["-servername", "api.example.com."]),
    ];
    for (what, name) in names {
        let without = openssl(&stage, &folder, name, "api.example.com").await;
        assert!(!without.contains("HTTP/1.1"), "{what}: {without}");
        let with = [name, &["-cert", certificate, "-key", key]].concat();
        let said = openssl(&stage, &folder, &with, "api.example.com").await;
        assert!(said.contains("HTTP/1.1 200"), "{what}: {said}");
        let elsewhere = openssl(&stage, &folder, &with, "internal.example.com").await;
        assert!(elsewhere.contains("HTTP/1.1 421"), "{what}: {elsewhere}");
    }
}

/// TL-031, BEAR-10
#[tokio::test(flavor = "multi_thread")]
async fn plain_http_on_the_tls_port_and_tls_on_the_admin_port_go_nowhere() {
    let stage = Stage::set(Setting { tls: VERIFIED, ..Setting::default() }).await;
    let mut plain = TcpStream::connect(stage.clinch.address).await.unwrap();
    plain.write_all(b"GET /open/1 HTTP/1.1\r\nHost: api.example.com\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, plain.read_to_end(&mut said)).await.expect("the connection ends");
    assert!(!said.starts_with(b"HTTP/"), "{said:?}");
    let failures = "clinch_tls_handshake_failures_total{reason=\"not_tls\"}";
    eventually("it to be counted", async || (stage.metric(failures).await == 1).then_some(())).await;

    let mut admin = stage.anonymous();
    admin.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = TcpStream::connect(stage.clinch.admin).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("api.example.com").unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(admin));
    let handshake = tokio::time::timeout(PATIENCE, connector.connect(name, stream)).await;
    assert!(handshake.expect("the connection ends").is_err());
    let stream = TcpStream::connect(stage.clinch.admin).await.unwrap();
    assert_eq!(
        exchange(stream, "GET /live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.status,
        200
    );
    assert!(stage.service.received().is_empty());
}
