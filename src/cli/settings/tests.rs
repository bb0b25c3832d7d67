use super::keys::LEVELS;
use super::*;

fn environment(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    let pair = |(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
    variables.iter().map(pair).collect()
}

fn with_file(
    content: &str,
    variables: &[(&str, &str)],
) -> (tempfile::TempDir, Result<Loaded, Error>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("settings.json");
    std::fs::write(&path, content).unwrap();
    let flags = SettingsFlags {
        file: Some(path),
        ..SettingsFlags::default()
    };
    let loaded = load(&flags, environment(variables));
    (directory, loaded)
}

fn origin(loaded: &Loaded, key: &str) -> String {
    let (_, value) = loaded.values.iter().find(|(name, _)| *name == key).unwrap();
    value.origin().unwrap().to_owned()
}

#[test]
fn without_sources_everything_is_default_or_the_configurations() {
    let loaded = load(&SettingsFlags::default(), []).unwrap();
    let expected = Settings {
        admin_env: Vec::new(),
        admin_hosts: Vec::new(),
        admin_loopback: Some(Role::Write),
        admin_remote: Some(Role::Read),
        admin_token_file: None,
        keep_changes: KeepChanges::No,
        watch_config: Watch::No,
        control_dir: None,
        drain_time: Duration::from_secs(600),
        log_format: Format::Mosn,
        log_level: None,
        log_level_limit: FilterLevel::Trace,
        log_output: None,
        max_connections: 0,
        pid_file: None,
        hangup: Hangup::Reloads,
        pre_drain_wait: Duration::ZERO,
        upgrade_probation: Duration::from_secs(3),
        upgrade_timeout: Duration::from_secs(30),
        workers: None,
    };
    assert_eq!(loaded.settings, expected);
    assert!(loaded.warnings.is_empty());
    assert_eq!(origin(&loaded, "workers"), "configuration");
}

#[test]
fn flags_go_before_variables_before_the_file_before_defaults() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.json");
    let text = r#"{"workers": 1, "drain_time_s": 2, "log_format": "json", "max_connections": 5}"#;
    std::fs::write(&path, text).unwrap();
    let flags = SettingsFlags {
        file: Some(path.clone()),
        workers: Some("4".to_owned()),
        ..SettingsFlags::default()
    };
    let variables = [
        ("BANYAN_WORKERS", "3"),
        ("GOMAXPROCS", "2"),
        ("BANYAN_DRAIN_TIME_S", "7"),
    ];
    let loaded = load(&flags, environment(&variables)).unwrap();

    assert_eq!(loaded.settings.workers, Some(Workers::Fixed(4)));
    assert_eq!(origin(&loaded, "workers"), "flag --workers");
    assert_eq!(loaded.settings.drain_time, Duration::from_secs(7));
    assert_eq!(
        origin(&loaded, "drain_time_s"),
        "variable BANYAN_DRAIN_TIME_S"
    );
    assert_eq!(loaded.settings.max_connections, 5);
    let from_file = format!("file {}", path.display());
    assert_eq!(origin(&loaded, "log_format"), from_file);
    let table = loaded.to_string();
    let rows: Vec<_> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    for row in [
        &*format!("log_format json {from_file}"),
        "control_dir - configuration",
    ] {
        assert!(rows.iter().any(|found| found == row), "{row}: {table}");
    }
}

#[test]
fn our_variables_go_before_mosns() {
    let both = environment(&[("BANYAN_WORKERS", "auto"), ("GOMAXPROCS", "2")]);
    let loaded = load(&SettingsFlags::default(), both).unwrap();
    assert_eq!(loaded.settings.workers, Some(Workers::Auto));
    let gos = environment(&[("BANYAN_WORKERS", ""), ("GOMAXPROCS", "2")]);
    let loaded = load(&SettingsFlags::default(), gos).unwrap();
    assert_eq!(origin(&loaded, "workers"), "variable GOMAXPROCS");
    let nonsense = environment(&[("GOMAXPROCS", "many")]);
    let loaded = load(&SettingsFlags::default(), nonsense).unwrap();
    assert_eq!(loaded.settings.workers, None);
}

#[test]
fn mosns_log_level_is_a_limit_and_never_an_error() {
    let flags = |level: &str| SettingsFlags {
        log_level: Some(level.to_owned()),
        ..SettingsFlags::default()
    };
    let loaded = load(&flags("error"), []).unwrap();
    assert_eq!(loaded.settings.log_level_limit, FilterLevel::Error);
    assert_eq!(loaded.settings.log_level, None);

    let loaded = load(&flags("DEBUG"), []).unwrap();
    assert_eq!(loaded.settings.log_level_limit, FilterLevel::Trace);
    assert_eq!(
        loaded.warnings,
        [format!(
            "setting `log_level_limit` from flag --log-level: found `DEBUG`, accepted is {LEVELS}"
        )]
    );
}

#[test]
fn a_wrong_value_is_refused_with_its_source() {
    let wrong = environment(&[("BANYAN_WORKERS", "0")]);
    let error = load(&SettingsFlags::default(), wrong).unwrap_err();
    assert_eq!(
        error.to_string(),
        "setting `workers` from variable BANYAN_WORKERS: found `0`, accepted is auto, or a whole \
         number from 1 to 1024"
    );
    let (directory, refused) = with_file(r#"{"drain_time_s": [1]}"#, &[]);
    let error = refused.unwrap_err().to_string();
    let file = directory.path().join("settings.json");
    let start = format!(
        "setting `drain_time_s` from file {}: found a list, ",
        file.display()
    );
    assert!(error.starts_with(&start), "{error}");
}

#[test]
fn unknown_keys_are_refused_and_unknown_variables_warned_of() {
    let (_directory, refused) = with_file(r#"{"worker": 1}"#, &[]);
    let error = refused.unwrap_err().to_string();
    assert!(
        error.ends_with("there is no setting `worker`, did you mean `workers`?"),
        "{error}"
    );
    let (_directory, refused) = with_file(r#"{"log_level_limit": "info"}"#, &[]);
    assert!(matches!(refused, Err(Error::Unknown { .. })));

    let variables = [("BANYAN_WORKRES", "1"), ("BANYAN_SERVICE_HOST", "10.0.0.1")];
    let loaded = load(&SettingsFlags::default(), environment(&variables)).unwrap();
    assert_eq!(
        loaded.warnings,
        [
            "variable BANYAN_SERVICE_HOST is no setting",
            "variable BANYAN_WORKRES is no setting, did you mean `BANYAN_WORKERS`?"
        ]
    );
}

#[test]
fn a_file_that_is_missing_or_no_json_is_refused_by_name() {
    let flags = SettingsFlags {
        file: Some("/nonexistent/banyan.json".into()),
        ..SettingsFlags::default()
    };
    let error = load(&flags, []).unwrap_err().to_string();
    assert!(
        error.starts_with("settings file /nonexistent/banyan.json: "),
        "{error}"
    );
    let (_directory, refused) = with_file("{", &[]);
    assert!(matches!(refused, Err(Error::File { .. })));
}
