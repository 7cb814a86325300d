//! The curves of a training.

use crate::report::{Quantity, VerticalScale};
use crate::train::IterationMetrics;

/// A point: an iteration and a value.
pub type Point = (f64, f64);

/// A curve with its name and its axis.
pub struct Curve {
    /// The name.
    pub name: &'static str,
    /// The vertical axis.
    pub scale: VerticalScale,
    /// The values of the iterations.
    pub training: Vec<Point>,
    /// The values of the evaluations on held-out tasks.
    pub held_out: Vec<Point>,
    /// A value as a text.
    show: fn(f64) -> String,
}

impl Curve {
    fn new(name: &'static str, scale: VerticalScale, show: fn(f64) -> String) -> Self {
        Self { name, scale, training: Vec::new(), held_out: Vec::new(), show }
    }

    /// That of a quantity that episodes are judged by.
    fn of(quantity: Quantity) -> Self {
        let show = match quantity {
            Quantity::Success => |value| Quantity::Success.show(value),
            Quantity::Score => |value| Quantity::Score.show(value),
            Quantity::Return => |value| Quantity::Return.show(value),
        };
        Self::new(quantity.name(), quantity.scale(), show)
    }

    /// The newest value of the iterations as a text.
    pub fn newest(&self) -> Option<String> {
        self.training.last().map(|point| (self.show)(point.1))
    }

    /// The newest value of the evaluations as a text.
    pub fn newest_held_out(&self) -> Option<String> {
        self.held_out.last().map(|point| (self.show)(point.1))
    }
}

/// The number of curves.
pub const COUNT: usize = 6;

/// Success or score, return, loss, KL divergence, entropy and gradient norm.
pub struct Curves([Curve; COUNT]);

impl Curves {
    /// Curves without points.
    pub fn new() -> Self {
        let fitted =
            |name, show| Curve::new(name, VerticalScale::Fitted { min: f64::NEG_INFINITY }, show);
        let three: fn(f64) -> String = |value| format!("{value:.3}");
        let four: fn(f64) -> String = |value| format!("{value:.4}");
        Self([
            Curve::of(Quantity::Success),
            Curve::of(Quantity::Return),
            fitted("loss", four),
            fitted("KL", four),
            fitted("entropy", three),
            fitted("gradient norm", three),
        ])
    }

    /// All of them.
    pub fn all(&self) -> &[Curve; COUNT] {
        &self.0
    }

    /// Adds the points of an iteration. Values that are absent or not finite have none.
    pub fn push(&mut self, line: &IterationMetrics) {
        self.suit(line);
        let is_trained = line.iteration > 0;
        let is_played = is_trained && line.length > 0.0;
        let judged = if self.0[0].name == "score" { Quantity::Score } else { Quantity::Success };
        let values = [
            judged.training(line).filter(|_| is_played),
            Quantity::Return.training(line).filter(|_| is_played),
            is_trained.then_some(line.loss),
            is_trained.then_some(line.kl),
            is_trained.then_some(line.entropy),
            is_trained.then_some(line.gradient_norm),
        ];
        let point = |value: Option<f64>| {
            let value = value.filter(|value| value.is_finite())?;
            Some((line.iteration as f64, value))
        };
        for (curve, value) in self.0.iter_mut().zip(values) {
            curve.training.extend(point(value));
        }
        if let Some(evaluation) = &line.evaluation {
            self.0[0].held_out.extend(point(judged.held_out(evaluation)));
            self.0[1].held_out.extend(point(Quantity::Return.held_out(evaluation)));
        }
    }

    /// Shows the score in place of the success if the environment reports only that.
    fn suit(&mut self, line: &IterationMetrics) {
        let first = &self.0[0];
        let is_empty = first.training.is_empty() && first.held_out.is_empty();
        let evaluation = line.evaluation.as_ref();
        let has_score = line.score.is_some() || evaluation.is_some_and(|one| one.score.is_some());
        let has_success =
            line.success.is_some() || evaluation.is_some_and(|one| one.success.is_some());
        if is_empty && has_score && !has_success {
            self.0[0] = Curve::of(Quantity::Score);
        }
    }
}

/// Means of neighbouring points, so that there are at most `count`.
pub fn thinned(points: &[Point], count: usize) -> Vec<Point> {
    let size = points.len().div_ceil(count.max(1)).max(1);
    let mean = |part: &[Point]| {
        let sum = part.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / part.len() as f64, sum.1 / part.len() as f64)
    };
    points.chunks(size).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::EvaluationMetrics;

    #[test]
    fn values_that_are_absent_or_not_finite_have_no_point() {
        let mut curves = Curves::new();
        let evaluation = EvaluationMetrics { success: Some(0.25), ..EvaluationMetrics::default() };
        let untrained =
            IterationMetrics { evaluation: Some(evaluation), ..IterationMetrics::default() };
        curves.push(&untrained);
        let line = IterationMetrics {
            iteration: 1,
            length: 9.0,
            success: Some(0.5),
            loss: f64::NAN,
            ..IterationMetrics::default()
        };
        curves.push(&line);
        let imitation = IterationMetrics { iteration: 2, loss: 0.5, ..IterationMetrics::default() };
        curves.push(&imitation);
        let [success, returns, loss, kl, ..] = curves.all();
        assert_eq!(
            (success.held_out.clone(), success.training.clone()),
            (vec![(0.0, 0.25)], vec![(1.0, 0.5)])
        );
        assert_eq!(success.newest().unwrap(), "50.0 %");
        assert_eq!(success.newest_held_out().unwrap(), "25.0 %");
        assert_eq!((returns.held_out.len(), returns.training.len()), (0, 1));
        assert_eq!((loss.training.clone(), kl.training.len()), (vec![(2.0, 0.5)], 2));
    }

    #[test]
    fn the_score_stands_in_for_a_success_that_the_environment_does_not_report() {
        let mut curves = Curves::new();
        let line = IterationMetrics {
            iteration: 1,
            length: 9.0,
            score: Some(0.75),
            ..IterationMetrics::default()
        };
        curves.push(&line);
        let score = &curves.all()[0];
        assert_eq!((score.name, score.newest().unwrap().as_str()), ("score", "75.0 %"));
    }

    #[test]
    fn many_points_are_drawn_as_means_of_neighbours() {
        let points: Vec<Point> = (0..100).map(|at| (f64::from(at), f64::from(at % 2))).collect();
        let thinned = thinned(&points, 30);
        assert_eq!((thinned.len(), thinned[0], thinned[24]), (25, (1.5, 0.5), (97.5, 0.5)));
        assert_eq!(super::thinned(&points[..3], 30), points[..3]);
        assert_eq!(super::thinned(&[], 30), []);
    }
}
