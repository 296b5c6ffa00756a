//! `clinch inject`: manifests in, the same manifests with the sidecar out, for those who deploy from a repository.
//!
//! What is done to a pod is what the webhook does to it; here it is done before, where it can be reviewed. Nothing is printed
//! to standard output unless all of it can be.

mod diff;

use super::EX_USAGE;
use super::check::print;
use crate::config::Injector;
use crate::config::template::Template;
use crate::inject::manifest::{self, Injected, Remark, Settings};
use crate::inject::patch::patch;
use crate::inject::token::token;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `clinch inject`.
#[derive(clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// The manifests, YAML or JSON; - is standard input
    #[arg(short, long, value_name = "FILE")]
    filename: PathBuf,
    /// The injector's configuration, whose template sidecars are made of
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The namespace of objects that name none
    #[arg(short, long, value_name = "NAME", default_value = "default")]
    namespace: String,
    /// Print what changes, as a unified diff
    #[arg(long)]
    diff: bool,
}

pub(super) fn main(arguments: &Arguments) -> ExitCode {
    let (template, own) = match operators(arguments.config.as_deref()) {
        Ok(both) => both,
        Err(code) => return code,
    };
    let name = arguments.filename.display().to_string();
    let text = match read(&arguments.filename) {
        Ok(text) => text,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "error: {name} can't be read: {why}");
            return ExitCode::from(EX_USAGE);
        }
    };
    let Some(token) = token() else {
        let _ = writeln!(std::io::stderr(), "error: the system has no randomness");
        return ExitCode::FAILURE;
    };
    let settings =
        Settings { namespace: &arguments.namespace, own: &own, template: &template, token: &token };
    match manifest::inject(&text, &settings, &patch) {
        Ok(Injected { text: new, notes }) => {
            tell(&name, "warning: ", &notes);
            let coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            print(&if arguments.diff { diff::unified(&name, &text, &new, coloured) } else { new })
        }
        Err(refusals) => {
            tell(&name, "", &refusals);
            ExitCode::FAILURE
        }
    }
}

/// `FILE:LINE: document N, KIND/NAME: why`, a line each, as compilers write.
fn tell(file: &str, kind: &str, remarks: &[Remark]) {
    for remark in remarks {
        let _ = writeln!(std::io::stderr(), "{kind}{file}:{remark}");
    }
}

/// The template and the injector's own namespace. Without a configuration whoever wrote the manifests may opt out: nobody
/// has said that they may not.
fn operators(config: Option<&Path>) -> Result<(Template, String), ExitCode> {
    let Some(config) = config else {
        return Ok((Template { opt_out: true, ..Template::default() }, OWN.to_owned()));
    };
    let read = Injector::load_template(config);
    read.map(|(template, own)| (template, own.unwrap_or_else(|| OWN.to_owned()))).map_err(|problems| {
        let _ = writeln!(std::io::stderr(), "{problems}");
        ExitCode::from(EX_USAGE)
    })
}

fn read(file: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LARGEST {
        return Err("it is larger than 64 MiB".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

/// Where the injector runs unless its configuration says otherwise.
const OWN: &str = "clinch-system";
/// The manifests of many clusters, and an end to reading `/dev/zero`.
const LARGEST: u64 = 64 << 20;
const AFTER_HELP: &str = "\
Pods and the templates of Deployments, StatefulSets, DaemonSets, ReplicaSets, ReplicationControllers, Jobs, CronJobs and \
PodTemplates get the sidecar, in lists and in files of several documents, too; everything else passes as it is, and so do \
objects that say clinch.dev/inject: disabled (with --config, only where it allows that). Comments and layout stay. JSON \
gives JSON. A second time nothing changes. Exit code 1 and nothing printed if a single object is refused; 64 if a file \
can't be read.";
