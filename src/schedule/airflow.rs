//! What is published beside the manifest: one fixed loader, the same for every repository.

/// Turns the manifest beside it into DAGs.
pub const LOADER: &str = include_str!("airflow/chronon_dags.py");

/// Imports a rendered folder with an Airflow that is there, and says what it saw as JSON.
pub const CHECK: &str = include_str!("airflow/check.py");

/// The loader's name.
pub const LOADER_FILE: &str = "chronon_dags.py";

/// The manifest's name.
pub const MANIFEST_FILE: &str = "chronon_dags.json";
