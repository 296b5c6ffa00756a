//! What the author of a pod chose, by annotations `clinch.dev/…`, within what the operator's template allows.
//!
//! Every annotation is known and every value is valid, or the pod is refused: a mistyped one would otherwise leave open what
//! was to be closed. There is none that lets requests through when clinch fails. What ports mean in this pod is decided in
//! [`ports`](super::ports).

use super::names::{PREFIX, is_label, is_port_name, is_subdomain, is_variable};
use super::ports::{Excluded, number};
use super::quantity::billionths;
use super::said::Said;
use super::seen::Seen;
use crate::config::pod::{LOG_LEVELS, PodMode};
use crate::config::template::{Resources, Template};
use crate::config::words::{nearest, quoted};

/// What the template says, and the annotations of one pod.
#[derive(Debug)]
pub(super) struct Settings {
    /// `clinch.dev/mode`
    pub(super) mode: PodMode,
    /// `clinch.dev/port`
    pub(super) port: Option<Port>,
    /// `clinch.dev/upstream-port`
    pub(super) upstream: Option<u16>,
    /// `clinch.dev/exclude-ports`
    pub(super) excluded: Excluded,
    /// `clinch.dev/config-map`
    pub(super) config_map: String,
    /// `clinch.dev/certificates`
    pub(super) secret: Option<String>,
    /// `clinch.dev/image`
    pub(super) image: String,
    /// `clinch.dev/cpu-request` and its kind
    pub(super) resources: Resources,
    /// `clinch.dev/log-level`
    pub(super) log_level: Option<String>,
    /// `clinch.dev/observe`
    pub(super) observe: bool,
    /// `clinch.dev/app-env`
    pub(super) app_env: Vec<(String, String)>,
}

/// A port as it is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Port {
    /// By its number.
    Number(u16),
    /// By the name that a container gives it.
    Name(String),
}

impl Settings {
    /// Reads them. What is wrong is said, and the template's value stands in for it.
    pub(super) fn read(seen: &Seen<'_>, template: &Template, said: &mut Said) -> Settings {
        let mut settings = Settings::of(template);
        for (key, value) in seen.annotations() {
            if let Some(name) = key.strip_prefix(PREFIX) {
                settings.take(name, value, template, said);
            }
        }
        for name in seen.labels().keys().filter_map(|key| key.strip_prefix(PREFIX)) {
            if name != "inject" {
                said.fault(format!(
                    "label {}: expected an annotation; only clinch.dev/inject may be a label",
                    key(name)
                ));
            }
        }
        settings.requests_are_within_limits(said);
        settings
    }

    fn of(template: &Template) -> Settings {
        Settings {
            mode: template.mode,
            port: None,
            upstream: None,
            excluded: Excluded::default(),
            config_map: template.config_map.clone(),
            secret: template.certificates.secret.clone(),
            image: template.image.clone(),
            resources: template.resources.clone(),
            log_level: None,
            observe: false,
            app_env: Vec::new(),
        }
    }

    fn take(&mut self, name: &str, value: &str, template: &Template, said: &mut Said) {
        let key = key(name);
        let expected = match name {
            "inject" | "injected" => None,
            "mode" => self.mode(value),
            "port" => self.port(value),
            "upstream-port" => or(number(value).map(|port| self.upstream = Some(port)), A_PORT),
            "exclude-ports" => {
                self.excluded = Excluded::read(&key, value, said);
                None
            }
            "config-map" => or(is_subdomain(value).then(|| value.clone_into(&mut self.config_map)), A_NAME),
            "certificates" => self.certificates(value, template),
            "image" => self.image(value, template),
            "cpu-request" => quantity(value, &mut self.resources.cpu_request),
            "cpu-limit" => quantity(value, &mut self.resources.cpu_limit),
            "memory-request" => quantity(value, &mut self.resources.memory_request),
            "memory-limit" => quantity(value, &mut self.resources.memory_limit),
            "log-level" => {
                or(LOG_LEVELS.contains(&value).then(|| self.log_level = Some(value.to_owned())), A_LEVEL)
            }
            "observe" => self.observe(value, template),
            "app-env" => self.app_env(value),
            unknown => return said.fault(stranger(unknown)),
        };
        if let Some(expected) = expected {
            said.wrong(&key, value, expected);
        }
    }

