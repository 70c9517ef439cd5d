//! A timeline as SVG: above, media over time as it was listed; below, how far behind it was. Pure.

use std::fmt::Write as _;

use crate::timeline::{Arrival, Timeline};

const LEFT: f64 = 60.0;
const WIDTH: f64 = 800.0;
const UPPER: Plot = Plot { top: 50.0, height: 280.0 };
const LOWER: Plot = Plot { top: 370.0, height: 110.0 };
/// Apart by lightness too, for whoever sees no colours.
const COLOURS: [&str; 6] = ["#0b5394", "#e69138", "#38761d", "#a64d79", "#666666", "#45818e"];

/// One of the two.
struct Plot {
    top: f64,
    height: f64,
}

/// From what was measured to places in the picture.
struct Scale<'a> {
    plot: &'a Plot,
    /// Seconds over the whole width.
    across: f64,
    /// Seconds over the whole height.
    up: f64,
}

impl Scale<'_> {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + WIDTH * (seconds / self.across).clamp(0.0, 1.0)
    }

    fn y(&self, seconds: f64) -> f64 {
        self.plot.top + self.plot.height * (1.0 - (seconds / self.up).clamp(0.0, 1.0))
    }
}

/// The picture of a fault of this name.
pub(crate) fn svg(title: &str, timeline: &Timeline) -> String {
    let all = || timeline.lanes.iter().flat_map(|lane| &lane.arrivals);
    let most = |of: fn(&Arrival) -> f64| all().map(of).fold(1.0, f64::max);
    let across = most(|arrival| arrival.at);
    let upper = Scale { plot: &UPPER, across, up: most(|arrival| arrival.media) };
    let lower = Scale { plot: &LOWER, across, up: most(|arrival| arrival.behind) };
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 900 530\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"900\" height=\"530\" \
         fill=\"white\"/>\n",
    );
    let _ = writeln!(svg, "<text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{}</text>", escaped(title));
    for scale in [&upper, &lower] {
        for (name, from, to) in &timeline.struck {
            band(&mut svg, scale, name, (*from, *to));
        }
        axes(&mut svg, scale);
    }
    for (from, to) in &timeline.lost {
        let (top, bottom) = (upper.y(*to), upper.y(*from));
        let height = (bottom - top).max(2.0);
        let _ = writeln!(
            svg,
            "<rect x=\"{LEFT}\" y=\"{top:.1}\" width=\"{WIDTH}\" height=\"{height:.1}\" \
             fill=\"#cc0000\" fill-opacity=\"0.5\"><title>lost</title></rect>"
        );
    }
    for media in &timeline.discontinuities {
        let (y, right) = (upper.y(*media), LEFT + WIDTH);
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#cc0000\" stroke-dasharray=\"6 4\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" fill=\"#cc0000\">discontinuity</text>",
            LEFT + 6.0,
            y - 4.0
        );
    }
    for (number, lane) in timeline.lanes.iter().enumerate() {
        let colour = COLOURS.iter().cycle().nth(number).unwrap_or(&"black");
        let media = steps(&upper, &lane.arrivals, |arrival| arrival.media);
        let behind = steps(&lower, &lane.arrivals, |arrival| arrival.behind);
        let row = 40.0 + 16.0 * f64::from(u8::try_from(number).unwrap_or(u8::MAX));
        let _ = writeln!(
            svg,
            "<g fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"><path d=\"{media}\"/>\
             <path d=\"{behind}\"/></g><text x=\"{}\" y=\"{}\" fill=\"{colour}\">{}</text>",
            LEFT + 12.0,
            UPPER.top + row - 22.0,
            escaped(&lane.name)
        );
    }
    let lost = if timeline.lost.is_empty() { "" } else { "; red: lost pictures" };
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"44\">seconds of media listed{lost}</text>\
         <text x=\"{LEFT}\" y=\"364\">seconds behind the best</text>\
         <text x=\"{}\" y=\"522\" text-anchor=\"end\">seconds since the recording began; grey: \
         what was done</text>\n</svg>",
        LEFT + WIDTH
    );
    svg
}

