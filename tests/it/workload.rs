//! Certificate, key and trust bundles from the SPIFFE Workload API, and callers by their SPIFFE IDs.

use crate::support::clinch::Clinch;
use crate::support::echo::Echo;
use crate::support::issuer::Issuer;
use crate::support::oauth_client::HOST;
use crate::support::pki::{Identity, Pki};
use crate::support::temporary::Folder;
use crate::support::wire::{Answer, converse, exchange, get, plain_get};
use crate::support::workload_api::{Domain, Svid, WorkloadApi, uri};
use crate::support::{PATIENCE, eventually};
use rcgen::{BasicConstraints, IsCa, KeyUsagePurpose as Usage};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// clinch with an identity from the API, which is not there yet.
struct Workloads {
    own: Domain,
    clinch: Clinch,
    service: Echo,
    issuer: Issuer,
    folder: Folder,
}

impl Workloads {
    /// With these words more in `listen.tls.spiffe`.
    async fn start(more: &str) -> Workloads {
        let (pki, folder, service) = (Pki::new(), Folder::new(), Echo::start().await);
        let issuer = Issuer::start(&pki).await;
        folder.write("ca.crt", &pki.ca_pem);
        let text = format!(
            "listen:
  address: 127.0.0.1:0
  public_origins: [https://{HOST}]
  tls:
    spiffe: {{ endpoint: 'unix://{}'{more} }}
    client_certificate: optional
upstream: {{ url: 'http://{}' }}
issuers:
  - {{ issuer: '{}', audiences: [https://{HOST}], ca: ca.crt }}
routes:
  - {{ path: '/open/{{*rest}}', danger_unprotected: true }}
  - {{ path: '/certified/{{*rest}}', proof: [mtls] }}
  - {{ path: '/tellers/{{*rest}}', proof: [mtls], spiffe_ids: ['spiffe://prod.example/teller', 'spiffe://prod.example/batch/*'] }}
admin: {{ address: '127.0.0.1:0' }}
",
            folder.at("agent.sock").display(),
            service.address,
            issuer.name
        );
        let config = folder.write("clinch.yaml", &text);
        let clinch = Clinch::start_unready(&config).await;
        Workloads { own: Domain::new("prod.example"), clinch, service, issuer, folder }
    }

    fn api(&self) -> WorkloadApi {
        WorkloadApi::start(&self.folder.at("agent.sock"))
    }

    /// The same with the API running and clinch ready.
    async fn started(more: &str, federated: &[&Domain]) -> (Workloads, WorkloadApi) {
        let workloads = Workloads::start(more).await;
        let api = workloads.api();
        api.tell(&workloads.own.issue("/clinch"), &workloads.own, federated);
        workloads.clinch.becomes_ready().await;
        (workloads, api)
    }

    async fn connect(&self, identity: Option<&Identity>) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(self.own.bundle().to_vec())).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let client = match identity.map(Identity::der) {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        let stream = TcpStream::connect(self.clinch.address).await?;
        let name = ServerName::try_from(HOST).unwrap();
        TlsConnector::from(Arc::new(client)).connect(name, stream).await
    }

    fn request(&self, path: &str, svid: &Svid) -> String {
        let token = self.issuer.sign(&self.issuer.token(json!({ "x5t#S256": svid.identity().thumbprint() })));
        get(path, &[("Authorization", &format!("Bearer {token}"))])
    }

    /// What a workload with a token of its own gets; `None` if its certificate is not accepted.
    async fn call(&self, path: &str, svid: &Svid) -> Option<Answer> {
        let mut stream = self.connect(Some(&svid.identity())).await.ok()?;
        converse(&mut stream, self.request(path, svid).as_bytes(), false).await
    }

    async fn status(&self, path: &str, svid: &Svid) -> Option<u16> {
        self.call(path, svid).await.map(|answer| answer.status)
    }

    async fn told(&self) -> Value {
        let page = plain_get(self.clinch.admin, "/status").await.unwrap();
        serde_json::from_str::<Value>(&page.body).unwrap()["certificate"].clone()
    }

    async fn becomes(&self, state: &str) -> Value {
        eventually(&format!("the certificate to be {state}"), async || {
            Some(self.told().await).filter(|told| told["state"] == state)
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_can_connect_before_there_is_an_identity() {
    let workloads = Workloads::start("").await;
    let unready = workloads.clinch.becomes_unready().await;
    assert_eq!(serde_json::from_str::<Value>(&unready.body).unwrap()["certificate"], "waiting");
    assert!(workloads.connect(None).await.is_err());
    let api = workloads.api();
    assert!(workloads.connect(None).await.is_err(), "an API that issues no identity");
    api.tell(&workloads.own.issue("/clinch"), &workloads.own, &[]);
    workloads.clinch.becomes_ready().await;
    let stream = workloads.connect(None).await.unwrap();
    assert_eq!(exchange(stream, &get("/open/1", &[])).await.status, 200);
    let told = workloads.becomes("current").await;
    assert_eq!(told["spiffe_id"], "spiffe://prod.example/clinch");
    let metrics = plain_get(workloads.clinch.admin, "/metrics").await.unwrap().body;
    let left = metrics.lines().find_map(|line| line.strip_prefix("clinch_certificate_seconds_left "));
    let left: i64 = left.unwrap().parse().unwrap();
    assert!((3_500..=3_600).contains(&left), "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn workloads_are_known_by_their_ids() {
    let (workloads, _api) = Workloads::started("", &[]).await;
    let own = &workloads.own;
    let (teller, batch, other) = (own.issue("/teller"), own.issue("/batch/x/y"), own.issue("/teller2"));
    assert_eq!(workloads.status("/tellers/1", &teller).await, Some(200));
    assert_eq!(workloads.status("/tellers/1", &batch).await, Some(200));
    assert_eq!(workloads.status("/certified/1", &other).await, Some(200));
    let refused = workloads.call("/tellers/1", &other).await.unwrap();
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("workload_refused"), "{refused:?}");
    let received = workloads.service.received();
    let told: Vec<_> = received.iter().map(|r| r.header("clinch-certificate-spiffe-id").unwrap()).collect();
    assert_eq!(
        told,
        ["spiffe://prod.example/teller", "spiffe://prod.example/batch/x/y", "spiffe://prod.example/teller2",]
    );
    // Signed by the right authority, and no X509-SVID.
    for (what, odd) in [
        ("no ID", own.issue_with("/teller", |params| params.subject_alt_names.truncate(1))),
        ("two URIs", own.issue_with("/teller", |params| params.subject_alt_names.push(uri("https://a")))),
        ("an authority", own.issue_with("/teller", |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))),
        ("signs certificates", own.issue_with("/teller", |p| p.key_usages.push(Usage::KeyCertSign))),
        ("signs nothing", own.issue_with("/teller", |p| p.key_usages = vec![Usage::KeyAgreement])),
        (
            "of another domain",
            own.issue_with("/teller", |params| {
                params.subject_alt_names = vec![uri("spiffe://stage.example/teller")];
            }),
        ),
    ] {
        assert_eq!(workloads.status("/certified/1", &odd).await, None, "{what}");
    }
    assert_eq!(workloads.status("/certified/1", &Domain::new("prod.example").issue("/teller")).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_trust_domains_are_accepted_by_name_only_and_by_their_own_bundle() {
    let (stage, evil) = (Domain::new("stage.example"), Domain::new("evil.example"));
    let everybody = [&stage, &evil];
    let (workloads, _api) = Workloads::started("", &everybody).await;
    assert_eq!(workloads.status("/certified/1", &stage.issue("/a")).await, None, "federated is not accepted");
    let named = ", trust_domains: [prod.example, stage.example]";
    let (workloads, api) = Workloads::started(named, &everybody).await;
    assert_eq!(workloads.status("/certified/1", &stage.issue("/a")).await, Some(200));
    assert_eq!(workloads.status("/certified/1", &workloads.own.issue("/a")).await, Some(200));
    assert_eq!(workloads.status("/certified/1", &evil.issue("/a")).await, None);
    let forged =
        evil.issue_with("/a", |params| params.subject_alt_names = vec![uri("spiffe://stage.example/a")]);
    assert_eq!(
        workloads.status("/certified/1", &forged).await,
        None,
        "one domain does not speak for another"
    );
    let mut stream = workloads.connect(Some(&stage.issue("/b").identity())).await.unwrap();
    let keep = get("/open/1", &[]).replace("Connection: close\r\n", "");
    assert!(converse(&mut stream, keep.as_bytes(), false).await.is_some());
    // The federation ends: open connections stay, and their clients count as strangers.
    api.tell(&workloads.own.issue("/clinch"), &workloads.own, &[]);
    eventually("the domain to be forgotten", async || {
        workloads.status("/certified/1", &stage.issue("/a")).await.is_none().then_some(())
    })
    .await;
}

/// Twenty certificates, one after the other, under requests over a connection that stays and over new ones.
#[tokio::test(flavor = "multi_thread")]
async fn rotations_cost_nobody_a_request() {
    let (workloads, api) = Workloads::started("", &[]).await;
    let caller = workloads.own.issue("/teller");
    let identity = caller.identity();
    let mut kept = workloads.connect(Some(&identity)).await.unwrap();
    let request = workloads.request("/tellers/1", &caller);
    let keep = request.replace("Connection: close\r\n", "");
    let mut requests = 0;
    for round in 0..20 {
        let next = workloads.own.issue("/clinch");
        api.tell(&next, &workloads.own, &[]);
        eventually("the next certificate", async || {
            let answer = converse(&mut kept, keep.as_bytes(), false).await;
            assert_eq!(
                answer.map(|answer| answer.status),
                Some(200),
                "round {round}, the connection that stays"
            );
            let stream = workloads.connect(Some(&identity)).await.unwrap();
            let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
            assert_eq!(exchange(stream, &request).await.status, 200, "round {round}, a new connection");
            requests += 2;
            (shown == next.der()).then_some(())
        })
        .await;
    }
    assert!(requests >= 40);
    assert_eq!(workloads.service.received().len(), requests);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_said_last_holds_until_it_expires() {
    let (workloads, api) = Workloads::started("", &[]).await;
    let caller = workloads.own.issue("/teller");
    drop(api);
    workloads.becomes("unreachable").await;
    assert_eq!(workloads.status("/tellers/1", &caller).await, Some(200));
    workloads.clinch.becomes_ready().await;
    let api = workloads.api();
    let soon = workloads.own.issue_with("/clinch", |params| {
        params.not_after = (SystemTime::now() + Duration::from_secs(4)).into();
    });
    api.tell(&soon, &workloads.own, &[]);
    workloads.becomes("current").await;
    drop(api);
    workloads.becomes("expired").await;
    let unready = workloads.clinch.becomes_unready().await;
    assert_eq!(serde_json::from_str::<Value>(&unready.body).unwrap()["certificate"], "expired");
    let api = workloads.api();
    api.tell(&workloads.own.issue("/clinch"), &workloads.own, &[]);
    let again = tokio::time::timeout(PATIENCE, workloads.clinch.becomes_ready()).await;
    assert!(again.is_ok(), "it is asked again and again");
    assert_eq!(workloads.status("/tellers/1", &caller).await, Some(200));
}
