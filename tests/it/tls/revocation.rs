//! Certificate revocation lists: what they say, and what silence means.

use crate::support::authority::{Authority, Shown};
use crate::support::clinch::{command, finish};
use crate::support::stage::{Setting, Stage, status};
use crate::support::temporary::Folder;
use crate::support::wire::get;
use crate::support::world;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::SerialNumber;

async fn stage(root: &Authority, list: String) -> Stage {
    let tls = "client_certificate: optional\n    client_ca: [clients.crt]\n    client_crl: [clients.crl]";
    let files = vec![("clients.crt", root.pem()), ("clients.crl", list)];
    Stage::set(Setting { tls, files, ..Setting::default() }).await
}

async fn asks(stage: &Stage, shown: &Shown) -> Option<u16> {
    let client = shown.by(stage.pki.roots(), &rustls::version::TLS13);
    status(stage.ask(&client, &get("/open/1", &[])).await.as_deref())
}

/// TL-009, TL-010: what is not known to be good is refused.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_current_list_of_its_issuer_lets_a_certificate_in() {
    let (root, other) = (Authority::root("clients"), Authority::root("clients"));
    let serial =
        |serial: u64| root.issue(move |params| params.serial_number = Some(SerialNumber::from(serial)));
    let (good, revoked) = (serial(7), serial(8));
    let below = root.below("between", |_| {}).client();
    for (what, list, expected) in [
        ("a current list", root.revokes(&[8], 2099), [Some(200), None, None]),
        ("an expired one", root.revokes(&[8], 2025), [None, None, None]),
        ("another issuer's", other.revokes(&[8], 2099), [None, None, None]),
        ("both", root.revokes(&[8], 2099) + &other.revokes(&[7], 2099), [Some(200), None, None]),
    ] {
        let stage = stage(&root, list).await;
        let answers = [asks(&stage, &good).await, asks(&stage, &revoked).await, asks(&stage, &below).await];
        assert_eq!(answers, expected, "{what}: good, revoked, below an issuer without a list");
        assert_eq!(asks_without(&stage).await, Some(200), "{what}");
    }
}

async fn asks_without(stage: &Stage) -> Option<u16> {
    status(stage.ask(&stage.anonymous(), &get("/open/1", &[])).await.as_deref())
}

/// TL-010, TL-011, TL-026: a start with less than was written is no start, and nothing stands in for what is missing.
#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_missing_empty_or_garbage_stop_the_start() {
    let root = Authority::root("clients");
    let half = |pem: String| pem[..pem.len() / 2].to_owned();
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (what, authority, list) in [
        ("no authority", None, Some(root.revokes(&[], 2099))),
        ("an empty authority", Some(String::new()), Some(root.revokes(&[], 2099))),
        ("text for an authority", Some("not a certificate".to_owned()), Some(root.revokes(&[], 2099))),
        ("garbage for an authority", Some(garbage.to_owned()), Some(root.revokes(&[], 2099))),
        ("half an authority", Some(half(root.pem())), Some(root.revokes(&[], 2099))),
        ("no list", Some(root.pem()), None),
        ("an empty list", Some(root.pem()), Some(String::new())),
        ("half a list", Some(root.pem()), Some(half(root.revokes(&[8], 2099)))),
        ("a list with an empty bit string", Some(root.pem()), Some(empty_reasons())),
    ] {
        let (folder, pki) = (Folder::new(), crate::support::pki::Pki::new());
        for (name, text) in [("clients.crt", authority), ("clients.crl", list)] {
            if let Some(text) = text {
                folder.write(name, &text);
            }
        }
        let config = world::config("https://localhost:1", "127.0.0.1:2")
            .replace("client_ca: [ca.crt]", "client_ca: [clients.crt]\n    client_crl: [clients.crl]");
        let config = world::write(&folder, &pki, &config);
        let output = finish(command().args(["run", "--config"]).arg(config)).await;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{what}: {said}");
        assert!(said.contains("listen.tls.client_c") && !said.contains("panicked"), "{what}: {said}");
    }
}

/// A list whose `onlySomeReasons` has no bits: it once made a parser panic before it looked at the signature
/// (RUSTSEC-2026-0104).
fn empty_reasons() -> String {
    let tlv = |tag: u8, content: &[&[u8]]| -> Vec<u8> {
        let content = content.concat();
        [&[tag, u8::try_from(content.len()).expect("a short list")][..], &content].concat()
    };
    let oid = |bytes: &[u8]| tlv(6, &[bytes]);
    let ecdsa = tlv(0x30, &[&oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2])]);
    let name = tlv(0x30, &[&tlv(0x31, &[&tlv(0x30, &[&oid(&[0x55, 4, 3]), &tlv(0x0c, &[b"clients"])])])]);
    let point = tlv(0x30, &[&tlv(0x83, &[])]);
    let extension = tlv(0x30, &[&oid(&[0x55, 0x1d, 0x1c]), &[1, 1, 0xff], &tlv(4, &[&point])]);
    let number = tlv(0x30, &[&oid(&[0x55, 0x1d, 0x14]), &tlv(4, &[&[2, 1, 1]])]);
    let extensions = tlv(0xa0, &[&tlv(0x30, &[&number, &extension])]);
    let (from, until) = (tlv(0x17, &[b"240617000000Z"]), tlv(0x17, &[b"490617000000Z"]));
    let list = tlv(0x30, &[&[2, 1, 1], &ecdsa, &name, &from, &until, &extensions]);
    let der = tlv(0x30, &[&list, &ecdsa, &tlv(3, &[&[0, 0]])]);
    format!("-----BEGIN X509 CRL-----\n{}\n-----END X509 CRL-----\n", BASE64.encode(der))
}
