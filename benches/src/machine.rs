//! What a record says about the machine.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::ticks;

/// The machine, the compiler and the load, as a record keeps them.
#[must_use]
pub fn describe() -> Value {
    json!({
        "cpu": cpu_field("model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "caches": caches(),
        "memory_kib": memory_kib(),
        "kernel": line("/proc/sys/kernel/osrelease"),
        "huge_pages": line("/sys/kernel/mm/transparent_hugepage/enabled"),
        "load": line("/proc/loadavg"),
        "rustc": rustc(),
        "tick_ns": ticks::step_ns(),
    })
}

/// The machine in one line.
#[must_use]
pub fn line_of(machine: &Value) -> String {
    let text = |key: &str| machine[key].as_str().unwrap_or("?").to_owned();
    let caches = machine["caches"].as_array().map_or(String::new(), |list| {
        let names: Vec<_> = list.iter().filter_map(Value::as_str).collect();
        names.join(", ")
    });
    format!(
        "{}, {} cores, {caches}, Linux {}, {}, load {}",
        text("cpu"),
        machine["cores"],
        text("kernel"),
        text("rustc"),
        text("load"),
    )
}

/// The day, as `2026-01-31` (UTC).
#[must_use]
pub fn today() -> String {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH);
    let days = since.map_or(0, |since| since.as_secs() / 86_400) as i64;
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The civil date, this many days after 1970-01-01 (H. Hinnant's algorithm).
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let leaps = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leaps) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.trim().to_owned()
}

fn cpu_field(name: &str) -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let found = text.lines().find(|line| line.starts_with(name));
    let value = found.and_then(|line| line.split_once(':'));
    value
        .map_or("unknown", |(_, value)| value.trim())
        .to_owned()
}

fn memory_kib() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find(|line| line.starts_with("MemTotal"));
    let number = total.and_then(|line| line.split_whitespace().nth(1));
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn caches() -> Vec<String> {
    let base = "/sys/devices/system/cpu/cpu0/cache";
    let of = |n: u32| {
        let field = |name: &str| line(&format!("{base}/index{n}/{name}"));
        let (level, size) = (field("level"), field("size"));
        (!level.is_empty()).then(|| format!("L{level} {} {size}", field("type")))
    };
    (0..8).filter_map(of).collect()
}

fn rustc() -> String {
    let output = Command::new("rustc").arg("-V").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn days_are_dates() {
        assert_eq!(super::civil(0), (1970, 1, 1));
        assert_eq!(super::civil(19_782), (2024, 2, 29));
        assert_eq!(super::civil(20_454), (2026, 1, 1));
    }
}
