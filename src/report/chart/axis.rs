//! Axes: their range, where their labels stand, and how numbers on them are written.

/// The number of labels to aim for on an axis.
const LABELS: f64 = 5.0;

/// The range and number format of a vertical axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum VerticalScale {
    /// Shares as per cent, always from 0 to 100.
    Percent,
    /// Shares as per cent, from 0 to the largest value.
    FittedPercent,
    /// Numbers, over a range that includes 0 and all values of at least `min`.
    Fitted {
        /// Values below this are cut off, so that an outlier does not flatten the curves.
        min: f64,
    },
}

impl VerticalScale {
    /// The axis for `values`.
    pub fn axis(self, values: impl Iterator<Item = f64>) -> Axis {
        let min = match self {
            Self::Percent => return Axis { low: 0.0, high: 1.0, step: 0.25 },
            Self::FittedPercent => 0.0,
            Self::Fitted { min } => min,
        };
        Axis::fit(0.0, values.map(|value| value.max(min)))
    }

    /// The text of the label at `value`.
    pub fn label(self, axis: &Axis, value: f64) -> String {
        match self {
            Self::Percent | Self::FittedPercent => {
                let digits = digits(100.0 * axis.step);
                format!("{:.digits$} %", 100.0 * value)
            }
            Self::Fitted { .. } if axis.high >= 10_000.0 => short_count(value),
            Self::Fitted { .. } => {
                // Without this, -0.0 would be written with its sign.
                let value = if value == 0.0 { 0.0 } else { value };
                format!("{value:.*}", digits(axis.step))
            }
        }
    }
}

/// An axis from `low` to `high` with a label every `step`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Axis {
    /// The value at the axis' beginning.
    pub low: f64,
    /// The value at its end.
    pub high: f64,
    /// The distance between labels.
    pub step: f64,
}

impl Axis {
    /// An axis from 0 to the largest of `values`.
    pub fn up_to(values: impl Iterator<Item = f64>) -> Self {
        let high = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
        let high = if high > 0.0 { high } else { 1.0 };
        Self { low: 0.0, high, step: round_step(high / LABELS) }
    }

    /// An axis that covers `origin` and all `values` and begins and ends at a label.
    fn fit(origin: f64, values: impl Iterator<Item = f64>) -> Self {
        let values = values.filter(|value| value.is_finite());
        let (low, high) =
            values.fold((origin, origin), |(low, high), value| (low.min(value), high.max(value)));
        let high = if high > low { high } else { low + 1.0 };
        let step = round_step((high - low) / LABELS);
        Self { low: (low / step).floor() * step, high: (high / step).ceil() * step, step }
    }

    /// The place of `value` on the axis: 0 at its beginning, 1 at its end.
    pub fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// The values that have a label.
    pub fn labels(&self) -> impl Iterator<Item = f64> {
        // An end that rounding error moved just past its label keeps it.
        let first = (self.low / self.step - 1e-9).ceil();
        let last = (self.high / self.step + 1e-9).floor();
        (first as i64..=last as i64).map(|number| number as f64 * self.step)
    }
}

/// The decimal places that labels `step` apart need.
fn digits(step: f64) -> usize {
    (-step.log10().floor()).clamp(0.0, 12.0) as usize
}

/// The smallest of 1, 2 or 5 times a power of ten that is at least `min`.
fn round_step(min: f64) -> f64 {
    let power = 10f64.powf(min.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= min);
    factor.unwrap_or(10.0) * power
}

/// A count in short form: 999, 25.6k, 2.5M.
pub fn short_count(value: f64) -> String {
    let short = |value: f64, unit: &str| {
        let text = if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.1}") };
        format!("{}{unit}", text.trim_end_matches(".0"))
    };
    match value {
        // From here on, thousands would be rounded to 1000k.
        value if value >= 999_500.0 => short(value / 1e6, "M"),
        value if value >= 1000.0 => short(value / 1e3, "k"),
        value => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        let axis = Axis::fit(0.0, [23_000.0, 46_000.0].into_iter());
        assert_eq!(axis, Axis { low: 0.0, high: 50_000.0, step: 10_000.0 });
        assert_eq!(axis.labels().count(), 6);
        let axis = Axis::up_to([620_000.0, 5.0].into_iter());
        assert_eq!((axis.high, axis.step, axis.labels().count()), (620_000.0, 200_000.0, 4));
        let empty = Axis::fit(0.0, [f64::NAN].into_iter());
        assert_eq!((empty.low, empty.high), (0.0, 1.0));
    }

    #[test]
    fn labels_have_the_digits_that_tell_them_apart() {
        let labels = |scale: VerticalScale, values: &[f64]| -> Vec<String> {
            let axis = scale.axis(values.iter().copied());
            axis.labels().map(|value| scale.label(&axis, value)).collect()
        };
        let numbers = VerticalScale::Fitted { min: -1.0 };
        assert_eq!(labels(numbers, &[-7.0, 0.9]), ["-1.0", "-0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(labels(numbers, &[20_000.0]), ["0", "5k", "10k", "15k", "20k"]);
        let shares = VerticalScale::FittedPercent;
        assert_eq!(labels(shares, &[0.012]), ["0.0 %", "0.5 %", "1.0 %", "1.5 %"]);
        let all = labels(VerticalScale::Percent, &[0.012]);
        assert_eq!(all, ["0 %", "25 %", "50 %", "75 %", "100 %"]);
    }

    #[test]
    fn counts_are_short() {
        let counts = [0.0, 999.0, 1000.0, 25_600.0, 999_499.0, 999_900.0, 2_500_000.0];
        assert_eq!(counts.map(short_count), ["0", "999", "1k", "25.6k", "999k", "1M", "2.5M"]);
    }
}
