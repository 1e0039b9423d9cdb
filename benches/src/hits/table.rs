//! Cells as tables and as a record.

use std::fmt::Write;

use serde_json::{Value, json};

use super::contender::Contender;
use super::run::Cell;
use super::trace::{PARTS, Trace};

/// All cells, with what their numbers mean.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    /// What was run.
    pub traces: &'a [Trace],
    /// Who took part.
    pub contenders: &'a [Contender],
    /// What came of it.
    pub cells: &'a [Cell],
}

/// What one contender reached over all traces, at the capacities of the bars.
#[derive(Clone, Copy, Debug)]
pub struct Means {
    /// Traces times capacities.
    pub cells: usize,
    /// FIFO's misses that are gone, in percent.
    pub saved: f64,
    /// Of the way from FIFO to the optimum, in percent, where there is one.
    pub way: f64,
    /// The tenth part of all cells is at most here, in percent of FIFO's misses.
    pub tenth: f64,
    /// The worst cell.
    pub worst: f64,
    /// FIFO's missed bytes that are gone, in percent, on sized traces.
    pub bytes: Option<f64>,
}

fn mean(values: impl Iterator<Item = f64> + Clone) -> Option<f64> {
    let n = values.clone().count();
    (n > 0).then(|| values.sum::<f64>() / n as f64)
}

impl Table<'_> {
    fn of(&self, contender: usize) -> impl Iterator<Item = &Cell> + Clone {
        let cells = self.cells.iter();
        cells.filter(move |cell| cell.contender == contender)
    }

    /// Of one contender; `None` if it could do nothing of it.
    #[must_use]
    pub fn means(&self, contender: usize) -> Option<Means> {
        let cells = self
            .of(contender)
            .filter(|cell| PARTS.contains(&cell.size.part));
        let sized = cells
            .clone()
            .filter(|cell| self.traces[cell.trace].sizes.is_some());
        let mut saved: Vec<_> = cells.clone().map(Cell::saved).collect();
        saved.sort_by(f64::total_cmp);
        Some(Means {
            cells: saved.len(),
            saved: mean(saved.iter().copied())?,
            way: mean(cells.filter_map(Cell::way)).unwrap_or(0.0),
            tenth: *saved.get(saved.len() / 10)?,
            worst: *saved.first()?,
            bytes: mean(sized.map(Cell::bytes_saved)),
        })
    }

    /// The means, then every trace.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut out = self.summary();
        for trace in 0..self.traces.len() {
            self.trace(&mut out, trace);
        }
        out
    }

    /// One line a contender.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut out = String::from(
            "| policy | misses saved against FIFO | of the way to OPT | worst tenth | worst | \
             missed bytes saved | cells |\n|---|--:|--:|--:|--:|--:|--:|\n",
        );
        for (at, contender) in self.contenders.iter().enumerate() {
            let Some(means) = self.means(at) else {
                continue;
            };
            let bytes = means
                .bytes
                .map_or("-".into(), |bytes| format!("{bytes:+.1} %"));
            // Writing into a string does not fail, here and below.
            let _ = writeln!(
                out,
                "| {} | {:+.2} % | {:.1} % | {:+.1} % | {:+.1} % | {bytes} | {} |",
                contender.name, means.saved, means.way, means.tenth, means.worst, means.cells,
            );
        }
        out
    }

    fn trace(&self, out: &mut String, trace: usize) {
        let of = &self.traces[trace];
        let cells = || self.cells.iter().filter(|cell| cell.trace == trace);
        let mut parts: Vec<f64> = cells().map(|cell| cell.size.part).collect();
        parts.sort_by(f64::total_cmp);
        parts.dedup();
        let sized = if of.sizes.is_some() { ", sized" } else { "" };
        let _ = writeln!(
            out,
            "\n### {} ({} requests, {} keys{sized})\n",
            of.name,
            of.keys.len(),
            of.unique
        );
        let heads: String = parts
            .iter()
            .map(|part| format!(" {} % |", part * 100.0))
            .collect();
        let _ = writeln!(out, "| misses, and saved of FIFO's |{heads}");
        let _ = writeln!(out, "|---|{}", "--:|".repeat(parts.len()));
        for (at, contender) in self.contenders.iter().enumerate() {
            let row = || cells().filter(|cell| cell.contender == at);
            if row().next().is_some() {
                let cell = |part: &f64| row().find(|cell| cell.size.part == *part);
                let texts = parts.iter().map(|part| self.text(cell(part)));
                let _ = writeln!(out, "| {} |{}", contender.name, texts.collect::<String>());
            }
        }
    }

    fn text(&self, cell: Option<&Cell>) -> String {
        let Some(cell) = cell else {
            return " - |".into();
        };
        let ratio = cell.counts.misses as f64 / self.traces[cell.trace].keys.len() as f64;
        let real = match cell.counts.real_capacity {
            Some(real) if real != cell.size.capacity => format!(" (holds {real})"),
            _ => String::new(),
        };
        format!(" {:.2} % {:+.1} %{real} |", ratio * 100.0, cell.saved())
    }

    /// Everything, as numbers.
    #[must_use]
    pub fn record(&self, machine: &Value) -> Value {
        let cell = |cell: &Cell| {
            json!({
                "trace": self.traces[cell.trace].name,
                "policy": self.contenders[cell.contender].name,
                "part": cell.size.part,
                "capacity": cell.size.capacity,
                "real_capacity": cell.counts.real_capacity,
                "requests": self.traces[cell.trace].keys.len(),
                "misses": cell.counts.misses,
                "missed_bytes": cell.counts.missed_bytes,
                "fifo_misses": cell.bounds[0].misses,
                "opt_misses": cell.bounds[1].misses,
                "saved": cell.saved(),
                "way": cell.way(),
            })
        };
        let means = self
            .contenders
            .iter()
            .enumerate()
            .filter_map(|(at, contender)| {
                let means = self.means(at)?;
                Some(json!({
                    "policy": contender.name,
                    "cells": means.cells,
                    "saved": means.saved,
                    "way": means.way,
                    "worst_tenth": means.tenth,
                    "worst": means.worst,
                    "bytes_saved": means.bytes,
                }))
            });
        json!({
            "machine": machine,
            "means": means.collect::<Vec<_>>(),
            "cells": self.cells.iter().map(cell).collect::<Vec<_>>(),
        })
    }
}
