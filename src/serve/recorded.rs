//! What is recorded of configurations: counted, and told to the audit log.

use super::Server;
use crate::config::Config;
use crate::state::audit::{Audit, Event};
use crate::telemetry::{Reloaded, Telemetry};

/// The audit log, begun with the configuration that is put in force now.
pub(super) fn begin(config: &Config, telemetry: &Telemetry) -> anyhow::Result<Audit> {
    let Some(kept) = &config.audit else { return Ok(Audit::off()) };
    let audit = Audit::start(kept, FIRST, &telemetry.metrics.audit)?;
    let digest = Some(config.written.digest());
    audit.tell(Event::Config { generation: FIRST, result: Reloaded::Applied, digest });
    Ok(audit)
}

impl Server {
    /// Records that there is a new configuration, and that it is at fault.
    pub fn reload_refused(&self) {
        self.reloaded(Reloaded::Refused, None);
    }

    /// Records how a reload ended; `digest`: SHA-256 of the new file, where it could be read.
    pub(super) fn reloaded(&self, result: Reloaded, digest: Option<[u8; 32]>) {
        let generation = self.generation();
        self.lasting.telemetry.metrics.reloads.ended(result, generation);
        self.lasting.audit.tell(Event::Config { generation, result, digest });
    }
}

/// The number of the configuration that a process starts with.
const FIRST: u64 = 1;
