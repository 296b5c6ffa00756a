//! Authorities and certificates change under reviews, and no review fails.

use crate::support::api_server::{ApiServer, MUTATING, SECRET};
use crate::support::eventually;
use crate::support::injector::{Injector, write};
use crate::support::pki::Pki;
use crate::support::reviewer::{ask, pod, review};
use crate::support::temporary::Folder;
use base64::{Engine, engine::general_purpose::STANDARD};
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rcgen::{KeyUsagePurpose, date_time_ymd};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::task::JoinSet;

const QUICK: &str = "{ self_managed: { spread: 2s, check: 1s } }";

/// A Secret as it is after 17 months: the certificate is young, its authority is past two thirds of its time.
fn aged() -> Value {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let day = Duration::from_secs(86_400);
    let at = |since: Duration| date_time_ymd(1970, 1, 1) + since;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "clinch-injector of old");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (at(now - day * 500), at(now + day * 230));
    let key = KeyPair::generate().unwrap();
    let ca = params.self_signed(&key).unwrap();
    let ca_key = key.serialize_pem();
    let issuer = Issuer::new(params, key);
    let names = ["", ".svc", ".svc.cluster.local"].map(|end| format!("clinch-injector.clinch-system{end}"));
    let mut params = CertificateParams::new(names.to_vec()).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    (params.not_before, params.not_after) = (at(now - day), at(now + day * 89));
    let key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, &issuer).unwrap();
    let encoded = |text: &str| STANDARD.encode(text);
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": { "name": "clinch-injector-tls", "labels": { "somebody": "else's" } },
        "data": {
            "tls.crt": encoded(&leaf.pem()), "tls.key": encoded(&key.serialize_pem()),
            "ca.crt": encoded(&ca.pem()), "ca.key": encoded(&ca_key),
        },
    })
}

/// API servers that ask without a pause, each time on a connection of its own.
struct Asking {
    over: Arc<AtomicBool>,
    good: Arc<AtomicU64>,
    failed: Arc<Mutex<Vec<String>>>,
    askers: JoinSet<()>,
}

impl Asking {
    /// Four of them, who hear of each change so late.
    fn of(server: &ApiServer, webhooks: Vec<SocketAddr>, lag: Duration) -> Asking {
        let mut asking = Asking {
            over: Arc::default(),
            good: Arc::default(),
            failed: Arc::default(),
            askers: JoinSet::new(),
        };
        for first in 0..4 {
            let (over, good, failed) =
                (Arc::clone(&asking.over), Arc::clone(&asking.good), Arc::clone(&asking.failed));
            let (server, webhooks) = (server.clone(), webhooks.clone());
            asking.askers.spawn(async move {
                for turn in first.. {
                    if over.load(Relaxed) {
                        return;
                    }
                    let webhook = webhooks[turn % webhooks.len()];
                    match ask(&server, webhook, lag, &review("shop", &pod())).await {
                        Ok(_) => drop(good.fetch_add(1, Relaxed)),
                        Err(why) => failed.lock().unwrap().push(why),
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        }
        asking
    }

    /// How many were answered, none having failed.
    async fn end(mut self) -> u64 {
        self.over.store(true, Relaxed);
        while let Some(ended) = self.askers.join_next().await {
            ended.unwrap();
        }
        assert_eq!(*self.failed.lock().unwrap(), Vec::<String>::new());
        self.good.load(Relaxed)
    }
}

fn data(secret: &Value, key: &str) -> String {
    String::from_utf8(STANDARD.decode(secret["data"][key].as_str().unwrap_or_default()).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_is_replaced_under_load_without_a_failed_review() {
    let (pki, folder) = (Pki::new(), Folder::new());
    let server = ApiServer::start(&pki).await.with_webhooks();
    let old = aged();
    server.put(SECRET, old.clone());
    let config = write(&folder, &pki, QUICK, "", Some(&server));
    let replicas = [Injector::start(&config).await, Injector::start(&config).await];
    let lag = Duration::from_secs(1);
    let told = async || {
        let configuration = server.as_of(MUTATING, lag)?;
        configuration["webhooks"][0]["clientConfig"]["caBundle"].as_str().map(drop)
    };
    eventually("late API servers to hear of the first bundle", told).await;
    let asking = Asking::of(&server, replicas.iter().map(|one| one.address).collect(), lag);
    let signed_anew = async || {
        let secret = server.get(SECRET)?;
        (secret["data"]["ca.key"] != old["data"]["ca.key"]).then_some(secret)
    };
    let secret = eventually("the new authority to sign", signed_anew).await;
    assert!(data(&secret, "ca.crt").matches("BEGIN CERTIFICATE").count() == 2, "the old one is trusted on");
    assert!(!secret.to_string().contains(old["data"]["ca.key"].as_str().unwrap()), "and signs no more");
    assert_ne!(secret["data"]["tls.crt"], old["data"]["tls.crt"]);
    assert_eq!(secret["metadata"]["labels"], old["metadata"]["labels"], "what others wrote on it stays");
    for replica in &replicas {
        // Both certificates were logged: that of the Secret as it was found, and the new one.
        let served = async || {
            let output = replica.program.output();
            (output.matches("a certificate of our own is served").count() >= 2).then_some(())
        };
        eventually("each replica to serve the new certificate", served).await;
    }
    let good = asking.good.load(Relaxed);
    let more = async || (asking.good.load(Relaxed) > good + 20).then_some(());
    eventually("reviews after the change", more).await;
    assert!(asking.end().await > 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_from_files_are_replaced_under_load_without_a_failed_review() {
    let (before, after, folder) = (Pki::new(), Pki::new(), Folder::new());
    let server = ApiServer::start(&before).await.with_webhooks();
    let mut configuration = server.get(MUTATING).unwrap();
    let bundle = STANDARD.encode(before.ca_pem.clone() + &after.ca_pem);
    configuration["webhooks"][0]["clientConfig"]["caBundle"] = json!(bundle);
    server.put(MUTATING, configuration);
    // As the kubelet mounts a Secret.
    let volume = |name: &str, pki: &Pki| {
        std::fs::create_dir_all(folder.at(name)).unwrap();
        folder.write(&format!("{name}/tls.crt"), &pki.server.certificate);
        folder.write(&format!("{name}/tls.key"), &pki.server.key);
    };
    volume("..1", &before);
    volume("..2", &after);
    std::os::unix::fs::symlink("..1", folder.at("..data")).unwrap();
    let tls = "{ certificate: ..data/tls.crt, private_key: ..data/tls.key }";
    let mut injector = Injector::start(&write(&folder, &before, tls, "", None)).await;
    let asking = Asking::of(&server, vec![injector.address], Duration::ZERO);
    std::os::unix::fs::symlink("..2", folder.at("..data_tmp")).unwrap();
    std::fs::rename(folder.at("..data_tmp"), folder.at("..data")).unwrap();
    let reloaded = |line: &str| line.contains("the configuration was reloaded").then_some(());
    injector.program.hear("the files to be read again", reloaded).await;
    let bundle = after.ca_pem.as_bytes();
    let stream = crate::support::reviewer::connect(injector.address, bundle, None, true).await;
    assert!(stream.is_ok(), "the new certificate is served");
    let more = async || (asking.good.load(Relaxed) > 10).then_some(());
    eventually("reviews before and after", more).await;
    asking.end().await;
}
