//! `clinch injector` as a process: what it answers, how it keeps its certificates, which pods it finds unguarded.

mod audit;
mod certificates;
mod hostile;
mod load;
mod reviews;
mod rotation;
mod shares;
mod wire;

use crate::support::pki::Identity;
use crate::support::reviewer::Client;

/// For a client of the webhook.
fn client(identity: &Identity) -> Client {
    identity.der()
}
