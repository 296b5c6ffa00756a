//! `clinch injector audit`: which pods run without the sidecar that they should have.

use super::{NO_NAMESPACE, load};
use crate::cli::EX_USAGE;
use crate::cli::check::print;
use crate::cli::run::say;
use crate::config::ApiServer;
use crate::inject::api::{Api, own_namespace};
use crate::inject::audit::{Audit, Mistyped, audit};
use comfy_table::{Table, TableStyle};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `clinch injector audit`.
#[derive(clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// The injector's configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print JSON, for machines
    #[arg(long)]
    json: bool,
    /// The API server, such as https://127.0.0.1:6443; without it, that of the configuration or of the cluster
    #[arg(long, value_name = "URL", requires = "token_file")]
    server: Option<http::Uri>,
    /// A file with a bearer token, such as `kubectl create token` prints
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A PEM file of the API server's authorities; without it, with --server, those that the system trusts
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    let config = match load(&arguments.config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let Some(own) = config.namespace.clone().or_else(own_namespace) else {
        say(format_args!("{NO_NAMESPACE}"));
        return ExitCode::from(EX_USAGE);
    };
    if let Some(server) = arguments.server.as_ref().filter(|server| server.scheme_str() != Some("https")) {
        say(format_args!("clinch: --server {server}: the token is sent over https only"));
        return ExitCode::from(EX_USAGE);
    }
    let written = config.kubernetes;
    let outside = arguments.server.is_some();
    let place = ApiServer {
        server: arguments.server.clone().or(written.server),
        token_file: arguments.token_file.clone().or(written.token_file),
        ca: arguments.ca.clone().or(if outside { None } else { written.ca }),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let audited = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let api = Api::new(&place)?;
        Ok(runtime.block_on(audit(&api, &config.template, &own))?)
    });
    match audited {
        Ok(audit) => tell(&audit, arguments.json),
        Err(error) => {
            say(format_args!("clinch: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Exit code 1 if there is any.
fn tell(audit: &Audit, as_json: bool) -> ExitCode {
    let text = if as_json { format!("{:#}\n", serde_json::json!(audit)) } else { table(audit) };
    let printed = print(&text);
    if audit.is_clean() { printed } else { ExitCode::FAILURE }
}

fn table(audit: &Audit) -> String {
    let line = |namespace: &Mistyped| {
        format!(
            "namespace {}: label clinch.dev/inject: found `{}`, expected `enabled` or `disabled`: its pods are not guarded\n",
            namespace.name, namespace.label
        )
    };
    let mistyped: String = audit.namespaces.iter().map(line).collect();
    if audit.pods.is_empty() {
        return format!("{mistyped}all {} pods that should be guarded are\n", audit.judged);
    }
    let mut table = Table::new();
    table.load_style(TableStyle::new()).force_no_tty();
    table.set_header(["NAMESPACE", "POD", "PHASE", "REASON"]);
    for pod in &audit.pods {
        // A pod's author must not drive a terminal.
        let reason: String = pod.reasons.join("; ").chars().filter(|c| !c.is_control()).collect();
        table.add_row([&pod.namespace, &pod.name, &pod.phase, &reason]);
    }
    format!(
        "{mistyped}{table}\n\n{} of {} pods that should be guarded are not\n",
        audit.pods.len(),
        audit.judged
    )
}

const AFTER_HELP: &str = "\
It looks at pods that are not finished: those of namespaces with the label clinch.dev/inject=enabled, and those that have this \
label or annotation themselves. Namespaces whose label has another value than enabled or disabled are listed, too. It needs to list \
namespaces and pods. With --json, one object: judged, a number; pods, a list of objects with namespace, name, phase and reasons; \
and namespaces, a list of objects with name and label. Exit code 0 if all are guarded, 1 if a pod is not, if a label is mistyped, \
or if the API server can't be asked.";
