//! Hit ratios over the capacity, one picture a trace and one over all.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::run::Cell;
use super::table::Table;

type Drawn = Result<(), Box<dyn Error>>;
/// A name, and points of capacity and figure.
type Line<'a> = (&'a str, Vec<(f64, f64)>);

/// Width and height of a picture.
const SIZE: (u32, u32) = (900, 560);

impl Table<'_> {
    /// Draws all pictures into `folder`: `NAME.svg` a trace, and `overview.svg`.
    ///
    /// # Errors
    /// What the drawing of one yields.
    pub fn draw(&self, folder: &Path) -> Drawn {
        for (at, trace) in self.traces.iter().enumerate() {
            let lines = self.lines(|cell| (cell.trace == at).then(|| self.hit_ratio(cell)));
            let area = |path| SVGBackend::new(path, SIZE).into_drawing_area();
            let path = folder.join(format!("{}.svg", trace.name));
            picture(&area(&path), &trace.name, "hit ratio, %", &lines)?;
        }
        let lines = self.lines(|cell| Some(cell.saved()));
        let path = folder.join("overview.svg");
        let area = SVGBackend::new(&path, SIZE).into_drawing_area();
        let name = format!("mean of {} traces", self.traces.len());
        picture(&area, &name, "misses of FIFO that are gone, %", &lines)
    }

    fn hit_ratio(&self, cell: &Cell) -> f64 {
        let requests = self.traces[cell.trace].keys.len();
        (1.0 - cell.counts.misses as f64 / requests as f64) * 100.0
    }

    /// The mean of a figure at each capacity, for each contender.
    fn lines(&self, figure: impl Fn(&Cell) -> Option<f64>) -> Vec<Line<'_>> {
        let line = |(at, name)| {
            let cells = self.cells.iter().filter(|cell| cell.contender == at);
            let figures = cells.filter_map(|cell| Some((cell.size.part * 100.0, figure(cell)?)));
            (name, means(figures.collect()))
        };
        let names = self.contenders.iter().map(|contender| contender.name);
        let lines = names.enumerate().map(line);
        lines.filter(|(_, points)| !points.is_empty()).collect()
    }
}

/// One point for each place, at the mean of its figures.
fn means(mut figures: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    figures.sort_by(|a, b| a.0.total_cmp(&b.0));
    let groups = figures.chunk_by(|a, b| a.0 == b.0);
    let mean = |group: &[(f64, f64)]| {
        let sum: f64 = group.iter().map(|(_, figure)| figure).sum();
        (group[0].0, sum / group.len() as f64)
    };
    groups.map(mean).collect()
}

fn picture(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    name: &str,
    axis: &str,
    lines: &[Line<'_>],
) -> Drawn {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let span = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::MAX, f64::MIN), |(low, high), x| {
            (low.min(x), high.max(x))
        })
    };
    let (left, right) = span(&mut points().map(|point| point.0));
    let (low, high) = span(&mut points().map(|point| point.1));
    let margin = (high - low).max(1.0) * 0.05;
    if left > right {
        return Ok(());
    }
    area.fill(&WHITE)?;
    let (plot, legend) = area.split_horizontally(SIZE.0 - 220);
    let mut chart = ChartBuilder::on(&plot)
        .caption(name, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(56)
        .build_cartesian_2d(
            (left..right * 1.001).log_scale(),
            low - margin..high + margin,
        )?;
    chart
        .configure_mesh()
        .x_desc("capacity, % of the keys (of the bytes where sized)")
        .y_desc(axis)
        .x_label_formatter(&|x| format!("{x:.3}").trim_end_matches(['0', '.']).to_owned())
        .light_line_style(WHITE)
        .draw()?;
    for (at, (_, points)) in lines.iter().enumerate() {
        let style = style(at, lines.len());
        chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
        let dots = points
            .iter()
            .map(|&point| Circle::new(point, 3, style.filled()));
        chart.draw_series(dots)?;
    }
    names(&legend, lines)?;
    area.present()?;
    Ok(())
}

/// The names of the lines, in their order at the right end.
fn names(area: &DrawingArea<SVGBackend<'_>, Shift>, lines: &[Line<'_>]) -> Drawn {
    let mut order: Vec<usize> = (0..lines.len()).collect();
    let end = |at: usize| lines[at].1.last().map_or(0.0, |point| point.1);
    order.sort_by(|&a, &b| end(b).total_cmp(&end(a)));
    for (nth, at) in order.into_iter().enumerate() {
        let y = 60 + 22 * nth as i32;
        let bar = PathElement::new([(4, y + 7), (30, y + 7)], style(at, lines.len()));
        area.draw(&bar)?;
        area.draw(&Text::new(lines[at].0, (38, y), ("sans-serif", 15)))?;
    }
    Ok(())
}

fn style(at: usize, of: usize) -> ShapeStyle {
    let color = HSLColor(at as f64 / of.max(1) as f64, 0.75, 0.42);
    ShapeStyle::from(color).stroke_width(if at == 3 { 4 } else { 2 })
}
