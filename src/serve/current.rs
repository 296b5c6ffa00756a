//! The configuration in force, and what each open connection makes of it.
//!
//! A reload makes a new [`Proxy`] as a whole and puts it here. Connections stay: each judges its client anew before
//! its next request, by the authorities, lists and routes of now (CF-007, TL-020). A request keeps the
//! configuration that it began under.

use super::activity::Activity;
use super::caller::Caller;
use super::forwarded::Hop;
use super::proxy::{Peer, Proxy, now};
use super::proxy_protocol::Source;
use super::tls::{Chain, Terminator, Terms};
use crate::pop::mtls::ClientCertificate;
use crate::state::audit::Event;
use arc_swap::{ArcSwap, Guard};
use parking_lot::{Mutex, RwLock};
use slab::Slab;
use std::sync::{Arc, Weak};
use tokio::task::spawn_blocking;

/// The configuration in force.
#[derive(Debug)]
pub(super) struct Current {
    proxy: ArcSwap<Proxy>,
    /// What connections begin with.
    pub(super) tls: Terminator,
    seats: Mutex<Slab<Weak<Seat>>>,
}

/// A client's connection, as its requests find it.
#[derive(Debug)]
pub(super) struct Seat {
    current: Arc<Current>,
    number: usize,
    activity: Arc<Activity>,
    source: Source,
    /// What the client showed in the handshake.
    chain: Chain,
    peer: RwLock<Seated>,
}

#[derive(Clone, Debug)]
struct Seated {
    peer: Arc<Peer>,
    terms: Arc<Terms>,
    own: Own,
}

/// The client's certificate, if it showed one, or that it is welcome no longer.
type Own = Result<Option<Arc<ClientCertificate>>, ()>;

impl Current {
    pub(super) fn new(proxy: Proxy, tls: Terminator) -> Arc<Current> {
        Arc::new(Current { proxy: ArcSwap::from_pointee(proxy), tls, seats: Mutex::default() })
    }

    /// What requests are judged by now.
    pub(super) fn proxy(&self) -> Guard<Arc<Proxy>> {
        self.proxy.load()
    }

    /// From now on, this, under other TLS terms if there are any.
    pub(super) fn replace(self: &Arc<Self>, proxy: Arc<Proxy>, terms: Option<Arc<Terms>>) {
        self.proxy.store(proxy);
        if let Some(terms) = terms {
            self.renew(terms);
        }
        self.review();
    }

    /// From now on, other TLS terms.
    pub(super) fn renew_tls(self: &Arc<Self>, terms: Arc<Terms>) {
        self.renew(terms);
        self.review();
    }

    fn renew(&self, terms: Arc<Terms>) {
        let is_new = terms.own != self.tls.terms().own;
        self.tls.renew(terms);
        if is_new {
            self.tell_certificate();
        }
    }

    /// Which certificate we show, for the audit log.
    pub(super) fn tell_certificate(&self) {
        let terms = self.tls.terms();
        if let Some((thumbprint, not_after)) = terms.own.zip(terms.expires_at) {
            self.proxy().gate.audit.tell(Event::Certificate { thumbprint, not_after });
        }
    }

    /// Judges everybody who is connected by what is in force, its time included: an idle connection would keep the generation before alive,
    /// with its index and its feed. Off the threads that serve, for chains of thousands of clients take a while; who
    /// asks meanwhile is judged first.
    fn review(self: &Arc<Self>) {
        let current = Arc::clone(self);
        spawn_blocking(move || {
            let seats: Vec<_> = current.seats.lock().iter().filter_map(|(_, seat)| seat.upgrade()).collect();
            for seat in seats {
                drop(seat.peer());
                seat.activity.supervisor.wake();
            }
        });
    }
}

impl Seat {
    /// A client that has just connected, welcome under these terms.
    pub(super) fn new(
        current: Arc<Current>,
        activity: Arc<Activity>,
        source: Source,
        chain: Chain,
        terms: Arc<Terms>,
    ) -> Arc<Seat> {
        let own = terms.certificate(&chain);
        let peer = seated(&current.proxy(), &activity, source, Ok(own.clone()));
        let peer = RwLock::new(Seated { peer, terms, own: Ok(own) });
        let among = Arc::clone(&current);
        let mut seats = among.seats.lock();
        let entry = seats.vacant_entry();
        let seat = Arc::new(Seat { current, number: entry.key(), activity, source, chain, peer });
        entry.insert(Arc::downgrade(&seat));
        seat
    }

    /// The client as it is to be judged now.
    pub(super) fn peer(&self) -> Arc<Peer> {
        let (proxy, terms) = (self.current.proxy(), self.current.tls.terms());
        let known = self.peer.read();
        if Arc::ptr_eq(&known.peer.proxy, &proxy) && Arc::ptr_eq(&known.terms, &terms) {
            return Arc::clone(&known.peer);
        }
        let judged = Arc::ptr_eq(&known.terms, &terms).then(|| known.own.clone());
        drop(known);
        let own = judged.unwrap_or_else(|| self.judge(&terms));
        let peer = seated(&proxy, &self.activity, self.source, own.clone());
        *self.peer.write() = Seated { peer: Arc::clone(&peer), terms: Arc::clone(&terms), own };
        peer
    }

    fn judge(&self, terms: &Terms) -> Own {
        match terms.still_welcome(&self.chain) {
            Ok(()) => Ok(terms.certificate(&self.chain)),
            Err(error) => {
                tracing::info!(peer = %self.source.client, %error, "a client certificate is accepted no longer");
                Err(())
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.current.seats.lock().try_remove(self.number);
    }
}

fn seated(proxy: &Arc<Proxy>, activity: &Arc<Activity>, source: Source, own: Own) -> Arc<Peer> {
    let caller = match own {
        Ok(own) => Caller::new(source, own, &proxy.terminators, now()),
        Err(()) => Caller::unwelcome(),
    };
    let address = source.client;
    let hop = Hop::new(address, &proxy.hosts);
    let (proxy, activity) = (Arc::clone(proxy), Arc::clone(activity));
    Arc::new(Peer { proxy, activity, address, socket: source.peer, caller, hop })
}
