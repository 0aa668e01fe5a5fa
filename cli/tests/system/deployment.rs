//! The files that others deploy with say what the binary understands.

use std::collections::BTreeSet;
use std::path::Path;

use crate::running::{output_of, run};

fn repository_file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// The `command:` lines of the compose file, those for our image.
fn compose_commands() -> Vec<Vec<String>> {
    let compose = repository_file("docker-compose.yml");
    let commands = compose.lines().filter_map(|line| line.trim().strip_prefix("command: "));
    commands.map(|it| it.split_whitespace().map(str::to_owned).collect()).collect()
}

#[test]
fn every_service_starts_a_command_with_flags_that_exist() {
    let commands = compose_commands();
    assert_eq!(commands.len(), 5, "{commands:?}");
    for command in commands {
        let help = output_of(&run(&[&command[0], "--help"]));
        for flag in command.iter().filter(|it| it.starts_with("--")) {
            assert!(help.contains(flag.as_str()), "{} does not know {flag}", command[0]);
        }
    }
}

#[test]
fn every_variable_of_the_compose_file_is_understood() {
    let compose = repository_file("docker-compose.yml");
    let names = compose.lines().filter_map(|line| line.trim().split_once(": "));
    let ours: BTreeSet<_> = names
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("ORDERSTORE_") || *name == "DATABASE_URL")
        .collect();
    assert!(ours.len() >= 4);
    let mut help = String::new();
    for role in ["api", "projector", "process-managers", "migrate", "partners"] {
        help += &output_of(&run(&[role, "--help"]));
    }
    for name in ours {
        assert!(help.contains(name), "{name} is understood by no role");
    }
}

#[test]
fn what_is_started_without_arguments_explains_itself() {
    let help = String::from_utf8(run(&[]).stderr).unwrap();
    for command in ["up", "api", "projector", "process-managers", "import", "scenario", "streams"] {
        assert!(help.contains(command), "{command} is missing in {help}");
    }
}
