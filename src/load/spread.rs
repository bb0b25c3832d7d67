//! Least, most, mean and deviation of figures.

/// Figures that are not kept. `f64` holds integers up to 2^53 exactly: 104 days in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spread {
    count: u64,
    least: f64,
    most: f64,
    sum: f64,
    squares: f64,
}

impl Spread {
    pub(super) fn add(&mut self, figure: f64) {
        self.merge(&Self {
            count: 1,
            least: figure,
            most: figure,
            sum: figure,
            squares: figure * figure,
        });
    }

    pub(super) fn merge(&mut self, other: &Self) {
        match (self.count, other.count) {
            (_, 0) => return,
            (0, _) => (self.least, self.most) = (other.least, other.most),
            _ => {
                self.least = self.least.min(other.least);
                self.most = self.most.max(other.most);
            }
        }
        self.count += other.count;
        self.sum += other.sum;
        self.squares += other.squares;
    }

    pub(super) fn least(&self) -> f64 {
        self.least
    }

    pub(super) fn most(&self) -> f64 {
        self.most
    }

    pub(super) fn mean(&self) -> f64 {
        self.sum / self.count.max(1) as f64
    }

    /// The deviation of a sample, as h2load has it.
    pub(super) fn deviation(&self) -> f64 {
        if self.count < 2 {
            return 0.0;
        }
        let around = self.squares - self.sum * self.mean();
        (around.max(0.0) / (self.count - 1) as f64).sqrt()
    }

    /// How many in a hundred of `figures`, which are those of this spread, are no more than a
    /// deviation away from the mean.
    pub(super) fn within(&self, figures: impl Iterator<Item = f64>) -> f64 {
        let (mean, deviation) = (self.mean(), self.deviation());
        let near = figures.filter(|figure| (figure - mean).abs() <= deviation);
        near.count() as f64 * 100.0 / self.count.max(1) as f64
    }
}

impl FromIterator<f64> for Spread {
    fn from_iter<T: IntoIterator<Item = f64>>(figures: T) -> Self {
        let mut spread = Self::default();
        figures.into_iter().for_each(|figure| spread.add(figure));
        spread
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_that_of_its_figures_however_they_are_merged() {
        let figures = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        let mut halves: Spread = figures[..3].iter().copied().collect();
        halves.merge(&figures[3..].iter().copied().collect());
        halves.merge(&Spread::default());
        assert_eq!(
            (halves.least(), halves.most(), halves.mean()),
            (2.0, 9.0, 5.0)
        );
        assert!((halves.deviation() - (32.0_f64 / 7.0).sqrt()).abs() < 1e-9);
        assert_eq!(halves.within(figures.into_iter()), 75.0);
    }

    #[test]
    fn of_nothing_there_is_nothing_to_say() {
        let none = Spread::default();
        assert_eq!((none.mean(), none.deviation()), (0.0, 0.0));
        assert_eq!(none.within(std::iter::empty()), 0.0);
    }
}
