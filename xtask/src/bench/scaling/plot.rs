//! Draws a study as SVG: two panels with logarithmic steps to the right and microseconds upwards.

use super::{Point, Study};
use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 300.0;
const PANEL_WIDTH: f64 = 290.0;
const PANEL_HEIGHT: f64 = 200.0;
const TOP: f64 = 40.0;
/// Left edges of the panels.
const LEFT: [f64; 2] = [60.0, 440.0];
/// Lines across a panel.
const STEPS: u32 = 4;

/// What one line shows.
struct Series {
    name: &'static str,
    color: &'static str,
    value: fn(&Point) -> f64,
}

const SERIES: [Series; 2] = [
    Series {
        name: "whole way",
        color: "#1f6feb",
        value: |point| point.task_us,
    },
    Series {
        name: "submission",
        color: "#d1792a",
        value: |point| point.submit_us,
    },
];

/// One panel.
struct Panel<'a> {
    left: f64,
    title: &'static str,
    points: &'a [Point],
    place: fn(&Point) -> usize,
    /// Microseconds at the upper edge.
    top_us: f64,
}

/// The picture.
pub(super) fn draw(study: &Study) -> String {
    let all = study.by_queued.iter().chain(&study.by_nodes);
    let most = all.map(|point| point.task_us).fold(1.0, f64::max);
    let top_us = round_up(most);
    let panels = [
        Panel {
            left: LEFT[0],
            title: "queued tasks",
            points: &study.by_queued,
            place: |point| point.queued,
            top_us,
        },
        Panel {
            left: LEFT[1],
            title: "nodes",
            points: &study.by_nodes,
            place: |point| point.nodes,
            top_us,
        },
    ];
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"{}\" y=\"20\">Processor time of the coordinator for one task, µs</text>\n",
        LEFT[0]
    );
    for panel in &panels {
        svg.push_str(&panel.drawn());
    }
    for (number, series) in SERIES.iter().enumerate() {
        let x = LEFT[1] + 60.0 + number as f64 * 110.0;
        let Series { name, color, .. } = series;
        write_line(
            &mut svg,
            &format!("<text x=\"{x}\" y=\"20\" fill=\"{color}\">● {name}</text>"),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

impl Panel<'_> {
    fn drawn(&self) -> String {
        let mut svg = String::new();
        let right = self.left + PANEL_WIDTH;
        for step in 0..=STEPS {
            let us = self.top_us * f64::from(step) / f64::from(STEPS);
            let y = self.y(us);
            let (label_x, label_y) = (self.left - 6.0, y + 4.0);
            write_line(
                &mut svg,
                &format!(
                    "<line x1=\"{}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\" \
                     stroke=\"#d0d7de\"/><text x=\"{label_x}\" y=\"{label_y:.1}\" \
                     text-anchor=\"end\">{us:.0}</text>",
                    self.left
                ),
            );
        }
        for point in self.points {
            let (x, y) = (self.x(point), TOP + PANEL_HEIGHT + 18.0);
            let place = (self.place)(point);
            write_line(
                &mut svg,
                &format!("<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{place}</text>"),
            );
        }
        let (middle, below) = (self.left + PANEL_WIDTH / 2.0, TOP + PANEL_HEIGHT + 40.0);
        let title = self.title;
        write_line(
            &mut svg,
            &format!("<text x=\"{middle}\" y=\"{below}\" text-anchor=\"middle\">{title}</text>"),
        );
        for series in &SERIES {
            svg.push_str(&self.line(series));
        }
        svg
    }

    fn line(&self, series: &Series) -> String {
        let places = self
            .points
            .iter()
            .map(|point| (self.x(point), self.y((series.value)(point))));
        let path: Vec<_> = places
            .clone()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let color = series.color;
        let mut svg = String::new();
        write_line(
            &mut svg,
            &format!(
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>",
                path.join(" ")
            ),
        );
        for (x, y) in places {
            write_line(
                &mut svg,
                &format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{color}\"/>"),
            );
        }
        svg
    }

    /// Places are powers of ten, with some room at both edges.
    fn x(&self, point: &Point) -> f64 {
        let log = |point: &Point| ((self.place)(point).max(1) as f64).log10();
        let first = self.points.first().map_or(0.0, log);
        let last = self.points.last().map_or(1.0, log);
        let share = (log(point) - first) / (last - first).max(f64::EPSILON);
        self.left + PANEL_WIDTH * 0.2f64.mul_add(0.5, share * 0.8)
    }

    fn y(&self, us: f64) -> f64 {
        TOP + PANEL_HEIGHT * (1.0 - us / self.top_us)
    }
}

fn write_line(svg: &mut String, line: &str) {
    writeln!(svg, "{line}").expect("a string takes every text");
}

/// The next of 1, 2, 4, 8 times a power of ten: its quarters are short numbers.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 4.0, 8.0, 10.0];
    let fitting = steps.into_iter().find(|step| step * power >= value);
    fitting.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(queued: usize, nodes: usize, task_us: f64) -> Point {
        Point {
            queued,
            nodes,
            task_us,
            submit_us: task_us / 2.0,
            per_second: 1.0,
            rss_mib: 1.0,
        }
    }

    #[test]
    fn every_point_is_drawn_inside_the_picture() {
        let study = Study {
            by_queued: vec![point(1_000, 100, 9.0), point(1_000_000, 100, 30.0)],
            by_nodes: vec![point(10_000, 10, 12.0), point(10_000, 10_000, 300.0)],
        };
        let svg = draw(&study);
        assert_eq!(svg.matches("<circle").count(), 8);
        assert_eq!(svg.matches("<polyline").count(), 4);
        assert!(svg.contains(">400<"), "the upper edge has a label: {svg}");
        let numbers = |name: &str| -> Vec<f64> {
            let name = format!("{name}=\"");
            let parts = svg.split(&name).skip(1);
            let parts = parts.map(|part| part.split('"').next().unwrap());
            parts.map(|number| number.parse().unwrap()).collect()
        };
        assert!(numbers("cx").iter().all(|x| (0.0..WIDTH).contains(x)));
        assert!(numbers("cy").iter().all(|y| (0.0..HEIGHT).contains(y)));
    }

    #[test]
    fn edges_are_round_numbers() {
        let table = [
            (1.0, 1.0),
            (9.0, 10.0),
            (12.0, 20.0),
            (300.0, 400.0),
            (801.0, 1_000.0),
        ];
        for (value, expected) in table {
            assert!((round_up(value) - expected).abs() < 1e-9, "{value}");
        }
    }
}
