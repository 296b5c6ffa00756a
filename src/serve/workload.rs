//! Certificate, key and trust bundles from the SPIFFE Workload API, in place of files.
//!
//! The API is a stream over a Unix socket: each message is everything there is to know now, and replaces what was. It takes
//! effect as a reload does: whoever connects from then on sees the new certificate, open connections stay, and their
//! clients are judged anew by the new bundles. Before the first message nobody can connect. When the API is gone what
//! it said last serves until it expires, and it is asked again and again.

use super::current::Current;
use super::proxy::now;
use crate::config::{ClientCertificates, Own, Spiffe, Tls};
use crate::pop::Timestamp;
use crate::pop::spiffe::SpiffeId;
use anyhow::Context;
use futures_util::StreamExt;
use parking_lot::Mutex;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use spiffe::{Certificate, TrustDomain, WorkloadApiClient, X509Context};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// What the API said last, and whether it still speaks. Dropping it ends the asking.
#[derive(Debug)]
pub(super) struct Workload {
    shared: Arc<Shared>,
    _asking: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    current: Arc<Current>,
    known: Mutex<Known>,
    connected: AtomicBool,
}

#[derive(Debug)]
struct Known {
    wishes: Wishes,
    svid: Option<Arc<Svid>>,
}

/// What the configuration asks of clients.
#[derive(Clone, Debug)]
pub(super) struct Wishes {
    pub(super) client_certificate: ClientCertificates,
    /// Whose workloads are accepted; empty means those of our own trust domain.
    pub(super) trust_domains: Vec<String>,
}

/// Our identity, and the authorities of every trust domain that the API tells of.
pub(super) struct Svid {
    pub(super) id: SpiffeId,
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: PrivateKeyDer<'static>,
    bundles: Arc<spiffe::X509BundleSet>,
}

impl std::fmt::Debug for Svid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Svid({:?})", self.id)
    }
}

impl Workload {
    /// Begins to ask, if the configuration says so. Needs a tokio runtime.
    pub(super) fn start(current: &Arc<Current>, tls: &Tls) -> Option<Workload> {
        let (spiffe, wishes) = wishes(tls)?;
        let known = Mutex::new(Known { wishes, svid: None });
        let shared =
            Arc::new(Shared { current: Arc::clone(current), known, connected: AtomicBool::new(false) });
        let mut asking = JoinSet::new();
        asking.spawn(follow(Arc::clone(&shared), spiffe.endpoint.clone()));
        asking.spawn(expire(Arc::clone(&shared)));
        Some(Workload { shared, _asking: asking })
    }

    /// What a new configuration asks of clients holds from now on, for the identity that is known and for the next.
    ///
    /// # Errors
    /// The material does not fit: then all stays as it is.
    pub(super) fn renew(&self, tls: &Tls) -> anyhow::Result<()> {
        let Some((_, wishes)) = wishes(tls) else { return Ok(()) };
        let current = &self.shared.current;
        // Held to the end, so that no identity comes in between.
        let mut known = self.shared.known.lock();
        if let Some(svid) = &known.svid {
            current.renew_tls(current.tls.draft_of(svid, &wishes)?);
        }
        known.wishes = wishes;
        Ok(())
    }

    /// Our SPIFFE ID, once it is known.
    pub(super) fn id(&self) -> Option<SpiffeId> {
        self.shared.known.lock().svid.as_ref().map(|svid| svid.id.clone())
    }

    /// `current`; `unreachable` while the API is, and what it said still good; `expired`; `waiting` for the first word.
    pub(super) fn status(&self, now: Timestamp) -> &'static str {
        match self.shared.current.tls.terms().expires_at {
            None => "waiting",
            Some(end) if end <= now => "expired",
            Some(_) if self.shared.connected.load(Relaxed) => "current",
            Some(_) => "unreachable",
        }
    }
}

impl Svid {
    fn of(context: &X509Context) -> anyhow::Result<Svid> {
        let svid = context.default_svid().context("no identity")?;
        let id = svid.spiffe_id().to_string().parse().map_err(anyhow::Error::msg)?;
        let key = PrivatePkcs8KeyDer::from(svid.private_key().as_bytes().to_vec());
        Ok(Svid {
            id,
            chain: ders(svid.cert_chain()),
            key: PrivateKeyDer::Pkcs8(key),
            bundles: Arc::clone(context.bundle_set()),
        })
    }

