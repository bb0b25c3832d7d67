//! Settings as `--print-settings` shows them.

use std::fmt;

use super::Loaded;

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows: Vec<[String; 3]> =
            std::iter::once(["SETTING", "VALUE", "FROM"].map(str::to_owned))
                .chain(self.values.iter().map(|(key, value)| {
                    let shown = value.clone().into_string().unwrap_or_default();
                    let shown = if shown.is_empty() {
                        "-".to_owned()
                    } else {
                        shown
                    };
                    let origin = value.origin().unwrap_or_default();
                    [(*key).to_owned(), shown, origin.to_owned()]
                }))
                .collect();
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let (first, second) = (width(0), width(1));
        for [key, value, origin] in &rows {
            writeln!(f, "{key:first$}  {value:second$}  {origin}")?;
        }
        Ok(())
    }
}
