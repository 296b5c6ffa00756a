//! The push port (RFC 8935): transmitters deliver Security Event Tokens here, on an address of its own.
//!
//! `POST` of `application/secevent+jwt` over TLS, with the certificate of the public port (PUSH-01). A transmitter proves
//! who it is with the `Authorization` that was agreed with it, or with a certificate, and its token with a signature.
//! 202 is said when the event is on the feed, from which every replica has it, and not before (PUSH-02); a token
//! that comes again is welcome again (PUSH-04). 503 asks the transmitter to try again. Nothing of this is reachable
//! through the public port, and no route of that one here (RV-037). HTTP/1.1 only: it is enough for this.

mod refused;

use super::connection::Phase;
use super::generation::Made;
use super::sockets::Sockets;
use super::tls::{self, Terminator};
use crate::config::{self, ClientCertificates, ClientChain, Config, Tls};
use crate::pop::sha256;
use crate::state::revocation::event::MAX_BYTES;
use crate::state::revocation::{Revocations, SetError};
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use refused::{Refused, empty};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// The port, bound.
#[derive(Debug)]
pub(super) struct PushPort {
    socket: TcpListener,
    address: SocketAddr,
    tls: Terminator,
    settings: config::Push,
}

/// What a connection needs.
#[derive(Debug)]
pub(super) struct Push {
    tls: Terminator,
    /// Nothing where the configuration in force has no push.
    agreed: ArcSwapOption<Agreed>,
    phase: watch::Receiver<Phase>,
}

/// What the configuration in force says of it.
#[derive(Debug)]
struct Agreed {
    settings: config::Push,
    revocations: Arc<Revocations>,
}

impl PushPort {
    /// `None` where nothing is to be pushed. The certificate is the public port's; what is asked of clients is not.
    ///
    /// # Errors
    /// It can't be bound, or the TLS material does not fit.
    pub(super) fn bind(config: &Config, sockets: &mut Sockets) -> anyhow::Result<Option<PushPort>> {
        let Some(settings) = config.revocation.as_ref().and_then(|r| r.push.clone()) else { return Ok(None) };
        let tls = Terminator::http1(&terms(&config.listen.tls, &settings))?;
        let socket = sockets.listen(settings.address, "revocation.feed.push.address")?;
        let address = socket.local_addr()?;
        Ok(Some(PushPort { socket, address, tls, settings }))
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves from now on, until the sidecar stops.
    pub(super) fn open(
        self,
        revocations: &Arc<Revocations>,
        phase: &watch::Receiver<Phase>,
    ) -> (Arc<Push>, JoinHandle<()>) {
        let PushPort { socket, tls, settings, .. } = self;
        let agreed = ArcSwapOption::from_pointee(Agreed { settings, revocations: Arc::clone(revocations) });
        let push = Arc::new(Push { tls, agreed, phase: phase.clone() });
        let task = tokio::spawn(Arc::clone(&push).run(socket));
        (push, task)
    }
}

fn terms(listen: &Tls, settings: &config::Push) -> Tls {
    let nobody = settings.client_ca.is_empty();
    Tls {
        own: listen.own.clone(),
        client_certificate: if nobody { ClientCertificates::Off } else { ClientCertificates::Required },
        client_chain: ClientChain::Verified,
        client_ca: settings.client_ca.clone(),
        client_crl: Vec::new(),
    }
}

impl Push {
    /// What holds from the next connection and delivery on.
    ///
    /// # Errors
    /// The TLS material does not fit.
    pub(super) fn renew(&self, made_of: &Made, revocations: &Arc<Revocations>) -> anyhow::Result<()> {
        let Some(settings) = made_of.revocation.as_ref().and_then(|r| r.push.clone()) else {
            self.agreed.store(None);
            return Ok(());
        };
        self.tls.renew(self.tls.draft(&terms(&made_of.tls, &settings))?);
        self.agreed.store(Some(Arc::new(Agreed { settings, revocations: Arc::clone(revocations) })));
        Ok(())
    }

