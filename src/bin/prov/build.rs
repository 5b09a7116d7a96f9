//! How the program is linked: so that it starts fast, since a hit is a few milliseconds of which starting is a large part.
//!
//! See `docs/performance.md`, "Start". Nothing here changes what the program does, and where a question has no answer, the linker's own way stands.

#![expect(clippy::disallowed_methods, reason = "a build script is told everything by its environment")]

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=src/bin/prov/build.rs");
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if target("OS") != "linux" || target("ENV") != "gnu" || env::var("TARGET") != env::var("HOST") {
        return;
    }
    // The image at a fixed place needs none of its 23,000 addresses corrected at every start (a tenth of all instructions of a hit, and 100 pages
    // written). Stack, heap and libraries still lie at random places.
    println!("cargo::rustc-link-arg-bin=prov=-no-pie");
    // What a run executes lies together: its pages are mapped in a third of the steps.
    let order = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("src/bin/prov/order.txt");
    println!("cargo::rerun-if-changed={}", order.display());
    let order = format!("-Wl,--symbol-ordering-file={},--no-warn-symbol-ordering", order.display());
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") && can_link_with(&order) {
        println!("cargo::rustc-link-arg-bin=prov={order}");
    }
    // The unwinder as part of the program, where the compiler brings it: a library less to find and map.
    if let Some(folder) = folder_of("libgcc_eh.a") {
        println!("cargo::rustc-link-search=native={folder}");
        println!("cargo::rustc-link-lib=static:-bundle=gcc_eh");
    }
}

/// Whether the linker that the program will be linked with knows this argument.
fn can_link_with(argument: &str) -> bool {
    let Ok(folder) = env::var("OUT_DIR") else { return false };
    let (source, out) = (Path::new(&folder).join("probe.rs"), Path::new(&folder).join("probe"));
    if fs::write(&source, "fn main() {}").is_err() {
        return false;
    }
    let mut rustc = Command::new(env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned()));
    rustc.args(env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default().split('\u{1f}').filter(|flag| !flag.is_empty()));
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.arg(format!("-Clinker={linker}"));
    }
    let linked = rustc.arg(source).arg("-o").arg(out).arg(format!("-Clink-arg={argument}")).output();
    linked.is_ok_and(|output| output.status.success())
}

/// The folder in which the C compiler, that links, keeps a library.
fn folder_of(library: &str) -> Option<String> {
    println!("cargo::rerun-if-env-changed=CC");
    let asked = Command::new(env::var("CC").unwrap_or_else(|_| "cc".to_owned()))
        .arg(format!("-print-file-name={library}"))
        .output()
        .ok()?;
    let path = String::from_utf8(asked.stdout).ok()?;
    let path = Path::new(path.trim());
    if !path.is_absolute() || !path.is_file() {
        return None;
    }
    Some(path.parent()?.to_str()?.to_owned())
}