    /// The authorities of the trust domains whose workloads are wished for.
    pub(super) fn accepted(&self, wishes: &Wishes) -> Vec<(String, Vec<CertificateDer<'static>>)> {
        let own = [self.id.trust_domain().to_owned()];
        let domains = if wishes.trust_domains.is_empty() { &own[..] } else { &wishes.trust_domains };
        let authorities = |domain: &String| {
            let bundle = TrustDomain::new(domain).ok().and_then(|domain| self.bundles.get(&domain));
            let found = bundle.map(|bundle| ders(bundle.authorities())).unwrap_or_default();
            if found.is_empty() {
                tracing::warn!(trust_domain = %domain, "the Workload API has no bundle: nobody of it is accepted");
            }
            (domain.clone(), found)
        };
        domains.iter().map(authorities).collect()
    }
}

fn ders(certificates: &[Certificate]) -> Vec<CertificateDer<'static>> {
    certificates.iter().map(|one| CertificateDer::from(one.as_bytes().to_vec())).collect()
}

fn wishes(tls: &Tls) -> Option<(&Spiffe, Wishes)> {
    match &tls.own {
        Own::Files { .. } => None,
        Own::Spiffe(spiffe) => {
            let trust_domains = spiffe.trust_domains.clone();
            Some((spiffe, Wishes { client_certificate: tls.client_certificate, trust_domains }))
        }
    }
}

/// Asks for ever. What went wrong is said once, until something goes right.
async fn follow(shared: Arc<Shared>, endpoint: String) {
    let (mut pause, mut told) = (FIRST_PAUSE, String::new());
    loop {
        let before = shared.known.lock().svid.clone();
        let why = match listen(&shared, &endpoint).await {
            Ok(()) => "the stream has ended".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        shared.connected.store(false, Relaxed);
        let after = shared.known.lock().svid.clone();
        let heard = before.map(|svid| Arc::as_ptr(&svid)) != after.map(|svid| Arc::as_ptr(&svid));
        if heard || why != told {
            tracing::warn!(%endpoint, %why, "the Workload API is gone: what it said last holds until it expires");
        }
        pause = if heard { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        told = why;
        sleep(pause).await;
    }
}

/// Ends what has expired: from then on nobody is welcome, for what the API said of others is as old as the certificate.
async fn expire(shared: Arc<Shared>) {
    loop {
        sleep(EXPIRY_PERIOD).await;
        let mut known = shared.known.lock();
        let end = shared.current.tls.terms().expires_at.filter(|end| *end <= now());
        let Some((end, svid)) = end.filter(|_| known.svid.is_some()).zip(known.svid.take()) else { continue };
        match shared.current.tls.closed_since(end) {
            Ok(terms) => {
                tracing::error!(
                    spiffe_id = svid.id.as_str(),
                    "the certificate from the Workload API has expired: nobody can connect"
                );
                shared.current.renew_tls(terms);
            }
            Err(error) => {
                tracing::error!(%error, "an expired certificate can't be withdrawn");
                known.svid = Some(svid);
            }
        }
    }
}

/// Takes what comes, until the stream ends.
async fn listen(shared: &Shared, endpoint: &str) -> anyhow::Result<()> {
    let begun = async {
        let client = WorkloadApiClient::connect_to(endpoint).await?;
        client.stream_x509_contexts().await
    };
    let mut stream = timeout(PATIENCE, begun).await.context("no answer")??;
    // A subscription: the next word comes when there is something to say.
    while let Some(context) = stream.next().await {
        shared.take(Svid::of(&context?)?)?;
    }
    Ok(())
}

impl Shared {
    fn take(&self, svid: Svid) -> anyhow::Result<()> {
        let mut known = self.known.lock();
        let svid = Arc::new(svid);
        let terms = self.current.tls.draft_of(&svid, &known.wishes)?;
        tracing::info!(spiffe_id = svid.id.as_str(), "a certificate from the Workload API");
        known.svid = Some(svid);
        self.connected.store(true, Relaxed);
        self.current.renew_tls(terms);
        Ok(())
    }
}

const PATIENCE: Duration = Duration::from_secs(10);
/// How soon it is noticed that a certificate has expired.
const EXPIRY_PERIOD: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
