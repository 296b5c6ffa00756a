//! Traces, from the caller to the service, as a collector gets them from the shipped binary.

mod context;
mod decisions;
mod passing;
mod sampling;

use crate::support::clinch::{Clinch, command};
use crate::support::echo::Echo;
use crate::support::issuer::Issuer;
use crate::support::otlp::Collector;
use crate::support::pki::Pki;
use crate::support::program::Program;
use crate::support::proof::{Proof, ProofKey};
use crate::support::temporary::Folder;
use crate::support::wire::{Answer, Caller, get, plain_get};
use crate::support::world::{config, url, write};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";
const PATH: &str = "/accounts/1";
const SERVER: &str = "GET /accounts/{*rest}";

/// The parts, running.
struct Traced {
    pki: Pki,
    issuer: Issuer,
    service: Echo,
    collector: Collector,
    clinch: Clinch,
    key: ProofKey,
    folder: Folder,
}

impl Traced {
    /// With these keys of `telemetry` besides `otlp`, over HTTP.
    async fn start(telemetry: &str) -> Traced {
        Traced::with(telemetry, |text| text).await
    }

    /// The same with the config changed.
    async fn with(telemetry: &str, change: impl Fn(String) -> String) -> Traced {
        let (pki, collector) = (Pki::new(), Collector::start().await);
        let endpoint = format!("otlp: 'http://{}'", collector.address);
        Traced::before(pki, collector, &format!("{endpoint}, {telemetry}"), change).await
    }

    async fn before(
        pki: Pki,
        collector: Collector,
        telemetry: &str,
        change: impl Fn(String) -> String,
    ) -> Traced {
        let folder = Folder::new();
        let (issuer, service) = (Issuer::start(&pki).await, Echo::start().await);
        let text = config(&issuer.name, &service.address.to_string());
        let text = change(format!("{text}telemetry: {{ {telemetry} }}\n"));
        let config = write(&folder, &pki, &text);
        let mut command = command();
        // What the system trusts, for the collector's certificate, where the configuration says nothing of that.
        let trusted = if telemetry.contains("otlp_ca") { "nothing" } else { "ca.crt" };
        command.env("SSL_CERT_FILE", config.parent().unwrap().join(trusted));
        command.env("STATE_DIRECTORY", config.parent().unwrap());
        command.env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test");
        command.env("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=a%20key");
        let clinch = Clinch::of(Program::start(command.args(["run", "--config"]).arg(config))).await;
        Traced { pki, issuer, service, collector, clinch, key: ProofKey::new(), folder }
    }

    fn token(&self) -> String {
        self.issuer.sign(&self.issuer.token_for(&self.key))
    }

    fn caller(&self) -> Caller {
        Caller::new(self.clinch.address, &self.pki, None)
    }

    /// A GET with a token, a fresh proof and these fields, in this trace or in none.
    async fn get(&self, token: &str, trace: Option<&str>, more: &[(&str, &str)]) -> Answer {
        let proof = Proof::new(&self.key, "GET", &url(PATH), token).sign(&self.key);
        self.get_with_proof(token, &proof, trace, more).await
    }

    async fn get_with_proof(
        &self,
        token: &str,
        proof: &str,
        trace: Option<&str>,
        more: &[(&str, &str)],
    ) -> Answer {
        let authorization = format!("DPoP {token}");
        let parent = trace.map(|trace| format!("00-{trace}-{CALLER}-01"));
        let mut fields = vec![("Authorization", authorization.as_str()), ("DPoP", proof)];
        fields.extend(parent.as_deref().map(|parent| ("traceparent", parent)));
        fields.extend(more);
        self.caller().send(&get(&format!("{PATH}?secret=in-the-query"), &fields)).await
    }

    /// What the service was told at last.
    fn told(&self, field: &str) -> Option<String> {
        self.service.received().last().and_then(|received| received.header(field).map(str::to_owned))
    }

    /// The value of one line of the metrics, zero if it is not there.
    async fn metric(&self, line: &str) -> u64 {
        let page = plain_get(self.clinch.admin, "/metrics").await.expect("metrics").body;
        page.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok()).unwrap_or_default()
    }
}