/// From when something was done until it was undone.
fn band(svg: &mut String, scale: &Scale<'_>, name: &str, (from, to): (f64, f64)) {
    let (left, right, top) = (scale.x(from), scale.x(to), scale.plot.top);
    let (width, height) = ((right - left).max(1.5), scale.plot.height);
    let _ = writeln!(
        svg,
        "<rect x=\"{left:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{height}\" \
         fill=\"#bbbbbb\" fill-opacity=\"0.6\"><title>{} from {from:.2} to {to:.2} s</title></rect>",
        escaped(name)
    );
}

fn axes(svg: &mut String, scale: &Scale<'_>) {
    let Plot { top, height } = *scale.plot;
    let (bottom, right) = (top + height, LEFT + WIDTH);
    let _ = writeln!(
        svg,
        "<path d=\"M{LEFT} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"black\"/>"
    );
    for tick in ticks(scale.across, 12.0) {
        let x = scale.x(tick);
        let _ = writeln!(
            svg,
            "<path d=\"M{x:.1} {bottom}v4\" stroke=\"black\"/><text x=\"{x:.1}\" y=\"{}\" \
             text-anchor=\"middle\">{tick}</text>",
            bottom + 17.0
        );
    }
    for tick in ticks(scale.up, height / 30.0) {
        let y = scale.y(tick);
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#e5e5e5\"/><text x=\"{}\" y=\"{:.1}\" \
             text-anchor=\"end\">{tick}</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
}

/// Round numbers from 0, at most so many.
fn ticks(up_to: f64, most: f64) -> Vec<f64> {
    let steps = [0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0, 600.0];
    let step = steps.into_iter().find(|step| up_to / step <= most).unwrap_or(3_600.0);
    let all = std::iter::successors(Some(0_u32), |number| number.checked_add(1));
    let places = all.map(|number| (f64::from(number) * step * 10.0).round() / 10.0);
    places.take_while(|place| *place <= up_to).collect()
}

/// A line that goes on level until the next arrival.
fn steps(scale: &Scale<'_>, arrivals: &[Arrival], of: fn(&Arrival) -> f64) -> String {
    let mut path = String::new();
    for arrival in arrivals {
        let (x, y) = (scale.x(arrival.at), scale.y(of(arrival)));
        let _ = if path.is_empty() {
            write!(path, "M{x:.1} {y:.1}")
        } else {
            write!(path, "H{x:.1}V{y:.1}")
        };
    }
    path
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::Lane;

    #[test]
    fn the_fault_the_arrivals_marks_and_losses_are_in_the_picture_where_they_were() {
        let arrival = |at, media, behind| Arrival { at, media, behind, late: 0.0 };
        let arrivals =
            vec![arrival(0.0, 2.0, 0.0), arrival(5.0, 6.0, 1.0), arrival(10.0, 8.0, 0.0)];
        let timeline = Timeline {
            lanes: vec![Lane { name: "480p".to_owned(), arrivals }],
            struck: vec![("kill <it>".to_owned(), 2.5, 5.0)],
            discontinuities: vec![4.0],
            lost: vec![(2.0, 4.0)],
        };
        let svg = svg("moon & sun", &timeline);
        for part in [
            "moon &amp; sun",
            "kill &lt;it&gt; from 2.50 to 5.00 s",
            // A quarter of the width from the left, a quarter wide.
            "<rect x=\"260.0\" y=\"50\" width=\"200.0\"",
            // Half of the media.
            "M60 190.0H860\" stroke=\"#cc0000\"",
            "y=\"190.0\" width=\"800\" height=\"70.0\"",
            "d=\"M60.0 260.0H460.0V120.0H860.0V50.0\"",
            "d=\"M60.0 480.0H460.0V370.0H860.0V480.0\"",
        ] {
            assert!(svg.contains(part), "no {part} in {svg}");
        }
    }

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(1.0, 4.0), [0.0, 0.5, 1.0]);
        assert_eq!(ticks(30.0, 12.0), [0.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0]);
        assert_eq!(ticks(900.0, 12.0).len(), 8);
    }

    #[test]
    fn nothing_is_a_picture_too() {
        assert!(svg("nothing", &Timeline::default()).ends_with("</svg>\n"));
    }
}
