//! Charts as SVG: bars that say their numbers, legible on light and on dark ground.

use std::fmt::Write as _;

use super::cases::Better;
use super::line::{Line, digits};
use super::statistics::median;

const WIDTH: f64 = 900.0;
/// Where bars begin: labels are left of it.
const LEFT: f64 = 300.0;
const RIGHT: f64 = 790.0;
const ROW: f64 = 18.0;
/// Characters of a caption's line.
const CAPTION: usize = 140;

/// Colours by system: ours, ours, Kafka, Kafka; each is legible on white and on black.
const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#24292f}.h{font-weight:600;font-size:14px}\
.c{font-size:10px;fill:#57606a}.r{text-anchor:end}.a{stroke:#8b949e;stroke-width:1}\
.o{fill:#2f81f7}.p{fill:#1a9e77}.k{fill:#d9822b}.l{fill:#b05a7a}\
.w{stroke:#24292f;stroke-width:1.5}.g{stroke:#cf222e;stroke-width:2.5}\
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.c{fill:#9da7b1}.w{stroke:#e6edf3}}";

/// A drawing that grows downwards.
#[derive(Debug, Default)]
struct Drawing {
    shapes: String,
    y: f64,
}

impl Drawing {
    fn text(&mut self, x: f64, class: &str, text: &str) {
        let y = self.y + 12.0;
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('*', "");
        let _ =
            write!(self.shapes, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{text}</text>");
    }

    fn bar(&mut self, from: f64, to: f64, class: &str) {
        let (y, width) = (self.y + 2.0, (to - from).max(1.0));
        let _ = write!(
            self.shapes,
            "<rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"12\" class=\"{class}\"/>"
        );
    }

    fn line(&mut self, [x1, y1]: [f64; 2], [x2, y2]: [f64; 2], class: &str) {
        let _ = write!(
            self.shapes,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" class=\"{class}\"/>"
        );
    }

    fn caption(&mut self, text: &str) {
        let mut line = String::new();
        for word in text.split_whitespace() {
            if line.len() + word.len() > CAPTION {
                self.text(10.0, "c", &std::mem::take(&mut line));
                self.y += 13.0;
            }
            line += word;
            line.push(' ');
        }
        self.text(10.0, "c", &line);
        self.y += 13.0;
    }

    fn finish(self) -> String {
        let height = self.y + 8.0;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
             width=\"{WIDTH}\"><style>{STYLE}</style>{}</svg>\n",
            self.shapes
        )
    }
}

/// One case: for every figure a bar a system, the longest as long as it gets.
pub(crate) fn of_case(name: &str, lines: &[&Line]) -> String {
    let mut drawing = Drawing { y: 6.0, ..Drawing::default() };
    drawing.text(10.0, "h", name);
    drawing.y += 24.0;
    let mut row = "";
    for line in lines.iter().filter(|line| line.better != Better::Neither) {
        if line.row != row {
            row = &line.row;
            drawing.y += 6.0;
            drawing.text(10.0, "h", row);
            drawing.y += 22.0;
        }
        bars(&mut drawing, line);
    }
    drawing.y += 4.0;
    if let Some(line) = lines.first() {
        let setting = &line.setting;
        drawing.caption("Bars: medians; lines: lowest to highest run.");
        drawing
            .caption(&format!("{}; commit {}; {}.", setting.date, setting.commit, setting.machine));
        drawing.caption(&format!("{}; {}.", setting.kafka, setting.properties));
    }
    let mut told: Vec<&str> = Vec::new();
    for line in lines {
        if !told.contains(&line.row.as_str()) {
            told.push(&line.row);
            drawing.caption(&format!("{}: {}.", line.row, line.setting.run));
        }
    }
    drawing.finish()
}

fn bars(drawing: &mut Drawing, line: &Line) {
    let medians: Vec<f64> =
        line.systems.iter().map(|(_, values)| median(values).unwrap_or(0.0)).collect();
    let longest = medians.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let x = |value: f64| LEFT + (RIGHT - LEFT) * (value / longest).clamp(0.0, 1.0);
    let better = if line.better == Better::More { " (more is better)" } else { "" };
    drawing.text(20.0, "", &format!("{}{better}", line.figure));
    drawing.y += ROW;
    for ((name, values), middle) in line.systems.iter().zip(&medians) {
        drawing.text(LEFT - 8.0, "r", name);
        drawing.bar(LEFT, x(*middle), colour(name));
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if lowest < highest {
            let y = drawing.y + 8.0;
            drawing.line([x(lowest), y], [x(highest), y], "w");
        }
        drawing.text(RIGHT.min(x(highest.max(*middle))) + 6.0, "", &digits(*middle));
        drawing.y += ROW;
    }
}

fn colour(system: &str) -> &'static str {
    match (system.starts_with("Ottla"), system.contains("fsync")) {
        (true, false) => "o",
        (true, true) => "p",
        (false, false) => "k",
        (false, true) => "l",
    }
}

/// What the axis of ratios shows.
const RATIOS: [f64; 9] = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0];

/// All figures that have a goal: how many times better, its interval, and the goal.
pub(crate) fn of_goals(lines: &[Line]) -> String {
    let mut drawing = Drawing { y: 6.0, ..Drawing::default() };
    drawing.text(10.0, "h", "How many times better than Apache Kafka, and the goals");
    drawing.y += 24.0;
    let x = |ratio: f64| {
        let (from, to) = (RATIOS[0].ln(), RATIOS[RATIOS.len() - 1].ln());
        let left = LEFT + 90.0;
        left + (RIGHT - left) * ((ratio.max(0.01).ln() - from) / (to - from)).clamp(0.0, 1.0)
    };
    let top = drawing.y;
    drawing.y += 20.0;
    for line in lines {
        for each in line.compared.iter().filter(|each| each.goal.is_some()) {
            let goal = each.goal.unwrap_or_default();
            let system = &line.systems[each.peer].0;
            let against =
                if line.compared.len() > 1 { format!(" (to {system})") } else { String::new() };
            let label = format!("{}, {}: {}{against}", line.case, line.row, line.figure);
            drawing.text(LEFT + 82.0, "r c", &label);
            drawing.bar(x(1.0), x(each.ratio.median), colour(&line.systems[each.ours].0));
            let y = drawing.y + 8.0;
            drawing.line([x(each.ratio.low), y], [x(each.ratio.high), y], "w");
            drawing.line([x(goal), y - 8.0], [x(goal), y + 8.0], "g");
            let right = x(each.ratio.high).max(x(goal));
            drawing.text(right + 6.0, "", &digits(each.ratio.median));
            drawing.y += ROW;
        }
    }
    let bottom = drawing.y;
    for ratio in RATIOS {
        drawing.line([x(ratio), top + 16.0], [x(ratio), bottom], "a");
        drawing.y = top;
        drawing.text(x(ratio) - 6.0, "c", &format!("{}x", digits(ratio)));
    }
    drawing.y = bottom + 6.0;
    drawing.caption(
        "Bars: median of the pairs' ratios; lines: 95 % interval; red: the goal, which the lower \
         end of the interval has to reach. A logarithmic axis.",
    );
    if let Some(line) = lines.first() {
        drawing.caption(&format!("{}; {}.", line.setting.machine, line.setting.kafka));
    }
    drawing.finish()
}

#[cfg(test)]
mod tests {
    use super::super::line::{Compared, Setting};
    use super::super::statistics::Estimate;
    use super::*;

    #[test]
    fn a_chart_names_systems_numbers_and_settings() {
        let ratio = Estimate { median: 4.0, low: 3.0, high: 5.0 };
        let line = Line {
            setting: Setting { kafka: "Apache Kafka: heap".to_owned(), ..Setting::default() },
            case: "small".to_owned(),
            row: "16 x 5".to_owned(),
            what: String::new(),
            figure: "CPU < all".to_owned(),
            systems: vec![("Ottla".to_owned(), vec![1.0, 2.0]), ("K".to_owned(), vec![8.0])],
            compared: vec![Compared {
                ours: 0,
                peer: 1,
                ratio,
                pairs: 2,
                quiet: true,
                goal: Some(10.0),
            }],
            limit: None,
            better: Better::Less,
        };
        check(&of_case("small", &[&line]), &["Ottla", ">1.5<", ">8<", "CPU &lt; all", "heap"]);
        check(&of_goals(&[line]), &["small, 16 x 5: CPU &lt; all", ">4<", "class=\"g\""]);
    }

    fn check(svg: &str, holds: &[&str]) {
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
        for text in holds {
            assert!(svg.contains(text), "`{text}` in {svg}");
        }
    }
}
