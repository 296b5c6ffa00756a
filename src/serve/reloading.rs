//! Another configuration for a running server: put in force as a whole, or not at all.

use super::Server;
use crate::config::Config;
use crate::telemetry::Reloaded;
use std::sync::Arc;

impl Server {
    /// Puts a new configuration in force. Open connections and requests in flight stay. Returns the keys
    /// whose change has to wait for the next start.
    ///
    /// # Errors
    /// Something of it can't be started, or is not ready in time: then the old one stays in force as a whole.
    pub async fn reload(&self, config: Config) -> anyhow::Result<Vec<&'static str>> {
        let _one_at_a_time = self.reloading.lock().await;
        let digest = Some(config.written.digest());
        let ended = self.put_in_force(config).await;
        let how = match &ended {
            Ok(waiting) if waiting.is_empty() => Reloaded::Applied,
            Ok(_) => Reloaded::InPart,
            Err(_) => Reloaded::Refused,
        };
        self.reloaded(how, digest);
        ended
    }

    /// Keeps the configuration in force, read anew, where it holds other TLS files now: lists of revoked certificates and
    /// renewed ones do not wait until a fault of the configuration after it is mended. Whether there were any.
    ///
    /// # Errors
    /// As for [`reload`](Server::reload).
    pub async fn renew(&self, config: Config) -> anyhow::Result<bool> {
        let _one_at_a_time = self.reloading.lock().await;
        let digest = config.written.digest();
        if !self.current.proxy().has_other_tls(&config) {
            return Ok(false);
        }
        self.put_in_force(config).await?;
        self.reloaded(Reloaded::Renewed, Some(digest));
        Ok(true)
    }

    async fn put_in_force(&self, config: Config) -> anyhow::Result<Vec<&'static str>> {
        let before = self.current.proxy().clone();
        let waiting = self.lasting.written.needing_restart(&config.written);
        if before.made_of.tls.own.is_of_files() != config.listen.tls.own.is_of_files() {
            anyhow::bail!("listen.tls: another source of certificates needs a restart");
        }
        let other_tls = before.has_other_tls(&config);
        let terms = match self.workload {
            None if other_tls => Some(self.current.tls.draft(&config.listen.tls)?),
            None | Some(_) => None,
        };
        let next = Arc::new(before.next(config, &self.lasting).await?);
        if let Some(workload) = self.workload.as_ref().filter(|_| other_tls) {
            workload.renew(&next.made_of.tls)?;
        }
        if let Some((push, _)) = &self.push {
            push.renew(&next.made_of, &next.gate.revocations)?;
        }
        self.current.replace(Arc::clone(&next), terms);
        next.gate.tokens.take_over(&before.gate.tokens);
        self.room.resize(next.limits.connections);
        next.upstream.takes_effect();
        Ok(waiting)
    }
}
