//! What the system knows of this process, under the names that Prometheus' client libraries share. Read from
//! `/proc` when the page is; what can't be read is not there.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

/// Reads them.
#[derive(Debug)]
pub(super) struct Process {
    started: f64,
}

impl Process {
    /// Of a process that starts now.
    pub(super) fn starting() -> Process {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Process { started: since_1970.as_secs_f64() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut gauge = |name, help, value: Option<f64>| {
            let Some(value) = value else { return Ok(()) };
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        gauge("process_resident_memory_bytes", "Memory in use.", kibibytes(&status, "VmRSS:"))?;
        gauge("process_virtual_memory_bytes", "Addresses in use.", kibibytes(&status, "VmSize:"))?;
        gauge("process_threads", "Threads.", field(&status, "Threads:"))?;
        gauge("process_open_fds", "Open files and connections.", open_files())?;
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        gauge("process_max_fds", "How many there may be.", field(&limits, "Max open files"))?;
        gauge("process_start_time_seconds", "When it started, in seconds since 1970.", Some(self.started))?;
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let Some(seconds) = processor_seconds(&stat) else { return Ok(()) };
        let counter = ConstCounter::new(seconds);
        let help = "Processor time, of the system for it, too.";
        counter.encode(encoder.encode_descriptor("process_cpu_seconds", help, None, counter.metric_type())?)
    }
}

/// The first number after a name at the beginning of a line.
fn field(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

fn kibibytes(text: &str, name: &str) -> Option<f64> {
    Some(field(text, name)? * 1024.0)
}

/// Linux 6.2 and later tell the number as the folder's size; before, they have to be counted.
fn open_files() -> Option<f64> {
    let folder = "/proc/self/fd";
    match fs::metadata(folder).map(|folder| folder.size()) {
        Ok(size) if size > 0 => Some(size as f64),
        // One of them is the folder itself.
        Ok(_) | Err(_) => Some(fs::read_dir(folder).ok()?.count().saturating_sub(1) as f64),
    }
}

/// `utime` and `stime` (proc_pid_stat(5)), which follow the name in parentheses; in hundredths of a second on every
/// Linux there is.
fn processor_seconds(stat: &str) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut ticks = rest.split_whitespace().skip(11).map(str::parse::<f64>);
    Some((ticks.next()?.ok()? + ticks.next()?.ok()?) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 1 2 3";
        assert_eq!(processor_seconds(stat), Some(3.0));
        assert_eq!(processor_seconds("nonsense"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_and_files() {
        let mut registry = prometheus_client::registry::Registry::default();
        registry.register_collector(Box::new(Process::starting()));
        let mut page = String::new();
        prometheus_client::encoding::text::encode(&mut page, &registry).unwrap();
        let value = |name: &str| field(&page, name).unwrap_or_else(|| panic!("{name} is not in {page}"));
        assert!(value("process_resident_memory_bytes ") > 1e6);
        assert!(value("process_virtual_memory_bytes ") >= value("process_resident_memory_bytes "));
        assert!((3.0..=value("process_max_fds ")).contains(&value("process_open_fds ")));
        assert!(value("process_threads ") >= 1.0 && value("process_start_time_seconds ") > 1.7e9);
        assert!(value("process_cpu_seconds_total ") >= 0.0);
    }
}