    async fn run(self: Arc<Push>, socket: TcpListener) {
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut phase = self.phase.clone();
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            let accepted = tokio::select! {
                _ = phase.wait_for(|phase| *phase != Phase::Running) => return,
                accepted = socket.accept() => accepted,
            };
            let Ok((stream, peer)) = accepted else {
                sleep(BACK_OFF).await;
                continue;
            };
            let push = Arc::clone(&self);
            tokio::spawn(async move {
                // Whoever trickles is cut off: a transmitter sends what it has.
                let _ = timeout(CONNECTION, push.serve(stream, peer)).await;
                drop(permit);
            });
        }
    }

    async fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        let handshake = match timeout(HANDSHAKE, self.tls.accept(stream)).await {
            Ok(Ok(handshake)) => handshake,
            Ok(Err(error)) => {
                let reason = tls::failure(&error);
                return tracing::info!(%peer, reason, %error, "TLS handshake on the push port failed");
            }
            Err(_) => return,
        };
        let service = service_fn(|request| async { Ok::<_, Infallible>(self.answer(request).await) });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HANDSHAKE).max_buf_size(MAX_HEADER);
        let mut connection = pin!(builder.serve_connection(TokioIo::new(handshake.stream), service));
        let mut phase = self.phase.clone();
        let stopping = async { phase.wait_for(|phase| *phase != Phase::Running).await.is_ok() };
        tokio::select! {
            _ = connection.as_mut() => return,
            _ = stopping => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let taken = timeout(EXCHANGE, self.take(request)).await.unwrap_or(Err(Refused::Slow));
        if let Some(agreed) = &*self.agreed.load() {
            agreed.revocations.pushed(taken.as_ref().err().map(|refused| refused.name()));
        }
        match taken {
            Ok(()) => empty(StatusCode::ACCEPTED),
            Err(refused) => refused.response(),
        }
    }

    /// In the order in which as little as possible is done for strangers.
    async fn take(&self, request: Request<Incoming>) -> Result<(), Refused> {
        let agreed = self.agreed.load_full().ok_or(Refused::Path)?;
        if request.uri().path() != agreed.settings.path {
            return Err(Refused::Path);
        }
        if request.method() != Method::POST {
            return Err(Refused::Method);
        }
        if !agreed.knows(request.headers()) {
            return Err(Refused::Stranger);
        }
        if !is_set(request.headers()) {
            return Err(Refused::Type);
        }
        if request.body().size_hint().lower() > MAX_BYTES as u64 {
            return Err(Refused::TooLarge);
        }
        let body = match Limited::new(request.into_body(), MAX_BYTES).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => return Err(Refused::TooLarge),
            Err(_) => return Err(Refused::Set(SetError::InvalidRequest)),
        };
        agreed.revocations.receive(&body).await.map_err(Refused::Set)
    }
}

impl Agreed {
    /// Whether the `Authorization` is one that was agreed (PUSH-05): compared by digests, so that the time it takes tells
    /// nothing.
    fn knows(&self, headers: &HeaderMap) -> bool {
        let agreed = &self.settings.authorizations;
        let mut shown = headers.get_all(header::AUTHORIZATION).iter();
        match (shown.next(), shown.next()) {
            _ if agreed.is_empty() => true,
            (Some(only), None) => agreed.contains(&sha256::of(only.as_bytes())),
            (None, _) | (Some(_), Some(_)) => false,
        }
    }
}

/// `application/secevent+jwt`, once (PUSH-01).
fn is_set(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else { return false };
    let only = only.to_str().unwrap_or_default();
    only.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(SET_TYPE))
}

const SET_TYPE: &str = "application/secevent+jwt";
const MAX_CONNECTIONS: usize = 128;
const MAX_HEADER: usize = 16 * 1024;
const HANDSHAKE: Duration = Duration::from_secs(10);
/// One token, from its first byte to our answer.
const EXCHANGE: Duration = Duration::from_secs(15);
/// One connection, however many tokens come over it.
const CONNECTION: Duration = Duration::from_secs(600);
const BACK_OFF: Duration = Duration::from_millis(100);