    fn observe(&mut self, value: &str, template: &Template) -> Option<&'static str> {
        self.observe = match value {
            "true" if template.observe => true,
            "true" => return Some("`false`: pods may not be observed only (template.observe)"),
            "false" => false,
            _ => return Some("`true` or `false`"),
        };
        None
    }

    fn mode(&mut self, value: &str) -> Option<&'static str> {
        self.mode = match value {
            "port" => PodMode::Port,
            "redirect" => PodMode::Redirect,
            _ => return Some("`port` or `redirect`"),
        };
        None
    }

    fn port(&mut self, value: &str) -> Option<&'static str> {
        self.port = match number(value) {
            Some(number) => Some(Port::Number(number)),
            None if is_port_name(value) => Some(Port::Name(value.to_owned())),
            None => return Some("the number, from 1 to 65535, or the name of one port"),
        };
        None
    }

    fn certificates(&mut self, value: &str, template: &Template) -> Option<&'static str> {
        if template.certificates.csi.is_some() || template.certificates.spiffe {
            return Some("none: the template takes certificates from elsewhere than a Secret");
        }
        or(is_subdomain(value).then(|| self.secret = Some(value.to_owned())), A_NAME)
    }

    fn image(&mut self, value: &str, template: &Template) -> Option<&'static str> {
        or(
            accepted(value, template).then(|| value.clone_into(&mut self.image)),
            "an image that the template accepts",
        )
    }

    fn app_env(&mut self, value: &str) -> Option<&'static str> {
        let pairs = value.split(',').map(|pair| pair.trim().split_once('='));
        let named =
            |(name, value): (&str, &str)| is_variable(name).then(|| (name.to_owned(), value.to_owned()));
        let Some(read) = pairs.map(|pair| pair.and_then(named)).collect::<Option<Vec<_>>>() else {
            return Some("NAME=VALUE,NAME=VALUE");
        };
        let mut names: Vec<&str> = read.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        if names.windows(2).any(|two| two[0] == two[1]) {
            return Some("each name once");
        }
        self.app_env = read;
        None
    }

    fn requests_are_within_limits(&self, said: &mut Said) {
        let Resources { cpu_request, cpu_limit, memory_request, memory_limit } = &self.resources;
        for (what, request, limit) in
            [("cpu", cpu_request, cpu_limit), ("memory", memory_request, memory_limit)]
        {
            let (Some(request), Some(limit)) = (request, limit) else { continue };
            if billionths(request) > billionths(limit) {
                said.wrong(
                    &key(&format!("{what}-request")),
                    request,
                    &format!("at most the limit {}", quoted(limit)),
                );
            }
        }
    }
}

/// Whether the operator lets pods have this image.
pub(super) fn accepted(image: &str, template: &Template) -> bool {
    let matches = |pattern: &String| match pattern.strip_suffix('*') {
        Some(beginning) => image.starts_with(beginning),
        None => image == pattern,
    };
    image == template.image || template.accepted_images.iter().any(matches)
}

fn quantity(value: &str, into: &mut Option<String>) -> Option<&'static str> {
    or(billionths(value).map(|_| *into = Some(value.to_owned())), "a quantity such as 50m or 64Mi")
}

/// What was expected, unless it was found.
fn or(found: Option<()>, expected: &'static str) -> Option<&'static str> {
    found.is_none().then_some(expected)
}

/// An annotation that we don't know.
fn stranger(name: &str) -> String {
    let letters: String = name.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_lowercase();
    if OPEN.iter().any(|open| letters.contains(open)) {
        return format!("{}: there is no such thing: when clinch fails, nothing gets through", key(name));
    }
    match nearest(name, &KNOWN) {
        Some(known) => format!("{}: unknown annotation; did you mean clinch.dev/{known}?", key(name)),
        None => format!("{}: unknown annotation; known are {}", key(name), KNOWN.join(", ")),
    }
}

/// For people: a key's name may hold little, but what comes here has been checked by nobody.
fn key(name: &str) -> String {
    let plain = name.len() < 64
        && name.split('.').all(|part| part.split('_').all(|word| is_label(&word.to_lowercase())));
    if plain { format!("{PREFIX}{name}") } else { quoted(&format!("{PREFIX}{name}")) }
}

const KNOWN: [&str; 16] = [
    "inject",
    "mode",
    "port",
    "upstream-port",
    "exclude-ports",
    "config-map",
    "certificates",
    "image",
    "cpu-request",
    "cpu-limit",
    "memory-request",
    "memory-limit",
    "log-level",
    "observe",
    "app-env",
    "injected",
];
/// What those are called, elsewhere, who let everything through when they fail.
const OPEN: [&str; 4] = ["failopen", "failurepolicy", "failmode", "onfailure"];
const A_LEVEL: &str = "`error`, `warn`, `info`, `debug` or `trace`";
const A_PORT: &str = "a number from 1 to 65535";
const A_NAME: &str = "a name such as `clinch` (RFC 1123: a-z, 0-9, `-`, `.`)";
