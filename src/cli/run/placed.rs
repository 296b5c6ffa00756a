//! What a run is told: its file, and in a pod what the injector says of that ([`Placement`]), at the start and at each
//! reload alike.

use super::Arguments;
use crate::config::{Config, Placement, Problems, pod};
use std::path::PathBuf;

/// A configuration file and its place.
#[derive(Clone)]
pub(super) struct Placed {
    file: PathBuf,
    placement: Option<Placement>,
}

impl Placed {
    /// By arguments, or by the environment where they are silent. Half of a place is a fault: without the other half clinch
    /// would listen somewhere else.
    ///
    /// # Errors
    /// In words.
    pub(super) fn named(arguments: &Arguments) -> Result<Placed, String> {
        let placement = match (given(&arguments.pod, pod::POD)?, given(&arguments.pod_ips, pod::POD_IPS)?) {
            (Some(pod), Some(ips)) => Some(Placement::read(&pod, &ips).map_err(said)?),
            (None, None) => None,
            (Some(_), None) => return Err(said(format!("{} needs {}", pod::POD, pod::POD_IPS))),
            (None, Some(_)) => return Err(said(format!("{} needs {}", pod::POD_IPS, pod::POD))),
        };
        Ok(Placed { file: arguments.config.clone(), placement })
    }

    /// # Errors
    /// Every fault of the file, or one of the place, in words.
    pub(super) fn load(&self) -> Result<Config, String> {
        self.place(Config::load(&self.file))
    }

    /// The same of a text as if it stood in the file.
    pub(super) fn parse(&self, text: &str) -> Result<Config, String> {
        self.place(Config::parse(text, &self.file))
    }

    fn place(&self, checked: Result<Config, Problems>) -> Result<Config, String> {
        let mut config = checked.map_err(|problems| problems.to_string())?;
        if let Some(placement) = &self.placement {
            placement.apply(&mut config).map_err(said)?;
        }
        Ok(config)
    }
}

fn given(argument: &Option<String>, name: &str) -> Result<Option<String>, String> {
    match (argument, std::env::var_os(name)) {
        (Some(text), _) => Ok(Some(text.clone())),
        (None, Some(text)) => text.into_string().map(Some).map_err(|_| said(format!("{name} is no text"))),
        (None, None) => Ok(None),
    }
}

fn said(fault: String) -> String {
    format!("clinch: {fault}")
}
