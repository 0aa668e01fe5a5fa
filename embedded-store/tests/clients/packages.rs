//! Installs the packages that are tested, with pip and npm, in the versions that are written down.
//! Only again when those have changed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{folder, text};

/// The interpreter of a virtual environment with this package.
pub(crate) fn python(package: &str) -> Result<PathBuf, String> {
    let requirements = folder("python").join(format!("{package}.txt"));
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{package}"));
    let interpreter = environment.join("bin/python");
    once(&environment, &requirements, || {
        new_environment(&environment)?;
        let arguments = ["-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "-r"];
        run(Command::new(&interpreter).args(arguments).arg(&requirements))
    })?;
    Ok(interpreter)
}

/// Puts the packages for Node where Node looks for them: beside the scenarios.
pub(crate) fn node() -> Result<(), String> {
    let scenarios = folder("node");
    let lock = scenarios.join("package-lock.json");
    once(&scenarios.join("node_modules"), &lock, || {
        run(Command::new("npm").args(["ci", "--ignore-scripts"]).current_dir(&scenarios))
    })
}

/// The first Python that can make an environment: some systems have one without `venv` beside one
/// that has it.
fn new_environment(folder: &Path) -> Result<(), String> {
    let mut reasons = String::new();
    for python in ["python3", "/usr/bin/python3"] {
        let made = run(Command::new(python).args(["-m", "venv", "--clear"]).arg(folder));
        match made {
            Ok(()) => return Ok(()),
            Err(reason) => reasons += &reason,
        }
    }
    Err(format!("No Python can make a virtual environment; install python3-venv.\n{reasons}"))
}

/// Calls `install` unless it has been done for these versions.
fn once(
    place: &Path,
    versions: &Path,
    install: impl FnOnce() -> Result<(), String>,
) -> Result<(), String> {
    let name = place.file_name().unwrap().to_string_lossy();
    let turn = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.lock"));
    let turn = File::create(turn).unwrap();
    turn.lock().unwrap();
    let (done, wanted) = (place.join(".installed"), fs::read(versions).unwrap());
    if fs::read(&done).is_ok_and(|versions| versions == wanted) {
        return Ok(());
    }
    install().map_err(|reason| {
        format!("{} cannot be installed; is there a network?\n{reason}", versions.display())
    })?;
    fs::write(done, wanted).unwrap();
    Ok(())
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}\n"))?;
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}:\n{}\n", text(&output))) }
}
