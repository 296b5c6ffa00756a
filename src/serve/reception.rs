//! What comes before a connection's first request: who it is from, whether its address may have another one, and the TLS
//! handshake. Each has its time, and while it goes on the connection is an [arrival](super::arrivals). When the sidecar
//! stops there is less of it: an arrival has asked for nothing yet, so nothing is lost, and the stop would wait for it.

use super::connection::{LAST_WORDS, Phase};
use super::listener::Listener;
use super::peers::Place;
use super::proxy_protocol::{self, Source};
use super::sockets;
use super::tls::{self, Handshake};
use crate::config::Limits;
use crate::state::audit::Event;
use crate::state::rates::network;
use crate::telemetry;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// A connection with its handshake behind it.
pub(super) struct Introduced {
    pub(super) source: Source,
    pub(super) handshake: Handshake,
    pub(super) told: Option<telemetry::Handshake>,
    pub(super) limits: Limits,
    pub(super) place: Place,
}

impl Listener {
    /// Nothing for those who are turned away, and have been told of where they should be.
    pub(super) async fn received(&self, stream: TcpStream, peer: SocketAddr) -> Option<Introduced> {
        let _ = stream.set_nodelay(true);
        let mut arrival = self.arrivals.enter(network(peer.ip()));
        let speaks = AtomicBool::new(false);
        tokio::select! {
            biased;
            introduced = self.introduced(stream, peer, &speaks) => introduced,
            () = self.overtaken(&speaks) => {
                tracing::debug!(%peer, "no time left for a connection without a handshake");
                None
            }
            () = arrival.sent_away() => {
                self.telemetry.metrics.connection_refused("crowded_out");
                tracing::debug!(%peer, "no room for a connection without a handshake");
                None
            }
        }
    }

    /// Returns when the sidecar stops and the client says nothing all the same, or is not done soon.
    async fn overtaken(&self, speaks: &AtomicBool) {
        let _ = self.phase.clone().wait_for(|phase| *phase != Phase::Running).await;
        sleep(FIRST_WORD).await;
        if speaks.load(Relaxed) {
            sleep(LAST_WORDS).await;
        }
    }

    /// `speaks`: whether anything came of the client itself.
    async fn introduced(
        &self,
        mut stream: TcpStream,
        peer: SocketAddr,
        speaks: &AtomicBool,
    ) -> Option<Introduced> {
        let proxy = self.current.proxy().clone();
        let limits = proxy.limits;
        let _ = sockets::wait_as_long(&stream, limits.idle_timeout);
        let source = Source::of(peer, &proxy.balancers, &mut stream);
        let source = match timeout(limits.header_timeout, source).await {
            Ok(Ok(source)) => source,
            Ok(Err(error)) => return self.nobody_told(peer, &error),
            Err(_) => return self.nobody_told(peer, &io::ErrorKind::TimedOut.into()),
        };
        drop(proxy);
        let address = source.client;
        let Some(place) = self.peers.enter(address.ip()) else {
            self.telemetry.metrics.connection_refused("connections_per_peer");
            tracing::debug!(peer = %address, "too many connections of this address");
            return None;
        };
        let began = self.telemetry.metrics.tracer.clock();
        let (handshake, told) =
            match timeout(limits.header_timeout, self.handshake(stream, address, speaks)).await {
                Ok(Ok(handshake)) => handshake,
                Ok(Err(error)) => return self.handshake_failed(source, began, &error),
                Err(_) => return self.handshake_failed(source, began, &io::ErrorKind::TimedOut.into()),
            };
        Some(Introduced { source, handshake, told, limits, place })
    }

    /// A balancer did not say whose connection it is.
    fn nobody_told<T>(&self, peer: SocketAddr, error: &io::Error) -> Option<T> {
        let reason = proxy_protocol::failure(error);
        self.telemetry.metrics.proxy_protocol_failed(reason);
        match reason {
            "broken_off" => tracing::debug!(%peer, reason, "no PROXY protocol header"),
            _ => tracing::info!(%peer, reason, "no PROXY protocol header"),
        }
        None
    }

    /// Who says nothing takes no place from those who do (DS-003).
    async fn handshake(
        &self,
        stream: TcpStream,
        client: SocketAddr,
        speaks: &AtomicBool,
    ) -> io::Result<(Handshake, Option<telemetry::Handshake>)> {
        stream.peek(&mut [0]).await?;
        speaks.store(true, Relaxed);
        let began = self.telemetry.metrics.tracer.clock();
        let accepted = async {
            let begun = Instant::now();
            let handshake = self.current.tls.accept(stream).await?;
            let (is_tls13, is_resumed) = (handshake.is_tls13(), handshake.is_resumed());
            self.telemetry.metrics.handshaken.done(is_tls13, is_resumed, begun.elapsed());
            Ok(handshake)
        };
        let done = self.handshakes.take(network(client.ip()), accepted).await?;
        let told = began.map(|began| done.told(began));
        Ok((done, told))
    }

    /// A peer that broke off is no news; one that was refused may be wondering why.
    fn handshake_failed<T>(&self, source: Source, began: Option<SystemTime>, error: &io::Error) -> Option<T> {
        let (peer, reason) = (source.client, tls::failure(error));
        self.telemetry.metrics.tracer.handshake_failed(began, source.peer, reason);
        self.telemetry.metrics.handshake_failed(reason);
        let refused = tls::Refused::of(error);
        if let Some(refused) = refused {
            let gate = &self.current.proxy().gate;
            gate.rates.failed(peer.ip(), Instant::now());
            let (reason, thumbprint) = (refused.reason(), refused.thumbprint);
            let generation = gate.generation;
            gate.audit.tell(Event::Handshake { peer, reason, thumbprint, generation });
        }
        if !self.telemetry.is_worth_a_line(reason, peer.ip()) {
            return None;
        }
        let certificate = refused.and_then(|refused| refused.thumbprint);
        let certificate = certificate.as_ref().and_then(|text| std::str::from_utf8(text).ok());
        match reason {
            "broken_off" | "timeout" => tracing::debug!(%peer, reason, %error, "TLS handshake failed"),
            _ => tracing::info!(%peer, reason, certificate, %error, "TLS handshake failed"),
        }
        None
    }
}

/// How long a client has to say anything when the sidecar stops: what is accepted last may have come just now, from a
/// busy machine.
const FIRST_WORD: Duration = Duration::from_secs(2);
