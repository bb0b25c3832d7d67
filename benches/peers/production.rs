//! The build of Banyan that is compared: the one that users run. `cargo bench` builds the program
//! with what tests and benchmarks add to its dependencies.

use std::process::Command;

use crate::Result;

/// Builds the program anew, in its place, as `cargo build --release` does. Where a variable says
/// which build to compare, or no cargo runs this, that is as it is.
pub(crate) fn build() -> Result<()> {
    let Some(cargo) = std::env::var_os("CARGO").filter(|_| std::env::var_os("BANYAN").is_none())
    else {
        return Ok(());
    };
    eprintln!("building what users run");
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--bin", "banyan"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    match built.success() {
        true => Ok(()),
        false => Err("`cargo build --release --bin banyan` failed".into()),
    }
}
