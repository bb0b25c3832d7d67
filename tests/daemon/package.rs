//! What the Debian package is made of: it is there, and the binary understands it.

use std::fs;
use std::path::Path;
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn text(name: &str) -> String {
    let path = Path::new(ROOT).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between quotes in a line.
fn quoted(line: &str) -> Vec<&str> {
    line.split('"').skip(1).step_by(2).collect()
}

fn banyan(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_banyan"));
    command
        .env_clear()
        .current_dir(ROOT)
        .args(words.split_whitespace());
    command
}

#[test]
fn every_file_of_the_package_is_there() {
    let manifest = text("Cargo.toml");
    let (_, package) = manifest
        .split_once("[package.metadata.deb]")
        .expect("it is described");
    let (_, assets) = package.split_once("assets = [").expect("it has files");
    let (assets, _) = assets.split_once("\n]").expect("they end");
    let mut installed = Vec::new();
    for asset in assets.lines().map(quoted).filter(|asset| !asset.is_empty()) {
        let [from, to, _mode] = asset[..] else {
            panic!("{asset:?} is no file, place and mode");
        };
        let file = from.strip_suffix("*.md").unwrap_or(from);
        let is_built = from.starts_with("target/release/");
        assert!(
            is_built || Path::new(ROOT).join(file).exists(),
            "{from} is not there"
        );
        let name = from.rsplit('/').next().unwrap_or_default();
        installed.push(match to.ends_with('/') {
            true => format!("/{to}{name}"),
            false => format!("/{to}"),
        });
    }
    let kept = package.lines().find(|line| line.starts_with("conf-files"));
    for file in quoted(kept.expect("an edited configuration is kept")) {
        assert!(
            installed.iter().any(|one| one == file),
            "{file} is not installed"
        );
    }
    // Of the description a package shows one line.
    let described = manifest
        .lines()
        .find(|line| line.starts_with("description"));
    assert!(quoted(described.expect("it is described"))[0].len() <= 72);
}

#[test]
fn the_scripts_of_the_package_are_ones_of_a_shell() {
    for script in ["postinst", "postrm"] {
        let path = format!("{ROOT}/dist/debian/{script}");
        // What the units need comes there.
        assert!(text(&format!("dist/debian/{script}")).contains("\n#DEBHELPER#\n"));
        let read = Command::new("/bin/sh").args(["-n", &path]).status();
        assert!(read.expect("there is a shell").success(), "{script}");
    }
}

#[test]
fn the_configuration_of_the_package_has_no_finding() {
    let checked = banyan("check --strict -c dist/debian/banyan.json").output();
    let checked = checked.expect("it runs");
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert_eq!(checked.status.code(), Some(0), "{said}");
    assert!(!said.contains("note["), "{said}");
}

#[test]
fn the_unit_s_commands_are_understood() {
    let unit = text("dist/banyan.service");
    let command = |key: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(key));
        let words = line.and_then(|line| line.strip_prefix("=/usr/bin/banyan "));
        words
            .unwrap_or_else(|| panic!("{key} starts banyan"))
            .to_owned()
    };
    let start = banyan(&(command("ExecStart") + " --print-settings"))
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&start.stdout).into_owned();
    assert_eq!(start.status.code(), Some(0), "{said}");
    assert!(said.contains("/run/banyan/banyan.pid"), "{said}");
    let reload = banyan(&(command("ExecReload") + " --help"))
        .output()
        .expect("it runs");
    assert_eq!(reload.status.code(), Some(0));
}
